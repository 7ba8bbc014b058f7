"""One question to the model, in native or constrained form, and the reply in one form."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import LlamaStreamError
from ..server._fields import Json
from ..server.client import schema_wanted
from .constrained import (
    ANSWER,
    AnswerReader,
    Protocol,
    Stops,
    alternating,
    as_text,
    read_reply,
    with_system,
)
from .events import (
    Event,
    Mode,
    PartialOutput,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from .schema import answer_text, as_json
from .tools import Tool

# The forms of control tokens, <|im_end|> and [INST], and what breaks one up.
MARK = re.compile(r"<[^<>]{1,60}>|\[/?[A-Za-z_]\w{0,40}\]")
_JSON = re.compile(r'\s*(?:[{\["\d-]|true|false|null|$)')
JOINER = "\u2060"
_ids = itertools.count(1)


@dataclass(frozen=True)
class Choice:
    """A ``tool_choice`` in one form."""

    kind: str = "auto"
    """``auto``, ``none`` or ``required``."""
    name: str | None = None
    """The only tool that may be called, with ``required``."""


def choice_of(given: Any, tools: Mapping[str, Tool]) -> Choice:
    """``tool_choice`` as OpenAI writes it, or a tool's name. ValueError for anything else."""
    if given is None:
        return Choice()
    if given in ("auto", "none", "required"):
        return Choice(given)
    name = (given.get("function") or {}).get("name") if isinstance(given, Mapping) else given
    if name not in tools:
        known = ", ".join(("auto", "none", "required", *tools))
        raise ValueError(f"tool_choice {given!r} is not one of {known}")
    return Choice("required", name)


@dataclass
class Question:
    """Everything that decides the next request."""

    messages: Sequence[Json]
    tools: Mapping[str, Tool]
    choice: Choice
    params: Json
    """The other fields of the request."""
    mode: Mode
    native_history: bool
    """Whether the template can render calls and results."""
    alternate: bool = False
    """Whether it wants the roles of other messages to alternate."""
    answer: Json | None = None
    """The schema of a typed answer."""
    answer_only: bool = False
    """Whether the model must not call now."""
    text_given: bool = field(default=False, init=False)
    """Whether some of the answer's text was given as events."""
    formatted: bool = field(default=False, init=False)
    """Whether the request asked for JSON."""

    def __post_init__(self) -> None:
        if self.choice.name is not None:
            self.tools = {self.choice.name: self.tools[self.choice.name]}
        self._reader = AnswerReader()
        self._json, self._value = "", None
        self._calls = 0
        stops = self.params.get("stop") if self.mode == "constrained" else None
        texts = [stops] if isinstance(stops, str) else list(stops or ())
        self._stops = Stops(texts) if any(texts) else None
        self.parallel = self.params.pop("parallel_tool_calls", None)
        if self.mode == "constrained":
            required = self.choice.kind == "required"
            answer = None if required else self.answer or ANSWER
            self.protocol = Protocol(self.tools, answer, bool(self.parallel), self.answer_only)

    def request(self) -> tuple[list[Json], list[Json] | None, Json]:
        """Messages, tools and the other fields, as the server takes them."""
        messages, tools, params = self._request()
        self.formatted = schema_wanted(params) is not None
        texts = self.mode == "constrained" or not self.native_history
        return alternating(messages) if self.alternate and texts else messages, tools, params

    def _request(self) -> tuple[list[Json], list[Json] | None, Json]:
        params = dict(self.params)
        if self.mode == "constrained":
            params["response_format"] = _format("reply", self.protocol.schema())
            params.pop("stop", None)  # they are for the answer, not for the JSON around it
            return self.protocol.messages(self.messages), None, params
        native = self.native_history
        messages = _mended(self.messages) if native else as_text(self.messages)
        if self.mode == "plain" or self.answer_only:
            if self.answer is not None:
                params["response_format"] = _format("answer", self.answer)
                messages = with_system(messages, f"Answer with JSON: {answer_text(self.answer)}")
            return messages, None, params
        # A request with tools cannot have a schema, too: a typed answer is asked for afterwards.
        params["tool_choice"] = self.choice.kind
        if self.parallel is not None:
            params["parallel_tool_calls"] = self.parallel
        return messages, [tool.definition for tool in self.tools.values()], params

    def events(self, chunk: Json) -> Generator[Event, None, None]:
        """The events of a chunk of the stream."""
        progress = chunk.get("prompt_progress")
        if progress:
            yield PromptProgress(int(progress.get("processed", 0)), int(progress.get("total", 0)))
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("reasoning_content"):
                yield ReasoningDelta(delta["reasoning_content"])
            if delta.get("content"):
                yield from self._text(delta["content"])
                if self.answer is not None and self.mode != "native":
                    yield from self._partial(delta["content"])
            for part in delta.get("tool_calls") or ():
                function = part.get("function") or {}
                name = function.get("name") or ""
                self._calls += bool(name)
                index = max(part.get("index") or 0, self._calls - 1)
                yield ToolCallDelta(index, name, function.get("arguments") or "")

    def _partial(self, part: str) -> Generator[Event, None, None]:
        from pydantic_core import from_json

        self._json += part
        try:
            value = from_json(self._json, allow_partial="trailing-strings")
        except ValueError:
            return
        if self.mode == "constrained":
            value = value.get("answer") if isinstance(value, dict) else None
        if value is not None and value != self._value:
            self._value = value
            yield PartialOutput(value)

    def _text(self, part: str) -> Generator[Event, None, None]:
        if self.mode == "constrained":
            part = self._reader.feed(part)
            if self._stops is not None:
                part = self._stops.feed(part)
        if part:
            self.text_given = True
            yield TextDelta(part)

    def rest(self) -> str:
        """The text that was held back because a stop string could begin with it."""
        return "" if self._stops is None else self._stops.rest()

    def reply(self, response: Json) -> Json:
        """The server's response with calls and text in their usual places, for every mode."""
        choices = response.get("choices")
        if not choices:
            raise LlamaStreamError("the server answered without a choice", partial=response)
        return {**response, "choices": [self._choice(choice) for choice in choices]}

    def ignored(self, response: Json) -> bool:
        """Whether the answer is not the JSON that the request asked for: with some templates the
        server forgets it."""
        choice = response["choices"][0]
        text = choice["message"].get("content") if self.formatted else None
        if not text or self.params.get("stop"):
            return False
        if choice.get("finish_reason") == "length":
            return _JSON.match(text) is None
        try:
            json.loads(text, strict=False)
        except (ValueError, RecursionError):
            return True
        return False

    def _choice(self, choice: Json) -> Json:
        message = dict(choice["message"])
        reason = choice.get("finish_reason")
        calls = [dict(call) for call in message.pop("tool_calls", None) or ()]
        if self.mode == "constrained":
            text, calls = self._read(str(message.get("content") or ""), reason)
            if self._stops is not None:
                text = self._stops.cut(text)
            message["content"] = text
        if reason == "length":
            calls = []  # the last one's arguments may be cut off
        if self.parallel is False:
            calls = calls[:1]
        ids: set[str] = set()
        for call in calls:  # decisions and results are by the id
            if call.get("id") in (None, "", *ids):
                call["id"] = _new_id()
            ids.add(call["id"])
        if calls:
            message["tool_calls"] = calls
            reason = "tool_calls"
        elif reason == "tool_calls":
            reason = "stop"
        return {**choice, "message": message, "finish_reason": reason}

    def _read(self, text: str, reason: Any) -> tuple[str, list[Json]]:
        try:
            answer, calls = read_reply(text)
        except ValueError:
            return (AnswerReader().feed(text) if reason == "length" else text), []
        made = [{"type": "function", "id": "", "function": call} for call in calls]
        return answer or "", made


