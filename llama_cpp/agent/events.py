"""The events of a run, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from .._display import Displayed, Sheet, spent
from ..server._fields import Json
from ..usage import Timings, Usage
from .tools import ToolCall

T = TypeVar("T")

Mode = Literal["native", "constrained", "plain"]
"""How tools were offered: by the chat template, by a schema for the reply, or not at all."""
Reason = Literal["answer", "length", "tool_calls", "approval", "max_steps", "tool_errors", "error"]
"""Why a run ended: an answer, an answer cut off by ``max_tokens`` or a full context, calls of tools
that the caller runs, calls that wait for a decision, ``max_steps`` replies, too many failed calls
in a row, or an error."""


@dataclass(frozen=True)
class Step:
    """One reply of the model."""

    mode: Mode
    """How tools were offered."""
    response: Json = field(repr=False)
    """The reply, in the form of the server's responses."""
    calls: list[ToolCall]
    """Its calls, with their results."""

    @property
    def finish_reason(self) -> str:
        """Why the reply ended: ``stop``, ``length`` or ``tool_calls``."""
        return str(self.response["choices"][0]["finish_reason"])


@dataclass(frozen=True)
class RunResult(Displayed, Generic[T]):
    """How a run ended."""

    text: str
    """The final answer; for an ``output_type`` its JSON. After ``max_steps`` and ``tool_errors``
    it says so; after other ends without an answer it is empty."""
    output: T
    """The answer as the ``output_type``. None without one, and if the run did not end with
    ``answer``."""
    reason: Reason
    """Why the run ended."""
    mode: Mode
    """How tools were offered in the last reply that could call one."""
    messages: list[Json] = field(repr=False)
    """The messages that the run added to the conversation: question, calls, results, answer."""
    calls: list[ToolCall]
    """Every call of a tool, in the order in which the model made them."""
    steps: list[Step] = field(repr=False)
    """Every reply of the model."""
    usage: Usage
    """Tokens of all replies together."""
    timings: Timings
    """Time of all replies together."""
    reasoning: str = field(default="", repr=False)
    """The model's reasoning before its last reply, if the server reports it."""

    @property
    def pending(self) -> list[ToolCall]:
        """The calls that were not made, see `LlamaAgent.resume`."""
        return [call for call in self.calls if call.pending]

    def _display(self) -> Sheet:
        sheet = Sheet().text(self.reasoning, "Reasoning").text(self.text)
        calls = [
            (call.name, call.arguments, "(pending)" if call.pending else call.text)
            for call in self.calls
        ]
        sheet.table(calls, "tool", "arguments", "result")
        return sheet.note(self.reason, *spent(self.usage, self.timings))


@dataclass(frozen=True)
class _Delta:
    text: str
    """The part."""


class TextDelta(_Delta):
    """A part of the answer's text."""


class ReasoningDelta(_Delta):
    """A part of the model's reasoning."""


@dataclass(frozen=True)
class ToolCallDelta:
    """A part of a call. The first part has the name; all have parts of the arguments' JSON.

    A constrained reply gives each call in one part.
    """

    index: int
    """The number of the call in the reply, from 0."""
    name: str
    """The tool's name, empty in all but the first part."""
    arguments: str
    """A part of the arguments' JSON."""


@dataclass(frozen=True)
class PromptProgress:
    """The progress of the prompt; sent with ``return_progress=True``."""

    processed: int
    """Tokens processed, including those in the cache."""
    total: int
    """Tokens of the prompt."""


@dataclass(frozen=True)
class PartialOutput:
    """The part of a typed answer that has been generated; sent whenever it grows."""

    value: Any
    """Its JSON so far: a dict or a list without its last members, or the beginning of a text."""


@dataclass(frozen=True)
class Retry:
    """The reply so far is discarded, and another one is requested."""

    reason: str
    """Why."""


@dataclass(frozen=True)
class _OfCall:
    call: ToolCall
    """The call; the same object before and after the tool has run."""


class ToolCallStarted(_OfCall):
    """A tool is about to run; its ``call`` has no result yet."""


class ToolCallFinished(_OfCall):
    """A tool has run; its ``call`` has the result or the error."""


@dataclass(frozen=True)
class Done(Generic[T]):
    """The run is over; always the last event."""

    result: RunResult[T]
    """How it ended."""


_CallEvent = ToolCallDelta | ToolCallStarted | ToolCallFinished
Event = TextDelta | ReasoningDelta | _CallEvent | PromptProgress | PartialOutput | Retry | Done[Any]
"""The events of `LlamaAgent.stream`."""
