"""Finds the declarations of an `Api` that ctypes or Python cannot express, and removes them.

Whatever a declaration needs and is left out takes the declaration with it. A struct that cannot
have its fields stays as a handle, so that pointers to it are still of use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TypeVar

from .api import (
    Api,
    Array,
    Enum,
    Function,
    Macro,
    Named,
    Omission,
    Struct,
    Type,
    Typedef,
    Use,
    element,
    uses,
)
from .errors import CodegenError
from .pytypes import BUILTINS, Fault, PyTypes

T = TypeVar("T", Macro, Typedef, Function)


def bindable(api: Api, reserved: frozenset[str] = frozenset()) -> Api:
    """``api`` without the declarations that cannot be bound; the omissions have the reasons."""
    while True:
        types = PyTypes(api, reserved)
        faults = list(_type_faults(types)) or types.name_faults()
        if not faults:
            return api
        api = _without(api, faults)


def require(api: Api, names: tuple[str, ...]) -> None:
    """Raise CodegenError unless ``api`` has all ``names``, which may be patterns."""
    types = PyTypes(api)
    there = set(types.names) | {s.name for s in api.structs}
    for name in names:
        for o in api.omissions:
            if fnmatchcase(o.name, name):
                raise CodegenError(f"{o.place}: {o.name} cannot be bound: {o.reason}")
        if not any(fnmatchcase(each, name) for each in there):
            raise CodegenError(f"{api.headers[-1].name}: nothing called {name} is declared")


def _type_faults(types: PyTypes) -> Iterator[Fault]:
    for function in types.api.functions:
        yield from _fault(types, function, function.type, "value")
    for typedef in types.api.typedefs:
        yield from _fault(types, typedef, typedef.type, "pointer")
    for struct in types.api.structs:
        for field in struct.fields:
            yield from _fault(types, struct, field.type, "value", f"{field.name} ")


def _fault(
    types: PyTypes, value: Function | Typedef | Struct, ctype: Type, how: Use, of: str = ""
) -> Iterator[Fault]:
    for named, use in uses(ctype, how):
        reason = _reason(types, named, use)
        if reason:
            yield Fault(value, "fields" if of else "", of + reason)
            return


def _reason(types: PyTypes, ctype: Named, use: Use) -> str | None:
    """Why ``ctype`` cannot be used so, None if it can."""
    if ctype.name == "void" or ctype.name in BUILTINS:
        return None
    if ctype.tag == "enum":
        left_out = types.enum(ctype) is None and ctype.bare in {o.name for o in types.api.omissions}
        return f"has {ctype}, which is left out" if left_out else None
    if ctype.name == "va_list":
        return None if use == "call" else "has a va_list in memory, where targets differ"
    target = types.resolve(ctype)
    if target != ctype:
        inner = element(target) if isinstance(target, Array) else target
        # A pointer or callback type of that name was checked at its own declaration.
        return _reason(types, inner, use) if isinstance(inner, Named) else None
    struct = types.struct(ctype)
    if struct is None and ctype.name != "FILE":
        return None if types.enum(ctype) else f"has {ctype}, which is left out"
    if use == "pointer":
        return None
    if struct is None or struct.opaque:
        return f"has {ctype} by value, which is only declared"
    return _not_passed(types, struct) if use == "call" else None


def _not_passed(types: PyTypes, struct: Struct) -> str | None:
    """Why ctypes cannot pass ``struct`` by value."""
    if struct.union:
        return "passes a union by value, which ctypes cannot"
    if struct.pack or any(f.bits for f in struct.fields):
        return "passes a packed struct or bit-fields by value, which ctypes cannot"
    for field in struct.fields:
        ctype = types.resolve(field.type)
        inner = types.struct(element(ctype)) if not types.is_pointer(ctype) else None
        reason = _not_passed(types, inner) if inner else None
        if reason:
            return reason
    return None


def _without(api: Api, faults: list[Fault]) -> Api:
    """``api`` without the declarations at fault, or parts of them."""
    omissions = list(api.omissions)
    whole: set[int] = set()
    parts: dict[int, set[str]] = {}
    for value, part, reason in faults:
        if part and id(value) in parts and isinstance(value, Struct):
            continue  # one reason will do
        if part:
            parts.setdefault(id(value), set()).add(part)
        else:
            whole.add(id(value))
        name = part if isinstance(value, Enum) and part else value.name
        if isinstance(value, Struct) and part:
            reason = f"only a handle: {reason}"
        omissions.append(Omission(name, reason, value.place))

    def left(values: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(v for v in values if id(v) not in whole)

    enums = []
    for enum in api.enums:
        constants = tuple(c for c in enum.constants if c[0] not in parts.get(id(enum), ()))
        if id(enum) not in whole and constants:
            changed = len(constants) != len(enum.constants)
            enums.append(replace(enum, constants=constants) if changed else enum)
    structs = []
    orphans: set[str] = set()
    for struct in api.structs:
        if id(struct) in parts:
            orphans |= _made_up(api, struct)
            struct = replace(struct, size=None, align=None, fields=(), pack=None)
        if id(struct) not in whole:
            structs.append(struct)
    return replace(
        api,
        macros=left(api.macros),
        enums=tuple(enums),
        structs=tuple(s for s in structs if s.name not in orphans),
        typedefs=left(api.typedefs),
        functions=left(api.functions),
        omissions=in_order(api, omissions),
    )


def in_order(api: Api, omissions: list[Omission]) -> tuple[Omission, ...]:
    """``omissions`` of the headers of ``api``, by header."""
    order = {h.name: i for i, h in enumerate(api.headers)}
    known = [o for o in omissions if o.place.header in order]
    return tuple(sorted(known, key=lambda o: order[o.place.header]))


def _made_up(api: Api, struct: Struct) -> set[str]:
    """The structs without a name of their own that are inside ``struct``."""
    structs = {s.name: s for s in api.structs}
    names: set[str] = set()
    for field in struct.fields:
        inner = element(field.type)
        found = structs.get(inner.bare) if isinstance(inner, Named) and inner.tag else None
        if found and not found.tagged and found.name not in names:
            names |= {found.name} | _made_up(api, found)
    return names
