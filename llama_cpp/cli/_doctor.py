"""``llama-py doctor``: finds faults of an installation, and says how to repair them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click

from .. import _raw
from .._version import __version__
from ..engine.find import (
    EngineInfo,
    cache_root,
    cpu_features,
    engine_folder,
    engine_info,
    engine_inside,
    family,
    missing_features,
    preferred_engine,
)
from ..engine.folders import try_out
from ..errors import LlamaEngineError, LlamaError
from ..native.child import ended
from ..native.library import find_library
from ..server.process import find_program
from . import is_whole
from ._common import MODEL, find, give, json_option

_PACKAGE = Path(__file__).parents[1]
_INSTALL = "run: llama-py engine install"
_REPAIR = (
    "keep each in a virtual environment of its own. To repair this one: pip uninstall -y "
    "llama-cpp-python libllama-py, and then pip install the one that you want"
)
# The packages of each extra, by the names for import.
_EXTRAS = {
    "agent": ("requests", "urllib3", "pydantic"),
    "langchain": ("langchain_core",),
    "chat": ("jinja2",),
    "hub": ("huggingface_hub",),
    "structured": ("llguidance", "pydantic"),
    "ray": ("ray", "pyarrow"),
    "engine": ("cmake", "ninja"),
}
# The CPU features that matter for speed.
_FAST = {"avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "neon", "sve"}
_ROOM = 1_000_000_000  # bytes, about the size of an engine with its download or its build
_TIMEOUT = 300
_DRIVER = (
    "install the graphics card's driver (and check CUDA_VISIBLE_DEVICES or its like; "
    "Vulkan ignores software drivers that are not in GGML_VK_VISIBLE_DEVICES)"
)
# A library that a backend's file needs and that is neither there nor a driver's.
_OF_TOOLKIT = re.compile(
    r"lib(?!cuda\.|vulkan\.|OpenCL\.|ze_loader\.)[\w-]+\.so[.\d]*(?=: cannot open)"
)


@dataclass(frozen=True)
class _Finding:
    what: str
    status: Literal["ok", "note", "wrong"]
    text: str
    advice: str = ""


@click.command()
@click.option("--model", "-m", type=MODEL, help="Load this model too, and generate with it.")
@json_option
def doctor(model: str | None, as_json: bool) -> int:
    """Find faults of this installation.

    Each comes with its repair. Exit code 1 if something is wrong. A note is not a fault.
    """
    findings = []
    for finding in _examine(None if model is None else find(model)):
        findings.append(finding)
        if not as_json:
            _show(finding)
    wrong = sum(finding.status == "wrong" for finding in findings)
    if as_json:
        give({"ok": not wrong, "findings": [asdict(finding) for finding in findings]})
    elif wrong:
        click.secho(f"\n{wrong} {'fault' if wrong == 1 else 'faults'} to repair", fg="red")
    else:
        click.secho("\nNothing is wrong.", fg="green")
    return 1 if wrong else 0


def _judged(what: str, is_right: bool, text: str, advice: str) -> _Finding:
    return _Finding(what, "ok", text) if is_right else _Finding(what, "wrong", text, advice)


def _show(finding: _Finding) -> None:
    signs = {"ok": ("ok   ", "green"), "note": ("note ", "yellow"), "wrong": ("WRONG", "red")}
    sign, colour = signs[finding.status]
    texts = [f"{finding.what}: {finding.text}", *filter(None, [finding.advice])]
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 8
        room = textwrap.TextWrapper(width, break_on_hyphens=False, break_long_words=False)
        texts = [line for text in texts for line in room.wrap(text)]
    lines = f"\n{' ' * 7}".join(texts)
    click.echo(f"{click.style(sign, fg=colour)}  {lines}")


def _examine(model: Path | None) -> Iterator[_Finding]:
    yield _python()
    yield from _names()
    yield from _cache()
    yield _engine()
    yield from _library(model)
    yield from _companions()
    yield _server()
    for extra, modules in _EXTRAS.items():
        yield _extra(extra, modules)


def _python() -> _Finding:
    bits = 8 * struct.calcsize("P")
    text = f"{sys.version.split()[0]}, {bits} bits, {sys.platform}, {sys.executable}"
    return _judged("Python", bits == 64, text, "install a Python of 64 bits")


def _names() -> Iterator[_Finding]:
    """Whether another package has the same import name."""
    own, other = _distribution("libllama-py"), _distribution("llama-cpp-python")
    version = "not installed, from a folder" if own is None else own.version
    yield _Finding("package", "ok", f"llama-py {version}, {_PACKAGE}, for llama.cpp {_raw.TAG}")
    name = "llama-cpp-python" if other is None else f"llama-cpp-python {other.version}"
    text = ""
    if not is_whole():
        text = f"{_PACKAGE} lacks files: {name} has the same import name and has removed them"
    elif other is not None:
        text = (
            f"{name} is called llama_cpp, too, in {other.locate_file('')}: which of them is "
            "imported depends on sys.path"
        )
    if text:
        yield _Finding("import name", "wrong", text, _REPAIR)
        return
    for entry in sys.path:
        folder = Path(entry or ".", "llama_cpp")
        if not (folder / "__init__.py").is_file() or folder.resolve() == _PACKAGE.resolve():
            continue
        if (folder / "_raw.py").is_file():
            yield _Finding("import name", "note", f"another copy of llama-py is not used: {folder}")
        else:
            text = f"another package is called llama_cpp, too: {folder}"
            advice = "remove it, or take its folder out of sys.path (PYTHONPATH)"
            yield _Finding("import name", "wrong", text, advice)


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    return next(iter(importlib.metadata.distributions(name=name)), None)


def _cache() -> Iterator[_Finding]:
    advice = "set XDG_CACHE_HOME to a folder of yours"
    try:
        root = cache_root()
    except LlamaError as error:
        yield _Finding("cache", "wrong", str(error), advice)
        return
    if not os.access(root, os.W_OK | os.X_OK):
        advice = f"change its owner, or {advice}"
        yield _Finding("cache", "wrong", f"{root} cannot be written to", advice)
    free = shutil.disk_usage(root).free
    text = f"{root}, {free / 1e9:.1f} GB free on its disk"
    advice = f"make room: an engine takes up to {_ROOM / 1e9:.0f} GB"
    yield _judged("cache", free >= _ROOM, text, advice)


def _engine() -> _Finding:
    """The engine that would be used, and whether it fits this CPU."""
    features = ", ".join(sorted(_FAST & set(cpu_features())))
    cpu = f"this CPU has {features or 'no known vector instructions'}"
    try:
        folder = preferred_engine(_raw.TAG) or engine_folder(_raw.TAG)
        info = engine_info(folder)
    except LlamaError as error:
        return _Finding("engine", "wrong", str(error))
    if info is None:
        return _Finding("engine", "note", f"none of {_raw.TAG} in the package or the cache; {cpu}")
    missing = ", ".join(missing_features(info))
    if missing:
        text = f"{info.tag} in the cache was built for another CPU: this one lacks {missing}"
        return _Finding("engine", "wrong", text, _INSTALL + " (it is replaced)")
    backend = info.backend or "CPU"
    place = "in the package" if folder == engine_inside() else f"from {info.origin}"
    return _Finding("engine", "ok", f"{info.tag} {place}, for {backend}; {cpu}")


def _library(model: Path | None) -> Iterator[_Finding]:
    """The libllama that is found and the reason, and whether it loads, fits and computes."""
    try:
        path = find_library(None)
    except LlamaError as error:
        yield _Finding("library", "wrong", str(error), _INSTALL)
        return
    yield _Finding("library", "ok", f"{path} ({_why(path)})")
    result = _trial()
    if "error" in result:
        advice = "unset LLAMA_CPP_LIB" if os.environ.get("LLAMA_CPP_LIB") else _INSTALL
        yield _Finding("ABI check", "wrong", result["error"], advice)
        return
    yield _Finding("ABI check", "ok", f"functions and structs are those of {_raw.TAG}")
    if not result["devices"]:
        yield _Finding("devices", "wrong", "no backend was loaded", _INSTALL)
        return
    yield _devices(result, engine_info(path.parent))
    if model is not None:
        fault = _trial(model).get("error")
        yield _judged("model", fault is None, fault or f"{model.name} loads and generates", "")


def _devices(result: dict[str, Any], info: EngineInfo | None) -> _Finding:
    """The devices, and GPU backends that cannot be loaded or find none."""
    names = ", ".join(result["devices"])
    backends = result["backends"]
    if info is not None and info.backend is not None and not result["gpu"]:
        why = backends.get(family(info.backend))
        text = f"{names}: the engine is for {info.backend}, which finds no device"
        return _Finding("devices", "wrong", text + (f" ({why})" if why else ""), _advice(why))
    unloadable = [f"not {backend} ({why})" for backend, why in backends.items() if why]
    if unloadable:
        reasons = " ".join(backends.values())
        return _Finding("devices", "note", "; ".join([names, *unloadable]), _advice(reasons))
    if backends and not result["gpu"]:
        return _Finding("devices", "note", f"{names}; none of {', '.join(backends)}", _DRIVER)
    return _Finding("devices", "ok", names)


def _advice(why: str | None) -> str:
    """What to do where a backend finds no device, or cannot be loaded for the reason ``why``."""
    library = _OF_TOOLKIT.search(why or "")
    if library is None:
        return _DRIVER
    return (
        f"install the toolkit that {library[0]} belongs to (CUDA, ROCm, oneAPI), or add its "
        "folder to LD_LIBRARY_PATH"
    )


def _companions() -> Iterator[_Finding]:
    """The packages with a GPU backend for the engine inside this one."""
    for name in (
        "libllama-py-vulkan",
        "libllama-py-cuda12",
        "libllama-py-cuda13",
        "libllama-py-rocm",
    ):
        found = _distribution(name)
        if found is None:
            continue
        if found.version != __version__:
            text = f"{found.version} is for that version of libllama-py, and this is {__version__}"
            yield _Finding(name, "wrong", text, f"pip install --upgrade {name} libllama-py")
        elif preferred_engine(_raw.TAG) != engine_inside() or os.environ.get("LLAMA_CPP_LIB"):
            text = (
                "not used: it is for the engine inside the package, and that is not the one in use"
            )
            yield _Finding(
                name, "note", text, "for the wheel with an engine: pip install libllama-py"
            )
        else:
            yield _Finding(name, "ok", f"{found.version}, beside the engine")


def _why(path: Path) -> str:
    if os.environ.get("LLAMA_CPP_LIB"):
        return "named by LLAMA_CPP_LIB"
    if path.parent == engine_inside():
        return "inside the package"
    if engine_folder(_raw.TAG).parent.resolve() in path.parents:
        return "the engine in the cache"
    return "the system's"


def _trial(*arguments: Path) -> dict[str, Any]:
    trial = Path(__file__).with_name("_trial.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", trial, _PACKAGE.parent, *arguments], capture_output=True,
            text=True, errors="replace", check=False, timeout=_TIMEOUT,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"it was not through after {_TIMEOUT} seconds"}
    if done.returncode == 0:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    end = ended(done)
    hint = ", it is built for another CPU" if end == "SIGILL" else ""
    return {"error": f"the process that loads it ended: {end}{hint} ({last})"}


def _server() -> _Finding:
    try:
        program = find_program("llama-server")
    except LlamaError as error:
        return _Finding("llama-server", "note", str(error), "agents and 'server' need it")
    try:
        try_out(program.parent)
    except LlamaEngineError as error:
        return _Finding("llama-server", "wrong", f"{program}: {error}", _INSTALL)
    return _Finding("llama-server", "ok", str(program))


def _extra(extra: str, modules: tuple[str, ...]) -> _Finding:
    what = f"extra {extra!r}"
    missing = ", ".join(name for name in modules if importlib.util.find_spec(name) is None)
    advice = f"only if you want it: pip install 'libllama-py[{extra}]'"
    return (
        _Finding(what, "note", f"{missing} missing", advice)
        if missing
        else _Finding(what, "ok", "installed")
    )
