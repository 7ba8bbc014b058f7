"""Conversations: lists of messages, their turns, and their files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..server._fields import Json

_ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass
class Talk:
    """A conversation during one turn."""

    system: str | None
    """The system message; not stored in the conversation."""
    before: list[Json]
    """The messages of earlier turns."""
    added: list[Json] = field(default_factory=list)
    """The messages that this turn adds to the conversation."""
    aside: list[Json] = field(default_factory=list)
    """Messages for the next reply only; not stored in the conversation."""

    @property
    def messages(self) -> list[Json]:
        """All messages, as the model reads them."""
        head = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*head, *self.before, *self.added, *self.aside]

    def drop_first_turn(self) -> bool:
        """Drop the oldest turn: a user's message and everything up to the next one.

        Messages before it stay. False if the oldest turn is the present one.
        """
        messages = [*self.before, *self.added]
        starts = [i for i, message in enumerate(messages) if message["role"] == "user"]
        if len(starts) < 2:
            return False
        self.before = [*self.before[: starts[0]], *self.before[starts[1] :]]
        return True


def unanswered(messages: Sequence[Json]) -> list[Json]:
    """The last message's calls that have no result yet."""
    answered = set()
    for message in reversed(messages):
        if message["role"] != "tool":
            calls = message.get("tool_calls") or ()
            return [dict(call) for call in calls if call.get("id") not in answered]
        answered.add(message.get("tool_call_id"))
    return []


def checked(messages: Any) -> list[Json]:
    """A copy of ``messages``. TypeError or ValueError if they are not messages."""
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


def save(path: Path, system: str | None, messages: Sequence[Json]) -> None:
    """Write a conversation: all of it or nothing. ValueError if ``path`` is not a file."""
    if path.exists() and not path.is_file():
        # A file moved onto a device or a pipe would replace it, /dev/null for all programs.
        raise ValueError(f"{path} exists and is not a file; choose another name")
    text = json.dumps(
        {"version": 1, "system": system, "messages": list(messages)}, ensure_ascii=False, indent=1
    )
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def load(path: Path) -> tuple[str | None, list[Json]]:
    """The system message and the messages in a file of `save`. ValueError for any other file."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a saved conversation: {error}") from error
    if not isinstance(saved, dict) or saved.get("version") != 1:
        raise ValueError(f"{path} is not a conversation saved by this version")
    system = saved.get("system")
    if system is not None and not isinstance(system, str):
        raise ValueError(f"{path}: the system message must be a string, not {system!r}")
    return system, checked(saved.get("messages"))
