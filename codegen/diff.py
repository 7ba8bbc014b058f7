"""Compares two APIs: the changes, and the kind of break that each causes.

Three kinds of change, as a user of the bindings meets them:

    abi       a program for the old API fails with the new library, without an error
    source    a program must be changed, and an error says so
    addition  everything that worked still works

A struct is one change, however many of its fields differ, and so are the broken or added constants
of an enum: the details follow, one on each line. If the old meaning may be lost (a field replaced
by another of the same type), it counts as broken.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from .api import (
    VOID,
    Api,
    Array,
    Enum,
    Field,
    Function,
    FunctionType,
    Macro,
    Named,
    Pointer,
    Struct,
    Type,
    Typedef,
    c_declaration,
)
from .errors import CodegenError
from .server import diff as server_diff

MARKER = "<!-- The reports of make regen TAG=... go below, the newest first. -->"
FORMATS = ("text", "markdown", "json")
KINDS = ("abi", "source", "addition")
_TITLES = {
    "abi": "Breaks the ABI",
    "source": "Breaks source",
    "addition": "Additions and notices",
}
_BREAKS = {
    "abi": "breaks the ABI",
    "source": "breaks source",
    "addition": "additions and notices",
}

T = TypeVar("T", Function, Struct, Enum, Macro, Typedef)

# C's own names for the integers of the same size and sign on every target that is supported.
_SAME = {
    "int": "int32_t", "unsigned int": "uint32_t", "short": "int16_t", "unsigned short": "uint16_t",
    "long long": "int64_t", "unsigned long long": "uint64_t", "signed char": "int8_t",
    "unsigned char": "uint8_t", "uintptr_t": "uint64_t", "size_t": "uint64_t",
    "intptr_t": "int64_t", "ptrdiff_t": "int64_t",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One difference. ``what`` is the kind of declaration (function, struct, ...), ``text`` the
    change; if it has several parts, they are in ``details``."""

    kind: str
    what: str
    header: str
    name: str
    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changes:
    """All differences from ``old`` to ``new`` (tags)."""

    old: str
    new: str
    changes: tuple[Change, ...]

    @property
    def summary(self) -> str:
        """One line with the number of changes by kind of break and of declaration."""
        if not self.changes:
            return f"{self.old} -> {self.new}: no change in the API"
        parts = []
        for kind in KINDS:
            counts = Counter(c.what for c in self.changes if c.kind == kind)
            of_what = ", ".join(_count(n, what) for what, n in counts.items())
            parts.append(f"{_BREAKS[kind]}: {of_what or 'nothing'}")
        return f"{self.old} -> {self.new}: " + "; ".join(parts)


def compare(old: Api, new: Api) -> Changes:
    """The changes from ``old`` to ``new``: the main header first, then those that it includes,
    and in each the functions, structs, enums, macros, typedefs and defaults in their order."""
    types = _Types(old, new)
    changes = [
        *_functions(old, new, types),
        *_structs(old, new, types),
        *_enums(old, new),
        *_macros(old, new),
        *_typedefs(old, new, types),
        *_defaults(old, new),
    ]
    # The main header is the one that C finishes reading last.
    names = [h.name for h in reversed(new.headers)]
    names += [h.name for h in reversed(old.headers) if h.name not in names]
    changes.sort(key=lambda c: names.index(c.header) if c.header in names else len(names))
    return Changes(old.tag, new.tag, tuple(changes))


def compare_all(old: Sequence[Api], new: Sequence[Api]) -> Changes:
    """Like `compare`, for all sets of bindings at once. A set that only one side has was added or
    removed as a whole."""
    before, after = {a.module: a for a in old}, {a.module: a for a in new}
    changes: list[Change] = []
    for module in after | before:
        a, b = before.get(module), after.get(module)
        some = a or b
        assert some is not None
        nothing = Api("", (), (), (), (), (), (), (), {}, base=some.base)
        changes += compare(a or nothing, b or nothing).changes
    if old[0].server is not None and new[0].server is not None:
        changes += (Change(*row) for row in server_diff.compare(old[0].server, new[0].server))
    return Changes(old[0].tag, new[0].tag, tuple(changes))


