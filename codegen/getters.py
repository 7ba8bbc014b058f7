"""Properties of the package's classes that only call a C function; see getters.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from .api import Api, Function, Named, Pointer
from .errors import CodegenError
from .pytypes import BUILTINS, PyTypes, identifier

GETTERS = Path(__file__).with_name("getters.toml")


@dataclass(frozen=True)
class Property:
    """A property, and its C function. ``sort`` is the kind of conversion of the result."""

    name: str
    doc: str
    function: Function
    hint: str
    sort: str


@dataclass(frozen=True)
class Getters:
    """The properties of the class ``owner``, whose ``handle`` is a C object of the type ``object``.

    ``unnamed`` are functions of the header that could be properties and are not in the data;
    ``gone`` are functions in the data that the header does not have.
    """

    owner: str
    object: str
    handle: str
    properties: list[Property]
    unnamed: list[Function]
    gone: list[str]


def getters(api: Api, types: PyTypes) -> list[Getters]:
    """The properties of each class in getters.toml whose functions the header has."""
    data = tomli.loads(GETTERS.read_text("utf-8"))
    return [_of(owner, entry, api, types) for owner, entry in data.items()]


def _of(owner: str, entry: dict[str, Any], api: Api, types: PyTypes) -> Getters:
    docs, prefix = entry["docs"], entry["prefix"]
    functions = {f.name: f for f in api.functions}
    takes = Named(f"struct {entry['object']}")
    properties = []
    for name, doc in docs.items():
        function = functions.get(name)
        if function is None:
            continue
        form = _form(function, types) if _alone(function, takes, types) else None
        if form is None:
            raise CodegenError(
                f"{function.place}: {function.prototype} is not a property of {owner} any more: "
                f"remove it from codegen/{GETTERS.name}, and write it by hand"
            )
        own = identifier(name.removeprefix(prefix).removeprefix("get_"))
        properties.append(Property(own, doc, function, *form))
    known = {*docs, *(f"{prefix}{name}" for name in entry["by_hand"])}
    unnamed = [
        f
        for f in api.functions
        if f.name.startswith(prefix) and f.name not in known and not f.deprecated
        if _alone(f, takes, types) and _form(f, types)
    ]
    there = any(f.name.startswith(prefix) for f in api.functions)
    gone = sorted(known - functions.keys()) if there else []
    return Getters(owner, entry["object"], entry["handle"], properties, unnamed, gone)


def _alone(function: Function, takes: Named, types: PyTypes) -> bool:
    """Whether the function takes a pointer to ``takes`` and nothing else."""
    params = [types.resolve(p.type) for p in function.params]
    return len(params) == 1 and isinstance(params[0], Pointer) and params[0].to == takes


def _form(function: Function, types: PyTypes) -> tuple[str, str] | None:
    """Hint and sort of the value; None for a result that is neither a number nor a text."""
    result = function.result
    if result == Named("llama_token"):
        return "int | None", "token"
    if result == Pointer(Named("char"), const=True):
        return "str", "text"
    enum = types.enum(result)
    if enum:
        return f"_raw.{types.name(enum.name)}", "enum"
    plain = types.resolve(result)
    if isinstance(plain, Named) and plain.name in BUILTINS and plain.name != "void":
        return BUILTINS[plain.name][1], "number"
    return None
