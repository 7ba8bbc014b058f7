"""C headers to `Api`, through libclang. Nothing here knows of Python output.

The parse is hermetic: no system header is read, only the stubs in ``sysroot``, so that the result
is the same on every machine. It runs for several 64-bit targets. Declarations that cannot be
expressed, or that differ between targets, are left out with the reason; ``rules`` has the rules of
ctypes and Python.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from clang import cindex
from clang.cindex import Cursor, CursorKind, StorageClass, TokenKind, TypeKind

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
)
from .clang import (
    ARRAYS,
    Unit,
    lib,
    probed,
    replacement,
    require_no_errors,
    translate,
    value_of,
)
from .errors import CodegenError
from .rules import in_order

T = TypeVar("T", Macro, Enum, Struct, Typedef, Function, Omission)

_PROBE = "llama_py_probe_"
_UNDEFINED = "llama_py_undefined_"
_RECORDS = (CursorKind.STRUCT_DECL, CursorKind.UNION_DECL, CursorKind.CLASS_DECL)
_TAGS = (*_RECORDS, CursorKind.ENUM_DECL)
_FUNCTIONS = (TypeKind.FUNCTIONPROTO, TypeKind.FUNCTIONNOPROTO)
_CALLS_AS_C = 1
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
    TypeKind.LONG: "long",
    TypeKind.ULONG: "unsigned long",
    TypeKind.LONGLONG: "long long",
    TypeKind.ULONGLONG: "unsigned long long",
    TypeKind.FLOAT: "float",
    TypeKind.DOUBLE: "double",
    TypeKind.LONGDOUBLE: "long double",
    TypeKind.WCHAR: "wchar_t",
}
# The system's types that keep their names, because ctypes has each for all targets.
_STANDARD = (
    "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t", "uint64_t",
    "intptr_t", "uintptr_t", "size_t", "ssize_t", "ptrdiff_t", "time_t", "wchar_t", "FILE",
)  # fmt: skip
_PLACES = {"__FILE__", "__LINE__", "__COUNTER__", "__func__", "__FUNCTION__", "__INCLUDE_LEVEL__"}
_VA_LISTS = ("va_list", "__builtin_va_list", "__gnuc_va_list", "__va_list_tag")
# Members that only a struct of C++ can have
_CLASS = (
    CursorKind.CXX_BASE_SPECIFIER, CursorKind.CONSTRUCTOR, CursorKind.DESTRUCTOR,
    CursorKind.CXX_METHOD,
)  # fmt: skip


class _Unsupported(CodegenError):
    """A declaration that is left out, with the reason."""


def parse(unit: Unit, tag: str, targets: tuple[str, ...] = ()) -> Api:
    """The API that ``unit`` declares, equal on all ``targets``.

    Raises CodegenError for a header that does not compile or declares nothing.
    """
    targets = targets or unit.targets
    first, *others = [_Reader(unit, target).read(tag) for target in targets]
    for target, other in zip(targets[1:], others, strict=True):
        first = _agreed(_common_macros(first, other), other, targets[0], target)
    return _known_replacements(first)


def _common_macros(a: Api, b: Api) -> Api:
    """``a`` without the macros that ``b`` lacks or has with another value, which is normal."""
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
        omissions=in_order(a, [*a.omissions, *omissions]),
    )


def _agreed(a: Api, b: Api, a_target: str, b_target: str) -> Api:
    """The declarations that ``a`` and ``b`` share. Omissions and places may differ."""
    kept: dict[str, Any] = {}
    omissions = list(a.omissions)
    for kind in ("enums", "structs", "typedefs", "functions"):
        there = {_key(value): value for value in getattr(b, kind)}
        kept[kind] = []
        for value in getattr(a, kind):
            other = there.pop(_key(value), None)
            reason = _difference(value, other, a_target, b_target)
            if reason is None:
                if isinstance(value, Function) and value.symbols and "windows" in b_target:
                    value = replace(value, symbols=(value.symbols[0], *other.symbols))
                kept[kind].append(value)
                continue
            if isinstance(value, Struct):  # its fields are left out
                reason = f"only a handle: {reason}"
                if value.opaque or (other and other.opaque):
                    reason = ""
                kept[kind].append(replace(value, size=None, align=None, fields=(), pack=None))
            if reason:
                omissions.append(Omission(_key(value), reason, value.place))
        known = {o.name for o in omissions}
        for value in there.values():
            if _key(value) not in known:
                reason = f"declared on {b_target} only"
                omissions.append(Omission(_key(value), reason, value.place))
    omissions += [o for o in b.omissions if o.name not in {o.name for o in omissions}]
    changed: dict[str, Any] = {kind: tuple(values) for kind, values in kept.items()}
    return replace(a, **changed, omissions=in_order(a, omissions))


def _key(value: Any) -> str:
    """The name; an enum without one goes by its first constant."""
    return str(value.name or value.constants[0][0])


def _difference(a: Any, b: Any, a_target: str, b_target: str) -> str | None:
    """The first difference between ``a`` on one target and ``b`` on another. Sizes and offsets,
    which ctypes works out itself, do not count, nor does the sign of an enum's type."""
    if b is None:
        return f"not declared on {b_target}"
    for one, two in zip(_comparable(a), _comparable(b), strict=True):
        if one != two:
            return f"{one} on {a_target} and {two} on {b_target}"
    return None


