"""Tokens a second: one after the other, a prompt at once, sequences side by side."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

from . import build
from .measure import Contender, Once, Spread, check_alike, interleaved, ratios
from .place import PROMPT, Place, Topic
from .report import C, Row, Table, against_c, at_least

_LOOP = "ours, LlamaContext"
_STREAM = "ours, Llama.generate"
_NUMPY = f"{_STREAM}, numpy"
_AGAIN = f"{C}, again"  # the same work again: its distance from 1 is the machine's noise
_TINY, _TINY_LONG = 512, (2048, 4096)  # tokens


def generation(place: Place) -> Table:
    """64 tokens of SmolLM2, greedy, one after the other."""
    table = Table(f"generation, 64 tokens of {place.model.stem}, {place.threads} threads")
    given = (place.model, 64, place.file("prompt.txt", PROMPT))
    contenders = _generating(place, *given)
    check_alike(contenders)
    place.with_theirs(contenders, table.remarks, ("loop", "stream"), *given)
    _add_tool(
        place, table, contenders, "llama-bench",
        ["-m", place.model, "-t", place.threads, "-p", 0, "-n", 64, "-r", 1, "-o", "json"],
        lambda text: float(json.loads(text)[0]["avg_ts"]),
    )  # fmt: skip
    found = interleaved(contenders, place.rounds, more=True)
    return against_c(table, found, dict.fromkeys((_LOOP, _STREAM), at_least(0.97)))


def tiny(place: Place) -> Table:
    """As `generation`, with a model that takes about a millisecond a token."""
    n = _TINY
    table = Table(f"generation, {n} tokens of a tiny random model, {place.threads} threads")
    text = place.file("prompt.txt", PROMPT)
    given = (place.tiny_model, n, text)
    contenders = _generating(place, *given)
    contenders[_NUMPY] = place.ours("stream", *given, "--numpy")
    check_alike(contenders)
    place.with_theirs(contenders, table.remarks, ("loop", "stream"), *given)
    found = interleaved(contenders, place.rounds, more=True)
    against_c(table, found, dict.fromkeys((_STREAM, _NUMPY), at_least(0.95)))
    theirs = "llama-cpp-python stream"
    if theirs not in found:
        return table
    name = f"{_STREAM}, over {theirs}"
    table.rows.append(Row(f"{name}, {n} tokens", ratios(found[theirs], found[_STREAM])))
    for n in _TINY_LONG:
        given = (place.tiny_model, n, text)
        longer: dict[str, Contender] = {_STREAM: place.ours("stream", *given)}
        check_alike(longer)
        place.with_theirs(longer, table.remarks, ("stream",), *given)
        if theirs not in longer:
            return table
        found = interleaved(longer, place.rounds)
        ours, other = found.values()
        note = " against ".join(f"{1e3 * Spread.of(v).median:.2f} ms" for v in (ours, other))
        target = at_least(3) if n == max(_TINY_LONG) else None
        row = Row(f"{name}, {n} tokens", ratios(other, ours), note=note, target=target)
        table.rows.append(row)
    table.remarks.append(
        "llama-cpp-python's own time for a token grows with the text before it, ours does not: "
        "the target is on the longest"
    )
    return table


def _generating(place: Place, *given: Any) -> dict[str, Contender]:
    """The C loop, twice, and ours."""
    return {
        C: place.c("generate", *given),
        _AGAIN: place.c("generate", *given),
        _LOOP: place.ours("loop", *given),
        _STREAM: place.ours("stream", *given),
    }


def _add_tool(
    place: Place,
    table: Table,
    contenders: dict[str, Contender],
    name: str,
    arguments: list[object],
    speed: Callable[[str], float],
) -> None:
    """The engine's own tool among the contenders; ``speed`` reads tokens a second from it."""
    try:
        program = build.tool(name, place.library)
    except build.CannotMeasure as error:
        table.remarks.append(f"without {name}: {error}")
        return

    def measure() -> float:
        done = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        try:
            return 1 / speed(done.stdout)
        except (ValueError, LookupError) as error:
            last = done.stderr.strip()[-500:]
            raise build.CannotMeasure(f"{name} printed something unknown: {last}") from error

    contenders[name] = Once(measure)
    table.remarks.append(f"{name} computes random tokens and samples none")


def prompt(place: Place) -> Table:
    """A prompt of 512 tokens."""
    table = Table(f"prompt of 512 tokens, {place.model.stem}, {place.threads} threads")
    given = (place.model, 512, place.file("long.txt", place.text.read_text("utf-8")[:6000]))
    contenders: dict[str, Contender] = {
        C: place.c("prompt", *given),
        _AGAIN: place.c("prompt", *given),
        "ours": place.ours("prompt", *given),
    }
    check_alike(contenders)
    place.with_theirs(contenders, table.remarks, ("prompt",), *given)
    _add_tool(
        place, table, contenders, "llama-bench",
        ["-m", place.model, "-t", place.threads, "-p", 512, "-n", 0, "-r", 1, "-o", "json"],
        lambda text: float(json.loads(text)[0]["avg_ts"]),
    )  # fmt: skip
    return against_c(
        table, interleaved(contenders, place.rounds, more=True), {"ours": at_least(0.97)}
    )


def parallel(n: int) -> Topic:
    """``n`` sequences, 32 tokens each."""

    def measure(place: Place) -> Table:
        table = Table(f"parallel, {n} x 32 tokens of {place.model.stem}, {place.threads} threads")
        given = (place.model, n, place.file("prompt.txt", PROMPT))
        many = "ours, Llama.generate_many"
        in_c, by_many = place.c("parallel", *given), place.ours("many", *given)
        contenders: dict[str, Contender] = {
            C: in_c,
            _AGAIN: place.c("parallel", *given),
            "ours, LlamaBatch": place.ours("parallel", *given),
        }
        check_alike(contenders)
        contenders[many] = by_many
        _add_tool(
            place, table, contenders, "llama-batched-bench",
            ["-m", place.model, "-t", place.threads, "-c", 4096, "-npp", 4, "-ntg", 32,
             "-npl", n, "--output-format", "jsonl"],
            lambda text: float(json.loads(text.strip().splitlines()[-1])["speed_tg"]),
        )  # fmt: skip
        found = interleaved(contenders, place.rounds, more=True)
        if by_many.fingerprint != in_c.fingerprint:
            table.remarks.append(
                f"{many} computes the prompts together: in a batch of another shape the logits "
                "differ a little, and so do tokens where two were nearly as likely"
            )
        return against_c(table, found, {"ours, LlamaBatch": at_least(0.97), many: at_least(0.97)})

    measure.__doc__ = parallel.__doc__
    return measure
