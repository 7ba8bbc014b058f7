"""Two APIs: what changed from one to the other, and what that breaks.

Three kinds of change, as a user of the bindings meets them:

    abi       a program that calls the old API against the new library goes wrong without an error
    source    a program has to be changed, and finds out by an error
    addition  nothing that worked stops working
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TypeVar

from .api import Api, Enum, Field, Function, Macro, Struct, Typedef, c_declaration

FORMATS = ("text", "markdown", "json")
KINDS = ("abi", "source", "addition")
_TITLES = {
    "abi": "Breaks the ABI",
    "source": "Breaks source",
    "addition": "Additions and notices",
}

T = TypeVar("T", Function, Struct, Enum, Macro, Typedef)


@dataclass(frozen=True)
class Change:
    """One difference. ``what`` is the thing's sort (function, struct, ...), ``text`` the news."""

    kind: str
    what: str
    name: str
    text: str


@dataclass(frozen=True)
class Changes:
    """All differences from ``old`` to ``new`` (tags)."""

    old: str
    new: str
    changes: tuple[Change, ...]

    @property
    def summary(self) -> str:
        if not self.changes:
            return f"{self.old} -> {self.new}: no change in the API"
        counts = {kind: sum(c.kind == kind for c in self.changes) for kind in KINDS}
        return (
            f"{self.old} -> {self.new}: {counts['abi']} changes break the ABI, "
            f"{counts['source']} break source, {counts['addition']} additions and notices"
        )


def compare(old: Api, new: Api) -> Changes:
    """What changed from ``old`` to ``new``, in the order of the headers."""
    changes = [
        *_functions(old, new),
        *_structs(old, new),
        *_enums(old, new),
        *_macros(old, new),
        *_typedefs(old, new),
    ]
    return Changes(old.tag, new.tag, tuple(changes))


def _pairs(old: tuple[T, ...], new: tuple[T, ...]) -> Iterator[tuple[str, T | None, T | None]]:
    """Each name with what it stood for and stands for: the old ones first, then what is new."""
    before, after = {v.name: v for v in old}, {v.name: v for v in new}
    for name in before | after:
        yield name, before.get(name), after.get(name)


def _functions(old: Api, new: Api) -> Iterator[Change]:
    for name, a, b in _pairs(old.functions, new.functions):
        if b is None:
            yield Change("source", "function", name, "removed")
        elif a is None:
            yield Change("addition", "function", name, f"added: {b.prototype}")
        else:
            if a.type != b.type:
                text = f"was {a.prototype}, is {b.prototype}"
                yield Change("abi", "function", name, text)
            elif [p.name for p in a.params] != [p.name for p in b.params]:
                yield Change("addition", "function", name, f"parameters renamed: {b.prototype}")
            if b.deprecated and not a.deprecated:
                hint = f"use {b.replacement}" if b.replacement else "no replacement named"
                yield Change("addition", "function", name, f"deprecated: {hint}")
            if a.deprecated and not b.deprecated:
                yield Change("addition", "function", name, "no longer deprecated")


def _structs(old: Api, new: Api) -> Iterator[Change]:
    for name, a, b in _pairs(old.structs, new.structs):
        if b is None:
            yield Change("source", "struct", name, "removed")
        elif a is None:
            size = "a handle" if b.opaque else f"{b.size} bytes"
            yield Change("addition", "struct", name, f"added ({size})")
        elif a.opaque != b.opaque:
            text = (
                "now a handle, its fields are hidden" if b.opaque else "its fields are now public"
            )
            yield Change("source", "struct", name, text)
        else:
            yield from _fields(a, b)


def _fields(a: Struct, b: Struct) -> Iterator[Change]:
    before, after = {f.name: f for f in a.fields}, {f.name: f for f in b.fields}

    def change(text: str) -> Change:
        return Change("abi", "struct", a.name, text)

    for name in before | after:
        x, y = before.get(name), after.get(name)
        if y is None:
            assert x is not None
            yield change(f"field removed: {_declared(x)}")
        elif x is None:
            yield change(f"field added: {_declared(y)} at {y.offset}")
        else:
            if x.type != y.type:
                yield change(f"field retyped: {_declared(x)} is now {_declared(y)}")
            if x.offset != y.offset:
                yield change(f"field moved: {name} from {x.offset} to {y.offset}")
    if (a.size, a.align, a.union) != (b.size, b.align, b.union):
        yield change(f"size {a.size} is now {b.size}, alignment {a.align} is now {b.align}")


def _declared(field: Field) -> str:
    return c_declaration(field.type, field.name)


def _enums(old: Api, new: Api) -> Iterator[Change]:
    # Constants by their own names: C has them in one space, and they move between enums.
    before = {c: (e.name, v) for e in old.enums for c, v in e.constants}
    after = {c: (e.name, v) for e in new.enums for c, v in e.constants}
    for name in before | after:
        x, y = before.get(name), after.get(name)
        if y is None:
            assert x is not None
            yield Change("source", "constant", name, f"removed from {x[0]} (was {x[1]})")
        elif x is None:
            yield Change("addition", "constant", name, f"added to {y[0]}: {y[1]}")
        elif x[1] != y[1]:
            yield Change("abi", "constant", name, f"{x[1]} is now {y[1]}")
        elif x[0] != y[0]:
            yield Change("source", "constant", name, f"moved from {x[0]} to {y[0]}")
    for name, a, b in _pairs(old.enums, new.enums):
        if b is None:
            yield Change("source", "enum", name, "removed")
        elif a is None:
            yield Change("addition", "enum", name, "added")


def _macros(old: Api, new: Api) -> Iterator[Change]:
    for name, a, b in _pairs(old.macros, new.macros):
        if b is None:
            yield Change("source", "macro", name, "removed")
        elif a is None:
            yield Change("addition", "macro", name, f"added: {b.value!r}")
        elif a.value != b.value:
            yield Change("abi", "macro", name, f"{a.value!r} is now {b.value!r}")


def _typedefs(old: Api, new: Api) -> Iterator[Change]:
    for name, a, b in _pairs(old.typedefs, new.typedefs):
        if b is None:
            yield Change("source", "typedef", name, "removed")
        elif a is None:
            yield Change("addition", "typedef", name, f"added: {c_declaration(b.type, name)}")
        elif a.type != b.type:
            text = f"was {c_declaration(a.type, name)}, is {c_declaration(b.type, name)}"
            yield Change("abi", "typedef", name, text)


def report(changes: Changes, form: str) -> str:
    """``changes`` as text, Markdown or JSON (see `FORMATS`)."""
    if form == "json":
        data = {"summary": changes.summary, **asdict(changes)}
        return json.dumps(data, indent=1) + "\n"
    lines = [f"**{changes.summary}**" if form == "markdown" else changes.summary]
    for kind in KINDS:
        found = [c for c in changes.changes if c.kind == kind]
        if not found:
            continue
        if form == "markdown":
            lines += ["", f"### {_TITLES[kind]}", ""]
            lines += [f"- {c.what} `{c.name}`: {_code(c.text)}" for c in found]
        else:
            lines += ["", f"{_TITLES[kind]}:"]
            lines += [f"  {c.what} {c.name}: {c.text}" for c in found]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Markdown for a sentence with C in it."""
    return text.replace("*", "\\*").replace("_", "\\_")
