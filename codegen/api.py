"""The C API as data: plain frozen values, and their text form in ``api.json``.

``parse`` makes an `Api` from headers, ``render`` makes Python from an `Api`, and neither knows
the other. C types are written in prefix notation, which needs no parentheses to be unambiguous
and reads from left to right:

    *const char          pointer to constant char
    [128]char            array of 128 chars
    fn(*void, float) bool        function taking (void *, float) and returning bool
    struct llama_batch   a struct, union or enum by its tag; anything else is a typedef or builtin
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .server import model as server_model
from .server.model import Server

FORMAT = 1

Value: TypeAlias = int | float | str
Use: TypeAlias = Literal["value", "call", "pointer"]


@dataclass(frozen=True)
class Named:
    """A builtin, a typedef, or a struct, union or enum with its keyword."""

    name: str

    @property
    def tag(self) -> str:
        """``struct``, ``union`` or ``enum`` for a tagged type, otherwise the empty string."""
        keyword, _, rest = self.name.partition(" ")
        return keyword if rest and keyword in ("struct", "union", "enum") else ""

    @property
    def bare(self) -> str:
        """The name without its keyword."""
        return self.name.partition(" ")[2] if self.tag else self.name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Pointer:
    """A pointer; ``const`` and ``volatile`` qualify its target."""

    to: Type
    const: bool = False
    volatile: bool = False

    def __str__(self) -> str:
        return f"*{'const ' * self.const}{'volatile ' * self.volatile}{self.to}"


@dataclass(frozen=True)
class Array:
    """An array of a known length."""

    of: Type
    length: int

    def __str__(self) -> str:
        return f"[{self.length}]{self.of}"


@dataclass(frozen=True)
class FunctionType:
    """A function's type; C reaches it through a pointer only."""

    params: tuple[Type, ...]
    result: Type
    variadic: bool = False

    def __str__(self) -> str:
        inner = ", ".join([*map(str, self.params), *(["..."] if self.variadic else [])])
        return f"fn({inner}) {self.result}"


Type: TypeAlias = Named | Pointer | Array | FunctionType
VOID = Named("void")


def uses(ctype: Type, how: Use = "value") -> Iterator[tuple[Named, Use]]:
    """The names in ``ctype``, each with its use: its ``value`` is a part of the type, a
    ``call`` passes it, or there is only a ``pointer`` to it."""
    if isinstance(ctype, Named):
        yield ctype, how
    elif isinstance(ctype, Pointer):
        yield from uses(ctype.to, "pointer")
    elif isinstance(ctype, Array):
        yield from uses(ctype.of, "value")
    else:
        for part in (ctype.result, *ctype.params):
            yield from uses(part, "call")


def element(ctype: Type) -> Type:
    """The innermost element type of ``ctype``, below arrays and pointers."""
    while isinstance(ctype, Array | Pointer):
        ctype = ctype.of if isinstance(ctype, Array) else ctype.to
    return ctype


@cache
def parse_type(text: str) -> Type:
    """Read a type from its prefix notation."""
    ctype, rest = _read_type(text)
    if rest:
        raise ValueError(f"unexpected {rest!r} after a type in {text!r}")
    return ctype


def _read_type(text: str) -> tuple[Type, str]:
    if text.startswith("*"):
        text, const = _after(text[1:], "const ")
        text, volatile = _after(text, "volatile ")
        to, rest = _read_type(text)
        return Pointer(to, const, volatile), rest
    if text.startswith("["):
        length, _, rest = text[1:].partition("]")
        of, rest = _read_type(rest)
        return Array(of, int(length)), rest
    if text.startswith("fn("):
        params: list[Type] = []
        variadic = False
        rest = text[3:]
        while not rest.startswith(")"):
            if rest.startswith("..."):
                variadic, rest = True, rest[3:]
            else:
                param, rest = _read_type(rest)
                params.append(param)
            rest = rest.removeprefix(", ")
        result, rest = _read_type(rest[1:].removeprefix(" "))
        return FunctionType(tuple(params), result, variadic), rest
    end = min((i for i in map(text.find, ",)") if i >= 0), default=len(text))
    if not text[:end].strip():
        raise ValueError(f"a type is missing in {text!r}")
    return Named(text[:end]), text[end:]


