"""Checks of what llama-server is given, by the tables that are generated from its sources."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ..native.peers import unknown_keyword


class Value(NamedTuple):
    """What a value may be: any of ``types`` (as in JSON, with ``|`` between them; any if empty)
    between two limits, or one of ``choices``."""

    types: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


class Option(NamedTuple):
    """An option of the command line. ``flags`` are those for True and False, of an option that
    takes no value. A list is ``joined`` by that character; ``csv`` stands for commas and quotes,
    ``repeat`` for the option again, and nothing for no list."""

    flag: str
    value: Value
    flags: tuple[str, str] | None = None
    joined: str = ""
    pair: bool = False
    excluded: tuple[float, ...] = ()


def encodable(text: str) -> str:
    """``text`` with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def checked(name: str, value: Any, known: Value) -> Any:
    """``value``, as JSON has it. ValueError for another type, and beyond the limits."""
    found = next((v for kind in known.types.split("|") for v in _as(kind, value)), None)
    if found is None:
        wanted = " or ".join(known.types.split("|"))
        raise ValueError(f"{name} must be of type {wanted}, not {value!r}")
    if known.choices and isinstance(found, str) and found not in known.choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(known.choices)}")
    if isinstance(found, int | float) and not known.low <= found <= known.high:
        raise ValueError(f"{name}={value!r} is outside {known.low:.15g} to {known.high:.15g}")
    return found


def _as(kind: str, value: Any) -> Iterable[Any]:
    """``value`` as JSON of the type ``kind``, if it is of that type."""
    number = not isinstance(value, bool | str | bytes)
    if kind == "int" and number and hasattr(value, "__index__"):
        yield int(value.__index__())
    elif kind == "float" and number and hasattr(value, "__float__"):
        with suppress(TypeError, OverflowError):
            if math.isfinite(float(value)):
                yield value if isinstance(value, int) else float(value)
    elif kind in _KINDS and isinstance(value, _KINDS[kind]):
        yield value
    elif kind.startswith("list") and isinstance(value, Sequence) and not isinstance(value, str):
        items = [[*_as(kind[5:-1], item)] for item in value]
        if all(items):
            yield [item for (item,) in items]


_KINDS = {"str": str, "bool": bool, "object": Mapping, "": object}


def fields(given: Mapping[str, Any], known: Mapping[str, Value]) -> dict[str, Any]:
    """``given`` without what is None. TypeError for a field that a request does not have."""
    for name in given:
        if name not in known:
            raise unknown_keyword(name, known, "the request")
    return {k: checked(k, v, known[k]) for k, v in given.items() if v is not None}


def words(name: str, value: Any, option: Option) -> list[str]:
    """The words of a command line that give ``option`` the ``value``, or none."""
    if value is None or (isinstance(value, list | tuple) and not value):
        return []
    if option.flags is not None:
        flag = option.flags[not checked(name, value, option.value)]
        return [flag] if flag else []
    if isinstance(value, bool) and "on" in option.value.choices:
        value = "on" if value else "off"
    many = isinstance(value, list | tuple)
    if many and not (option.joined or option.pair):
        raise ValueError(f"{name} takes one value, not {value!r}")
    texts = [_text(name, one, option) for one in (value if many else [value])]
    if option.joined == "csv" and (many or isinstance(value, os.PathLike)):
        texts = [",".join(map(_quoted, texts))]
    elif many and len(option.joined) == 1:
        if any(option.joined in text for text in texts):
            raise ValueError(f"{name}={value!r}: llama-server splits at each {option.joined!r}")
        texts = [option.joined.join(texts)]
    if option.pair:
        if len(texts) != 2:
            raise ValueError(f"{name} must be a pair, not {value!r}")
        return [option.flag, *texts]
    return [word for text in texts for word in (option.flag, text)]


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""')) if "," in text or '"' in text else text


def _text(name: str, value: Any, option: Option) -> str:
    plain = os.fspath(value) if isinstance(value, os.PathLike) else value
    found = checked(name, plain, option.value)
    if found in option.excluded:
        raise ValueError(f"{name} cannot be {value!r}")
    return str(found)
