"""zig as the C and C++ compiler for Linux: one that comes from the package index, and makes
libraries for a glibc as old as one likes on a system as new as one likes.

Its C++ library is linked into each library, so that the system's, or the older one of a conda
environment, does not matter. For that only C goes from one to the other (see `_engine.cmake`), and
exceptions: a library with its own C++ compares their types by address, and so would not catch what
another throws; the server's answer to a bad request would be its end. libc++ can compare them by
name as well, which is a line in a header that zig compiles it with.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from llama_cpp.engine.find import cache_root
from llama_cpp.engine.publish import publish

GLIBC = "2.17"
"""The oldest glibc that what it makes runs with: that of manylinux2014."""

_HEADER = Path("libcxx", "include", "typeinfo")
_BY_ADDRESS = "#          define _LIBCPP_TYPEINFO_COMPARISON_IMPLEMENTATION 1\n"
_BY_NAME = _BY_ADDRESS.replace(" 1\n", " 2\n")


def options(machine: str) -> list[str]:
    """What makes CMake compile with zig for ``machine``, such as x86_64."""
    program = _folder() / "zig"
    compilers = [
        f"-DCMAKE_{language}_COMPILER={program};{name};-target;{machine}-linux-gnu.{GLIBC}"
        for language, name in (("C", "cc"), ("CXX", "c++"))
    ]
    # A library's own copy of a C++ function must not be replaced by another's, which works
    # on other data.
    flags = (f"-DCMAKE_{kind}_LINKER_FLAGS=-s -Wl,-Bsymbolic" for kind in ("SHARED", "MODULE"))
    return [
        *compilers,
        *flags,
        "-DCMAKE_EXE_LINKER_FLAGS=-s",
        "-DGGML_OPENMP=OFF",
        "-DLLAMA_PY_C_LIBRARIES=ON",
    ]


def environment() -> dict[str, str]:
    """What zig has to find in its environment."""
    final = cache_root() / f"zig-{importlib.metadata.version('ziglang')}-lib"
    with publish(final, label="zig's library", ready=_is_changed) as work:
        if work is not None:
            shutil.copytree(_folder() / "lib", work, copy_function=os.symlink, dirs_exist_ok=True)
            header = work / _HEADER
            text = header.read_text("utf-8")
            if text.count(_BY_ADDRESS) != 1:
                raise RuntimeError(f"{header} is not as expected: see release/zig.py")
            header.unlink()
            header.write_text(text.replace(_BY_ADDRESS, _BY_NAME), "utf-8")
    return {"ZIG_LIB_DIR": str(final)}


def version() -> str:
    """What the compiler is called in engine.json."""
    return f"zig {importlib.metadata.version('ziglang')}, glibc {GLIBC}"


def _folder() -> Path:
    return Path(str(importlib.metadata.distribution("ziglang").locate_file("ziglang")))


def _is_changed(folder: Path) -> bool:
    header = folder / _HEADER
    return header.is_file() and _BY_NAME in header.read_text("utf-8")
