"""Tokens a second: one after the other, a prompt at once, sequences side by side."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import build
from .measure import Contender, Once, Worker, interleaved, ratios
from .place import PROMPT, Place, Topic
from .report import C, Row, Table, Target, against_c, at_least


def generation(place: Place) -> Table:
    """64 tokens of SmolLM2, greedy, one after the other."""
    target = at_least(0.97)
    table = Table(f"generation, 64 tokens of {place.model.stem}, {place.threads} threads")
    return _generation(
        place,
        table,
        place.model,
        {"ours, loop": target, "ours, Llama.generate": target},
        tools=True,
    )


def tiny(place: Place) -> Table:
    """As `generation`, with a model that takes a millisecond a token or less."""
    table = Table(f"generation, 64 tokens of a tiny random model, {place.threads} threads")
    targets = {"ours, loop": at_least(0.95), "ours, Llama.generate": at_least(0.95)}
    return _generation(place, table, place.tiny_model, targets)


def _generation(
    place: Place, table: Table, model: Path, targets: dict[str, Target], tools: bool = False
) -> Table:
    given = (model, 64, place.file("prompt.txt", PROMPT))
    contenders: dict[str, Contender] = {
        C: place.c("generate", *given),
        "ours, loop": place.ours("loop", *given),
        "ours, Llama.generate": place.ours("stream", *given),
    }
    _check_alike(contenders)
    place.with_theirs(contenders, table.remarks, ("loop", "stream"), *given)
    if tools:
        _add_tool(
            place, table, contenders, "llama-bench",
            ["-m", model, "-t", place.threads, "-p", 0, "-n", 64, "-r", 1, "-o", "json"],
            lambda text: float(json.loads(text)[0]["avg_ts"]),
        )  # fmt: skip
    found = interleaved(contenders, place.rounds)
    against_c(table, found, targets)
    theirs = found.get("llama-cpp-python stream")
    if theirs and not tools:
        name = "ours over llama-cpp-python stream"
        ratio = ratios(theirs, found["ours, Llama.generate"])
        table.rows.append(Row(name, ratio, target=at_least(3)))
    return table


def _check_alike(contenders: dict[str, Contender]) -> None:
    """CannotMeasure when the contenders do not come to the same result."""
    for contender in contenders.values():
        try:
            contender.start()
        finally:
            contender.stop()
    found = {name: c.fingerprint for name, c in contenders.items() if isinstance(c, Worker)}
    if len(set(found.values())) > 1:
        raise build.CannotMeasure(f"they come to different results: {found}")


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
        program = build.tool(name, place.folder, place.library)
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
            raise build.CannotMeasure(f"{name} said what is not known: {last}") from error

    contenders[name] = Once(measure)
    table.remarks.append(f"{name} computes random tokens and samples none")


def prompt(place: Place) -> Table:
    """A prompt of 512 tokens."""
    table = Table(f"prompt of 512 tokens, {place.model.stem}, {place.threads} threads")
    given = (place.model, 512, place.file("long.txt", place.text.read_text("utf-8")[:6000]))
    contenders: dict[str, Contender] = {
        C: place.c("prompt", *given),
        "ours": place.ours("prompt", *given),
    }
    _check_alike(contenders)
    place.with_theirs(contenders, table.remarks, ("prompt",), *given)
    _add_tool(
        place, table, contenders, "llama-bench",
        ["-m", place.model, "-t", place.threads, "-p", 512, "-n", 0, "-r", 1, "-o", "json"],
        lambda text: float(json.loads(text)[0]["avg_ts"]),
    )  # fmt: skip
    return against_c(table, interleaved(contenders, place.rounds), {"ours": at_least(0.97)})


def parallel(n: int) -> Topic:
    """``n`` sequences, 32 tokens each."""

    def measure(place: Place) -> Table:
        table = Table(f"parallel, {n} x 32 tokens of {place.model.stem}, {place.threads} threads")
        given = (place.model, n, place.file("prompt.txt", PROMPT))
        contenders: dict[str, Contender] = {
            C: place.c("parallel", *given),
            "ours, LlamaBatch": place.ours("parallel", *given),
        }
        _check_alike(contenders)
        _add_tool(
            place, table, contenders, "llama-batched-bench",
            ["-m", place.model, "-t", place.threads, "-c", 4096, "-npp", 4, "-ntg", 32,
             "-npl", n, "--output-format", "jsonl"],
            lambda text: float(json.loads(text.strip().splitlines()[-1])["speed_tg"]),
        )  # fmt: skip
        found = interleaved(contenders, place.rounds)
        return against_c(table, found, {"ours, LlamaBatch": at_least(0.97)})

    measure.__doc__ = parallel.__doc__
    return measure
