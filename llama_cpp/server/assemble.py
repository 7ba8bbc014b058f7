"""Streamed chats: chunks in, and the answer that they add up to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from ..errors import LlamaServerError, LlamaStreamError
from ..native.resource import ClosedByWith
from .fields import Json
from .http import Stream, error_of

if TYPE_CHECKING:
    pass

_PATH = "/v1/chat/completions"


class ChatAssembler:
    """Adds chunks up to the answer that the server would have given all at once."""

    def __init__(self) -> None:
        self._choices: dict[int, Json] = {}
        self._facts: Json = {}

    def add(self, chunk: Json) -> None:
        """Take one chunk in. LlamaStreamError for what is none."""
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
        whole = self._choices.setdefault(
            index,
            {
                "index": index,
                "finish_reason": None,
                "message": {"role": "assistant", "content": ""},
            },
        )
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
        index = part["index"]
        if index == len(calls):
            if not function.get("name"):
                raise LlamaStreamError(f"a tool call began without a name: {_short(part)}")
            # Some templates have the server give no id: the history needs one.
            calls.append(
                {
                    "id": part.get("id") or "",
                    "type": "function",
                    "function": {"name": "", "arguments": ""},
                }
            )
        elif index > len(calls) or index < 0:
            raise LlamaStreamError(f"tool call {index} came before the one in front of it")
        whole = calls[index]
        if part.get("id"):
            whole["id"] = part["id"]
        for name in ("name", "arguments"):
            if function.get(name):
                whole["function"][name] += function[name]

    @property
    def started(self) -> bool:
        """Whether anything of an answer came."""
        return bool(self._choices)

    @property
    def finished(self) -> bool:
        """Whether each choice has its finish_reason."""
        return self.started and all(c["finish_reason"] for c in self._choices.values())

    def response(self) -> Json:
        """What came so far, in the form of an answer that was not streamed."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {"choices": choices, "object": "chat.completion", **self._facts}


class ChatStream(ClosedByWith):
    """The chunks of an answer, as they are generated; `response` is what they add up to.

    It ends after the last one. LlamaStreamError, with what came as ``partial``, when the stream
    breaks off. Closing it, also by ``with``, stops the generation.
    """

    def __init__(self, stream: Stream, *, completion: bool = False) -> None:
        """``completion``: the stream is one of ``/completion``, whose parts become chunks."""
        self._stream = stream
        self._completion = completion
        self._assembler = ChatAssembler()
        self._chunks = self._read()

    def __iter__(self) -> Iterator[Json]:
        return self._chunks

    @property
    def response(self) -> Json:
        """The answer as far as it came, in the form of one that was not streamed."""
        return self._assembler.response()

    def close(self) -> None:
        """Stop, from any thread: the server gives up what it was generating."""
        self._stream.close()

    def _read(self) -> Iterator[Json]:
        try:
            for event in self._stream.events():
                chunk = read_event(event.kind, self._stream.clean(event.data), _PATH)
                if chunk is None:
                    self._stream.done()
                    return
                last = self._completion and chunk.get("stop") is True
                if self._completion:
                    chunk = _chunk_of(chunk)
                if last:
                    self._stream.done()
                if chunk.get("choices") is None and "prompt_progress" in chunk:
                    yield chunk
                    continue
                self._assembler.add(chunk)
                yield chunk
                if last:
                    return
        except LlamaStreamError as error:
            error.partial = self._partial()
            raise
        finally:
            self._stream.close()
        raise LlamaStreamError(
            "the answer ended without [DONE]: the server, or what stands between, broke it off",
            partial=self._partial(),
        )

    def _partial(self) -> Json | None:
        return self._assembler.response() if self._assembler.started else None


def read_event(kind: str, data: str, path: str) -> Json | None:
    """The JSON of an event, or None for the one that ends a stream. Raises the error that an event
    tells of."""
    if data == "[DONE]":
        return None
    try:
        read: Any = json.loads(data)
    except ValueError:
        raise LlamaStreamError(f"an event that is not JSON: {data[:200]!r}") from None
    if not isinstance(read, dict):
        raise LlamaStreamError(f"an event that is no object: {data[:200]!r}")
    if kind == "error" or "error" in read:
        error = error_of(read, None, path)
        if type(error) is LlamaServerError:
            raise LlamaStreamError(str(error), status=error.status, kind=error.kind)
        raise error
    return cast("Json", read)


def _chunk_of(part: Json) -> Json:
    """A part of a completion as a chunk of a chat."""
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
