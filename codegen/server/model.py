"""llama-server as plain data: request fields, options of its command line, and routes.

Descriptions are left out: those are upstream's text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

Number = int | float


@dataclass(frozen=True)
class Field:
    """A field of a request.

    ``types`` are those of JSON, of which it may have any (bool, int, float, str, object, list,
    list[str], list[int]); without any it is not known. ``minimum`` and ``maximum`` may be C++ for
    a value that only the running server knows. The server refuses a value beyond ``hard`` limits,
    and replaces one beyond others by the limit. Where there is an ``alias_of``, it is another name
    of that field, with a type of its own.
    """

    name: str
    types: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ctype: str = ""
    minimum: Number | str | None = None
    maximum: Number | str | None = None
    hard: bool = False
    choices: tuple[str, ...] = ()
    default: Number | bool | str | None = None
    place: str = ""
    alias_of: str = ""
    subfields: tuple[Field, ...] = ()


@dataclass(frozen=True)
class Option:
    """An option of a command line.

    ``type`` is flag (stands alone), switch (alone, or as one of ``negatives``), int, float, str or
    pair (two values). ``choices`` are words that it takes, for a float or int besides a number;
    ``excluded`` are values between the limits that it refuses. A list is ``joined`` by a
    character, or csv by commas with quotes; ``repeated`` tells that the option may be given again.
    ``further`` tells that the program refuses more than is stated here, ``condition`` (C++) whether
    a build has the option.
    """

    names: tuple[str, ...]
    type: str
    negatives: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    minimum: Number | None = None
    maximum: Number | None = None
    excluded: tuple[Number, ...] = ()
    joined: str = ""
    repeated: bool = False
    further: bool = False
    removed: bool = False
    ends: bool = False
    env: str = ""
    condition: str = ""
    programs: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    place: str = ""

    @property
    def name(self) -> str:
        """The first long name, or the first of all."""
        return next((n for n in self.names if n.startswith("--")), self.names[0])

    def of(self, program: str) -> bool:
        """Whether ``program`` (LLAMA_EXAMPLE_SERVER, ...) takes it."""
        programs = {program, "LLAMA_EXAMPLE_COMMON"}
        return bool(programs & set(self.programs)) and program not in self.excludes


@dataclass(frozen=True)
class Route:
    """A path that the server answers. ``router`` tells that it does so in router mode only."""

    method: str
    path: str
    handler: str
    router: bool = False
    place: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Server:
    """The server of a llama.cpp tree. ``requests`` are fields by kind of request; ``programs`` are
    the options of other programs."""

    tag: str
    requests: dict[str, tuple[Field, ...]]
    options: tuple[Option, ...]
    presets: tuple[Option, ...]
    programs: dict[str, tuple[Option, ...]]
    routes: tuple[Route, ...]
    sources: dict[str, str] = field(default_factory=dict)


def counts(server: Server) -> tuple[int, int, int]:
    """How many fields (by all their names), options of llama-server, and routes there are."""
    fields = [name for fs in server.requests.values() for f in fs for name in (f.name, *f.aliases)]
    options = [o for o in server.options if o.of("LLAMA_EXAMPLE_SERVER")]
    return len(fields), len(options), len(server.routes)


def dump(server: Server) -> str:
    """``server`` as JSON, with a line for each thing. Their places stand apart, in the last
    line, because one inserted line moves all that follow."""
    groups = _groups(server)
    parts = [
        f' "tag": {json.dumps(server.tag)}',
        f' "sources": {json.dumps(server.sources)}',
    ]
    parts += [f" {json.dumps(name)}: {_rows(values)}" for name, values in groups.items()]
    places = {name: [v.place for v in values] for name, values in groups.items()}
    parts.append(f' "places": {json.dumps(places)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _groups(server: Server) -> dict[str, tuple[Any, ...]]:
    return {
        **{f"{kind} fields": fields for kind, fields in server.requests.items()},
        "options": server.options,
        "presets": server.presets,
        **{f"{name} options": options for name, options in server.programs.items()},
        "routes": server.routes,
    }


def _rows(values: tuple[Any, ...]) -> str:
    rows = (f"  {json.dumps(_row(replace(v, place='')), ensure_ascii=False)}" for v in values)
    return "[\n" + ",\n".join(rows) + "\n ]" if values else "[]"


def _row(value: Any) -> dict[str, Any]:
    row = {f.name: getattr(value, f.name) for f in fields(value)}
    row = {k: [_row(sub) for sub in v] if k == "subfields" else v for k, v in row.items()}
    # A default may well be False or empty.
    return {k: v for k, v in row.items() if v is not None and (k == "default" or _stated(v))}


def _stated(value: object) -> bool:
    return value is not False and value not in ("", ()) and value != []


def load(path: Path) -> Server:
    """The server that `dump` has written to ``path``."""
    data = json.loads(path.read_text("utf-8"))
    for name, places in data["places"].items():
        for row, place in zip(data[name], places, strict=True):
            row["place"] = place

    def named(end: str, made: Any) -> dict[str, Any]:
        names = [name for name in data if name.endswith(end)]
        return {name.removesuffix(end): tuple(map(made, data[name])) for name in names}

    return Server(
        data["tag"],
        named(" fields", _field),
        tuple(map(_option, data["options"])),
        tuple(map(_option, data["presets"])),
        named(" options", _option),
        tuple(Route(**row) for row in data["routes"]),
        data["sources"],
    )


def _field(row: dict[str, Any]) -> Field:
    subfields = tuple(map(_field, row.get("subfields", ())))
    return Field(**{**_tuples(row), "subfields": subfields})


def _option(row: dict[str, Any]) -> Option:
    return Option(**_tuples(row))


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
