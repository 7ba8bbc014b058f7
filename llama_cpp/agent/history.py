"""Conversations as lists of messages: turns, and files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..server.fields import Json

_ROLES = ("system", "developer", "user", "assistant", "tool")


def checked(messages: Any) -> list[Json]:
    """``messages`` as a list of our own. TypeError or ValueError for what are none."""
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise TypeError(f"messages are a list of dicts with a role, not {messages!r}")
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise TypeError(f"message {i} is a dict with a role and a content, not {message!r}")
        if message.get("role") not in _ROLES:
            raise ValueError(
                f"message {i} has the role {message.get('role')!r}, not one of {', '.join(_ROLES)}"
            )
    return [dict(message) for message in messages]


def without_first_turn(before: list[Json], now: list[Json]) -> list[Json] | None:
    """``before`` without its oldest turn: a user's message and all up to the next one. None when
    that is the turn that goes on in ``now``. What stands before the first turn stays."""
    starts = [i for i, message in enumerate([*before, *now]) if message["role"] == "user"]
    if len(starts) < 2:
        return None
    return [*before[: starts[0]], *before[starts[1] :]]


def save(path: Path, system: str | None, messages: Sequence[Json]) -> None:
    """Write a conversation: all of it or nothing."""
    from ..model.gguf import check_target  # here: an agent needs the library for nothing else

    check_target(path)
    text = json.dumps(
        {"version": 1, "system": system, "messages": list(messages)}, ensure_ascii=False, indent=1
    )
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def load(path: Path) -> tuple[str | None, list[Json]]:
    """What `save` wrote. ValueError for any other file."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no saved conversation: {error}") from error
    if not isinstance(saved, dict) or saved.get("version") != 1:
        raise ValueError(f"{path} is no conversation that this version saved")
    system = saved.get("system")
    if system is not None and not isinstance(system, str):
        raise ValueError(f"{path}: the system message is no text")
    return system, checked(saved.get("messages"))
