"""Server-sent events, from bytes that come in any portions."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event: the name of its kind (``message`` where none was said) and its text."""

    kind: str
    data: str


class EventParser:
    """Cuts a stream of bytes into events.

    Lines end at LF or CRLF in bytes, before anything is decoded: a portion may end inside a
    character, and U+2028 inside a text is no line end. Comments (pings) and fields that carry no
    data are passed over.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[str] = []
        self._kind = ""

    def feed(self, portion: bytes) -> list[Event]:
        """The events that ``portion`` completes."""
        self._rest += portion
        end = self._rest.rfind(b"\n")
        if end < 0:
            return []
        lines = bytes(self._rest[:end]).split(b"\n")
        del self._rest[: end + 1]
        events = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def finish(self) -> list[Event]:
        """At the end of the bytes: an event that only lacks its last line end."""
        last = [self._line(bytes(self._rest)), self._line(b"")]
        self._rest.clear()
        return [event for event in last if event is not None]

    def _line(self, line: bytes) -> Event | None:
        text = line.removesuffix(b"\r").decode("utf-8", "replace")
        if not text:
            data, kind = self._data, self._kind
            self._data, self._kind = [], ""
            return Event(kind or "message", "\n".join(data)) if data else None
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._kind = value
        elif field == "error":  # how older servers wrote an error in mid-stream
            self._kind = "error"
            self._data.append(value)
        return None