def _pairs(old: Sequence[T], new: Sequence[T]) -> Iterator[tuple[str, T | None, T | None]]:
    """Each name with its old and new value: the old names first, then the added ones."""
    before, after = {v.name: v for v in old}, {v.name: v for v in new}
    for name in before | after:
        yield name, before.get(name), after.get(name)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _worst(kinds: Iterable[str]) -> str:
    return min(kinds, key=KINDS.index)


def _change(what: str, v: T, kind: str, text: str, details: Iterable[str] = ()) -> Change:
    return Change(kind, what, v.place.header, v.name, text, tuple(details))


class _Types:
    """Whether two types are the same to a caller that was compiled for the first."""

    def __init__(self, old: Api, new: Api) -> None:
        self._old, self._new = old.aliases, new.aliases

    def kind(self, a: Type, b: Type) -> str:
        """The kind of break that the change from ``a`` to ``b`` causes."""
        if _shape(a, self._old, strict=True) == _shape(b, self._new, strict=True):
            return "addition"
        # The difference matters only to the compiler or Python: const, or an enum for an int.
        if _shape(a, self._old, strict=False) == _shape(b, self._new, strict=False):
            return "source"
        return "abi"


def _shape(ctype: Type, aliases: dict[str, Type], *, strict: bool) -> str:
    """The type with its typedefs resolved; unless ``strict``, without parts that calls ignore."""
    if isinstance(ctype, Pointer):
        inner = _shape(ctype.to, aliases, strict=strict)
        return f"*{'const ' if ctype.const and strict else ''}{inner}"
    if isinstance(ctype, Array):
        return f"[{ctype.length}]{_shape(ctype.of, aliases, strict=strict)}"
    if isinstance(ctype, FunctionType):
        params = [_shape(p, aliases, strict=strict) for p in ctype.params]
        params += ["..."] if ctype.variadic else []
        return f"fn({', '.join(params)}) {_shape(ctype.result, aliases, strict=strict)}"
    if ctype.tag == "enum" and not strict:
        return "int32_t"
    target = aliases.get(ctype.name)
    # `typedef struct x x` is the struct itself.
    if target is not None and not (isinstance(target, Named) and target.bare == ctype.name):
        return _shape(target, aliases, strict=strict)
    return _SAME.get(ctype.name, ctype.bare)


# -- functions


def _functions(old: Api, new: Api, types: _Types) -> Iterator[Change]:
    for _, a, b in _pairs(old.functions, new.functions):
        if a is not None and b is None:
            hint = f" (use {a.replacement})" if a.replacement else ""
            was = f", was deprecated{hint}" if a.deprecated else ""
            yield _change("function", a, "source", f"removed{was}")
        elif a is None and b is not None:
            yield _change("function", b, "addition", f"added: {b.prototype}")
        elif a is not None and b is not None:
            yield from _signature(a, b, types)
            if b.deprecated and not a.deprecated:
                hint = f"use {b.replacement}" if b.replacement else "no replacement is named"
                yield _change("function", b, "addition", f"deprecated: {hint}")
            if a.deprecated and not b.deprecated:
                yield _change("function", b, "addition", "no longer deprecated")


def _signature(a: Function, b: Function, types: _Types) -> Iterator[Change]:
    both = [f"was {a.prototype}", f"is  {b.prototype}"]
    if a.type == b.type:
        pairs = zip(a.params, b.params, strict=True)
        renamed = [f"{p.name} is now {q.name}" for p, q in pairs if p.name != q.name]
        if renamed:
            # C and the bindings take arguments by position.
            yield _change("function", b, "addition", "parameters renamed: " + ", ".join(renamed))
        return
    kind = types.kind(a.type, b.type)
    if kind == "addition":
        yield _change("function", b, kind, "signature spelled otherwise, the same to a call", both)
    elif kind == "source":
        yield _change("function", b, kind, "signature changed, the same to a compiled call", both)
    elif a.result == VOID and _returned(b) == a.type and not _is_struct(b.result):
        yield _change("function", b, "addition", f"now returns {c_declaration(b.result)}", both)
    else:
        yield _change("function", b, kind, "signature changed", both)


