"""The cost of starting, in time and memory; and the generator's own time."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from codegen import generate, render, source
from llama_cpp import LlamaModel

from . import build, peer
from .measure import PROJECT, Contender, Once, Spread, interleaved, ratios
from .place import PROMPT, Place
from .report import C, Row, Table, at_most

_EMPTY = "an empty program"


def imports(place: Place) -> Table:
    """A fresh interpreter that imports, over one that does nothing."""
    table = Table("import in a fresh interpreter, over an empty one")
    ours = "import llama_cpp"
    contenders = {
        code: _python(place, "pass" if code == _EMPTY else code)
        for code in (_EMPTY, "import ctypes", ours, _IMPORT, "from llama_cpp import _raw")
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
            target = at_most(25) if name == _IMPORT else None
            table.rows.append(Row(name, Spread.of(values), "ms", target=target))
    if theirs in over:
        for name in (ours, "from llama_cpp import Llama"):
            ratio = Spread.of([Spread.of(over[name]).median / b for b in over[theirs]])
            target = at_most(0.1) if name == ours else None
            table.rows.append(Row(f"{name}, over llama-cpp-python's", ratio, target=target))
    return table


def _interpreter(
    place: Place, code: str, *given: object, python: Path | str, path: Path
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of ``code``, with the packages in ``path``. Their byte code
    is kept, as it is where a package is installed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(path),
        "PYTHONPYCACHEPREFIX": str(place.folder / "bytecode"),
        "LLAMA_CPP_LIB": str(place.library),
        "LLAMA_CPP_LIB_PATH": str(place.library.parent),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return [str(python), "-c", code, *map(str, given)], environment


def _python(
    place: Place, code: str, python: Path | str = sys.executable, path: Path = PROJECT
) -> Contender:
    """The processor's seconds for ``code``."""
    command, environment = _interpreter(place, code, python=python, path=path)

    def measure() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, cwd=place.folder, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return Once(measure)


# The shortest programs that generate some tokens; the C loop does nothing more either.
_OURS = """
import sys
from llama_cpp import Llama
path, threads, n, prompt = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
llm = Llama(path, n_ctx=4096, n_threads=threads, n_threads_batch=threads)
llm.complete(prompt, max_tokens=n, temperature=0)
"""
_THEIRS = """
import sys
from llama_cpp import Llama
path, threads, n, prompt = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
llm = Llama(
    path, n_ctx=4096, n_batch=2048, n_threads=threads, n_threads_batch=threads, flash_attn=True,
    verbose=False,
)
llm(prompt, max_tokens=n, temperature=0)
"""
# The same as far as the first token, which is written when it is there.
_FIRST = {
    "ours": """
import sys
from llama_cpp import Llama
path, threads, prompt = sys.argv[1], int(sys.argv[2]), sys.argv[3]
llm = Llama(path, n_ctx=4096, n_threads=threads, n_threads_batch=threads)
print(next(llm.generate(prompt, temperature=0)), flush=True)
""",
    "ours, llama-py run": """
import sys
path, threads, prompt = sys.argv[1:]
sys.argv[1:] = ["run", path, prompt, "--threads", threads, "--max-tokens=1", "--temperature=0"]
from llama_cpp.cli import main
main()
""",
    "llama-cpp-python": """
import sys
from llama_cpp import Llama
path, threads, prompt = sys.argv[1], int(sys.argv[2]), sys.argv[3]
llm = Llama(
    path, n_ctx=4096, n_batch=2048, n_threads=threads, n_threads_batch=threads, flash_attn=True,
    verbose=False,
)
print(next(iter(llm(prompt, temperature=0, stream=True)))["choices"][0]["text"], flush=True)
""",
}
_LONG = 2000  # tokens
_STORED = """
import sys
from llama_cpp import Llama
path, threads, prompt, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4] or None
llm = Llama(path, n_ctx=4096, n_threads=threads, n_threads_batch=threads, prompt_cache=folder)
generation = llm.generate(prompt, temperature=0)
print(next(generation), generation.usage.cached_tokens, flush=True)
"""
_IMPORT = "from llama_cpp import Llama"
_LIBRARY = "from llama_cpp import LlamaLibrary; LlamaLibrary()"
_RESIDENT = """
with open("/proc/self/statm") as file:
    print(file.read().split()[1])
"""


def first(place: Place) -> Table:
    """From the start of the process to the first token."""
    table = Table(f"from the start of a process to its first token, {place.model.stem}")
    text = place.file("prompt.txt", PROMPT)
    c = [place.loop, "generate", place.model, place.threads, 1, text]
    commands = {C: ([*map(str, c)], {**os.environ})}
    for name, code in _FIRST.items():
        python, path = Path(sys.executable), PROJECT
        if not name.startswith("ours"):
            try:
                python, path = peer.environment()
            except build.CannotMeasure as error:
                table.remarks.append(str(error))
                continue
        given = (place.model, place.threads, PROMPT)
        commands[name] = _interpreter(place, code, *given, python=python, path=path)

    contenders = {name: Once(partial(_to_first, place, *one)) for name, one in commands.items()}
    found = interleaved(contenders, place.rounds, more=True)
    targets = {"ours": at_most(1.43), "ours, llama-py run": at_most(1.73)}
    for name, values in found.items():
        table.rows.append(Row(name, Spread.of([1e3 * value for value in values]), "ms"))
    for name, values in found.items():
        if name != C:
            ratio = ratios(values, found[C])
            table.rows.append(Row(f"{name}, over the {C}", ratio, target=targets.get(name)))
    return table


