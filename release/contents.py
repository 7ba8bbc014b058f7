"""Which files an engine inside a wheel has to have, and that there are no others.

A program or library names what it needs, in its own format on each system, by file name and with a
zero after it; what is opened by name later is written so as well. Backends are found by looking
into the folder, and programs are there for people.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from llama_cpp.engine.find import MANIFEST
from llama_cpp.errors import LlamaError

# What we manage, or a user asks for; llama.cpp has many more.
PROGRAMS = frozenset(["llama-server", "ggml-rpc-server"])
_LOADED = ("llama", "mtmd", "ggml-rpc")
_CPU = re.compile(r"(lib)?ggml-cpu[\w.-]*\.(so|dylib|dll)")
_BACKEND = re.compile(r"(lib)?ggml-(?!base\b)[\w.-]+\.(so|dylib|dll)")
_LIBRARY = re.compile(r"\.(so|dylib|dll)(\.\d+)*$")
# Another's library is said to be missing by who looks for it, auditwheel or the loader.
_OURS = re.compile(rb"(?:lib)?(?:ggml|llama|mtmd)[\w.-]*\.(?:so|dylib|dll)(?:\.\d+)*(?=\0)")


def unneeded(files: Mapping[str, bytes]) -> set[str]:
    """The names of those of an engine's programs and libraries that no other needs.

    Raises `LlamaError` where one is missing.
    """
    roots = _roots()
    missing = roots - set(files)
    if not any(map(_CPU.fullmatch, files)):
        missing.add("ggml-cpu")
    ahead = {name for name in files if name in roots or _BACKEND.fullmatch(name)}
    libraries = {name for name in files if _LIBRARY.search(name)}
    left = libraries - ahead
    while ahead:
        content = files[ahead.pop()]
        missing |= {name.decode() for name in _OURS.findall(content)} - set(files)
        content = content.lower()  # names have no case on Windows
        found = {name for name in left if name.lower().encode() + b"\0" in content}
        left -= found
        ahead |= found
    if missing:
        raise LlamaError(f"the engine for the wheel lacks {', '.join(sorted(missing))}")
    return left | (set(files) - libraries - roots)


def leave_out(engine: Path) -> None:
    """Remove what no part of the engine needs."""
    files = {path.name: path.read_bytes() for path in engine.iterdir() if path.is_file()}
    for name in sorted(unneeded(files)):
        print(f"left out, since nothing needs it: {name}", file=sys.stderr, flush=True)
        (engine / name).unlink()


def check(wheel: Path) -> None:
    """`LlamaError` where a wheel lacks a file, or has one that nothing needs."""
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, _, file = name.rpartition("/")
            ours = folder == "llama_cpp/lib" and file != MANIFEST
            if file and (ours or folder.endswith(".libs")):
                files[file] = archive.read(name)
    found = unneeded(files)
    if found:
        raise LlamaError(f"nothing in {wheel.name} needs {', '.join(sorted(found))}")


def _roots() -> set[str]:
    if sys.platform == "win32":
        return {f"{name}.exe" for name in PROGRAMS} | {f"{name}.dll" for name in _LOADED}
    suffix = "dylib" if sys.platform == "darwin" else "so"
    return {*PROGRAMS} | {f"lib{name}.{suffix}" for name in _LOADED}