def _returned(function: Function) -> FunctionType:
    """The type of ``function`` if it returned nothing."""
    return FunctionType(function.type.params, VOID, function.variadic)


def _is_struct(ctype: Type) -> bool:
    # A typedef may hide a struct, which is returned through a pointer: count it as one.
    return isinstance(ctype, Named) and ctype.tag != "enum" and ctype.name not in _SCALARS


_SCALARS = {*_SAME, *_SAME.values(), "bool", "float", "double", "char"}


# -- structs


def _structs(old: Api, new: Api, types: _Types) -> Iterator[Change]:
    for _, a, b in _pairs(old.structs, new.structs):
        if a is not None and b is None:
            yield _change(_sort(a), a, "source", "removed")
        elif a is None and b is not None:
            size = "a handle" if b.opaque else f"{b.size} bytes"
            fields = () if b.opaque else tuple(f"{_declared(f)} at {f.offset}" for f in b.fields)
            yield _change(_sort(b), b, "addition", f"added, {size}", fields)
        elif a is not None and b is not None:
            yield from _struct(a, b, types)


def _struct(a: Struct, b: Struct, types: _Types) -> Iterator[Change]:
    if a.opaque and b.opaque:
        return
    if a.opaque:
        yield _change("struct", b, "source", "was a handle, its fields are now public")
    elif b.opaque:
        yield _change("struct", b, "source", "now a handle, its fields are hidden")
    elif a.union != b.union:
        yield _change("struct", b, "abi", f"was a {_sort(a)}, is a {_sort(b)}")
    else:
        details = list(_fields(a, b, types))
        layout = f"{a.size} bytes as before"
        if a.size != b.size:
            layout = f"{a.size} bytes, now {b.size}"
        if a.align != b.align:
            layout += f", alignment {a.align}, now {b.align}"
            details.append(("abi", layout))
        elif a.size != b.size:
            details.append(("abi", layout))
        if details:
            kind = _worst(kind for kind, _ in details)
            lines = [line for _, line in details if line != layout]
            yield _change(_sort(b), b, kind, layout, lines)


def _sort(struct: Struct) -> str:
    return "union" if struct.union else "struct"


def _fields(a: Struct, b: Struct, types: _Types) -> Iterator[tuple[str, str]]:
    """The kind of break of each difference, and its line."""
    before, after = {f.name: f for f in a.fields}, {f.name: f for f in b.fields}
    replaced: dict[str, str] = {}
    for f in a.fields:
        heirs = [
            g for g in b.fields
            if f.name not in after and g.name not in before
            and (f.type, f.offset) == (g.type, g.offset)
        ]  # fmt: skip
        if len(heirs) == 1 and not a.union:
            replaced[f.name] = heirs[0].name
            text = f"renamed or replaced: {_declared(f)} is now {heirs[0].name}, of the same type"
            yield "abi", f"{text} and in the same place"
    # An old caller of a union knows the members that it knew, where they were.
    added = "addition" if a.union else "abi"
    for f in a.fields:
        if f.name not in after and f.name not in replaced:
            yield "abi", f"removed: {_declared(f)} at {f.offset}"
    for g in b.fields:
        if g.name not in before and g.name not in replaced.values():
            yield added, f"added: {_declared(g)} at {g.offset}"
    common = [f.name for f in a.fields if f.name in after]
    for name in common:
        f, g = before[name], after[name]
        if f.type != g.type:
            kind = types.kind(f.type, g.type)
            kind = "abi" if f.size != g.size else kind
            yield kind, f"retyped: {_declared(f)} is now {_declared(g)}"
        elif f.size != g.size:
            yield "abi", f"grew or shrank: {_declared(f)} from {f.size} to {g.size} bytes"
    stayed = _in_order(common, [g.name for g in b.fields])
    for name in common:
        if name not in stayed:
            yield "abi", f"reordered: {name} from {before[name].offset} to {after[name].offset}"
    shifted = [n for n in common if n in stayed and before[n].offset != after[n].offset]
    for by, group in groupby(shifted, key=lambda n: after[n].offset - before[n].offset):
        names = list(group)
        yield "abi", f"moved by {by:+d} with the neighbours: {_span(names, 'fields')}"


