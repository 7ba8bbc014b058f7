"""The changes from one server to another, and the kind of each: parts of `codegen.diff.Change`.

A removed name or value breaks a program's source; additions and other defaults do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from .model import Field, Option, Route, Server

# The arguments of Change: its kind, the kind of declaration, file, name, text, details
Row = tuple[str, str, str, str, str, tuple[str, ...]]
T = TypeVar("T", Field, Option, Route)
_SERVER = "LLAMA_EXAMPLE_SERVER"


def compare(old: Server, new: Server) -> Iterator[Row]:
    """Every change: of the fields of each kind of request, of options, and of routes."""
    for kind in new.requests | old.requests:
        fields = [_by_name(s.requests.get(kind, ())) for s in (old, new)]
        yield from _pairs(f"{kind} field", fields[0], fields[1], _field)
    programs = {"server": (old.options, new.options), "preset": (old.presets, new.presets)}
    for name in new.programs | old.programs:
        programs[name] = old.programs.get(name, ()), new.programs.get(name, ())
    for name, (a, b) in programs.items():
        yield from _pairs(f"{name} option", _options(a), _options(b), _option)
    routes = [{r.name: r for r in s.routes} for s in (old, new)]
    yield from _pairs("route", routes[0], routes[1], lambda a, b: ())


def _by_name(fields: Sequence[Field]) -> dict[str, Field]:
    return {name: f for f in fields for name in (f.name, *f.aliases)}


def _options(options: Sequence[Option]) -> dict[str, Option]:
    """Those of the server, or of a program that has no others, by each name."""
    mine = [o for o in options if o.of(_SERVER) or not o.programs]
    return {n: o for o in mine for n in (*o.names, *o.negatives) if not o.removed}


def _pairs(
    what: str, before: Mapping[str, T], after: Mapping[str, T], compared: Any
) -> Iterator[Row]:
    for name in {**before, **after}:
        a, b = before.get(name), after.get(name)
        some = b or a
        assert some is not None
        file = some.place.partition(":")[0]
        if b is None:
            yield "source", what, file, name, "removed", ()
        elif a is None:
            yield "addition", what, file, name, "added", ()
        else:
            news = list(compared(a, b))
            if news:
                kind = "source" if any(k == "source" for k, _ in news) else "addition"
                text, *details = (line for _, line in news)
                yield kind, what, file, name, text, tuple(details)


def _field(a: Field, b: Field) -> Iterator[tuple[str, str]]:
    yield from _words("types", a.types or ("any",), b.types or ("any",))
    yield from _words("values", a.choices, b.choices)
    yield from _limits(a, b, refused=b.hard)
    yield from _names("subfields", [f.name for f in a.subfields], [f.name for f in b.subfields])
    if a.default != b.default:
        yield "addition", f"default {a.default!r}, now {b.default!r}"


def _option(a: Option, b: Option) -> Iterator[tuple[str, str]]:
    if a.type != b.type:
        yield "source", f"was of type {a.type}, is {b.type}"
    yield from _words("values", a.choices, b.choices)
    yield from _limits(a, b, refused=True)
    if a.env != b.env:
        kind = "source" if a.env else "addition"
        yield kind, f"variable {a.env or 'none'}, now {b.env or 'none'}"
    if (a.joined, a.repeated) != (b.joined, b.repeated):
        yield "source", "takes a list otherwise"


def _words(what: str, a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[str, str]]:
    if set(a) == set(b):
        return
    # Without words any was taken.
    narrower = bool(b) and (not a or bool(set(a) - set(b)))
    yield ("source" if narrower else "addition"), f"{what} {_list(a)}, now {_list(b)}"


def _names(what: str, a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[str, str]]:
    if a != b:
        yield ("source" if set(a) - set(b) else "addition"), f"{what} {_list(a)}, now {_list(b)}"


def _list(words: Iterable[str]) -> str:
    return ", ".join(words) or "any"


def _limits(a: Field | Option, b: Field | Option, *, refused: bool) -> Iterator[tuple[str, str]]:
    was, now = ((v.minimum, v.maximum) for v in (a, b))
    hardened = isinstance(a, Field) and isinstance(b, Field) and b.hard and not a.hard
    if was == now and not hardened:
        return
    # A limit that only C++ knows cannot be compared: it may be narrower.
    low = now[0] is not None and (was[0] is None or _less(was[0], now[0]))
    high = now[1] is not None and (was[1] is None or _less(now[1], was[1]))
    kind = "source" if refused and (low or high or hardened) else "addition"
    spans = (
        f"{'any' if v[0] is None else v[0]} to {'any' if v[1] is None else v[1]}"
        for v in (was, now)
    )
    yield kind, "limits {}, now {}".format(*spans) + (", which are refused beyond" * hardened)


def _less(a: object, b: object) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a < b
    return a != b
