"""C headers to `Api`, through libclang. Nothing here knows of Python output.

The parse is hermetic: no system header is read, only the stubs in ``sysroot``, so that the result
is the same on every machine. It is made for several 64-bit targets, and they have to agree.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from clang import cindex
from clang.cindex import Cursor, CursorKind, StorageClass, TranslationUnit, TypeKind

from .api import (
    Api,
    Array,
    Enum,
    Field,
    Function,
    FunctionType,
    Header,
    Macro,
    Named,
    Omission,
    Param,
    Place,
    Pointer,
    Struct,
    Type,
    Typedef,
    Value,
)
from .errors import CodegenError

T = TypeVar("T", Macro, Enum, Struct, Typedef, Function, Omission)

SYSROOT = Path(__file__).parent / "sysroot"

# One of each data model and calling convention that ctypes meets on 64-bit machines. The first is
# the one whose result is used; the others only have to give the same.
TARGETS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "arm64-apple-macosx11.0.0",
    "x86_64-pc-windows-msvc",
)

_OPTIONS = (
    TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD | TranslationUnit.PARSE_SKIP_FUNCTION_BODIES
)
_PROBE = "llama_py_probe_"
_BUILTINS = {
    TypeKind.VOID: "void",
    TypeKind.BOOL: "bool",
    TypeKind.CHAR_S: "char",
    TypeKind.CHAR_U: "char",
    TypeKind.SCHAR: "signed char",
    TypeKind.UCHAR: "unsigned char",
    TypeKind.SHORT: "short",
    TypeKind.USHORT: "unsigned short",
    TypeKind.INT: "int",
    TypeKind.UINT: "unsigned int",
    TypeKind.LONGLONG: "long long",
    TypeKind.ULONGLONG: "unsigned long long",
    TypeKind.FLOAT: "float",
    TypeKind.DOUBLE: "double",
}


@dataclass(frozen=True)
class Unit:
    """What to parse: a header of a tree, and where it finds what it includes."""

    root: Path
    header: str
    include: tuple[str, ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(self.root / folder for folder in self.include)


def parse(unit: Unit, tag: str, targets: tuple[str, ...] = TARGETS) -> Api:
    """The API that ``unit`` declares, equal on all ``targets``.

    Raises CodegenError for a header that does not compile, that cannot be expressed, or that
    means different things on different targets.
    """
    first, *others = [_Reader(unit, target).read(tag) for target in targets]
    for target, other in zip(targets[1:], others, strict=True):
        _require_equal(first, other, targets[0], target)
    return first


def compile_probes(unit: Unit, text: str, prefix: str) -> dict[str, Value]:
    """The values of the constant variables called ``prefix...`` in C++ ``text``, where it follows
    the unit's header. What does not compile, or is no constant, is left out.
    """
    name = Path(unit.header).name
    tu = _index().parse(
        "llama_py_probe.cpp",
        [
            "-x", "c++", "-std=c++17", f"--target={TARGETS[0]}",
            "-nostdinc", "-isystem", str(SYSROOT),
            *(f"-I{folder}" for folder in unit.folders),
        ],
        unsaved_files=[("llama_py_probe.cpp", f'#include "{name}"\n{text}')],
    )  # fmt: skip
    return dict(_probed(tu, prefix))


def _probed(tu: TranslationUnit, prefix: str) -> Iterator[tuple[str, Value]]:
    for cursor in tu.cursor.get_children():
        if cursor.kind == CursorKind.VAR_DECL and cursor.spelling.startswith(prefix):
            value = _value(cursor)
            if value is not None:
                yield cursor.spelling[len(prefix) :], value


def _require_equal(a: Api, b: Api, a_target: str, b_target: str) -> None:
    # What is left out may differ: export attributes have other values, and lines, on Windows.
    for kind in ("macros", "enums", "structs", "typedefs", "functions"):
        there = {value.name: value for value in getattr(b, kind)}
        for value in getattr(a, kind):
            other = there.pop(value.name, None)
            if value != other:
                raise CodegenError(
                    f"{value.place}: {value.name} differs between targets: "
                    f"{value} on {a_target}, {other} on {b_target}"
                )
        for value in there.values():
            raise CodegenError(f"{value.place}: {value.name} is declared on {b_target} only")


class _Reader:
    """One parse for one target."""

    def __init__(self, unit: Unit, target: str) -> None:
        self.unit = unit
        self.target = target
        self.path = unit.root / unit.header
        self.arguments = [
            "-x", "c", "-std=c11", f"--target={target}",
            "-nostdinc", "-isystem", str(SYSROOT),
            # Every header asks for these two before it looks at the platform.
            "-DLLAMA_SHARED", "-DGGML_SHARED",
            *(f"-I{folder}" for folder in unit.folders),
        ]  # fmt: skip
        self.macros: list[Macro] = []
        self.enums: dict[str, Enum] = {}
        self.structs: dict[str, Struct] = {}
        self.typedefs: dict[str, Typedef] = {}
        self.functions: dict[str, Function] = {}
        self.omissions: list[Omission] = []
        self.files: dict[str, str | None] = {}  # as libclang names it -> header, None if not ours
        self.declaring: dict[str, None] = {}  # the files with declarations, in order

    def read(self, tag: str) -> Api:
        tu = self._translate(self.path.name, f'#include "{self.path.name}"\n')
        _require_no_errors(tu, self.unit.root)
        macros = []
        for cursor in tu.cursor.get_children():
            place = self._place(cursor)
            if place is None:
                continue
            kind = cursor.kind
            if kind == CursorKind.MACRO_DEFINITION:
                macros.append((cursor.spelling, place))
                continue
            if kind in (CursorKind.INCLUSION_DIRECTIVE, CursorKind.MACRO_INSTANTIATION):
                continue
            self.declaring.setdefault(cursor.location.file.name)
            if kind == CursorKind.FUNCTION_DECL:
                self._function(cursor, place)
            elif kind in (CursorKind.STRUCT_DECL, CursorKind.UNION_DECL):
                if cursor.spelling and not cursor.is_anonymous():
                    self._struct(cursor, cursor.spelling, place, tagged=True)
            elif kind == CursorKind.ENUM_DECL:
                self._enum(cursor, place)
            elif kind == CursorKind.TYPEDEF_DECL:
                self._typedef(cursor, place)
            elif kind == CursorKind.VAR_DECL:
                self._variable(cursor, place)
        self._evaluate(macros)
        headers = self._headers()
        order = {header.name: i for i, header in enumerate(headers)}

        def ordered(values: Iterable[T]) -> tuple[T, ...]:
            return tuple(sorted(values, key=lambda v: order[v.place.header]))

        return Api(
            tag=tag,
            headers=headers,
            macros=ordered(self.macros),
            enums=ordered(self.enums.values()),
            structs=ordered(self.structs.values()),
            typedefs=ordered(self.typedefs.values()),
            functions=ordered(self.functions.values()),
            omissions=ordered(self.omissions),
            defaults={},
        )

    def _headers(self) -> tuple[Header, ...]:
        """The unit's headers, in the order in which their declarations begin.

        They include each other at their tops, so this is the order in which C finishes them.
        """
        return tuple(
            Header(Path(file).name, hashlib.sha256(Path(file).read_bytes()).hexdigest())
            for file in self.declaring
        )

    def _translate(self, name: str, text: str) -> TranslationUnit:
        main = self.path.parent / f"llama_py_{name}.c"
        try:
            return _index().parse(
                str(main), self.arguments, unsaved_files=[(str(main), text)], options=_OPTIONS
            )
        except cindex.TranslationUnitLoadError as error:
            raise CodegenError(f"{self.path}: libclang cannot read it: {error}") from error

    # -- declarations

    def _function(self, cursor: Cursor, place: Place) -> None:
        name = cursor.spelling
        if name in self.functions:
            return
        ctype = cursor.type
        params = tuple(
            Param(p.spelling, self._type(p.type, p, param=True)) for p in cursor.get_arguments()
        )
        deprecated = cursor.availability == cindex.AvailabilityKind.DEPRECATED
        self.functions[name] = Function(
            name=name,
            result=self._type(ctype.get_result(), cursor),
            params=params,
            variadic=bool(_lib().clang_isFunctionTypeVariadic(ctype)),
            deprecated=deprecated,
            replacement=_replacement(cursor) if deprecated else None,
            place=place,
        )

    def _struct(self, cursor: Cursor, name: str, place: Place, *, tagged: bool) -> None:
        known = self.structs.get(name)
        if known is not None and (not known.opaque or not cursor.is_definition()):
            return
        union = cursor.kind == CursorKind.UNION_DECL
        if not cursor.is_definition():
            self.structs[name] = Struct(name, union, tagged, None, None, (), place)
            return
        self.structs.pop(name, None)  # the definition's place in the order counts
        fields = tuple(self._fields(cursor, name, place))
        self.structs[name] = Struct(
            name=name,
            union=union,
            tagged=tagged and cursor.type.spelling == f"{'union' if union else 'struct'} {name}",
            size=cursor.type.get_size(),
            align=cursor.type.get_align(),
            fields=fields,
            place=place,
        )

    def _fields(self, cursor: Cursor, name: str, place: Place) -> Iterator[Field]:
        inner = 0
        for field in cursor.type.get_fields():
            where = Place(place.header, field.location.line)
            if field.is_bitfield():
                raise CodegenError(f"{where}: {name}.{field.spelling} is a bit-field")
            ctype = field.type
            record = ctype.get_declaration()
            # libclang puts the file's path into the spelling of what has no name.
            field_name = field.spelling if "(" not in field.spelling else ""
            unnamed = record.kind in (CursorKind.STRUCT_DECL, CursorKind.UNION_DECL) and (
                "(" in ctype.get_canonical().spelling
            )
            if unnamed:
                keyword = "union" if record.kind == CursorKind.UNION_DECL else "struct"
                inner_name = f"{name}_{field_name or f'anonymous_{inner}'}"
                self._struct(record, inner_name, where, tagged=False)
            yield Field(
                name=field_name or f"anonymous_{inner}",
                type=Named(f"{keyword} {inner_name}") if unnamed else self._type(ctype, field),
                offset=field.get_field_offsetof() // 8,
                size=ctype.get_size(),
                anonymous=not field_name,
            )
            inner += unnamed

    def _enum(self, cursor: Cursor, place: Place) -> None:
        name = cursor.spelling
        if not cursor.is_definition() or name in self.enums:
            return
        constants = []
        flags = False
        for constant in cursor.get_children():
            if constant.kind != CursorKind.ENUM_CONSTANT_DECL:
                continue
            value = constant.enum_value
            if not -(2**31) <= value < 2**31:
                # Its type would be int on one platform and something wider on another.
                raise CodegenError(f"{place}: {constant.spelling} = {value} does not fit an int")
            constants.append((constant.spelling, value))
            flags = flags or any(
                child.kind == CursorKind.BINARY_OPERATOR
                and any(token.spelling == "<<" for token in child.get_tokens())
                for child in constant.get_children()
            )
        if "(" in name:
            name = ""
        self.enums[name or f"@{place}"] = Enum(name, tuple(constants), flags, place)

    def _typedef(self, cursor: Cursor, place: Place) -> None:
        name = cursor.spelling
        if name in self.typedefs:
            return
        underlying = cursor.underlying_typedef_type
        record = underlying.get_declaration()
        if (
            record.kind in (CursorKind.STRUCT_DECL, CursorKind.UNION_DECL)
            and underlying.get_canonical().spelling == name
        ):
            # `typedef struct { ... } name`: the typedef is the only name that it has.
            self._struct(record, name, place, tagged=False)
            return
        self.typedefs[name] = Typedef(name, self._type(underlying, cursor), place)

    def _variable(self, cursor: Cursor, place: Place) -> None:
        value = _value(cursor) if cursor.storage_class == StorageClass.STATIC else None
        if value is None:
            self.omissions.append(Omission(cursor.spelling, "a variable", place))
        else:  # a constant in all but name
            self.macros.append(Macro(cursor.spelling, value, True, place))

    # -- types

    def _type(self, ctype: cindex.Type, cursor: Cursor, *, param: bool = False) -> Type:
        """``ctype`` in our terms. A parameter that is written as an array is a pointer."""
        kind = ctype.kind
        if kind in _BUILTINS:
            return Named(_BUILTINS[kind])
        if kind == TypeKind.POINTER:
            to = ctype.get_pointee()
            return Pointer(self._type(to, cursor), to.is_const_qualified())
        if kind == TypeKind.CONSTANTARRAY or kind == TypeKind.INCOMPLETEARRAY:
            element = ctype.get_array_element_type()
            if param:
                return Pointer(self._type(element, cursor), element.is_const_qualified())
            length = ctype.get_array_size()
            if length < 0:
                self._refuse(ctype, cursor, "an array without a length")
            return Array(self._type(element, cursor), length)
        declaration = ctype.get_declaration()
        declared = declaration.kind
        if declared == CursorKind.TYPEDEF_DECL:
            return Named(declaration.spelling)
        if declared == CursorKind.ENUM_DECL:
            return Named(f"enum {declaration.spelling}")
        if declared in (CursorKind.STRUCT_DECL, CursorKind.UNION_DECL):
            canonical = ctype.get_canonical().spelling.removeprefix("const ")
            if "(" in canonical:
                self._refuse(ctype, cursor, "an unnamed struct in a place where it needs a name")
            name = declaration.spelling
            place = self._place(declaration)
            if name not in self.structs and place is not None:
                # First seen where it is used, as in `struct a { struct b * next; }`.
                self.structs[name] = Struct(
                    name, declared == CursorKind.UNION_DECL, True, None, None, (), place
                )
            return Named(canonical)
        lib = _lib()
        if lib.clang_getNumArgTypes(ctype) >= 0:  # also behind parentheses, which have no kind
            return FunctionType(
                tuple(
                    self._type(lib.clang_getArgType(ctype, i), cursor, param=True)
                    for i in range(lib.clang_getNumArgTypes(ctype))
                ),
                self._type(lib.clang_getResultType(ctype), cursor),
                bool(lib.clang_isFunctionTypeVariadic(ctype)),
            )
        self._refuse(ctype, cursor, "a type that has no form in ctypes")

    def _refuse(self, ctype: cindex.Type, cursor: Cursor, why: str) -> NoReturn:
        location = cursor.location
        raise CodegenError(
            f"{Path(str(location.file)).name}:{location.line}: {cursor.spelling}: "
            f"{ctype.spelling!r} is {why}"
        )

    # -- macros

    def _evaluate(self, found: list[tuple[str, Place]]) -> None:
        """The values of the object-like macros, as the compiler computes them.

        Each gets a probe variable in a second parse; what cannot initialise one has no value.
        """
        seen = dict(found)
        text = f'#include "{self.path.name}"\n' + "".join(
            f"#line 1\nstatic const __typeof__(({name})) {_PROBE}{name} = ({name});\n"
            for name in seen
        )
        tu = self._translate("macros", text)
        values = dict(_probed(tu, _PROBE))
        for name, place in seen.items():
            if name.startswith("_"):
                continue  # reserved: set for the compiler or the platform, not for us
            if name in values:
                self.macros.append(Macro(name, values[name], False, place))
            else:
                self.omissions.append(Omission(name, "a macro without a value", place))

    # -- places

    def _place(self, cursor: Cursor) -> Place | None:
        """Where ``cursor`` stands, or None outside the headers of the unit."""
        location = cursor.location
        file = location.file
        if file is None:
            return None
        name = file.name
        if name not in self.files:
            folder = Path(name).parent
            self.files[name] = Path(name).name if folder in self.unit.folders else None
        header = self.files[name]
        return None if header is None else Place(header, location.line)


# -- libclang


@cache
def _index() -> cindex.Index:
    return cindex.Index.create()


@cache
def _lib() -> Any:
    """libclang itself, with the functions that its Python module does not declare."""
    lib = cindex.conf.lib
    lib.clang_Cursor_Evaluate.argtypes = [Cursor]
    lib.clang_Cursor_Evaluate.restype = ctypes.c_void_p
    for name, result in (
        ("clang_EvalResult_getKind", ctypes.c_int),
        ("clang_EvalResult_getAsLongLong", ctypes.c_longlong),
        ("clang_EvalResult_isUnsignedInt", ctypes.c_uint),
        ("clang_EvalResult_getAsUnsigned", ctypes.c_ulonglong),
        ("clang_EvalResult_getAsDouble", ctypes.c_double),
        ("clang_EvalResult_getAsStr", ctypes.c_char_p),
        ("clang_EvalResult_dispose", None),
    ):
        function = getattr(lib, name)
        function.argtypes = [ctypes.c_void_p]
        function.restype = result
    lib.clang_getCursorPlatformAvailability.argtypes = [
        Cursor,
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(_String),
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(_String),
        ctypes.c_void_p,
        ctypes.c_int,
    ]
    lib.clang_getCursorPlatformAvailability.restype = ctypes.c_int
    return lib


class _String(ctypes.Structure):
    """CXString. cindex's own converts itself into a Python string too early to be an output."""

    _fields_ = (("data", ctypes.c_void_p), ("flags", ctypes.c_uint))


