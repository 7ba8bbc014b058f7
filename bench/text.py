"""Text to tokens and back, and texts to embeddings."""

from __future__ import annotations

import time

from llama_cpp import LlamaLibrary
from tests.support import llamaserver

from .measure import Contender, Once, Spread, check_alike, interleaved, ratios
from .place import Place
from .report import C, Row, Table, against_c, at_least, at_most

_SHORT, _LONG, _WORDS = 200, 8, 200
_OURS, _SERVER = "ours, Llama.embed", "llama-server"


def tokenize(place: Place) -> Table:
    """1 MB to tokens."""
    return _text(place, "tokenize", 1.1)


def detokenize(place: Place) -> Table:
    """The tokens of 1 MB to text, at once."""
    return _text(place, "detokenize", 2.5)


def pieces(place: Place) -> Table:
    """The same, token by token, as a stream does."""
    return _text(place, "pieces", 5.0)


def _text(place: Place, task: str, most: float) -> Table:
    table = Table(f"1 MB of text, vocabulary of {place.model.stem}")
    given = (place.model, 1, place.text)
    contenders: dict[str, Contender] = {
        C: place.c(task, *given),
        "ours": place.ours(task, *given, "--cpu"),
    }
    place.with_theirs(contenders, table.remarks, (task,), *given, "--cpu")
    found = interleaved(contenders, place.rounds)
    return against_c(table, found, {"ours": at_most(most)}, time=True)


def embeddings(place: Place) -> Table:
    """Short texts, and some of 200 words: next to C, llama-server and llama-cpp-python."""
    table = Table(f"embeddings, {place.model.stem}, {place.threads} threads: texts/s")
    words = [word for word in place.text.read_text("utf-8").split() if word.isalpha()]
    texts = {
        "short": [" ".join(words[8 * i : 8 * i + 3 + i % 6]) for i in range(_SHORT)],
        "long": [" ".join(words[_WORDS * i :][:_WORDS]) for i in range(_LONG)],
    }
    with llamaserver.running(
        LlamaLibrary(place.library), place.model, place.folder, "--embeddings", "--pooling", "mean",
        "-t", place.threads, "-c", 4096, "--parallel", 64, "--kv-unified", patient=False,
    ) as server:  # fmt: skip
        llamaserver.wait(server)
        for kind, lines in texts.items():
            n = len(lines)
            given = (place.model, n, place.file(f"{kind}.txt", "".join(f"{s}\n" for s in lines)))
            contenders: dict[str, Contender] = {
                _SERVER: _served(server, lines),
                C: place.c("embed", *given),
                _OURS: place.ours("embed", *given),
            }
            check_alike(contenders)
            place.with_theirs(contenders, table.remarks, ("embed",), *given)
            found = interleaved(contenders, place.rounds)
            for name, values in found.items():
                over, note = ratios(found[_SERVER], values), f"{1 / Spread.of(values).median:.1f}/s"
                row = Row(f"{name}, {n} {kind} texts, over {_SERVER}", over, note=note)
                table.rows.append(row)
            over, name = ratios(found[C], found[_OURS]), f"{_OURS}, {n} {kind} texts, over {C}"
            table.rows.append(Row(name, over, target=at_least(0.97)))
    return table


def _served(server: llamaserver.Running, texts: list[str]) -> Once:
    def measure() -> float:
        begun = time.perf_counter()
        found = llamaserver.ask(server, "v1/embeddings", {"input": texts})["data"]
        assert len(found) == len(texts)
        return (time.perf_counter() - begun) / len(texts)

    return Once(measure)