def _after(text: str, word: str) -> tuple[str, bool]:
    return text.removeprefix(word), text.startswith(word)


def c_declaration(
    ctype: Type, name: str = "", *, const: bool = False, volatile: bool = False
) -> str:
    """The C declaration of ``name`` with the type ``ctype``."""
    qualifiers = "const " * const + "volatile " * volatile
    if isinstance(ctype, Pointer):
        inner = f"*{name}"
        if isinstance(ctype.to, Array | FunctionType):
            inner = f"({inner})"
        if qualifiers:  # a constant pointer, as in `char * const *`
            inner = inner.replace("*", f"*{qualifiers}", 1)
        return c_declaration(ctype.to, inner, const=ctype.const, volatile=ctype.volatile)
    if isinstance(ctype, Array):
        name = f"{name}[{ctype.length}]"
        return c_declaration(ctype.of, name, const=const, volatile=volatile)
    if isinstance(ctype, FunctionType):
        params = [c_declaration(p) for p in ctype.params] + (["..."] if ctype.variadic else [])
        return c_declaration(ctype.result, f"{name}({', '.join(params) or 'void'})")
    return f"{qualifiers}{ctype} {name}".rstrip()


@dataclass(frozen=True)
class Place:
    """Where a header declares something."""

    header: str
    line: int

    def __str__(self) -> str:
        return f"{self.header}:{self.line}"


@dataclass(frozen=True)
class Macro:
    """An object-like macro with a value, or a ``static const`` variable, which is one in effect."""

    name: str
    value: Value
    variable: bool
    place: Place


@dataclass(frozen=True)
class Enum:
    """An enumeration; ``flags`` if C writes its constants with shifts.

    ``tagged`` is False if its name comes from a typedef, or, inside a struct, from the generator.
    ``type`` is its integer type.
    """

    name: str
    constants: tuple[tuple[str, int], ...]
    flags: bool
    place: Place
    tagged: bool = True
    type: str = "int"


@dataclass(frozen=True)
class Field:
    """A member of a struct; ``offset`` and ``size`` in bytes, ``bits`` of a bit-field only: how
    many, and how many of them come before it in the integer at ``offset``."""

    name: str
    type: Type
    offset: int
    size: int
    anonymous: bool = False
    bits: tuple[int, int] | None = None


@dataclass(frozen=True)
class Struct:
    """A struct or union. ``size`` is None when the header only declares it (a handle).

    ``tagged`` is False if it has no tag: its name comes from a typedef, or, inside another struct,
    from the generator. ``pack`` is the maximum alignment of a field, None without a limit.
    """

    name: str
    union: bool
    tagged: bool
    size: int | None
    align: int | None
    fields: tuple[Field, ...]
    place: Place
    pack: int | None = None

    @property
    def opaque(self) -> bool:
        return self.size is None


@dataclass(frozen=True)
class Typedef:
    """A second name for a type; those of function pointers are the callback types."""

    name: str
    type: Type
    place: Place


@dataclass(frozen=True)
class Param:
    """A parameter; the name is empty where the header gives none."""

    name: str
    type: Type


@dataclass(frozen=True)
class Function:
    """A function. ``deprecated`` if the header says so, with the replacement if it names one.
    ``symbols`` are a C++ function's names in a library, and in a library for Windows."""

    name: str
    result: Type
    params: tuple[Param, ...]
    variadic: bool
    deprecated: bool
    replacement: str | None
    place: Place
    symbols: tuple[str, ...] = ()

    @property
    def type(self) -> FunctionType:
        return FunctionType(tuple(p.type for p in self.params), self.result, self.variadic)

    @property
    def prototype(self) -> str:
        """The declaration in C, on one line."""
        params = [c_declaration(p.type, p.name) for p in self.params]
        params += ["..."] if self.variadic else []
        return c_declaration(self.result, f"{self.name}({', '.join(params) or 'void'})")


@dataclass(frozen=True)
class Omission:
    """A declaration of a header that has no Python form, with the reason."""

    name: str
    reason: str
    place: Place