def _comparable(value: Any) -> list[str]:
    if isinstance(value, Enum):
        constants = ", ".join(f"{name} = {n % 2**32}" for name, n in value.constants)
        return [f"{{{constants}}}", value.type.removeprefix("unsigned ")]
    if isinstance(value, Struct):
        fields = [(f.name, str(f.type), f.bits) for f in value.fields]
        return [
            "union" if value.union else "struct",
            "not defined" if value.opaque else f"with {len(fields)} fields",
            f"packed to {value.pack}",
            *(f"{name}: {ctype} {bits or ''}".strip() for name, ctype, bits in fields),
        ]
    if isinstance(value, Typedef):
        return [str(value.type)]
    return [str(value.type), "deprecated" if value.deprecated else "not deprecated"]


def _known_replacements(api: Api) -> Api:
    """Keep only replacements that are functions: "use the new one" does not name one."""
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
        self.path = unit.path
        self.declaration = ""  # the name and the place of the declaration that is being read
        self.where = Place("", 0)
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
        tu = translate(self.unit, self.target, self.path.name, f'#include "{self.path.name}"\n')
        require_no_errors(tu, self.path)
        macros = []
        for cursor in _declarations(tu.cursor):
            place = self._place(cursor)
            if place is None:
                continue
            kind = _kind(cursor)
            if kind == CursorKind.MACRO_DEFINITION:
                macros.append((cursor, place))
            elif kind not in (CursorKind.INCLUSION_DIRECTIVE, CursorKind.MACRO_INSTANTIATION):
                self.declaring.setdefault(place.header, cursor.location.file.name)
                try:
                    self._declare(cursor, place)
                except _Unsupported as error:
                    self.omissions.append(Omission(cursor.spelling, str(error), place))
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

    # -- declarations

    def _declare(self, cursor: Cursor, place: Place) -> None:
        self.declaration, self.where = cursor.spelling, place
        kind = cursor.kind
        if kind == CursorKind.FUNCTION_DECL:
            self._function(cursor, place)
        elif kind in _TAGS:
            self._tag(cursor, place)
        elif kind in (CursorKind.TYPEDEF_DECL, CursorKind.TYPE_ALIAS_DECL):
            self._typedef(cursor, place)
        elif kind == CursorKind.VAR_DECL:
            self._variable(cursor, place)

    def _function(self, cursor: Cursor, place: Place) -> None:
        name = _name(cursor)
        if cursor.storage_class == StorageClass.STATIC or lib().clang_Cursor_isFunctionInlined(
            cursor
        ):
            self.omissions.append(
                Omission(name, "a static or inline function: no library exports it", place)
            )
            return
        ctype = cursor.type
        params = tuple(
            Param(_name(p), self._type(p.type, p, param=True)) for p in cursor.get_arguments()
        )
        result = self._type(ctype.get_result(), cursor)
        self._require_c_calls(ctype, cursor)
        known = self.functions.get(name)
        symbols = self._symbols(cursor, name)
        if known is not None and known.symbols != symbols:
            del self.functions[name]
            raise _Unsupported("overloaded in C++, so that its name means several functions")
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
            replacement=replacement(cursor) if deprecated else None,
            place=known.place if known else place,
            symbols=symbols,
        )

    def _symbols(self, cursor: Cursor, name: str) -> tuple[str, ...]:
        """The symbols of a function with C++ linkage; empty for one with C linkage."""
        if self.unit.language == "c":
            return ()
        symbol = str(cursor.mangled_name)
        symbol = symbol[1:] if "apple" in self.target else symbol
        return () if symbol == name else (symbol,)

    def _tag(self, cursor: Cursor, place: Place) -> None:
        """A struct, union or enum on its own. One without a name is read later, by its typedef or
        field."""
        if cursor.kind == CursorKind.ENUM_DECL:
            if not _unnamed(cursor):
                self._enum(cursor, _name(cursor), place, tagged=_tagged(cursor))
            elif cursor.hash not in self.unnamed:
                self._enum(cursor, "", place, tagged=False)
        elif not _unnamed(cursor) and not cursor.is_anonymous():
            self._named_struct(cursor, _name(cursor), place, tagged=_tagged(cursor))

    def _named_struct(self, cursor: Cursor, name: str, place: Place, *, tagged: bool) -> None:
        """A struct, as a handle if its fields cannot be had."""
        before = set(self.unnamed)
        try:
            self._struct(cursor, name, place, tagged=tagged)
        except _Unsupported as error:
            for inside in self.unnamed.keys() - before:
                made_up = self.unnamed.pop(inside)
                self.structs.pop(made_up, None)
                self.enums.pop(made_up, None)
            union = cursor.kind == CursorKind.UNION_DECL
            self.structs[name] = Struct(name, union, tagged, None, None, (), place)
            self.omissions.append(Omission(name, f"only a handle: {error}", place))

    def _struct(
        self, cursor: Cursor, name: str, place: Place, *, tagged: bool, within: str = "anonymous"
    ) -> None:
        known = self.structs.get(name)
        if known is not None and (not known.opaque or not cursor.is_definition()):
            return
        union = cursor.kind == CursorKind.UNION_DECL
        if not cursor.is_definition():
            self.structs[name] = Struct(name, union, tagged, None, None, (), place)
            return
        self.structs.pop(name, None)  # the definition's place in the order counts
        for child in cursor.get_children():
            kind = _kind(child)
            if kind in _CLASS and (kind != _CLASS[-1] or child.is_virtual_method()):
                raise _Unsupported("a class of C++ with a base, a constructor or virtual methods")
        fields, slots = [], []
        for field, slot in self._fields(cursor, name, place, within):
            fields.append(field)
            slots.append(slot)
        self.structs.pop(name, None)  # that of a pointer to itself
        self.structs[name] = Struct(
            name=name,
            union=union,
            tagged=tagged,
            size=cursor.type.get_size(),
            align=cursor.type.get_align(),
            fields=tuple(fields),
            place=place,
            pack=_pack(cursor, fields, slots, union),
        )

    def _fields(
        self, cursor: Cursor, name: str, place: Place, within: str
    ) -> Iterator[tuple[Field, _Slot]]:
        inside = [c for c in cursor.get_children() if _kind(c) in _TAGS]
        for child in inside:
            if not _unnamed(child):
                self._tag(child, self._place(child) or place)
        inner = 0
        for field in cursor.type.get_fields():
            where = Place(place.header, field.location.line)
            # libclang puts the file's path into the spelling of unnamed fields.
            field_name = "" if "(" in field.spelling else _name(field)
            made_up = f"{within}_{inner}"
            declaration = _element(field.type).get_declaration()
            if declaration.hash not in self.unnamed and _unnamed(declaration):
                inner_name = f"{name}_{field_name or f'anonymous_{inner}'}"
                while inner_name in self.structs or inner_name in self.enums:
                    inner_name += "_"
                self.unnamed[declaration.hash] = inner_name
                if declaration.kind == CursorKind.ENUM_DECL:
                    self._enum(declaration, inner_name, where, tagged=False)
                else:
                    prefix = "anonymous" if field_name else made_up
                    self._struct(declaration, inner_name, where, tagged=False, within=prefix)
            yield self._field(field, field_name, made_up)
            inner += not field_name or declaration.hash in self.unnamed
        for child in inside:
            if child.kind == CursorKind.ENUM_DECL:
                self._tag(child, self._place(child) or place)

    def _field(self, cursor: Cursor, name: str, made_up: str) -> tuple[Field, _Slot]:
        ctype, size = cursor.type, max(cursor.type.get_size(), 0)
        offset, bits = cursor.get_field_offsetof(), None
        if cursor.is_bitfield():
            bits = cursor.get_bitfield_width(), offset % (8 * size)
            if not bits[0]:
                raise _Unsupported("it has a bit-field of width 0")
            offset -= bits[1]
        field = Field(
            name=name or made_up,
            type=self._type(ctype, cursor),
            offset=offset // 8,
            size=size,
            anonymous=not name and not bits,
            bits=bits,
        )
        # Of the canonical type, because ctypes has no attributes of typedefs.
        return field, _Slot(size, ctype.get_canonical().get_align(), bits[0] if bits else None)

    def _enum(self, cursor: Cursor, name: str, place: Place, *, tagged: bool) -> None:
        key = name or f"@{place}:{cursor.location.column}"
        if not cursor.is_definition() or key in self.enums:
            return
        constants = []
        flags = False
        for constant in cursor.get_children():
            if _kind(constant) != CursorKind.ENUM_CONSTANT_DECL:
                continue
            constants.append((_name(constant), constant.enum_value))
            flags = flags or any(
                _kind(child) == CursorKind.BINARY_OPERATOR
                and any(token.spelling == "<<" for token in child.get_tokens())
                for child in constant.get_children()
            )
        values = [value for _, value in constants]
        # A negative value has all the upper bits, so it is no set of flags.
        flags = flags and min(values, default=0) >= 0
        ctype = _integer(cursor.type.get_size(), values)
        self.enums[key] = Enum(name, tuple(constants), flags, place, tagged or not name, ctype)

    def _typedef(self, cursor: Cursor, place: Place) -> None:
        name = _name(cursor)
        if name in self.typedefs:
            return
        if name in _STANDARD:
            raise _Unsupported("a type of the C library")
        underlying = cursor.underlying_typedef_type
        record = underlying.get_declaration()
        if _canonical(underlying) == name and (record.kind not in _TAGS or not _tagged(record)):
            # `typedef struct { ... } name`: the typedef is the only name that it has.
            if record.kind in _RECORDS:
                self._named_struct(record, name, place, tagged=False)
            return
        self.typedefs[name] = Typedef(name, self._type(underlying, cursor), place)

    def _variable(self, cursor: Cursor, place: Place) -> None:
        name = _name(cursor)
        constant = cursor.type.is_const_qualified() or (
            cursor.type.kind in ARRAYS and cursor.type.element_type.is_const_qualified()
        )
        value = None
        if cursor.storage_class == StorageClass.STATIC and constant:
            value = value_of(cursor)
        if value is None:
            reason = "a variable: only functions, types and constants are bound"
            self.omissions.append(Omission(name, reason, place))
        else:  # a constant in all but name
            self.macros.append(Macro(name, value, True, place))

    # -- types

    def _type(self, ctype: cindex.Type, cursor: Cursor, *, param: bool = False) -> Type:
        """``ctype`` in our terms. A parameter that is an array or a function is a pointer."""
        kind = ctype.kind
        if kind in _BUILTINS:
            return Named(_BUILTINS[kind])
        canonical, declaration = ctype.get_canonical(), ctype.get_declaration()
        if declaration.spelling in _VA_LISTS:
            return Named("va_list")
        if param and canonical.kind in ARRAYS:
            # Of a constant array the elements are, and libclang says so of one or the other.
            const = ctype.is_const_qualified() or canonical.is_const_qualified()
            while ctype.kind not in ARRAYS:
                ctype = ctype.get_declaration().underlying_typedef_type
            const = const or ctype.element_type.is_const_qualified()
            return Pointer(self._type(ctype.element_type, cursor), const)
        if param and canonical.kind in _FUNCTIONS:
            return Pointer(self._type(ctype, cursor))
        if kind == TypeKind.POINTER:
            to = ctype.get_pointee()
            if to.is_restrict_qualified():
                self._refuse(ctype, cursor, "a pointer to a restricted pointer")
            return Pointer(
                self._type(to, cursor), to.is_const_qualified(), to.is_volatile_qualified()
            )
        if kind in ARRAYS:
            # At the end of a struct it may have no length: as many as there is memory for.
            length = max(ctype.get_array_size(), 0)
            return Array(self._type(ctype.element_type, cursor), length)
        declared = declaration.kind
        if declared in (CursorKind.TYPEDEF_DECL, CursorKind.TYPE_ALIAS_DECL):
            if self._place(declaration) is None and declaration.spelling not in _STANDARD:
                return self._foreign(ctype, cursor)
            if declaration.spelling == "FILE" or _canonical(ctype) != declaration.spelling:
                # Canonical spellings end at the struct; a typedef on the way keeps its name.
                return Named(declaration.spelling)
        if declared in (*_TAGS, CursorKind.TYPEDEF_DECL):
            return self._tagged(ctype, cursor)
        if canonical.kind in _FUNCTIONS:  # also behind parentheses, which have no kind
            self._require_c_calls(ctype, cursor)
            return FunctionType(
                tuple(
                    self._type(lib().clang_getArgType(ctype, i), cursor, param=True)
                    for i in range(max(0, lib().clang_getNumArgTypes(ctype)))
                ),
                self._type(lib().clang_getResultType(ctype), cursor),
                _variadic(ctype),
            )
        self._refuse(ctype, cursor, "a type that has no form in ctypes on every platform")

    def _foreign(self, ctype: cindex.Type, cursor: Cursor) -> Type:
        """A typedef from outside the headers: its target type, if it can be expressed."""
        declaration = ctype.get_canonical().get_declaration()
        if declaration.kind == CursorKind.ENUM_DECL:
            return self._type(declaration.enum_type.get_canonical(), cursor)
        if declaration.kind in _RECORDS:
            return self._tagged(ctype, cursor)
        return self._type(ctype.get_declaration().underlying_typedef_type, cursor)

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
        name = declaration.spelling
        if name in _VA_LISTS:
            return Named("va_list")
        if "<" in _canonical(ctype) or "::" in _canonical(ctype):
            self._refuse(ctype, cursor, "a class of C++")
        place, tagged = self._place(declaration), _tagged(declaration)
        if keyword != "enum" and name not in self.structs:
            # First seen where it is used, as in `struct a { struct b * next; }`, or the system's.
            union = declaration.kind == CursorKind.UNION_DECL
            where = place or self.where
            self.structs[name] = Struct(name, union, tagged, None, None, (), where)
        return Named(f"{keyword} {name}" if tagged else name)

    def _require_c_calls(self, ctype: cindex.Type, cursor: Cursor) -> None:
        if lib().clang_getFunctionTypeCallingConv(ctype) != _CALLS_AS_C:
            self._refuse(ctype, cursor, "called in another way than C's")

    def _refuse(self, ctype: cindex.Type, cursor: Cursor, why: str) -> NoReturn:
        spelling = re.sub(r" at [^()]*:\d+:\d+\)", ")", ctype.spelling)  # no path of this machine
        of = "" if cursor.spelling == self.declaration else f"{cursor.spelling}: "
        raise _Unsupported(f"{of}{spelling!r} is {why}")

    # -- macros

    def _evaluate(self, found: list[tuple[Cursor, Place]]) -> None:
        """The values of the object-like macros, as the compiler computes them.

        Each gets a probe variable in a second parse; without a valid initialiser it has no value.
        """
        # Defined more than once: the last definition is the one that counts. Names that begin
        # with an underscore are set for the compiler or the platform, not for us.
        seen = {c.spelling: (c, place) for c, place in found if not c.spelling.startswith("_")}
        reasons: dict[str, str] = {}
        hints: dict[str, str] = {}
        bodies: dict[str, list[str]] = {}
        for name, (cursor, _) in seen.items():
            tokens = list(cursor.get_tokens())[1:]
            bodies[name] = [token.spelling for token in tokens]
            if not name.isascii() or not re.fullmatch(r"\w*", name):
                reasons[name] = _ODD_NAME
            elif lib().clang_Cursor_isMacroFunctionLike(cursor):
                reasons[name] = "a function-like macro: only the preprocessor can expand it"
            elif not tokens:
                reasons[name] = "a macro without a value"
            elif not _PLACES.isdisjoint(bodies[name]):
                reasons[name] = "a macro that depends on where it stands"
            elif tokens[0].kind == TokenKind.KEYWORD:  # `sizeof` is one too, so it is tried
                hints[name] = "a macro for keywords or attributes, not for a value"
        for name in _unbalanced(bodies):
            reasons.setdefault(name, "a macro for a piece of code, not for a value")
        # C++ says of a string that it is a reference to it.
        typed = "auto" if self.unit.language == "c++" else "__typeof__((%s))"
        text = f'#include "{self.path.name}"\n' + "".join(
            f"#ifdef {name}\n"
            f"static const {typed.replace('%s', name)} {_PROBE}{name} = ({name});\n"
            f"#else\nstatic int {_UNDEFINED}{name};\n#endif\n"
            for name in seen
            if name not in reasons
        )
        tu = translate(self.unit, self.target, "macros", text)
        values = dict(probed(tu, _PROBE))
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
        """The place of ``cursor``, or None outside the headers of the unit."""
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
        name = None if file.suffix == ".c" else self.unit.name(file)
        if name is None or not any(fnmatchcase(name, pattern) for pattern in self.unit.own):
            return None
        # It goes into comments and docstrings.
        if not re.fullmatch(r"[\w.+/-]+", name, re.ASCII):
            raise CodegenError(f"a header cannot be called {name!r}")
        return name


