"""How far the pin is behind llama.cpp, as far as the sources of trees know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from llama_cpp.errors import LlamaError

from .errors import CodegenError
from .origins import Origin, number, origins
from .source import pinned_tag, upstream

_ROW = "{:60} {:>20} {:>10} {:>11}"


@dataclass(frozen=True)
class Known:
    """A source's state: its newest tag, the tags newer than the pin, and the dates of the newest
    and the pin; or the reason why it has no answer."""

    source: str
    newest: str = ""
    newer: frozenset[str] = frozenset()
    date: datetime | None = None
    pinned: datetime | None = None
    error: str = ""


def ask() -> list[Known]:
    """The answers of all sources that list tags. Raises CodegenError if none of them answers."""
    found = [known for origin in origins(upstream()["sources"]) if (known := _ask(origin))]
    if not any(known.newest for known in found):
        raise CodegenError(f"no source lists its tags: {'; '.join(k.error for k in found)}")
    return found


def _ask(origin: Origin) -> Known | None:
    pin = pinned_tag()
    try:
        tags = origin.tags()
        if not tags:
            return None
        newer = frozenset(tag for tag in tags if number(tag) > number(pin))
        pinned = origin.date(pin) if pin in tags else None
        return Known(origin.name, tags[-1], newer, origin.date(tags[-1]), pinned)
    except (CodegenError, LlamaError) as error:
        return Known(origin.name, error=str(error))


@dataclass(frozen=True)
class Limits:
    """How many tags and days the pin may be behind, and how old the newest known tag may be."""

    tags: int
    days: int
    age: int


def table(found: list[Known]) -> str:
    """A table with one row for each source."""
    start = _pinned(found)
    rows = [f"pin: {pinned_tag()}{_on(start)}"]
    rows.append(_ROW.format("source", "newest", "newer tags", "days behind"))
    for k in found:
        behind = _days(start, k.date) if k.newer else 0
        days = "?" if behind is None else behind
        newest = k.newest + _on(k.date)
        rows.append(k.error or _ROW.format(k.source, newest, len(k.newer), days))
    return "\n".join(rows)


def summary(found: list[Known], limits: Limits, now: datetime) -> tuple[str, list[str]]:
    """The lag over all sources in a line, and the parts of it that exceed the limits."""
    tags = len(frozenset[str]().union(*(k.newer for k in found)))
    days = _days(_pinned(found), max((k.date for k in found if k.date and k.newer), default=None))
    age = _days(max((k.date for k in found if k.date), default=None), now)
    text = f"behind: {tags} tags, {days or 0} days; the newest tag known is {_known(age)} days old"
    faults = []
    for count, limit, kind in ((tags, limits.tags, "tags"), (days or 0, limits.days, "days")):
        if count > limit:
            faults.append(
                f"the pin is {count} {kind} behind, more than {limit}: run make regen TAG=latest"
            )
    if age is None or age > limits.age:
        faults.append(
            f"no source has had a newer tag for {_known(age)} days, more than {limits.age}, and "
            "llama.cpp has some each day: add a source that follows it to codegen/upstream.toml"
        )
    return text, faults


def _pinned(found: list[Known]) -> datetime | None:
    return min((k.pinned for k in found if k.pinned), default=None)


def _on(date: datetime | None) -> str:
    return f" of {date:%Y-%m-%d}" if date else ""


def _known(days: int | None) -> str:
    return "an unknown number of" if days is None else str(days)


def _days(start: datetime | None, end: datetime | None) -> int | None:
    return None if start is None or end is None else max(0, (end - start).days)
