"""`RunContext`, the view that a tool has of its run, and `Limits` of a run."""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from ..native.arguments import check_count
from ..server._fields import Json
from ..usage import Usage

D = TypeVar("D")


@dataclass(frozen=True)
class RunContext(Generic[D]):
    """The run that a tool is called in, for a parameter that is annotated with it.

        def orders(ctx: RunContext[Database], since: str) -> list[str]:
            return ctx.deps.orders(since)

    The model neither sees the parameter nor can it set it.
    """

    deps: D
    """The ``deps`` of the run, or of the agent."""
    messages: list[Json] = field(default_factory=list, repr=False)
    """The conversation so far, with the message that has this call: a copy."""
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0))
    """Tokens of the run so far."""
    step: int = 0
    """How many replies the run has had."""
    tool: str = ""
    """The name of the tool that is called."""
    call_id: str = ""
    """The id of the call."""


@dataclass(frozen=True)
class Limits:
    """How much a run may use; None for no limit.

    LlamaLimitError when ``tokens``, ``calls`` or ``seconds`` are used up. Longer results are cut,
    and the model is told.
    """

    tokens: int | None = None
    """Tokens of all prompts and replies together, as the server counts them."""
    calls: int | None = None
    """Calls of tools."""
    seconds: float | None = None
    """Time for the whole run, tools included."""
    result: int | None = 50_000
    """Characters of one result, for tools without a ``max_result`` of their own."""
    results: int | None = 500_000
    """Characters of all results together."""

    def __post_init__(self) -> None:
        for name in ("tokens", "calls", "result", "results"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        check_seconds(self.seconds, "seconds")


def check_seconds(seconds: object, name: str) -> None:
    """TypeError for anything but a number or None, ValueError unless it is above 0."""
    if seconds is None:
        return
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"{name} must be a number of seconds, or None, not {seconds!r}")
    if not seconds > 0:
        raise ValueError(f"{name} must be more than 0 seconds, or None, not {seconds}")


def is_context(hint: Any) -> bool:
    """Whether ``hint`` is a `RunContext`, also annotated, or in a union."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return any(map(is_context, get_args(hint)))
    return hint is RunContext or get_origin(hint) is RunContext
