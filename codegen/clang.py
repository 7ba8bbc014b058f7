"""Calls libclang: translation units, the values of constants, hints of deprecation."""

from __future__ import annotations

import ctypes
import math
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from clang import cindex
from clang.cindex import Cursor, CursorKind, TranslationUnit, TypeKind

from . import libclang
from .api import Value
from .errors import CodegenError

SYSROOT = Path(__file__).parent / "sysroot"

# One of each data model and calling convention of ctypes on 64-bit machines. The result of the
# first is used; the others must only agree with it.
TARGETS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "arm64-apple-macosx11.0.0",
    "x86_64-pc-windows-msvc",
)
ARRAYS = (TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY, TypeKind.VARIABLEARRAY)

_OPTIONS = (
    TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD | TranslationUnit.PARSE_SKIP_FUNCTION_BODIES
)


@dataclass(frozen=True)
class Unit:
    """The parser's input: a header of a tree, its include folders, and the macros that are
    defined for it.

    It is read as ``language``, "c" or "c++". ``own`` are patterns for the names of the headers
    whose declarations count, all by default. With ``system`` this machine's system headers are
    read, for this machine alone, instead of the stubs for all targets.
    """

    root: Path
    header: str
    include: tuple[str, ...]
    define: tuple[str, ...] = ("LLAMA_SHARED", "GGML_SHARED")
    language: str = "c"
    own: tuple[str, ...] = ("*",)
    system: bool = False

    @property
    def path(self) -> Path:
        return self.root / self.header

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(self.root / folder for folder in self.include)

    @property
    def targets(self) -> tuple[str, ...]:
        # Values that depend on the compiler's version or options differ between the two.
        other = f"{_host()} -fgnuc-version=5.3.0 -O1"
        return (_host(), other) if self.system else TARGETS

    @property
    def include_name(self) -> str:
        """The name to include the header by."""
        return self.name(self.path) or self.path.name

    def name(self, file: Path) -> str | None:
        """The name to include ``file`` by, None for one that is in none of the folders."""
        folders = [f for f in self.folders if file.is_relative_to(f)]
        if not folders and file.is_relative_to(self.path.parent):
            folders = [self.path.parent]
        names = [file.relative_to(folder).as_posix() for folder in folders]
        return min(names, key=len) if names else None

    def arguments(self, target: str, language: str) -> list[str]:
        """The compiler's options."""
        cpp = language == "c++"
        stubs = [SYSROOT / "c++"] * cpp + [SYSROOT]
        standard = "c++17" if cpp else "gnu11" if self.system else "c11"
        return [
            "-x", language, f"-std={standard}", *f"--target={target}".split(), "-nostdinc",
            *(f"-I{folder}" for folder in self.folders),
            *(f"-D{macro}" for macro in self.define),
            *(f"-isystem{folder}" for folder in (_system(language) if self.system else stubs)),
        ]  # fmt: skip