# -- layout


@dataclass(frozen=True)
class _Slot:
    """The room for a field: bytes, the natural alignment of its type, and its bits."""

    size: int
    align: int
    bits: int | None


def _pack(cursor: Cursor, fields: list[Field], slots: list[_Slot], union: bool) -> int | None:
    """The packing with which ctypes lays out a struct as C does."""
    wanted = [8 * f.offset + (f.bits[1] if f.bits else 0) for f in fields]
    size, align = cursor.type.get_size(), cursor.type.get_align()
    for pack in (None, 1, 2, 4, 8):
        if _laid_out(slots, union, pack) == (wanted, size, align):
            if pack and any(slot.bits for slot in slots):
                raise _Unsupported("it is packed and has bit-fields")
            return pack
    if any(slot.bits for slot in slots):
        raise _Unsupported("ctypes would lay out its bit-fields in another way")
    raise _Unsupported(
        f"aligned or empty: with size {size} and alignment {align} it has no form in ctypes"
    )


def _laid_out(slots: list[_Slot], union: bool, pack: int | None) -> tuple[list[int], int, int]:
    """Where ctypes puts each field, in bits, and size and alignment of the whole. Bit-fields share
    a unit only with neighbours of the same size, as on every platform."""
    places, size, largest = [], 0, 1
    unit, used = 0, 0  # bytes of the unit that takes more bit-fields, and bits that it has
    for slot in slots:
        align = min(slot.align, pack or slot.align)
        largest = max(largest, align)
        if slot.bits and slot.size == unit and used + slot.bits <= 8 * unit and not union:
            places.append(8 * (size - unit) + used)
            used += slot.bits
            continue
        start = 0 if union else -(-size // align) * align
        places.append(8 * start)
        size = max(size, start + slot.size)
        unit, used = (slot.size, slot.bits) if slot.bits else (0, 0)
    return places, -(-size // largest) * largest, largest


def _integer(size: int, values: list[int]) -> str:
    """The integer that holds an enum: int, unless it is too narrow."""
    if size == 4:
        return "unsigned int" if max(values, default=0) >= 2**31 else "int"
    signed = min(values, default=0) < 0
    if size == 1:
        return "signed char" if signed else "unsigned char"
    return "unsigned " * (not signed) + {2: "short", 8: "long long"}[size]


# -- libclang


_ODD_NAME = "its name is not one of ASCII letters, digits and _"


def _declarations(cursor: Cursor) -> Iterator[Cursor]:
    """The declarations in a file, including those in `extern "C" { }`."""
    for child in cursor.get_children():
        if _kind(child) in (CursorKind.LINKAGE_SPEC, CursorKind.UNEXPOSED_DECL):
            yield from _declarations(child)
        else:
            yield child


def _kind(cursor: Cursor) -> CursorKind | None:
    """The kind, None for one that the Python module has no name for, as of some attributes."""
    try:
        return cursor.kind
    except ValueError:
        return None


def _name(cursor: Cursor) -> str:
    """The declared name, which must be valid in Python and in a docstring.

    Python accepts more letters, but treats some that look alike as equal, and rejects `$`.
    """
    name = str(cursor.spelling)
    if not re.fullmatch(r"\w*", name, re.ASCII):
        raise _Unsupported(f"{name!r}: {_ODD_NAME}")
    return name


def _tagged(declaration: Cursor) -> bool:
    """Whether a struct, union or enum has a tag, and not only its name from a typedef."""
    return not re.search("@[SUE]A@[^@]*$", declaration.get_usr())


def _variadic(ctype: cindex.Type) -> bool:
    """Whether it ends in `...`; libclang says so too where C names no parameters at all."""
    return ctype.get_canonical().kind == TypeKind.FUNCTIONPROTO and bool(
        lib().clang_isFunctionTypeVariadic(ctype)
    )


def _canonical(ctype: cindex.Type) -> str:
    """How C calls the struct, union or enum behind ``ctype``."""
    spelling = str(ctype.get_canonical().spelling)
    return spelling.removeprefix("const ").removeprefix("volatile ")


def _unnamed(declaration: Cursor) -> bool:
    """Whether ``declaration`` is of a struct, union or enum that has no name at all."""
    return declaration.kind in _TAGS and "(" in _canonical(declaration.type)


def _element(ctype: cindex.Type) -> cindex.Type:
    """The innermost element type of ``ctype``, below arrays and pointers."""
    while True:
        if ctype.kind in ARRAYS:
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
                token in (";", ",", "#") and not open_
            ):
                return True
        return bool(open_)

    result = {name for name, tokens in bodies.items() if unbalanced(tokens)}
    while True:
        more = {name for name, tokens in bodies.items() if result & set(tokens)} - result
        if not more:
            return result
        result |= more