def _to_first(
    place: Place, command: list[str], environment: dict[str, str], rest: list[str] | None = None
) -> float:
    """Seconds from the start of a process to its first letter. ``rest`` gets what it wrote then."""
    begun = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=place.folder, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        there = process.stdout.read(1)
        seconds = time.perf_counter() - begun
        wrote, said = process.communicate()
    if not there:
        raise build.CannotMeasure(f"{command[0]} wrote nothing: {said.decode()[-500:]}")
    if rest is not None:
        rest.append(wrote.decode())
    return seconds


def stored(place: Place) -> Table:
    """To the first token after a long prompt that an earlier process may have computed."""
    with LlamaModel.from_file(place.model, vocab_only=True) as model:
        tokens = model.tokenize(place.text.read_text("utf-8")[: 20 * _LONG])[:_LONG]
        prompt = model.detokenize(tokens, special=False) + "\n\nIn one word, this is"
    table = Table(f"to the first token after {_LONG} tokens, {place.model.stem}")
    folder = place.folder / "prompts"
    rests: dict[str, list[str]] = {"no cache": [], "an empty cache": [], "a filled cache": []}

    def measured(name: str) -> Callable[[], float]:
        def measure() -> float:
            if name == "an empty cache":  # which fills it for the next one
                shutil.rmtree(folder, ignore_errors=True)
            given = (place.model, place.threads, prompt, "" if name == "no cache" else folder)
            command = _interpreter(place, _STORED, *given, python=sys.executable, path=PROJECT)
            return _to_first(place, *command, rests[name])

        return measure

    found = interleaved({name: Once(measured(name)) for name in rests}, place.rounds)
    for name, values in found.items():
        note = f"{rests[name][-1].split()[-1]} tokens from the cache"
        table.rows.append(Row(name, Spread.of(values), "s", note=note))
        if name != "no cache":
            over = ratios(values, found["no cache"])
            table.rows.append(Row(f"{name}, over no cache", over))
    return table


def load(place: Place) -> Table:
    """Loading a model in a process that has loaded it before."""
    table = Table(f"loading {place.model.stem}")
    given = (place.model, 1, place.file("prompt.txt", PROMPT))
    ours = "ours, LlamaModel.from_file"
    contenders: dict[str, Contender] = {
        C: place.c("load", *given), ours: place.ours("load", *given)
    }  # fmt: skip
    place.with_theirs(contenders, table.remarks, ["load"], *given)
    found = interleaved(contenders, place.rounds, more=True)
    for name, values in found.items():
        table.rows.append(Row(name, Spread.of([1e3 * value for value in values]), "ms"))
        if name != C:
            target = at_most(1.1) if name == ours else None
            table.rows.append(Row(f"{name}, over the {C}", ratios(values, found[C]), target=target))
    return table


def memory(place: Place) -> Table:
    """Memory in use after 64 tokens."""
    n, page = 64, os.sysconf("SC_PAGE_SIZE")
    table = Table(f"resident memory, {place.model.stem}, after {n} tokens")
    given = (place.model, place.threads, n, PROMPT)
    contenders: dict[str, Contender] = {
        C: place.c("memory", place.model, n, place.file("prompt.txt", PROMPT))
    }

    def add(
        name: str, code: str, python: Path | str = sys.executable, path: Path = PROJECT
    ) -> None:
        command, environment = _interpreter(
            place, code + _RESIDENT, *given, python=python, path=path
        )

        def measure() -> float:
            done = subprocess.run(
                command, cwd=place.folder, env=environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            if done.returncode:
                last = done.stderr.strip()[-500:]
                raise build.CannotMeasure(f"{name} ended with {done.returncode}: {last}")
            return float(int(done.stdout.split()[-1]) * page)

        contenders[name] = Once(measure)

    add("ours", _OURS)
    add(_EMPTY, "")
    add(_IMPORT, _IMPORT)
    add("the library loaded", f"{_IMPORT}; {_LIBRARY}")
    try:
        python, code = peer.environment()
    except build.CannotMeasure as error:
        table.remarks.append(str(error))
    else:
        add("llama-cpp-python", _THEIRS, python, code)
        add("llama-cpp-python, import", _IMPORT, python, code)
    found = interleaved(contenders, place.rounds)

    def row(name: str, above: str, below: str | None = None, most: float | None = None) -> None:
        less = found[below] if below else [0.0] * place.rounds
        size = [(a - b) / 1e6 for a, b in zip(found[above], less, strict=True)]
        target = None if most is None else at_most(most)
        table.rows.append(Row(name, Spread.of(size), "MB", target=target))

    for name in (C, "ours", "llama-cpp-python"):
        if name in found:
            row(name, name)
    row(f"ours, over the {C}", "ours", C, 10)
    row("  of that: an interpreter that does nothing", _EMPTY)
    row(f"  of that: {_IMPORT}", _IMPORT, _EMPTY)
    row("  the library loaded, which C does too", "the library loaded", _IMPORT)
    if "llama-cpp-python" in found:
        row(f"llama-cpp-python, over the {C}", "llama-cpp-python", C)
        row("  of that: its import", "llama-cpp-python, import", _EMPTY)
    table.remarks.append("the programs are the shortest that do it; their byte code is cached")
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
    timed(
        "render, format, compare",
        lambda: generate.stale(generate.planned(generate.committed_apis())),
    )
    return table
