"""What it costs to begin, and how much memory it takes; and the generator's own time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from codegen import generate, render, source

from . import build, peer
from .measure import PROJECT, Contender, Once, Spread, interleaved
from .place import PROMPT, Place
from .report import C, Row, Table, at_most

_EMPTY = "an empty program"


def imports(place: Place) -> Table:
    """A fresh interpreter that imports, over one that does nothing."""
    table = Table("import in a fresh interpreter, over an empty one")
    ours = "import llama_cpp"
    contenders = {
        _EMPTY: _python("pass"),
        ours: _python(ours),
        "from llama_cpp import Llama": _python("from llama_cpp import Llama"),
        "from llama_cpp import _raw": _python("from llama_cpp import _raw"),
    }
    theirs = "llama-cpp-python, import llama_cpp"
    try:
        python, code = peer.environment()
    except build.CannotMeasure as error:
        table.remarks.append(str(error))
    else:
        there = {"PYTHONPATH": str(code), "LLAMA_CPP_LIB_PATH": str(place.library.parent)}
        contenders[theirs] = _python("import llama_cpp", python, there)
    found = interleaved(contenders, 3 * place.rounds)
    over = {
        name: [1e3 * (a - b) for a, b in zip(values, found[_EMPTY], strict=True)]
        for name, values in found.items()
    }
    for name, values in over.items():
        if name != _EMPTY:
            table.rows.append(Row(name, Spread.of(values), "ms"))
    if theirs in over:
        for name in (ours, "from llama_cpp import Llama"):
            ratio = Spread.of([Spread.of(over[name]).median / b for b in over[theirs]])
            table.rows.append(Row(f"{name}, over llama-cpp-python's", ratio, target=at_most(0.1)))
    return table


def _python(
    code: str, python: Path | str = sys.executable, environment: Mapping[str, str] | None = None
) -> Contender:
    def measure() -> float:
        begun = time.perf_counter()
        subprocess.run(
            [python, "-c", code], check=True, cwd=PROJECT, env={**os.environ, **(environment or {})}
        )
        return time.perf_counter() - begun

    return Once(measure)


def memory(place: Place) -> Table:
    """What is in memory after 64 tokens."""
    table = Table(f"resident memory, {place.model.stem}, after 64 tokens")
    given = (place.model, 64, place.file("prompt.txt", PROMPT))
    contenders: dict[str, Contender] = {
        C: place.c("memory", *given),
        "ours": place.ours("memory", *given),
    }
    place.with_theirs(contenders, table.remarks, ("memory",), *given)
    found = interleaved(contenders, place.rounds)
    for name, values in found.items():
        table.rows.append(Row(name, Spread.of([value / 1e6 for value in values]), "MB"))
    over = [(a - b) / 1e6 for a, b in zip(found["ours"], found[C], strict=True)]
    table.rows.append(Row(f"ours, over the {C}", Spread.of(over), "MB", target=at_most(10)))
    return table


def generator(place: Place) -> Table:
    """The generator's own time."""
    table = Table("the generator of the bindings")
    tree = source.resolve()

    def timed(name: str, function: Callable[[], object]) -> None:
        begun = time.perf_counter()
        function()
        seconds = time.perf_counter() - begun
        table.rows.append(Row(name, Spread.of([seconds]), "s"))

    timed("parse the headers, read the defaults", lambda: generate.read_api(tree))
    api = generate.read_api(tree)
    timed("render", lambda: render.render_templates(api))
    timed("render, format, compare", lambda: generate.stale(generate.committed_apis()))
    return table
