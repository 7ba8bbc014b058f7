"""zig as the C and C++ compiler for Linux: it comes from the package index, and on any system it
builds libraries for an old glibc.

Its C++ library is linked into each library, so that the system's, or an older one of a conda
environment, does not matter. Therefore only C interfaces cross between libraries (see
`build.cmake`), and exceptions. libc++ compares exception types by address, so a library with its
own C++ library would not catch another's exceptions, and a bad request would end the server. A
changed line in a header of zig's makes libc++ compare them by name.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from llama_cpp.engine.find import cache_root
from llama_cpp.engine.publish import publish

GLIBC = "2.17"
"""The oldest supported glibc: that of manylinux2014."""

_HEADER = Path("libcxx", "include", "typeinfo")
_BY_ADDRESS = "#          define _LIBCPP_TYPEINFO_COMPARISON_IMPLEMENTATION 1\n"
_BY_NAME = _BY_ADDRESS.replace(" 1\n", " 2\n")


def options(machine: str) -> list[str]:
    """Options of CMake to compile with zig for ``machine``, such as x86_64."""
    program = _folder() / "zig"
    compilers = [
        f"-DCMAKE_{language}_COMPILER={program};{name};-target;{machine}-linux-gnu.{GLIBC}"
        for language, name in (("C", "cc"), ("CXX", "c++"))
    ]
    # A library's copy of a C++ function must not be replaced by another's, which uses other data.
    flags = (f"-DCMAKE_{kind}_LINKER_FLAGS=-s -Wl,-Bsymbolic" for kind in ("SHARED", "MODULE"))
    return [
        *compilers,
        *flags,
        "-DCMAKE_EXE_LINKER_FLAGS=-s",
        "-DGGML_OPENMP=OFF",
        "-DLLAMA_PY_C_LIBRARIES=ON",
    ]


def environment() -> dict[str, str]:
    """Variables for zig's environment."""
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
    """The compiler's name for engine.json."""
    return f"zig {importlib.metadata.version('ziglang')}, glibc {GLIBC}"


def _folder() -> Path:
    return Path(str(importlib.metadata.distribution("ziglang").locate_file("ziglang")))


def _is_changed(folder: Path) -> bool:
    header = folder / _HEADER
    return header.is_file() and _BY_NAME in header.read_text("utf-8")
