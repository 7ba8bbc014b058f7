"""Requests that are being computed, their readers, and their places in the context."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sized
from typing import TYPE_CHECKING

from ...context.sequence import LlamaSequence
from ...errors import LlamaAnswerError, LlamaCancelled, LlamaError, LlamaTimeoutError
from ...native.locks import Bell
from ..generation import Completion, GenerationState, Request

if TYPE_CHECKING:
    from .speculation import Speculation

AHEAD = 64
"""The number of unread pieces at which a request pauses."""


class Reader:
    """Where the text of one or more requests goes: to a `Generation`, or to `Generations`."""

    alone = False
    """Whether it is of a `Generation`: it has one request."""
    failure: BaseException | None = None
    """The error that ended all requests."""
    notify: Callable[[], object] | None = None
    """For a reader that does not wait: called from any thread when there is something."""
    coming: Sized = ()
    """An item for each request that is being prepared and will soon be submitted."""
    whole = False
    """Whether the reader only needs to know the end."""
    joined = False
    """Whether the scheduler computes ahead for it."""
    asking = False
    """Whether it waits now."""
    asked = 0.0
    """When it last did, by time.perf_counter."""
    thread = 0
    """The thread in which it did."""
    seen: object = None
    """The last decode that it knows of."""
    since = 0.0
    """When it was seen, by time.perf_counter."""

    def __init__(self) -> None:
        self.ready: deque[tuple[int, str]] = deque()
        """Unread pieces, each with the index of its request."""
        self.jobs: list[Job] = []
        """The requests that are not over."""
        self.errors: list[BaseException] = []
        """The errors of single requests."""
        self.bell = Bell()

    @property
    def paused(self) -> bool:
        """Whether nothing is to be computed for it now."""
        if not self.joined and not self.asking:
            return True
        return not self.whole and len(self.ready) >= AHEAD

    def tell(self) -> None:
        """Wake who waits for it."""
        if self.notify is not None:
            self.notify()
        else:
            self.bell.ring()


class ParallelGeneration(GenerationState):
    """One of the generations of `Llama.generate_many`."""

    def __init__(self, index: int, request: Request) -> None:
        super().__init__(request)
        self.index = index
        """Which prompt it goes on with, from 0."""
        self.error: Exception | None = None
        """The error that ended it, or None."""

    def _completed(self, text: str, return_errors: bool) -> Completion:
        error, output = self.error, None
        if error is None and self.finish_reason != "cancelled":
            try:
                output = self._value(text)
            except LlamaAnswerError as raised:
                if not return_errors:
                    raise
                error = raised
        return self._completion(text, error, output)


class Job:
    """A request that is being computed, with the tokens that its next one needs in the cache."""

    age = 0
    begun = False
    going = False
    """Whether it generates: one token of it is to be computed, the last."""
    over = False
    encoded = False
    speculation: Speculation | None = None
    """Its drafts, once one was asked for."""
    leader: Job | None = None
    """Another job that computes the same beginning."""
    common = 0
    """How many tokens of it they have in common."""
    stores: Collection[int] = ()
    """Where its prompt is stored, for later ones."""

    def __init__(self, request: Request, reader: Reader, index: int = 0) -> None:
        self.request = request
        self.reader = reader
        self.index = index
        self.of: Callable[[], GenerationState | None] = lambda: None
        """Its generation, as long as somebody has it."""
        self.tokens = list(request.prompt)  # and what was generated
        self.plain = request.n_keep is None and request.draft is None
        """Whether each token is computed as it comes: no drafts, and no shifts of the context."""

    def end(self, error: BaseException, *, reported: bool = False) -> None:
        """Its generation ends with ``error``, which that of `Llama.generate_many` may report."""
        generation = self.of()
        if generation is not None:
            if isinstance(generation, ParallelGeneration) and reported:
                generation.error = error if isinstance(error, Exception) else None
            generation._fail(error)

    def stopped(self) -> LlamaError | None:
        """Why it is not to go on."""
        if self.request.cancelled:
            return LlamaCancelled("the generation was cancelled")
        deadline = self.request.deadline
        if deadline and time.perf_counter() >= deadline:
            return LlamaTimeoutError("the generation was not done after its timeout")
        return None


class Slot:
    """A place: a sequence of the context. When its job is done its tokens stay, for prompts that
    begin alike."""

    def __init__(self, sequence: LlamaSequence) -> None:
        self.sequence = sequence
        self.id = sequence.id
        self.job: Job | None = None
        self.used = 0
        self.left = 0.0
        """When its last job left, by time.perf_counter."""
        self.stays = True
        """Whether its tokens are for later requests too."""
        self.writes = sequence.writes

    @property
    def held(self) -> int:
        """The number of its tokens, as far as they are known."""
        return 0 if self.sequence.unknown else len(self.sequence)

    def check(self) -> None:
        """Have a free sequence begin anew whose cells somebody else has changed."""
        if self.job is None and self.sequence.unknown:
            self.sequence.clear()