@dataclass(frozen=True)
class Header:
    """A header that was read, and the SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Api:
    """Everything that a set of headers declares, in the order of declaration.

    ``module`` is its Python module, and its functions are in the library ``library``. If there is
    a ``base``, the declarations of its headers are in the base, not here.
    """

    tag: str
    headers: tuple[Header, ...]
    macros: tuple[Macro, ...]
    enums: tuple[Enum, ...]
    structs: tuple[Struct, ...]
    typedefs: tuple[Typedef, ...]
    functions: tuple[Function, ...]
    omissions: tuple[Omission, ...]
    # Function that returns a struct of defaults -> field -> value, as the C source has it.
    defaults: dict[str, dict[str, Value]]
    module: str = "_raw"
    library: str = "llama"
    base: Api | None = None
    unstable: bool = False
    # The options and fields of llama-server; in the first set of bindings only.
    server: Server | None = field(default=None, compare=False, repr=False)

    @property
    def file(self) -> str:
        """The name of its file."""
        return api_file(self.module)

    @property
    def standalone(self) -> bool:
        """Whether the module belongs to a user, not to the package, and loads its own library."""
        return "_raw" not in (self.module, self.base.module if self.base else "")

    @property
    def aliases(self) -> dict[str, Type]:
        """Typedef -> its target type, including the base's typedefs."""
        base = self.base.aliases if self.base else {}
        return base | {t.name: t.type for t in self.typedefs}


def api_file(module: str) -> str:
    """The name of the file with a module's API: api.json, and for _raw_x api_x.json."""
    return f"api{module.removeprefix('_raw')}.json"


def dump(api: Api) -> str:
    """``api`` as JSON text: one declaration a line, so that a header update reads well as a diff.

    Line numbers are separate, in the last line, because an inserted line changes all after it.
    """
    tables = {kind: _by_header(api, getattr(api, kind)) for kind in _ROWS}
    parts = [f' "format": {FORMAT}']
    if not api.base:
        parts.append(f' "tag": {_json(api.tag)}')
    else:
        names = {"module": api.module, "library": api.library, "base": api.base.file}
        parts += [f' "{key}": {_json(name)}' for key, name in names.items()]
        parts += [' "unstable": true'] * api.unstable
    parts.append(f' "headers": {_json({h.name: h.sha256 for h in api.headers})}')
    for kind, to_row in _ROWS.items():
        groups = {
            header: "[\n" + ",\n".join("   " + _json(to_row(v)) for v in values) + "\n  ]"
            for header, values in tables[kind].items()
        }
        parts.append(f' "{kind}": {_mapping(groups, 1)}')
    lines = {
        kind: {header: [v.place.line for v in values] for header, values in table.items()}
        for kind, table in tables.items()
    }
    defaults = {name: _json(values) for name, values in api.defaults.items()}
    parts += [f' "defaults": {_mapping(defaults, 1)}', f' "lines": {_json(lines)}']
    return "{\n" + ",\n".join(parts) + "\n}\n"


def load(path: Path) -> Api:
    """Read a file that `dump` wrote. The files of the base and the server are next to it."""
    data = json.loads(path.read_text("utf-8"))
    if data.get("format") != FORMAT:
        raise ValueError(f"{path}: format {data.get('format')!r}, this program reads {FORMAT}")
    values: dict[str, Any] = {
        kind: tuple(
            from_row(row, Place(header, line))
            for header, rows in data[kind].items()
            for row, line in zip(rows, data["lines"][kind][header], strict=True)
        )
        for kind, from_row in _FROM_ROWS.items()
    }
    headers = tuple(Header(name, digest) for name, digest in data["headers"].items())
    base = load(path.with_name(Path(data["base"]).name)) if "base" in data else None
    tag = base.tag if base else data["tag"]
    api = Api(tag=tag, headers=headers, defaults=data["defaults"], **values)
    if base is None:
        file = path.with_name("server.json")
        return replace(api, server=server_model.load(file)) if file.is_file() else api
    unstable = data.get("unstable", False)
    return replace(
        api, module=data["module"], library=data["library"], base=base, unstable=unstable
    )


def _macro_row(m: Macro) -> dict[str, Any]:
    return {"name": m.name, "value": m.value} | ({"variable": True} if m.variable else {})


def _enum_row(e: Enum) -> dict[str, Any]:
    row = {"name": e.name} | ({"flags": True} if e.flags else {})
    row |= {} if e.tagged else {"tagged": False}
    row |= {} if e.type == "int" else {"type": e.type}
    return row | {"constants": dict(e.constants)}


