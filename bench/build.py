"""Builds the benchmarks' C programs: the null engine, the C loop, the engine's tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from codegen import source
from codegen.api import VOID, Api, Function, Pointer, c_declaration, load
from codegen.verify import c_literal
from llama_cpp.engine.find import cache_root
from llama_cpp.native.library import _file_name as library_file

HERE = Path(__file__).parent
API = HERE.parent / "codegen" / "api.json"


class CannotMeasure(Exception):
    """A benchmark lacks something; the text names it, and how to get it."""


def compiler(language: str) -> str:
    """The C or C++ compiler: that of the variable CC or CXX, or the system's."""
    variable, names = {"c": ("CC", ("cc", "gcc", "clang")), "c++": ("CXX", ("c++", "g++"))}[
        language
    ]
    for name in (os.environ.get(variable), *names):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise CannotMeasure(f"there is no {language.upper()} compiler: set {variable}")


def compile_to(target: Path, language: str, arguments: Sequence[object]) -> Path:
    """Run the compiler; ``target`` appears whole or not at all."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    command = [compiler(language), "-O2", *map(str, arguments), "-o", str(part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise CannotMeasure(f"{target.name} does not compile: {done.stderr.strip()[-2000:]}")
    part.replace(target)
    return target


# -- the null engine


def null_engine(folder: Path) -> Path:
    """A libllama in ``folder`` whose functions return at once."""
    written = (HERE / "null.c").read_text("utf-8")
    text = folder / "null.c"
    text.write_text("\n".join(_null_text(load(API), written)), "utf-8")
    root = source.resolve().root
    library = compile_to(
        folder / library_file("llama"),
        "c",
        ["-shared", "-fPIC", "-w", f"-I{root}/include", f"-I{root}/ggml/include", text],
    )
    for stem in ("ggml", "ggml-cpu", "ggml-base"):  # which llama-cpp-python wants to see
        link = folder / library_file(stem)
        link.unlink(missing_ok=True)
        link.symlink_to(library.name)
    return library


def _null_text(api: Api, written: str) -> Iterator[str]:
    yield from (f'#include "{header.name}"' for header in api.headers)
    yield "#include <stdbool.h>"
    yield written
    there = set(re.findall(r"^\w[\w *]*?(\w+)\(", written, re.MULTILINE))
    for function in api.functions:
        if function.name not in there:
            yield f"{_prototype(function)} {{ {_body(api, function)} }}"


def _prototype(function: Function) -> str:
    params = [c_declaration(p.type, f"a{i}") for i, p in enumerate(function.params)]
    params += ["..."] * function.variadic
    return c_declaration(function.result, f"{function.name}({', '.join(params) or 'void'})")


def _body(api: Api, function: Function) -> str:
    result = function.result
    if result == VOID:
        return ""
    if isinstance(api.aliases.get(str(result), result), Pointer):
        return "return (void *) nothing;"
    values = "".join(
        f"r.{field} = (__typeof__(r.{field})) {c_literal(value)}; "
        for field, value in api.defaults.get(function.name, {}).items()
    )
    return f"static {c_declaration(result, 'r')}; {values}return r;"


# -- programs that are linked to the engine


def loop_program(folder: Path, library: Path) -> Path:
    """`loop.c`, with the libllama at ``library``."""
    return _program(folder / "loop", "c", library, HERE / "loop.c", "-lm")


_TOOLS = {"llama-bench": "llama-bench", "llama-batched-bench": "batched-bench"}


def tool(name: str, library: Path) -> Path:
    """The engine's own ``llama-bench`` or ``llama-batched-bench``, which `make engine` leaves out.

    Raises CannotMeasure if the engine lacks their libraries: a build from source has them.
    They take a minute to compile, and are kept in the cache until the engine is another.
    """
    kept = cache_root() / "bench" / name
    if kept.is_file() and kept.stat().st_mtime > library.stat().st_mtime:
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    at = source.resolve().root
    common = library.with_name(library_file("llama-common"))
    if not common.is_file():
        raise CannotMeasure(f"{name} needs {common.name} beside {library.name}: `make engine` has")
    files = sorted((at / "tools" / _TOOLS[name]).glob("*.cpp"))
    include = [f"-I{at / folder}" for folder in ("common", "vendor")]
    return _program(kept, "c++", library, *files, "-std=c++17", *include, common)


def _program(target: Path, language: str, library: Path, *arguments: object) -> Path:
    at, beside = source.resolve().root, library.parent
    return compile_to(
        target,
        language,
        [
            "-w",
            *(f"-I{at / folder}" for folder in ("include", "ggml/include")),
            *arguments,
            library,
            *(
                file
                for stem in ("ggml", "ggml-base")
                if (file := beside / library_file(stem)).exists()
            ),
            f"-Wl,-rpath,{beside}",
        ],
    )
