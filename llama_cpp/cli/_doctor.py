"""``llama-py doctor``: what is wrong with an installation, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

import llama_cpp

from .. import _raw
from ..engine.find import (
    cache_root,
    cpu_features,
    engine_folder,
    engine_info,
    missing_features,
    preferred_engine,
)
from ..errors import LlamaError
from ..native import child as _child
from ..native import library
from ..server.process import find_program
from ._common import MODEL, find, give, json_option

_PACKAGE = Path(library.__file__).parents[1]
_INSTALL = "run: llama-py engine install"
_MEND = (
    "keep each in a virtual environment of its own. To mend this one: pip uninstall -y "
    "llama-cpp-python llama-py, and then pip install the one that you want"
)
# What each extra brings, by the name that it is imported by.
_EXTRAS = {
    "agent": ("requests", "urllib3", "pydantic"),
    "langchain": ("langchain_core",),
    "hub": ("huggingface_hub",),
    "engine": ("cmake", "ninja"),
}
# Of what a CPU can do, what makes it fast.
_TOLD = {"avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "neon", "sve"}
# An engine with its download, or its build, takes about so many bytes.
_ROOM = 1_000_000_000
_TIMEOUT = 300

# In a process of its own: what is wrong may end it.
_LOAD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import llama_cpp
del sys.path[0]
from llama_cpp import LlamaLibrary, devices
from llama_cpp.errors import LlamaError
try:
    library = LlamaLibrary.default()
    found = devices(library)
    result = {
        "devices": [f"{d.name} ({d.description})" for d in found],
        "gpu": any(not d.type.name.endswith("_CPU") for d in found),
    }
except LlamaError as error:
    result = {"error": str(error)}
print(json.dumps(result))
"""
_GENERATE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import llama_cpp
del sys.path[0]
from llama_cpp import Llama
from llama_cpp.errors import LlamaError
try:
    with Llama(sys.argv[2], n_ctx=64) as llm:
        tokens = llm.complete("Hello", max_tokens=4, temperature=0).tokens
    result = {"tokens": len(tokens)}
except (LlamaError, OSError, ValueError) as error:
    result = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(result))
