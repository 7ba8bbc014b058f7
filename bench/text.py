"""Text to tokens and back, and texts to embeddings."""

from __future__ import annotations

from .measure import Contender, check_alike, interleaved
from .place import Place
from .report import C, Table, against_c, at_least, at_most


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
    """200 texts."""
    n = 200
    table = Table(f"embeddings of {n} texts, {place.model.stem}, {place.threads} threads")
    words = [word for word in place.text.read_text("utf-8").split() if word.isalpha()]
    lines = [" ".join(words[8 * i : 8 * i + 3 + i % 6]) for i in range(n)]
    given = (place.model, n, place.file("lines.txt", "".join(f"{line}\n" for line in lines)))
    contenders: dict[str, Contender] = {
        C: place.c("embed", *given),
        "ours, Llama.embed": place.ours("embed", *given),
    }
    check_alike(contenders)
    place.with_theirs(contenders, table.remarks, ("embed",), *given)
    found = interleaved(contenders, place.rounds)
    return against_c(table, found, {"ours, Llama.embed": at_least(0.97)})
