"""Tokens a second of a text that follows a grammar or a JSON schema, over those of a free one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_cpp import Llama, LlamaModel
from tests.support import llamaserver

from .build import CannotMeasure
from .measure import Contender, Once, Spread, interleaved, ratios
from .place import Place
from .report import Row, Table, at_least

_PROMPT = "Names and ages of some people, as JSON:\n"
_TOKENS = 64
_COMMON: dict[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "seed": 3}
_GRAMMAR = r"""
root   ::= "[" person (", " person)* "]"
person ::= "{" "\"name\": " string ", " "\"age\": " [1-9] [0-9]? "}"
string ::= "\"" [A-Za-z ]+ "\""
"""
_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
_SCHEMA = {"type": "array", "items": _PERSON, "minItems": 50}
_KINDS: dict[str, dict[str, Any]] = {
    "free": {},
    "GBNF": {"grammar": _GRAMMAR},
    "JSON schema": {"json_schema": _SCHEMA},
}


def grammar(place: Place) -> Table:
    """Ours and llama-server's, each over its own free text, in the same rounds."""
    table = Table(f"constrained, {_TOKENS} tokens of {place.model.stem}, {place.threads} threads")
    model = LlamaModel.from_file(place.model)
    threads = place.threads
    contenders: dict[str, Contender] = {}
    with (
        llamaserver.running(
            model.library, place.model, place.folder, "--parallel", 1, "-t", threads, patient=False
        ) as server,
        Llama(model, n_ctx=1024, n_threads=threads, n_threads_batch=threads) as llm,
    ):
        llamaserver.wait(server)
        for name, limits in _KINDS.items():
            contenders[f"ours, {name}"] = Once(_ours(llm, limits))
            contenders[f"llama-server, {name}"] = Once(_servers(server, limits))
        found = interleaved(contenders, place.rounds, more=True)
    for name, values in found.items():
        who, _, kind = name.partition(", ")
        note = f"{1e3 * Spread.of(values).median:.2f} ms a token"
        target = at_least(0.97) if who == "ours" and kind != "free" else None
        over = ratios(found[f"{who}, free"], values)
        table.rows.append(Row(f"{name}, over free", over, note=note, target=target))
    for kind in _KINDS:
        over = ratios(found[f"llama-server, {kind}"], found[f"ours, {kind}"])
        table.rows.append(Row(f"ours over llama-server, {kind}", over))
    return table


def _ours(llm: Llama, kind: dict[str, Any]) -> Callable[[], float]:
    def measure() -> float:
        generation = llm.generate(_PROMPT, max_tokens=_TOKENS, **_COMMON, **kind)
        list(generation)
        return _per_token(generation.timings.generation_seconds, len(generation.tokens) - 1)

    return measure


def _servers(server: llamaserver.Running, kind: dict[str, Any]) -> Callable[[], float]:
    body = {
        "prompt": _PROMPT, "n_predict": _TOKENS, **_COMMON, **kind,
        "samplers": ["penalties", "top_k", "top_p", "min_p", "temperature"],
    }  # fmt: skip

    def measure() -> float:
        timings = llamaserver.ask(server, "completion", body)["timings"]
        return _per_token(timings["predicted_ms"] / 1e3, timings["predicted_n"] - 1)

    return measure


def _per_token(seconds: float, n: int) -> float:
    if n < _TOKENS // 2:
        raise CannotMeasure(f"the text ended after {n} tokens")
    return seconds / n
