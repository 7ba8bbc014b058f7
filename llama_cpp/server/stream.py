"""Streamed answers of llama-server: bytes to events, events to chunks, chunks to one response."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..errors import LlamaCancelled, LlamaServerError, LlamaStreamError
from ..native.resource import ClosedByWith
from ._fields import Json
from .http import Transport, error_of, shut_down

_PORTION = 65536


class Event(NamedTuple):
    """One server-sent event: its kind (``message`` by default) and its text."""

    kind: str
    data: str


class EventParser:
    """Cuts a stream of bytes into server-sent events.

    Lines end at LF or CRLF, and are split before they are decoded: a portion may end inside a
    character, and U+2028 inside a text does not end a line. Comments (pings) and fields without
    data are skipped.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[str] = []
        self._kind = ""

    def feed(self, portion: bytes) -> list[Event]:
        """The events that ``portion`` completes."""
        self._rest += portion
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        return list(filter(None, map(self._line, lines)))

    def finish(self) -> list[Event]:
        """The last event, if only its line end is missing at the end of the bytes."""
        last, self._rest = self._rest, bytearray()
        return list(filter(None, (self._line(last), self._line(b""))))

    def _line(self, line: bytes | bytearray) -> Event | None:
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
        elif field == "error":  # older servers wrote errors in mid-stream like this
            self._kind = "error"
            self._data.append(value)
        return None


class Stream(ClosedByWith):
    """A streamed answer: its events as JSON. Closing it stops the generation in the server."""

    def __init__(
        self, transport: Transport, path: str, body: Json | None, *,
        conversation: str | None = None,
    ) -> None:  # fmt: skip
        """Send the request. Without a ``body`` it is a GET of events without an end. With
        ``conversation``, an id, the server keeps the answer, and reading continues where it stopped
        when the connection breaks."""
        headers = {} if conversation is None else {"X-Conversation-Id": conversation}
        endless = body is None
        method = "GET" if endless else "POST"
        self._response = transport.open(method, path, body, headers=headers, endless=endless)
        self._transport = transport
        self.clean = transport.clean
        self._path = path
        self._conversation = conversation
        self._resumes = transport.retries
        self._received = 0
        self._complete = False
        self._ended = False
        self._closed = False
        self._lock = threading.Lock()

    def parts(self) -> Iterator[Json]:
        """The JSON of each event, until ``[DONE]`` or the end of the bytes; `complete` says which
        it was. Raises the error that an event reports."""
        for event in self.events():
            if event.data.strip() == "[DONE]":
                self.done()
                return
            yield from read_event(event.kind, event.data, self._path, self.clean)

    def events(self) -> Iterator[Event]:
        """The events as they arrive, until the bytes end."""
        parser = EventParser()
        try:
            while True:
                try:
                    for portion in self._portions():
                        self._received += len(portion)
                        yield from parser.feed(portion)
                    break
                except LlamaStreamError:
                    if not self._resume():
                        raise
            self._ended = True
            yield from parser.finish()
        finally:
            self.close()

    @property
    def complete(self) -> bool:
        """Whether the last event has arrived."""
        return self._complete

    def done(self) -> None:
        """Note that the last event has arrived: the server has nothing left to stop."""
        self._complete = self._ended = True

    def _portions(self) -> Iterator[bytes]:
        import urllib3

        raw = self._response.raw
        try:
            while portion := raw.read1(_PORTION, decode_content=True):
                yield portion
        except urllib3.exceptions.ReadTimeoutError:
            raise self._transport.idle() from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # A socket that another thread closes shows as any of these.
            if self._closed:
                raise LlamaCancelled("the answer was cancelled") from None
            raise LlamaStreamError(
                f"the connection broke in the middle of an answer: {self._transport.clean(error)}"
            ) from None
        if self._closed:
            raise LlamaCancelled("the answer was cancelled")

    def _resume(self) -> bool:
        """Continue where the answer broke off, if the server keeps it."""
        if self._conversation is None or self._closed or self._resumes < 1:
            return False
        self._resumes -= 1
        self._response.close()
        query = {"conv_id": self._conversation, "from": str(self._received)}
        try:
            self._response = self._transport.open("GET", "/v1/stream", params=query)
        except LlamaServerError:
            return False
        return True

    def close(self) -> None:
        """Stop, from any thread: the server stops generating."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if not self._ended:
            shut_down(self._response)  # wakes a thread that is reading; closing alone would not
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._response.close()
        if not self._ended and self._conversation is not None:
            with (
                contextlib.suppress(LlamaServerError),
                self._transport.without_patience() as transport,
            ):
                transport.request("DELETE", "/v1/stream", params={"conv_id": self._conversation})


class ChatAssembler:
    """Puts chunks together to the response that the server gives when nothing is streamed."""

    def __init__(self) -> None:
        self._choices: dict[int, Json] = {}
        self._facts: Json = {}

    def add(self, chunk: Json) -> None:
        """Add one chunk. LlamaStreamError for anything that is not a chunk."""
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise LlamaStreamError(f"a chunk without choices: {_short(chunk)}")
        for name in ("id", "created", "model", "system_fingerprint", "usage", "timings"):
            if chunk.get(name) is not None:
                self._facts[name] = chunk[name]
        for choice in choices:
            try:
                self._add_choice(choice)
            except (KeyError, TypeError, AttributeError) as error:
                raise LlamaStreamError(f"a broken chunk ({error!r}): {_short(chunk)}") from error

    def _add_choice(self, choice: Json) -> None:
        index = choice.get("index", 0)
        message: Json = {"role": "assistant", "content": ""}
        new = {"index": index, "finish_reason": None, "message": message}
        whole = self._choices.setdefault(index, new)
        message = whole["message"]
        delta = choice.get("delta") or {}
        if delta.get("role"):
            message["role"] = delta["role"]
        for name in ("content", "reasoning_content"):
            if delta.get(name):
                message[name] = message.get(name, "") + delta[name]
        for part in delta.get("tool_calls") or ():
            self._add_call(message.setdefault("tool_calls", []), part)
        logprobs = choice.get("logprobs")
        if logprobs:
            kept = whole.setdefault("logprobs", {"content": []})
            kept["content"] += logprobs.get("content") or []
        if choice.get("finish_reason") is not None:
            whole["finish_reason"] = choice["finish_reason"]

    def _add_call(self, calls: list[Json], part: Json) -> None:
        function = part.get("function") or {}
        name, id_ = function.get("name"), part.get("id")
        if isinstance(function.get("arguments"), dict):  # as some servers write them
            function["arguments"] = json.dumps(function["arguments"])
        index = part.get("index")
        last = len(calls) - 1 if index is None or index == len(calls) - 1 else index
        # Some servers number no calls, or all of them 0: another call has an id or a name again.
        again = 0 <= last == len(calls) - 1 and (
            (id_ and calls[last]["id"] not in ("", id_)) or (name and not id_ and index is None)
        )
        if again or last == len(calls) or (last < 0 and index is None):
            if not name:
                raise LlamaStreamError(f"a tool call began without a name: {_short(part)}")
            # With some templates the server gives no id; the history needs one.
            made = {"name": "", "arguments": ""}
            calls.append({"id": id_ or "", "type": "function", "function": made})
            last = len(calls) - 1
        elif not 0 <= last < len(calls):
            raise LlamaStreamError(f"tool call {index} arrived before tool call {len(calls)}")
        whole = calls[last]
        if id_:
            whole["id"] = id_
        for key in ("name", "arguments"):
            if function.get(key):
                whole["function"][key] += function[key]

    @property
    def started(self) -> bool:
        """Whether any part of an answer has arrived."""
        return bool(self._choices)

    @property
    def finished(self) -> bool:
        """Whether every choice has its finish_reason."""
        return self.started and all(c["finish_reason"] for c in self._choices.values())

    def response(self) -> Json:
        """The parts so far, in the form of a response that was not streamed."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {"choices": choices, "object": "chat.completion", **self._facts}