_EVAL_INT, _EVAL_FLOAT, _EVAL_STRING = 1, 2, 4


def _value(cursor: Cursor) -> Value | None:
    """The value of a variable's initialiser, None where it is not a constant."""
    lib = _lib()
    result = lib.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        kind = lib.clang_EvalResult_getKind(result)
        if kind == _EVAL_INT:
            if lib.clang_EvalResult_isUnsignedInt(result):
                return int(lib.clang_EvalResult_getAsUnsigned(result))
            return int(lib.clang_EvalResult_getAsLongLong(result))
        if kind == _EVAL_FLOAT:
            return float(lib.clang_EvalResult_getAsDouble(result))
        if kind == _EVAL_STRING:
            return str(lib.clang_EvalResult_getAsStr(result).decode())
        return None
    finally:
        lib.clang_EvalResult_dispose(result)


def _replacement(cursor: Cursor) -> str | None:
    """The function that a deprecation names, None where it names none.

    Only the name is kept; the header's sentence stays in the header.
    """
    always = (ctypes.c_int(), ctypes.c_int())
    messages = (_String(), _String())
    _lib().clang_getCursorPlatformAvailability(
        cursor,
        ctypes.byref(always[0]),
        ctypes.byref(messages[0]),
        ctypes.byref(always[1]),
        ctypes.byref(messages[1]),
        None,
        0,
    )
    hint = ctypes.cast(messages[0].data, ctypes.c_char_p).value or b""
    match = re.search(r"\buse (\w+)", hint.decode("utf-8", "replace"))
    return match[1] if match else None


def _require_no_errors(tu: TranslationUnit, root: Path) -> None:
    """A count of functions is no check: libclang goes on after errors, with wrong types."""
    for diagnostic in tu.diagnostics:
        if diagnostic.severity >= cindex.Diagnostic.Error:
            location = diagnostic.location
            file = Path(location.file.name) if location.file else None
            where = file.name if file else "?"
            raise CodegenError(f"{where}:{location.line}: {diagnostic.spelling}")