def arguments_of(call: Json) -> tuple[Json, str | None]:
    """The arguments of a call, or none and the problem with them.

    Repairs the call: the server refuses every request whose history has arguments that are not a
    JSON object.
    """
    function = call["function"] = dict(call["function"])
    given: Any = function.get("arguments")
    try:
        read = _loads(given if isinstance(given, str) else as_json(given))
        if isinstance(read, str):  # some models write the JSON as a JSON string
            read = _loads(read)
        read = {} if read is None else read  # of a function without parameters
        if isinstance(read, dict):
            text = as_json(read).replace(f"<{JOINER}", "<").replace(f"[{JOINER}", "[")
            function["arguments"] = text
            return json.loads(text), None
        problem = f"{type(read).__name__} is not an object"
    except (ValueError, RecursionError) as error:
        problem = str(error)
    function["arguments"] = "{}"
    return {}, f"the arguments are not a JSON object: {problem}"


def _mended(messages: Sequence[Json]) -> list[Json]:
    """``messages`` with arguments that the server takes, and an id for each call and result."""
    result: list[Json] = []
    waiting: list[str] = []
    for message in messages:
        if message.get("tool_calls"):
            calls = [dict(call) for call in message["tool_calls"]]
            message = {**message, "tool_calls": calls}
            for call in calls:
                arguments_of(call)
                if not call.get("id"):
                    call["id"] = _new_id()
                    waiting.append(call["id"])
        elif message["role"] == "tool" and not message.get("tool_call_id") and waiting:
            message = {**message, "tool_call_id": waiting.pop(0)}
        result.append(message)
    return result


def _new_id() -> str:
    return f"c{next(_ids) % 10**8:08d}"


def _loads(text: str) -> Any:
    """The JSON in ``text``, or None in an empty one. ValueError for NaN, Infinity and numbers too
    large for a float: a history that has them is refused by the server."""

    def number(text: str) -> float:
        if math.isfinite(value := float(text)):
            return value
        raise ValueError(f"{text} is not a number that JSON can have")

    if not text.strip():
        return None
    return json.loads(text, strict=False, parse_float=number, parse_constant=number)


def _format(name: str, schema: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