class ChatStream(ClosedByWith):
    """The chunks of an answer, as they are generated; `response` puts them together.

    Raises LlamaStreamError, with the parts so far as ``partial``, when the stream breaks off.
    Closing it, also by ``with``, stops the generation.
    """

    def __init__(self, stream: Stream, *, completion: bool = False) -> None:
        """``completion``: the stream comes from ``/completion``; its parts become chunks."""
        self._stream = stream
        self._completion = completion
        self._assembler = ChatAssembler()
        self._chunks = self._read()

    def __iter__(self) -> Iterator[Json]:
        return self._chunks

    @property
    def response(self) -> Json:
        """The answer so far, in the form of one that was not streamed."""
        return self._assembler.response()

    def close(self) -> None:
        """Stop, from any thread: the server stops generating."""
        self._stream.close()

    def _read(self) -> Iterator[Json]:
        try:
            for part in self._stream.parts():
                if self._completion and part.get("stop") is True:
                    self._stream.done()
                chunk = _chunk_of(part) if self._completion else part
                if chunk.get("choices") is not None or "prompt_progress" not in chunk:
                    self._assembler.add(chunk)
                yield chunk
                if self._stream.complete:
                    return
        except LlamaStreamError as error:
            error.partial = self._partial()
            error.message = self._stream.clean(error.message)
            error.args = (error.message,)
            raise
        finally:
            self._stream.close()
        # The last bytes may be lost on their way, or a proxy may not know [DONE].
        if not self._stream.complete and not self._assembler.finished:
            raise LlamaStreamError(
                "the answer ended without [DONE]: the server, or a proxy in between, broke it off",
                partial=self._partial(),
            )

    def _partial(self) -> Json | None:
        return self._assembler.response() if self._assembler.started else None


def read_event(kind: str, data: str, path: str, clean: Callable[[object], str] = str) -> list[Json]:
    """The JSON objects of an event: one, none, or a list of them. Raises the error that the event
    reports, with its text made ``clean``."""
    try:
        read: Any = json.loads(data) if data.strip() else None
    except (ValueError, RecursionError):
        raise LlamaStreamError(f"an event that is not JSON: {clean(data)[:200]!r}") from None
    parts = [part for part in read if part is not None] if isinstance(read, list) else [read]
    for part in parts:
        if part is not None and not isinstance(part, dict):
            raise LlamaStreamError(f"an event that is not an object: {clean(data)[:200]!r}")
        if part is not None and (kind == "error" or part.get("error")):
            error = error_of(part, None, path, "", clean)
            if type(error) is LlamaServerError:
                raise LlamaStreamError(str(error), status=error.status, kind=error.kind)
            raise error
    return [part for part in parts if part is not None]


def _chunk_of(part: Json) -> Json:
    """A part of a completion in the form of a chat's chunk."""
    if "content" not in part:
        return part
    choice: Json = {"index": 0, "delta": {"content": part["content"]}, "finish_reason": None}
    chunk: Json = {"choices": [choice]}
    if part.get("stop") is True:
        choice["finish_reason"] = "length" if part.get("stop_type") == "limit" else "stop"
        timings = part.get("timings") or {}
        prompt, written = part.get("tokens_evaluated", 0), part.get("tokens_predicted", 0)
        chunk["timings"] = timings
        chunk["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": timings.get("cache_n", 0)},
        }
    return chunk


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 200 else text[:200] + "…"