def _struct_row(s: Struct) -> dict[str, Any]:
    row: dict[str, Any] = {"name": s.name}
    if s.union:
        row["union"] = True
    if not s.tagged:
        row["tagged"] = False
    if not s.opaque:
        row |= {"size": s.size, "align": s.align} | ({"pack": s.pack} if s.pack else {})
        row["fields"] = [
            [f.name, str(f.type), f.offset, f.size, *["anonymous"] * f.anonymous, *(f.bits or ())]
            for f in s.fields
        ]
    return row


def _typedef_row(t: Typedef) -> dict[str, Any]:
    return {"name": t.name, "type": str(t.type)}


def _function_row(f: Function) -> dict[str, Any]:
    row: dict[str, Any] = {"name": f.name, "result": str(f.result)}
    row["params"] = [[p.name, str(p.type)] for p in f.params]
    if f.variadic:
        row["variadic"] = True
    if f.deprecated:
        row["deprecated"] = f.replacement or True
    if f.symbols:
        row["symbols"] = f.symbols
    return row


def _omission_row(o: Omission) -> dict[str, Any]:
    return {"name": o.name, "reason": o.reason}


def _macro(row: dict[str, Any], place: Place) -> Macro:
    return Macro(row["name"], row["value"], row.get("variable", False), place)


def _enum(row: dict[str, Any], place: Place) -> Enum:
    constants = tuple(row["constants"].items())
    flags, tagged = row.get("flags", False), row.get("tagged", True)
    return Enum(row["name"], constants, flags, place, tagged, row.get("type", "int"))


def _struct(row: dict[str, Any], place: Place) -> Struct:
    fields = tuple(
        Field(name, parse_type(ctype), offset, size, rest == ["anonymous"], _bits(rest))
        for name, ctype, offset, size, *rest in row.get("fields", ())
    )
    return Struct(
        row["name"],
        row.get("union", False),
        row.get("tagged", True),
        row.get("size"),
        row.get("align"),
        fields,
        place,
        row.get("pack"),
    )


def _bits(rest: list[Any]) -> tuple[int, int] | None:
    return (rest[0], rest[1]) if len(rest) == 2 else None


def _typedef(row: dict[str, Any], place: Place) -> Typedef:
    return Typedef(row["name"], parse_type(row["type"]), place)


def _function(row: dict[str, Any], place: Place) -> Function:
    deprecated = row.get("deprecated", False)
    return Function(
        row["name"],
        parse_type(row["result"]),
        tuple(Param(name, parse_type(ctype)) for name, ctype in row["params"]),
        row.get("variadic", False),
        bool(deprecated),
        deprecated if isinstance(deprecated, str) else None,
        place,
        tuple(row.get("symbols", ())),
    )


def _omission(row: dict[str, Any], place: Place) -> Omission:
    return Omission(row["name"], row["reason"], place)


_ROWS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "macros": _macro_row,
    "enums": _enum_row,
    "structs": _struct_row,
    "typedefs": _typedef_row,
    "functions": _function_row,
    "omissions": _omission_row,
}
_FROM_ROWS: dict[str, Callable[[dict[str, Any], Place], Any]] = {
    "macros": _macro,
    "enums": _enum,
    "structs": _struct,
    "typedefs": _typedef,
    "functions": _function,
    "omissions": _omission,
}


def _json(value: object) -> str:
    return json.dumps(value)


def _mapping(values: dict[str, str], indent: int) -> str:
    """A JSON object with each (already encoded) value on a line of its own."""
    pad = " " * indent
    body = ",\n".join(f"{pad} {_json(key)}: {value}" for key, value in values.items())
    return f"{{\n{body}\n{pad}}}" if values else "{}"


def _by_header(api: Api, values: tuple[Any, ...]) -> dict[str, list[Any]]:
    """``values`` grouped by header. Headers stand in the order in which C finished reading them,
    so that going through the groups in turn is the order of declaration again."""
    groups: dict[str, list[Any]] = {}
    for header in api.headers:
        group = [v for v in values if v.place.header == header.name]
        if group:
            groups[header.name] = group
    return groups
