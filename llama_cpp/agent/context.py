"""What a run gives its tools to know: `RunContext`."""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

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


def is_context(hint: Any) -> bool:
    """Whether ``hint`` is a `RunContext`, also annotated, or in a union."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return any(map(is_context, get_args(hint)))
    return hint is RunContext or get_origin(hint) is RunContext
