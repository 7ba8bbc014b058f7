"""Turns of generations with a context: one at a time, the latest begun."""

from __future__ import annotations

import threading

from ..errors import LlamaBusyError, LlamaContextError
from ..native.locks import exits_with, take


class Turns:
    """The turns of one context."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.latest: Turn | None = None


class Turn:
    """The turn of one generation, from its first step on: ``with turn:`` around each step.

    Beginning another one ends it. Raises LlamaContextError when it is over, and LlamaBusyError in
    the middle of a step, of another thread or of the code that called this.
    """

    __slots__ = ("_turns", "begun")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.begun = False

    def __enter__(self) -> None:
        turns = self._turns
        if not take(turns.lock):
            raise LlamaBusyError(
                "this context is in the middle of a step, of another thread or of the code that "
                "called this: give each its own context (a Llama of its own, on the same model)"
            )
        if not self.begun:
            self.begun = True
            turns.latest = self
        elif turns.latest is not self:
            turns.lock.release()
            raise LlamaContextError("another generation was begun on this context")

    __exit__ = exits_with("_turns.lock")
