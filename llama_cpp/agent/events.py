"""What an agent tells while it runs, and what it gives at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from ..server.fields import Json
from ..usage import Timings, Usage
from .tools import ToolCall

T = TypeVar("T")

Mode = Literal["native", "constrained", "plain"]
"""How tools were offered: by the chat template, by a schema for the reply, or not at all."""
Reason = Literal["answer", "length", "tool_calls", "max_steps", "tool_errors"]
"""Why a run ended: with an answer, cut off by ``max_tokens`` or a full context, with calls of tools
that the caller runs, after ``max_steps`` replies, or after too many failed calls in a row."""


@dataclass(frozen=True)
class Step:
    """One reply of the model."""

    mode: Mode
    """How tools were offered."""
    response: Json = field(repr=False)
    """The reply, in the form of the server's answers."""
    calls: list[ToolCall]
    """The calls in it, with what came of them."""

    @property
    def finish_reason(self) -> str:
        """Why the reply ended: ``stop``, ``length`` or ``tool_calls``."""
        return str(self.response["choices"][0]["finish_reason"])


@dataclass(frozen=True)
class RunResult(Generic[T]):
    """How a run ended."""

    text: str
    """The final answer; for an ``output_type`` its JSON."""
    output: T
    """The answer as the ``output_type`` that was asked for. None where none was, and where the
    run ended for another reason than ``answer``."""
    reason: Reason
    """Why the run ended."""
    mode: Mode
    """How tools were offered in the last reply that could call one."""
    messages: list[Json] = field(repr=False)
    """What the run added to the conversation: the message, calls, results, the answer."""
    calls: list[ToolCall]
    """Every call of a tool, in the order of the model's asking."""
    steps: list[Step] = field(repr=False)
    """Every reply of the model."""
    usage: Usage
    """Tokens of all replies together."""
    timings: Timings
    """Time of all replies together."""
    reasoning: str = field(default="", repr=False)
    """What the model thought before its last reply, where the server tells."""


@dataclass(frozen=True)
class TextDelta:
    """A part of the answer's text."""

    text: str
    """The part."""


@dataclass(frozen=True)
class ReasoningDelta:
    """A part of what the model thinks."""

    text: str
    """The part."""


@dataclass(frozen=True)
class ToolCallDelta:
    """A part of a call: the first one has the name, all of them parts of the arguments' JSON.

    Constrained replies give each call in one part.
    """

    index: int
    """Which call of the reply."""
    name: str
    """The tool's name, empty in all but the first part."""
    arguments: str
    """A part of the arguments' JSON."""


@dataclass(frozen=True)
class PromptProgress:
    """How far the prompt is processed; comes with ``return_progress=True``."""

    processed: int
    """Tokens processed, those in the cache among them."""
    total: int
    """Tokens of the prompt."""


@dataclass(frozen=True)
class Retry:
    """The reply so far is void, and another is asked for."""

    reason: str
    """Why."""


@dataclass(frozen=True)
class ToolCallStarted:
    """A tool is about to run."""

    call: ToolCall
    """The call; its result comes later."""


@dataclass(frozen=True)
class ToolCallFinished:
    """A tool has run."""

    call: ToolCall
    """The call with its result or error."""


@dataclass(frozen=True)
class Done(Generic[T]):
    """The run is over; always the last event."""

    result: RunResult[T]
    """How it ended."""


Event = (
    TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | PromptProgress
    | Retry
    | ToolCallStarted
    | ToolCallFinished
    | Done[Any]
)
"""What `LlamaAgent.stream` gives."""
