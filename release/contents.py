"""The files of an engine inside a wheel: all that are needed, and no others.

On every system a program or library names the libraries that it needs by file name, followed by a
zero byte, also those that it opens later. Backends are found by listing the folder.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from llama_cpp.engine.find import MANIFEST
from llama_cpp.errors import LlamaError

# The programs that this package manages; llama.cpp has many more.
PROGRAMS = frozenset(["llama-server", "ggml-rpc-server"])
_LOADED = ("llama", "mtmd", "ggml-rpc")
_CPU = re.compile(r"(lib)?ggml-cpu[\w.-]*\.(so|dylib|dll)")
_BACKEND = re.compile(r"(lib)?ggml-(?!base\b)[\w.-]+\.(so|dylib|dll)")
_LIBRARY = re.compile(r"\.(so|dylib|dll)(\.\d+)*$")
# Missing libraries of others are reported by auditwheel or the loader.
_OURS = re.compile(rb"(?:lib)?(?:ggml|llama|mtmd)[\w.-]*\.(?:so|dylib|dll)(?:\.\d+)*(?=\0)")


def unneeded(files: Mapping[str, bytes]) -> set[str]:
    """The names of an engine's programs and libraries that no other needs.

    Raises `LlamaError` if one is missing.
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
    """Remove the files that no part of the engine needs."""
    files = {path.name: path.read_bytes() for path in engine.iterdir() if path.is_file()}
    for name in sorted(unneeded(files)):
        print(f"left out, because nothing needs it: {name}", file=sys.stderr, flush=True)
        (engine / name).unlink()


def check(wheel: Path) -> None:
    """Raise `LlamaError` if a wheel lacks a file, or has one that nothing needs."""
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