def _in_order(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """The longest list of names of ``old`` that have the same order in ``new``."""
    place = {name: i for i, name in enumerate(new)}
    runs: list[list[str]] = [[]]  # the longest that ends with each name, after the empty one
    for name in old:
        before = [run for run in runs if not run or place[run[-1]] < place[name]]
        longest = max(before, key=len)
        runs.append([*longest, name])
    longest = max(runs, key=len)
    return set(longest)


def _declared(field: Field) -> str:
    return c_declaration(field.type, field.name)


def _span(names: Sequence[str], what: str) -> str:
    if len(names) <= 2:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]} ({len(names)} {what})"


# -- enums


def _enums(old: Api, new: Api) -> Iterator[Change]:
    # Constants by their own names: C has them in one space, and they move between enums.
    before = {c: (e, v) for e in old.enums for c, v in e.constants}
    after = {c: (e, v) for e in new.enums for c, v in e.constants}
    known, still = {e.name for e in old.enums}, {e.name for e in new.enums}
    heirs = {(e.name, v): c for c, (e, v) in after.items() if c not in before}
    replaced: set[str] = set()
    for e in old.enums:
        lost = [(c, v) for c, v in e.constants if c not in after]
        pairs = [(c, heirs[e.name, v], v) for c, v in lost if (e.name, v) in heirs]
        replaced |= {heir for _, heir, _ in pairs}
        # Neither the header nor the number tells a new name from a new meaning.
        yield from _group(e, "abi", "renamed or replaced", [f"{c} is now {h}" for c, h, _ in pairs])
        removed = [f"{c} = {v}" for c, v in lost if (e.name, v) not in heirs]
        if e.name in still:
            yield from _group(e, "source", "removed", removed)
        else:
            yield _change("enum", e, "source", "the whole enum is removed", removed)
    for e in new.enums:
        added = [f"{c} = {v}" for c, v in e.constants if c not in before and c not in replaced]
        if e.name in known:
            yield from _group(e, "addition", "added", added)
        else:
            yield _change("enum", e, "addition", "the whole enum is added", added)
        common = [(c, before[c], v) for c, v in e.constants if c in before]
        from_others = [f"{c} from {o.name}" for c, (o, _), _ in common if o.name != e.name]
        yield from _group(e, "source", "moved here", from_others)
        changed = {c: (old_value, v) for c, (_, old_value), v in common if old_value != v}
        counts = [c for c in changed if _counts_the_others(c, before[c][0], e)]
        lines = [f"{c} from {changed[c][0]} to {changed[c][1]}" for c in counts]
        yield from _group(e, "addition", "counts the others", lines)
        rest = [c for c in changed if c not in counts]
        yield from _group(e, "abi", "value changed", _steps(rest, changed))


def _group(enum: Enum, kind: str, verb: str, lines: list[str]) -> Iterator[Change]:
    if len(lines) == 1:
        yield _change("enum", enum, kind, f"{verb}: {lines[0]}")
    elif lines:
        yield _change("enum", enum, kind, f"{verb}:", lines)


def _counts_the_others(constant: str, old: Enum, new: Enum) -> bool:
    """Whether ``constant`` is the number of the others, which grows with every addition."""
    return constant.endswith(("_COUNT", "_MAX")) and all(
        dict(e.constants).get(constant) == max(v for _, v in e.constants) for e in (old, new)
    )