def _ask_compiler(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["cc", *arguments], input="", capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise CodegenError(f"system headers need a C compiler called cc: {error}") from error
    return done.stdout + done.stderr


@cache
def _host() -> str:
    return _ask_compiler("-dumpmachine").strip()


@cache
def _system(language: str) -> tuple[str, ...]:
    """The folders in which the machine's compiler looks for system headers."""
    text = _ask_compiler("-E", "-v", "-x", language, "-")
    found = re.search(r"<\.\.\.> search starts here:\n(.*?)\nEnd of search", text, re.DOTALL)
    return (str(SYSROOT / "vectors"), *(found[1].split() if found else ()))


def translate(unit: Unit, target: str, name: str, text: str) -> TranslationUnit:
    """``text`` parsed as a file next to the unit's header."""
    main = unit.path.parent / f"llama_py_{name}.c"
    try:
        return _index().parse(
            str(main),
            unit.arguments(target, unit.language),
            unsaved_files=[(str(main), text)],
            options=_OPTIONS,
        )
    except cindex.TranslationUnitLoadError as error:
        raise CodegenError(f"{unit.path}: libclang cannot read it: {error}") from error


def compile_probes(unit: Unit, text: str, prefix: str) -> dict[str, Value]:
    """The values of the constant variables called ``prefix...`` in C++ ``text``, where it follows
    the unit's header. Variables that do not compile, or are not
    constant, are left out.
    """
    name = Path(unit.header).name
    tu = _index().parse(
        "llama_py_probe.cpp",
        unit.arguments(unit.targets[0], "c++"),
        unsaved_files=[("llama_py_probe.cpp", f'#include "{name}"\n{text}')],
    )  # fmt: skip
    return dict(probed(tu, prefix))


def probed(tu: TranslationUnit, prefix: str) -> Iterator[tuple[str, Value]]:
    for cursor in tu.cursor.get_children():
        if cursor.kind == CursorKind.VAR_DECL and cursor.spelling.startswith(prefix):
            value = value_of(cursor)
            if value is not None:
                yield cursor.spelling[len(prefix) :], value


def require_no_errors(tu: TranslationUnit, header: Path) -> None:
    """Raise CodegenError if the header has an error: libclang continues after one, with wrong
    types, and the number of functions would not show it."""
    for diagnostic in tu.diagnostics:
        if diagnostic.severity >= cindex.Diagnostic.Error:
            location = diagnostic.location
            name, line = location.file.name if location.file else "?", location.line
            if name == tu.spelling:
                # An error in the text around the header: the header ended inside a declaration.
                name, line = header.name, len(header.read_bytes().splitlines())
            raise CodegenError(f"{Path(name).name}:{line}: {diagnostic.spelling}")


@cache
def _index() -> cindex.Index:
    libclang.choose()
    return cindex.Index.create()


@cache
def lib() -> Any:
    """libclang itself, with the functions that its Python module does not declare."""
    clang = cindex.conf.lib
    clang.clang_Cursor_Evaluate.argtypes = [Cursor]
    clang.clang_Cursor_Evaluate.restype = ctypes.c_void_p
    for name, result in (
        ("clang_EvalResult_getKind", ctypes.c_int),
        ("clang_EvalResult_getAsLongLong", ctypes.c_longlong),
        ("clang_EvalResult_isUnsignedInt", ctypes.c_uint),
        ("clang_EvalResult_getAsUnsigned", ctypes.c_ulonglong),
        ("clang_EvalResult_getAsDouble", ctypes.c_double),
        ("clang_EvalResult_getAsStr", ctypes.c_char_p),
        ("clang_EvalResult_dispose", None),
    ):
        function = getattr(clang, name)
        function.argtypes = [ctypes.c_void_p]
        function.restype = result
    clang.clang_getCursorPlatformAvailability.argtypes = [
        Cursor,
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(_String),
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(_String),
        ctypes.c_void_p,
        ctypes.c_int,
    ]
    clang.clang_getCursorPlatformAvailability.restype = ctypes.c_int
    return clang


class _String(ctypes.Structure):
    """CXString. cindex's own converts itself into a Python string too early to be an output."""

    _fields_ = (("data", ctypes.c_void_p), ("flags", ctypes.c_uint))


_EVAL_INT, _EVAL_FLOAT, _EVAL_STRING = 1, 2, 4
_CHARS = (TypeKind.CHAR_S, TypeKind.CHAR_U)


def value_of(cursor: Cursor) -> Value | None:
    """The value of a variable's initialiser: an integer of at most 64 bits, a finite float or
    double, or a string of UTF-8; None for any other."""
    ctype = cursor.type.get_canonical()
    clang = lib()
    result = clang.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        kind = clang.clang_EvalResult_getKind(result)
        if kind == _EVAL_INT:
            if ctype.kind in (TypeKind.INT128, TypeKind.UINT128, TypeKind.POINTER):
                return None
            if clang.clang_EvalResult_isUnsignedInt(result):
                return int(clang.clang_EvalResult_getAsUnsigned(result))
            return int(clang.clang_EvalResult_getAsLongLong(result))
        if kind == _EVAL_FLOAT and ctype.kind in (TypeKind.FLOAT, TypeKind.DOUBLE):
            number = float(clang.clang_EvalResult_getAsDouble(result))
            return number if math.isfinite(number) else None
        if kind == _EVAL_STRING:
            return _text(ctype, clang.clang_EvalResult_getAsStr(result))
        return None
    finally:
        clang.clang_EvalResult_dispose(result)


def _text(ctype: cindex.Type, data: bytes) -> str | None:
    array = ctype.kind in ARRAYS
    if (ctype.element_type if array else ctype.get_pointee()).kind not in _CHARS:
        return None
    if array and ctype.get_array_size() != len(data) + 1:
        return None  # a NUL inside, where libclang stops reading
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def replacement(cursor: Cursor) -> str | None:
    """The function that a deprecation names, or None.

    Only the name is kept; the header's sentence stays in the header.
    """
    always = (ctypes.c_int(), ctypes.c_int())
    messages = (_String(), _String())
    lib().clang_getCursorPlatformAvailability(
        cursor,
        ctypes.byref(always[0]),
        ctypes.byref(messages[0]),
        ctypes.byref(always[1]),
        ctypes.byref(messages[1]),
        None,
        0,
    )
    hint = ctypes.cast(messages[0].data, ctypes.c_char_p).value or b""
    match = re.search(r"\buse (\w+)", hint.decode("utf-8", "replace"), re.ASCII)
    return match[1] if match else None
