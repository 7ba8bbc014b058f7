"""C headers to `Api`, through libclang. Nothing here knows of Python output.

The parse is hermetic: no system header is read, only the stubs in ``sysroot``, so that the result
is the same on every machine. It is made for several 64-bit targets, and they have to agree.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from clang import cindex
from clang.cindex import (
    Cursor,
    CursorKind,
    StorageClass,
    TokenKind,
    TranslationUnit,
    TypeKind,
)

from . import libclang
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
_UNDEFINED = "llama_py_undefined_"
_RECORDS = (CursorKind.STRUCT_DECL, CursorKind.UNION_DECL)
_ARRAYS = (TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY, TypeKind.VARIABLEARRAY)
_FUNCTIONS = (TypeKind.FUNCTIONPROTO, TypeKind.FUNCTIONNOPROTO)
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
# Size of a builtin, which is its alignment too, where its name does not say it in bits
_SIZES = {
    "bool": 1, "char": 1, "signed char": 1, "unsigned char": 1, "short": 2, "unsigned short": 2,
    "int": 4, "unsigned int": 4, "long long": 8, "unsigned long long": 8, "float": 4, "double": 8,
}  # fmt: skip
# The typedefs of the stub headers: alone among foreign types they may stand in a signature.
_STANDARD = {
    "int8_t": 1, "int16_t": 2, "int32_t": 4, "int64_t": 8, "uint8_t": 1, "uint16_t": 2,
    "uint32_t": 4, "uint64_t": 8, "intptr_t": 8, "uintptr_t": 8, "size_t": 8, "ptrdiff_t": 8,
    "FILE": 0,
}  # fmt: skip


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
        first = _common_macros(first, other)
        _require_equal(first, other, targets[0], target)
    _require_complete(first)
    _require_natural(first)
    return _known_replacements(_without_unions(first))


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


def _common_macros(a: Api, b: Api) -> Api:
    """``a`` without the macros that ``b`` does not have alike: that is what macros are for."""
    there = {m.name: m.value for m in b.macros}
    omitted = {o.name for o in a.omissions}
    omissions = [
        Omission(m.name, "a macro that depends on the platform", m.place)
        for m in a.macros
        if there.get(m.name) != m.value
    ]
    names = {o.name for o in omissions}
    here = {m.name for m in a.macros} | omitted
    omissions += [
        Omission(m.name, "a macro of some platforms only", m.place)
        for m in b.macros
        if m.name not in here
    ]
    return replace(
        a,
        macros=tuple(m for m in a.macros if m.name not in names),
        omissions=_ordered(a, [*a.omissions, *omissions]),
    )


def _ordered(api: Api, omissions: list[Omission]) -> tuple[Omission, ...]:
    order = [h.name for h in api.headers]
    known = [o for o in omissions if o.place.header in order]
    return tuple(sorted(known, key=lambda o: order.index(o.place.header)))


def _require_equal(a: Api, b: Api, a_target: str, b_target: str) -> None:
    # What is left out may differ: export attributes have other values on Windows. So may lines.
    for kind in ("enums", "structs", "typedefs", "functions"):
        there = {_key(value): value for value in getattr(b, kind)}
        for value in getattr(a, kind):
            other = there.pop(_key(value), None)
            if other is None:
                raise CodegenError(f"{value.place}: {_key(value)} is not declared on {b_target}")
            for field in fields(value):
                one, two = getattr(value, field.name), getattr(other, field.name)
                if field.name != "place" and one != two:
                    raise CodegenError(
                        f"{value.place}: {_key(value)} differs between targets: its {field.name} "
                        f"is {one} on {a_target} and {two} on {b_target}"
                    )
        for value in there.values():
            raise CodegenError(f"{value.place}: {_key(value)} is declared on {b_target} only")


def _key(value: Any) -> str:
    """The name; an enum without one goes by its first constant."""
    return str(value.name or value.constants[0][0])


def _require_complete(api: Api) -> None:
    """C lets a function be declared with a struct that nobody has seen; nobody can call it."""
    opaque = {s.name for s in api.structs if s.opaque}
    typedefs = {t.name: t.type for t in api.typedefs}

    def check(ctype: Type, what: str, place: Place, value: bool = True) -> None:
        if isinstance(ctype, FunctionType):
            for part in (ctype.result, *ctype.params):
                check(part, what, place)
        elif isinstance(ctype, Pointer):
            check(ctype.to, what, place, value=False)
        elif isinstance(ctype, Array):
            check(ctype.of, what, place)
        elif ctype.name in typedefs:
            check(typedefs[ctype.name], what, place, value)
        elif value and (ctype.name == "FILE" or (ctype.bare in opaque and ctype.tag != "enum")):
            raise CodegenError(f"{place}: {what} has {ctype} by value, which is only declared")

    for f in api.functions:
        check(f.type, f.name, f.place)
    for t in api.typedefs:
        check(t.type, t.name, t.place, value=False)
    for s in api.structs:
        for field in s.fields:
            check(field.type, f"{s.name}.{field.name}", s.place)


def _require_natural(api: Api) -> None:
    """ctypes lays structs out by the usual rule; attributes and pragmas can make C's differ."""
    structs = {s.name: s for s in api.structs}
    typedefs = {t.name: t.type for t in api.typedefs}

    def alignment(ctype: Type) -> int:
        if isinstance(ctype, Array):
            return alignment(ctype.of)
        if not isinstance(ctype, Named):
            return 8
        if ctype.name in typedefs:
            return alignment(typedefs[ctype.name])
        struct = structs.get(ctype.bare) if ctype.tag != "enum" else None
        if struct:
            return struct.align or 1
        return _SIZES.get(ctype.name) or _STANDARD.get(ctype.name) or 4

    for s in api.structs:
        if s.opaque:
            continue
        end, largest = 0, 1
        for f in s.fields:
            align = alignment(f.type)
            largest = max(largest, align)
            offset = 0 if s.union else -(-end // align) * align
            if f.offset != offset:
                raise CodegenError(
                    f"{s.place}: {s.name}.{f.name} is at offset {f.offset} and not at {offset}: "
                    "a packed or aligned struct has no form in ctypes"
                )
            end = max(end, offset + f.size)
        if (s.align, s.size) != (largest, -(-end // largest) * largest):
            raise CodegenError(
                f"{s.place}: {s.name} has size {s.size} and alignment {s.align}: a packed, aligned "
                "or empty struct has no form in ctypes"
            )


def _without_unions(api: Api) -> Api:
    """``api`` without the functions that pass a union by value, which ctypes refuses to do."""
    structs = {s.name: s for s in api.structs}
    typedefs = {t.name: t.type for t in api.typedefs}

    def union(ctype: Type) -> bool:
        if isinstance(ctype, Array):
            return union(ctype.of)
        if not isinstance(ctype, Named):
            return False
        if ctype.name in typedefs:
            return union(typedefs[ctype.name])
        struct = structs.get(ctype.bare) if ctype.tag != "enum" else None
        return struct is not None and (struct.union or any(union(f.type) for f in struct.fields))

    def callbacks(ctype: Type) -> Iterator[FunctionType]:
        if isinstance(ctype, FunctionType):
            yield ctype
            for part in (ctype.result, *ctype.params):
                yield from callbacks(part)
        elif isinstance(ctype, Pointer | Array):
            yield from callbacks(ctype.to if isinstance(ctype, Pointer) else ctype.of)

    def passes(ctype: FunctionType) -> bool:
        return any(union(part) for part in (ctype.result, *ctype.params))

    places = [(t.name, t.type, t.place) for t in api.typedefs]
    places += [(f"{s.name}.{f.name}", f.type, s.place) for s in api.structs for f in s.fields]
    for name, ctype, place in places:
        if any(passes(callback) for callback in callbacks(ctype)):
            raise CodegenError(f"{place}: {name} passes a union by value, which ctypes cannot")
    left_out = [f for f in api.functions if any(passes(t) for t in callbacks(f.type))]
    reason = "passes a union by value, which ctypes cannot"
    omissions = [*api.omissions, *(Omission(f.name, reason, f.place) for f in left_out)]
    return replace(
        api,
        functions=tuple(f for f in api.functions if f not in left_out),
        omissions=_ordered(api, omissions),
    )


def _known_replacements(api: Api) -> Api:
    """A replacement has to be a function: "use the new one" names nothing."""
    names = {f.name for f in api.functions}
    return replace(
        api,
        functions=tuple(
            f if f.replacement is None or f.replacement in names else replace(f, replacement=None)
            for f in api.functions
        ),
    )


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
        self.declaring: dict[str, str] = {}  # header -> its file, in order of their declarations
        self.unnamed: dict[int, str] = {}  # struct or enum without a name -> the one it gets here

    def read(self, tag: str) -> Api:
        tu = self._translate(self.path.name, f'#include "{self.path.name}"\n')
        _require_no_errors(tu, self.path)
        macros = []
        for cursor in tu.cursor.get_children():
            place = self._place(cursor)
            if place is None:
                continue
            kind = cursor.kind
            if kind == CursorKind.MACRO_DEFINITION:
                macros.append((cursor, place))
                continue
            if kind in (CursorKind.INCLUSION_DIRECTIVE, CursorKind.MACRO_INSTANTIATION):
                continue
            self.declaring.setdefault(place.header, cursor.location.file.name)
            if kind == CursorKind.FUNCTION_DECL:
                self._function(cursor, place)
            elif kind in _RECORDS or kind == CursorKind.ENUM_DECL:
                self._tag(cursor, place)
            elif kind == CursorKind.TYPEDEF_DECL:
                self._typedef(cursor, place)
            elif kind == CursorKind.VAR_DECL:
                self._variable(cursor, place)
        for cursor, place in macros:  # a header may have nothing else
            self.declaring.setdefault(place.header, cursor.location.file.name)
        if not self.declaring:
            raise CodegenError(f"{self.path.name}: the header declares nothing")
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
            Header(name, hashlib.sha256(Path(file).read_bytes()).hexdigest())
            for name, file in self.declaring.items()
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
        name = _name(cursor, place)
        if cursor.storage_class == StorageClass.STATIC or _lib().clang_Cursor_isFunctionInlined(
            cursor
        ):
            self.omissions.append(
                Omission(name, "a static or inline function: no library exports it", place)
            )
            return
        ctype = cursor.type
        params = tuple(
            Param(_name(p, place), self._type(p.type, p, param=True))
            for p in cursor.get_arguments()
        )
        result = self._type(ctype.get_result(), cursor)
        self._require_c_calls(ctype, cursor)
        known = self.functions.get(name)
        if known is not None:
            # Declared again: attributes add up, and one of them may name its parameters.
            params = tuple(
                Param(p.name or old.name, p.type)
                for p, old in zip(params, known.params or params, strict=True)
            )
        deprecated = cursor.availability == cindex.AvailabilityKind.DEPRECATED
        self.functions[name] = Function(
            name=name,
            result=result,
            params=params,
            variadic=_variadic(ctype),
            deprecated=deprecated,
            replacement=_replacement(cursor) if deprecated else None,
            place=known.place if known else place,
        )

    def _tag(self, cursor: Cursor, place: Place) -> None:
        """A struct, union or enum by itself. One without a name waits for what gives it one."""
        if cursor.kind == CursorKind.ENUM_DECL:
            if not _unnamed(cursor):
                tagged = _canonical(cursor.type).startswith("enum ")
                self._enum(cursor, _name(cursor, place), place, tagged=tagged)
            elif cursor.hash not in self.unnamed:
                self._enum(cursor, "", place, tagged=False)
        elif not _unnamed(cursor) and not cursor.is_anonymous():
            self._struct(cursor, _name(cursor, place), place, tagged=True)

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
            tagged=tagged and _canonical(cursor.type) == f"{'union' if union else 'struct'} {name}",
            size=cursor.type.get_size(),
            align=cursor.type.get_align(),
            fields=fields,
            place=place,
        )

    def _fields(self, cursor: Cursor, name: str, place: Place) -> Iterator[Field]:
        inside = [c for c in cursor.get_children() if c.kind in (*_RECORDS, CursorKind.ENUM_DECL)]
        for child in inside:
            if not _unnamed(child):
                self._tag(child, self._place(child) or place)
        inner = 0
        for field in cursor.type.get_fields():
            where = Place(place.header, field.location.line)
            if field.is_bitfield():
                raise CodegenError(f"{where}: {name}.{field.spelling} is a bit-field")
            # libclang puts the file's path into the spelling of what has no name.
            field_name = "" if "(" in field.spelling else _name(field, where)
            declaration = _element(field.type).get_declaration()
            if declaration.hash not in self.unnamed and _unnamed(declaration):
                inner_name = f"{name}_{field_name or f'anonymous_{inner}'}"
                if inner_name in self.structs or inner_name in self.enums:
                    raise CodegenError(
                        f"{where}: {inner_name}, made for what has no name, is taken"
                    )
                self.unnamed[declaration.hash] = inner_name
                if declaration.kind == CursorKind.ENUM_DECL:
                    self._enum(declaration, inner_name, where, tagged=False)
                else:
                    self._struct(declaration, inner_name, where, tagged=False)
            yield Field(
                name=field_name or f"anonymous_{inner}",
                type=self._type(field.type, field),
                offset=field.get_field_offsetof() // 8,
                size=field.type.get_size(),
                anonymous=not field_name,
            )
            inner += declaration.hash in self.unnamed
        for child in inside:
            if child.kind == CursorKind.ENUM_DECL:
                self._tag(child, self._place(child) or place)

    def _enum(self, cursor: Cursor, name: str, place: Place, *, tagged: bool) -> None:
        key = name or f"@{place}:{cursor.location.column}"
        if not cursor.is_definition() or key in self.enums:
            return
        constants = []
        flags = False
        for constant in cursor.get_children():
            if constant.kind != CursorKind.ENUM_CONSTANT_DECL:
                continue
            where = self._place(constant) or place
            value = constant.enum_value
            if not -(2**31) <= value < 2**31:
                # Its type would be int on one platform and something wider on another.
                raise CodegenError(f"{where}: {constant.spelling} = {value} does not fit an int")
            constants.append((_name(constant, where), value))
            flags = flags or any(
                child.kind == CursorKind.BINARY_OPERATOR
                and any(token.spelling == "<<" for token in child.get_tokens())
                for child in constant.get_children()
            )
        if cursor.type.get_size() != 4:
            raise CodegenError(f"{place}: enum {name} is not as wide as an int")
        # A negative value has all the upper bits, so it is no set of flags.
        flags = flags and all(value >= 0 for _, value in constants)
        self.enums[key] = Enum(name, tuple(constants), flags, place, tagged or not name)

    def _typedef(self, cursor: Cursor, place: Place) -> None:
        name = _name(cursor, place)
        if name in self.typedefs:
            return
        if name in _STANDARD:
            raise CodegenError(f"{place}: {name} is a type of the C library")
        underlying = cursor.underlying_typedef_type
        record = underlying.get_declaration()
        if _canonical(underlying) == name:
            # `typedef struct { ... } name`: the typedef is the only name that it has.
            if record.kind in _RECORDS:
                self._struct(record, name, place, tagged=False)
            return
        self.typedefs[name] = Typedef(name, self._type(underlying, cursor), place)

    def _variable(self, cursor: Cursor, place: Place) -> None:
        name = _name(cursor, place)
        constant = cursor.type.is_const_qualified() or (
            cursor.type.kind in _ARRAYS and cursor.type.element_type.is_const_qualified()
        )
        value = None
        if cursor.storage_class == StorageClass.STATIC and constant:
            value = _value(cursor)
        if value is None:
            reason = "a variable: only functions, types and constants are bound"
            self.omissions.append(Omission(name, reason, place))
        else:  # a constant in all but name
            self.macros.append(Macro(name, value, True, place))

    # -- types

    def _type(self, ctype: cindex.Type, cursor: Cursor, *, param: bool = False) -> Type:
        """``ctype`` in our terms. A parameter that is an array or a function is a pointer."""
        kind = ctype.kind
        if ctype.is_volatile_qualified():
            self._refuse(ctype, cursor, "volatile, which has no form in ctypes")
        if kind in _BUILTINS:
            return Named(_BUILTINS[kind])
        canonical = ctype.get_canonical()
        if param and canonical.kind in _ARRAYS:
            # Of a constant array the elements are, and libclang says so of one or the other.
            const = ctype.is_const_qualified() or canonical.element_type.is_const_qualified()
            while ctype.kind not in _ARRAYS:
                ctype = ctype.get_declaration().underlying_typedef_type
            return Pointer(self._type(ctype.element_type, cursor), const)
        if param and canonical.kind in _FUNCTIONS:
            return Pointer(self._type(ctype, cursor))
        if kind == TypeKind.POINTER:
            to = ctype.get_pointee()
            if to.is_restrict_qualified():
                self._refuse(ctype, cursor, "a pointer to a restricted pointer")
            return Pointer(self._type(to, cursor), to.is_const_qualified())
        if kind in _ARRAYS:
            length = ctype.get_array_size()
            if length < 0:
                self._refuse(ctype, cursor, "an array without a length")
            return Array(self._type(ctype.element_type, cursor), length)
        declaration = ctype.get_declaration()
        declared = declaration.kind
        if declared == CursorKind.TYPEDEF_DECL:
            if self._place(declaration) is None and declaration.spelling not in _STANDARD:
                self._refuse(ctype, cursor, "a type from outside the headers")
            if declaration.spelling == "FILE" or _canonical(ctype) != declaration.spelling:
                # Canonical spellings end at the struct; a typedef on the way keeps its name.
                return Named(declaration.spelling)
        if declared in (*_RECORDS, CursorKind.ENUM_DECL, CursorKind.TYPEDEF_DECL):
            return self._tagged(ctype, cursor)
        lib = _lib()
        if canonical.kind in _FUNCTIONS:  # also behind parentheses, which have no kind
            self._require_c_calls(ctype, cursor)
            return FunctionType(
                tuple(
                    self._type(lib.clang_getArgType(ctype, i), cursor, param=True)
                    for i in range(max(0, lib.clang_getNumArgTypes(ctype)))
                ),
                self._type(lib.clang_getResultType(ctype), cursor),
                _variadic(ctype),
            )
        self._refuse(ctype, cursor, "a type that has no form in ctypes on every platform")

    def _tagged(self, ctype: cindex.Type, cursor: Cursor) -> Type:
        """A struct, union or enum, by its tag or by the typedef that is its only name."""
        declaration = ctype.get_canonical().get_declaration()
        words = {CursorKind.ENUM_DECL: "enum", CursorKind.UNION_DECL: "union"}
        keyword = words.get(declaration.kind, "struct")
        if declaration.hash in self.unnamed:
            return Named(f"{keyword} {self.unnamed[declaration.hash]}")
        if _unnamed(declaration):
            self._refuse(ctype, cursor, f"an unnamed {keyword} in a place where it needs a name")
        if declaration.semantic_parent.kind == CursorKind.FUNCTION_DECL:
            self._refuse(ctype, cursor, "declared inside a parameter list, so nobody can make one")
        name, place = declaration.spelling, self._place(declaration)
        if place is None and name not in _STANDARD:
            self._refuse(ctype, cursor, "a type from outside the headers")
        if keyword != "enum" and name not in self.structs and place is not None:
            # First seen where it is used, as in `struct a { struct b * next; }`.
            union = declaration.kind == CursorKind.UNION_DECL
            self.structs[name] = Struct(name, union, True, None, None, (), place)
        return Named(_canonical(ctype))

    def _require_c_calls(self, ctype: cindex.Type, cursor: Cursor) -> None:
        if _lib().clang_getFunctionTypeCallingConv(ctype) != _CALLS_AS_C:
            self._refuse(ctype, cursor, "called in another way than C's")

    def _refuse(self, ctype: cindex.Type, cursor: Cursor, why: str) -> NoReturn:
        location = cursor.location
        spelling = re.sub(r" at [^()]*:\d+:\d+\)", ")", ctype.spelling)  # no path of this machine
        raise CodegenError(
            f"{Path(str(location.file)).name}:{location.line}: {cursor.spelling}: "
            f"{spelling!r} is {why}"
        )

    # -- macros

    def _evaluate(self, found: list[tuple[Cursor, Place]]) -> None:
        """The values of the object-like macros, as the compiler computes them.

        Each gets a probe variable in a second parse; what cannot initialise one has no value.
        """
        # Defined more than once: the last definition is the one that counts. Names that begin
        # with an underscore are set for the compiler or the platform, not for us.
        seen = {c.spelling: (c, place) for c, place in found if not c.spelling.startswith("_")}
        reasons: dict[str, str] = {}
        hints: dict[str, str] = {}
        bodies: dict[str, list[str]] = {}
        for name, (cursor, place) in seen.items():
            _name(cursor, place)
            tokens = list(cursor.get_tokens())[1:]
            bodies[name] = [token.spelling for token in tokens]
            if _lib().clang_Cursor_isMacroFunctionLike(cursor):
                reasons[name] = "a function-like macro: only the preprocessor can expand it"
            elif not tokens:
                reasons[name] = "a macro without a value"
            elif tokens[0].kind == TokenKind.KEYWORD:  # `sizeof` is one too, so it is tried
                hints[name] = "a macro for keywords or attributes, not for a value"
        for name in _unbalanced(bodies):
            reasons.setdefault(name, "a macro for a piece of code, not for a value")
        text = f'#include "{self.path.name}"\n' + "".join(
            f"#ifdef {name}\n"
            f"static const __typeof__(({name})) {_PROBE}{name} = ({name});\n"
            f"#else\nstatic int {_UNDEFINED}{name};\n#endif\n"
            for name in seen
            if name not in reasons
        )
        tu = self._translate("macros", text)
        values = dict(_probed(tu, _PROBE))
        undefined = {c.spelling for c in tu.cursor.get_children() if c.kind == CursorKind.VAR_DECL}
        constants = {c for e in self.enums.values() for c, _ in e.constants}
        for name, (_, place) in seen.items():
            if name in constants:
                reasons[name] = "a macro for the enumeration's constant of the same name"
            if name in reasons:
                self.omissions.append(Omission(name, reasons[name], place))
            elif _UNDEFINED + name in undefined:
                self.omissions.append(Omission(name, "a macro that is undefined again", place))
            elif name in values:
                self.macros.append(Macro(name, values[name], False, place))
            else:
                reason = hints.get(name, "a macro for code or for an address, not for a constant")
                self.omissions.append(Omission(name, reason, place))

    # -- places

    def _place(self, cursor: Cursor) -> Place | None:
        """Where ``cursor`` stands, or None outside the headers of the unit."""
        location = cursor.location
        file = location.file
        if file is None:
            return None
        name = file.name
        if name not in self.files:
            self.files[name] = self._header(Path(name))
        header = self.files[name]
        return None if header is None else Place(header, location.line)

    def _header(self, file: Path) -> str | None:
        """The name to include ``file`` by, None outside the unit."""
        for folder in (*self.unit.folders, self.path.parent):
            if file.is_relative_to(folder) and file.suffix != ".c":
                name = file.relative_to(folder).as_posix()
                # It goes into comments and docstrings.
                if not re.fullmatch(r"[\w.+/-]+", name, re.ASCII):
                    raise CodegenError(f"a header cannot be called {name!r}")
                return name
        return None


# -- libclang


def _name(cursor: Cursor, place: Place) -> str:
    """The name of what ``cursor`` declares, which Python and a docstring have to be able to hold.

    Python takes more, but folds what looks alike into one, and `$` it does not take.
    """
    name = str(cursor.spelling)
    if not re.fullmatch(r"\w*", name, re.ASCII):
        raise CodegenError(f"{place}: {name!r} is not a name of ASCII letters, digits and _")
    return name


def _variadic(ctype: cindex.Type) -> bool:
    """Whether it ends in `...`; libclang says so too where C names no parameters at all."""
    return ctype.get_canonical().kind == TypeKind.FUNCTIONPROTO and bool(
        _lib().clang_isFunctionTypeVariadic(ctype)
    )


def _canonical(ctype: cindex.Type) -> str:
    """How C calls the struct, union or enum behind ``ctype``."""
    return str(ctype.get_canonical().spelling).removeprefix("const ")


def _unnamed(declaration: Cursor) -> bool:
    """Whether ``declaration`` is of a struct, union or enum that has no name at all."""
    return declaration.kind in (*_RECORDS, CursorKind.ENUM_DECL) and "(" in _canonical(
        declaration.type
    )


def _element(ctype: cindex.Type) -> cindex.Type:
    """What ``ctype`` is made of, behind arrays and pointers."""
    while True:
        if ctype.kind in _ARRAYS:
            ctype = ctype.element_type
        elif ctype.kind == TypeKind.POINTER:
            ctype = ctype.get_pointee()
        else:
            return ctype


def _unbalanced(bodies: dict[str, list[str]]) -> set[str]:
    """The macros with a bracket that they do not close, or that use such a one, or that end a
    statement: behind one of them no other could be evaluated."""
    pairs = {")": "(", "]": "[", "}": "{"}

    def unbalanced(tokens: list[str]) -> bool:
        open_ = []
        for token in tokens:
            if token in pairs.values():
                open_.append(token)
            elif (token in pairs and (not open_ or open_.pop() != pairs[token])) or (
                token in (";", "#") and not open_
            ):
                return True
        return bool(open_)

    result = {name for name, tokens in bodies.items() if unbalanced(tokens)}
    while True:
        more = {name for name, tokens in bodies.items() if result & set(tokens)} - result
        if not more:
            return result
        result |= more


@cache
def _index() -> cindex.Index:
    libclang.choose()
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
_CALLS_AS_C = 1
_CHARS = (TypeKind.CHAR_S, TypeKind.CHAR_U)


def _value(cursor: Cursor) -> Value | None:
    """The value of a variable's initialiser, None where it is not a constant of our kinds: an
    integer of at most 64 bits, a finite float or double, a string of UTF-8."""
    ctype = cursor.type.get_canonical()
    lib = _lib()
    result = lib.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        kind = lib.clang_EvalResult_getKind(result)
        if kind == _EVAL_INT:
            if ctype.kind in (TypeKind.INT128, TypeKind.UINT128, TypeKind.POINTER):
                return None
            if lib.clang_EvalResult_isUnsignedInt(result):
                return int(lib.clang_EvalResult_getAsUnsigned(result))
            return int(lib.clang_EvalResult_getAsLongLong(result))
        if kind == _EVAL_FLOAT and ctype.kind in (TypeKind.FLOAT, TypeKind.DOUBLE):
            number = float(lib.clang_EvalResult_getAsDouble(result))
            return number if math.isfinite(number) else None
        if kind == _EVAL_STRING:
            return _text(ctype, lib.clang_EvalResult_getAsStr(result))
        return None
    finally:
        lib.clang_EvalResult_dispose(result)


def _text(ctype: cindex.Type, data: bytes) -> str | None:
    array = ctype.kind in _ARRAYS
    if (ctype.element_type if array else ctype.get_pointee()).kind not in _CHARS:
        return None
    if array and ctype.get_array_size() != len(data) + 1:
        return None  # a NUL inside, where libclang stops reading
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


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
    match = re.search(r"\buse (\w+)", hint.decode("utf-8", "replace"), re.ASCII)
    return match[1] if match else None


def _require_no_errors(tu: TranslationUnit, header: Path) -> None:
    """A count of functions is no check: libclang goes on after errors, with wrong types."""
    for diagnostic in tu.diagnostics:
        if diagnostic.severity >= cindex.Diagnostic.Error:
            location = diagnostic.location
            name, line = location.file.name if location.file else "?", location.line
            if name == tu.spelling:
                # Our own text around the header: it ended in the middle of something.
                name, line = header.name, len(header.read_bytes().splitlines())
            raise CodegenError(f"{Path(name).name}:{line}: {diagnostic.spelling}")