"""


@dataclass(frozen=True)
class _Finding:
    what: str
    status: Literal["ok", "note", "wrong"]
    text: str
    advice: str = ""


@click.command()
@click.option(
    "--model", "-m", type=MODEL, metavar="MODEL", help="Load this one too, and generate with it."
)
@json_option
def doctor(model: str | None, as_json: bool) -> int:
    """Find what is wrong with this installation, and say what to do.

    Exit code 1 if something is wrong. A note is nothing wrong.
    """
    path = None if model is None else find(model)
    findings = []
    for finding in _examine(path):
        findings.append(finding)
        if not as_json:
            _show(finding)
    wrong = sum(finding.status == "wrong" for finding in findings)
    if as_json:
        give({"ok": not wrong, "findings": [asdict(finding) for finding in findings]})
    elif wrong:
        click.secho(f"\n{wrong} thing{'s' * (wrong > 1)} to put right", fg="red")
    else:
        click.secho("\nNothing is wrong.", fg="green")
    return 1 if wrong else 0


def _show(finding: _Finding) -> None:
    sign, colour = {"ok": ("ok   ", "green"), "note": ("note ", "yellow")}.get(
        finding.status, ("WRONG", "red")
    )
    click.echo(f"{click.style(sign, fg=colour)}  {finding.what}: {finding.text}")
    if finding.advice:
        click.echo(f"       {finding.advice}")


def _examine(model: Path | None) -> Iterator[_Finding]:
    yield _python()
    yield from _names()
    yield from _cache()
    yield _engine()
    yield from _library(model)
    yield _server()
    for extra, modules in _EXTRAS.items():
        yield _extra(extra, modules)


def _python() -> _Finding:
    bits = 8 * struct.calcsize("P")
    text = f"{sys.version.split()[0]}, {bits} bits, {sys.platform}, {sys.executable}"
    if bits != 64:
        return _Finding("Python", "wrong", text, "install a Python of 64 bits")
    return _Finding("Python", "ok", text)


def _names() -> Iterator[_Finding]:
    """Whether another package is called llama_cpp, too."""
    try:
        version = importlib.metadata.version("llama-py")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed, from a folder"
    yield _Finding("package", "ok", f"llama-py {version}, {_PACKAGE}, for llama.cpp {_raw.TAG}")
    try:
        other = importlib.metadata.distribution("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        other = None
    name = "llama-cpp-python" if other is None else f"llama-cpp-python {other.version}"
    text = None
    if (_PACKAGE / "llama_cpp.py").is_file():
        text = f"{name} is in {_PACKAGE}, too: files of one have replaced the other's"
    elif not hasattr(llama_cpp, "_HOME"):
        text = f"{_PACKAGE} lacks files: {name}, which has the same import name, took them along"
    elif other is not None:
        text = (
            f"{name} is called llama_cpp, too, in {other.locate_file('')}: which of them is "
            "imported depends on sys.path"
        )
    if text is not None:
        yield _Finding("import name", "wrong", text, _MEND)
        return
    for entry in sys.path:
        folder = Path(entry or ".", "llama_cpp")
        if not (folder / "__init__.py").is_file() or folder.resolve() == _PACKAGE.resolve():
            continue
        if (folder / "_raw.py").is_file():
            yield _Finding("import name", "note", f"another copy of llama-py is not used: {folder}")
        else:
            yield _Finding(
                "import name", "wrong", f"another package is called llama_cpp, too: {folder}",
                "remove it, or take its folder out of sys.path (PYTHONPATH)",
            )  # fmt: skip


def _cache() -> Iterator[_Finding]:
    try:
        root = cache_root()
    except LlamaError as error:
        yield _Finding("cache", "wrong", str(error), "set XDG_CACHE_HOME to a folder of yours")
        return
    if not os.access(root, os.W_OK | os.X_OK):
        yield _Finding(
            "cache", "wrong", f"{root} cannot be written to",
            "change its owner, or set XDG_CACHE_HOME to a folder of yours",
        )  # fmt: skip
    free = shutil.disk_usage(root).free
    text = f"{root}, {free / 1e9:.1f} GB free on its disk"
    if free < _ROOM:
        yield _Finding(
            "cache", "wrong", text, f"make room: an engine takes up to {_ROOM / 1e9:.0f} GB"
        )
    else:
        yield _Finding("cache", "ok", text)


def _engine() -> _Finding:
    """The engine that would be used, and whether it is for this CPU."""
    features = ", ".join(sorted(_TOLD & set(cpu_features())))
    cpu = f"this CPU has {features or 'no vector instructions that are known'}"
    try:
        folder = preferred_engine(_raw.TAG) or engine_folder(_raw.TAG)
        info = engine_info(folder)
    except LlamaError as error:
        return _Finding("engine", "wrong", str(error))
    if info is None:
        return _Finding("engine", "note", f"none of {_raw.TAG} in the package or the cache; {cpu}")
    missing = missing_features(info)
    if missing:
        return _Finding(
            "engine", "wrong",
            f"{info.tag} in the cache was built for another CPU: this one lacks "
            f"{', '.join(missing)}",
            _INSTALL + " (it is replaced)",
        )  # fmt: skip
    backend = info.backend or "CPU"
    place = "in the package" if folder == _PACKAGE / "lib" else f"from {info.origin}"
    return _Finding("engine", "ok", f"{info.tag} {place}, for {backend}; {cpu}")


def _library(model: Path | None) -> Iterator[_Finding]:
    """Which libllama is found and why, and whether it loads, fits and computes."""
    try:
        path = library._find(None)
    except LlamaError as error:
        yield _Finding("library", "wrong", str(error), _INSTALL)
        return
    yield _Finding("library", "ok", f"{path}, {_why(path)}")
    result = _in_process(_LOAD)
    if "error" in result:
        yield _Finding(
            "ABI check", "wrong", result["error"],
            "unset LLAMA_CPP_LIB" if os.environ.get("LLAMA_CPP_LIB") else _INSTALL,
        )  # fmt: skip
        return
    yield _Finding("ABI check", "ok", f"functions and structs are those of {_raw.TAG}")
    if not result["devices"]:
        yield _Finding("devices", "wrong", "no backend was loaded", _INSTALL)
        return
    names = ", ".join(result["devices"])
    info = engine_info(path.parent)
    if info is not None and info.backend is not None and not result["gpu"]:
        yield _Finding(
            "devices", "wrong", f"{names}: the engine is for {info.backend}, which finds no device",
            "install the graphics card's driver (and see CUDA_VISIBLE_DEVICES and the like; Vulkan "
            "leaves drivers in software out, but for those in GGML_VK_VISIBLE_DEVICES)",
        )  # fmt: skip
    else:
        yield _Finding("devices", "ok", names)
    if model is not None:
        result = _in_process(_GENERATE, model)
        if "error" in result:
            yield _Finding("model", "wrong", result["error"])
        else:
            yield _Finding("model", "ok", f"{model.name} loads and generates")


def _why(path: Path) -> str:
    if os.environ.get("LLAMA_CPP_LIB"):
        return "named by LLAMA_CPP_LIB"
    if path.parent == _PACKAGE / "lib":
        return "inside the package"
    if engine_folder(_raw.TAG).parent.resolve() in path.parents:
        return "the engine in the cache"
    return "the system's"


def _in_process(code: str, *arguments: object) -> dict[str, str]:
    command = [sys.executable, "-I", "-c", code, str(_PACKAGE.parent), *map(str, arguments)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"}, timeout=_TIMEOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"it was not through after {_TIMEOUT} seconds"}
    if done.returncode == 0:
        result: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return result
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    end = _child.ended(done)
    hint = ", it is built for another CPU" if end == "SIGILL" else ""
    return {"error": f"the process that loads it ended: {end}{hint} ({last})"}


def _server() -> _Finding:
    try:
        program = find_program("llama-server")
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=60, check=False, cwd=program.parent,
        )  # fmt: skip
    except (LlamaError, OSError, subprocess.TimeoutExpired) as error:
        return _Finding("llama-server", "note", str(error), "agents and 'server' need it")
    if done.returncode:
        last = ((done.stderr + done.stdout).strip().splitlines() or ["no message"])[-1]
        return _Finding("llama-server", "wrong", f"{program} does not run here: {last}", _INSTALL)
    return _Finding("llama-server", "ok", str(program))


def _extra(extra: str, modules: tuple[str, ...]) -> _Finding:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if not missing:
        return _Finding(f"extra {extra!r}", "ok", "there")
    return _Finding(
        f"extra {extra!r}", "note", f"{', '.join(missing)} missing",
        f"only if you want it: pip install 'llama-py[{extra}]'",
    )  # fmt: skip
