"""What it costs to begin, and how much memory it takes; and the generator's own time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
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
        code: _python(place, "pass" if code == _EMPTY else code)
        for code in (_EMPTY, ours, "from llama_cpp import Llama", "from llama_cpp import _raw")
    }
    theirs = "llama-cpp-python, import llama_cpp"
    try:
        python, code = peer.environment()
    except build.CannotMeasure as error:
        table.remarks.append(str(error))
    else:
        contenders[theirs] = _python(place, "import llama_cpp", python, code)
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
            target = at_most(0.1) if name == ours else None
            table.rows.append(Row(f"{name}, over llama-cpp-python's", ratio, target=target))
    return table


def _python(
    place: Place, code: str, python: Path | str = sys.executable, path: Path = PROJECT
) -> Contender:
    """The processor's seconds for ``code``, with the packages in ``path``. Their byte code is
    kept, as it is where a package is installed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(path),
        "PYTHONPYCACHEPREFIX": str(place.folder / "bytecode"),
        "LLAMA_CPP_LIB_PATH": str(place.library.parent),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def measure() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([python, "-c", code], check=True, cwd=place.folder, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

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