def _steps(names: list[str], changed: dict[str, tuple[int, int]]) -> list[str]:
    """Neighbours that moved by the same number, as after an insertion before them."""
    lines = []
    for by, group in groupby(names, key=lambda c: changed[c][1] - changed[c][0]):
        run = list(group)
        span = _span(run, "constants")
        if len(run) == 1:
            lines.append(f"{span} from {changed[run[0]][0]} to {changed[run[0]][1]}")
        else:
            lines.append(f"{span} each by {by:+d}")
    return lines


# -- the rest


def _macros(old: Api, new: Api) -> Iterator[Change]:
    for name, a, b in _pairs(old.macros, new.macros):
        if a is not None and b is None:
            yield _change("macro", a, "source", f"removed, was {a.value!r}")
        elif a is None and b is not None:
            yield _change("macro", b, "addition", f"added: {b.value!r}")
        elif a is not None and b is not None and a.value != b.value:
            # Versions are meant to change; all other values were compiled into old callers.
            kind = "addition" if name.endswith("_VERSION") else "abi"
            yield _change("macro", b, kind, f"{a.value!r} is now {b.value!r}")


def _typedefs(old: Api, new: Api, types: _Types) -> Iterator[Change]:
    for name, a, b in _pairs(old.typedefs, new.typedefs):
        if a is not None and b is None:
            yield _change("typedef", a, "source", f"removed, was {c_declaration(a.type, name)}")
        elif a is None and b is not None:
            yield _change("typedef", b, "addition", f"added: {c_declaration(b.type, name)}")
        elif a is not None and b is not None and a.type != b.type:
            both = [f"was {c_declaration(a.type, name)}", f"is  {c_declaration(b.type, name)}"]
            yield _change("typedef", b, types.kind(a.type, b.type), "changed", both)


def _defaults(old: Api, new: Api) -> Iterator[Change]:
    for function in new.functions:
        a, b = old.defaults.get(function.name, {}), new.defaults.get(function.name, {})
        lines = [f"{k}: {a[k]!r} is now {b[k]!r}" for k in b if k in a and a[k] != b[k]]
        if lines:
            yield _change("default", function, "addition", "other values:", lines)


# -- as text


def report(changes: Changes, form: str) -> str:
    """``changes`` as text, Markdown or JSON (see `FORMATS`)."""
    if form == "json":
        data = {"summary": changes.summary, **asdict(changes)}
        return json.dumps(data, indent=1) + "\n"
    markdown = form == "markdown"
    lines = [f"**{changes.summary}**" if markdown else changes.summary]
    for kind in KINDS:
        found = [c for c in changes.changes if c.kind == kind]
        if not found:
            continue
        lines += ["", f"### {_TITLES[kind]}", ""] if markdown else ["", f"{_TITLES[kind]}:"]
        for header, group in groupby(found, key=lambda c: c.header):
            lines.append(f"- {header}" if markdown else f"  {header}")
            for c in group:
                name, text = (f"`{c.name}`", _code(c.text)) if markdown else (c.name, c.text)
                lines.append(f"{'  - ' if markdown else '    '}{c.what} {name}: {text}")
                for detail in c.details:
                    lines.append(f"    - {_code(detail)}" if markdown else f"      {detail}")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """Markdown for a sentence with C in it."""
    for sign in "\\*_<[`":
        text = text.replace(sign, f"\\{sign}")
    return text


def recorded(changes: Changes, changelog: Path) -> str:
    """The text of the changelog with the report at its top, unless it has that step already."""
    heading = f"## {changes.new} (before: {changes.old})"
    new = f"# Changes\n\n{MARKER}\n"
    text = changelog.read_text("utf-8") if changelog.exists() else new
    if heading in text.splitlines():
        return text
    head, marker, rest = text.partition(MARKER)
    if not marker:
        raise CodegenError(f"{changelog.name} needs a line {MARKER!r}: the report goes after it")
    return f"{head}{marker}\n\n{heading}\n\n{report(changes, 'markdown')}{rest}"
