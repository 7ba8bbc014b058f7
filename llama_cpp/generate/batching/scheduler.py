"""Schedules the requests of a `Llama`, which come from any thread or task.

Each round decodes one batch: the next token of every sequence that generates, and as much as there
is room for of the prompts that join. A sequence that ends gives its place to the next request at
once, and keeps its tokens for requests that begin alike.

A lone request is computed token by token by the thread that reads it. Several are computed by the
scheduler's own thread, each at most ``AHEAD`` pieces ahead of its reader. That thread ends with the
scheduler.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING

from ...context.context import LlamaContext
from ...context.sequence import LlamaSequence
from ...context.turns import Turn
from ...errors import (
    LlamaBusyError,
    LlamaCancelled,
    LlamaClosedError,
    LlamaContextError,
    LlamaError,
    LlamaQueueFullError,
)
from ...native import fork
from ...native.locks import Bell, start, take, wait_for
from ...sampling.grammar import Stopped
from ..generation import Generation, Request, TokenSource
from ..options import GenerationOptions, check_options
from .jobs import AHEAD, Job, Reader, Slot
from .places import PATIENCE, Places
from .rounds import Rounds

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ...context.prompts import StoredPrompts

# Seconds between two attempts while another thread is in the way.
_BREATH = 0.001
# Seconds for which the first batch waits at most for requests that are being prepared.
_TOGETHER = 0.01
STUCK = 20.0
"""Seconds without progress after which another thread's step counts as stuck."""


class Scheduler:
    """The requests of one `Llama`. Its lock is that of the context's turns, held for each round."""

    def __init__(
        self,
        ctx: LlamaContext,
        queue_size: int | None = None,
        stored: StoredPrompts | None = None,
        ram_cache: int | None = None,
    ) -> None:
        """``queue_size`` says how many requests may wait for a place, by default any number.
        ``stored`` has prompts of earlier processes, and ``ram_cache`` is the most bytes for texts
        that lost their cells."""
        self._ctx = ctx
        self._queue_size = queue_size
        self._n_ctx_seq = ctx.n_ctx_seq
        self.places = Places(ctx, stored, ram_cache)
        self._rounds = Rounds(ctx, self.places)
        self._turns = ctx.turns
        self._closed = False
        self._guests: deque[int] = deque()  # threads that want the lock, and no text
        self._visitor = 0  # the thread that is in `guest`
        self._led: list[Slot] = []  # the places of the reader that is lean
        self._hot = False  # whether the thread computes, one step after the other
        self._no_thread()
        fork.renew(self)

    def _no_thread(self) -> None:
        self._bell = Bell()
        self._started = self._hot = False
        weakref.finalize(self, self._bell.ring).atexit = False  # which ends it

    def after_fork(self) -> None:
        """In a child, which has neither the thread nor the readers of other threads."""
        if self._turns.lock.locked() and self._rounds.holder != threading.get_ident():
            self.places.fail_all(fork.lost("the generation"))
            for slot in self.places.slots:
                slot.job = None
            self._turns.lock, self._rounds.holder = threading.Lock(), 0
        self._guests.clear()
        self._no_thread()

    def generation(
        self, prompt: str | Sequence[int], options: GenerationOptions, stopped: Stopped
    ) -> Generation:
        """The generation that goes on with ``prompt``. It gets a place when the first piece is
        asked for. LlamaCancelled when ``stopped`` returns True meanwhile."""
        check_options(options, "generate")
        request = Request(self._ctx.model, prompt, self._n_ctx_seq, options, stopped)
        if stopped():
            raise LlamaCancelled("the generation was cancelled")
        if not self.places.slots and not self._ctx.core.has_memory:
            self._ctx.core.opened()
            name = self._ctx.model.path.name
            raise LlamaContextError(f"{name} has no KV cache: it cannot generate")
        job = Job(request, Reader())
        job.reader.alone = True
        generation = Generation(request, self._tokens(job), Feed(self, job))
        job.of = weakref.ref(generation)
        return generation

    def _tokens(self, job: Job) -> TokenSource:
        """The tokens of ``job`` while it is alone, and None where `Reader.ready` has text."""
        reader = job.reader
        self.submit(job)
        try:
            while True:
                if reader.ready:
                    yield None  # see `Feed.poll`
                elif reader.errors:
                    raise reader.errors[0]
                elif job.over:
                    return
                elif self.places.lean is reader:
                    yield from self._rounds.alone(job)
                else:
                    self.advance(reader)
        finally:
            self.leave([job])

    def submit(self, job: Job, *, queue: bool = True) -> None:
        """Have ``job`` computed. LlamaQueueFullError if the ``queue`` is full."""
        if self._closed:
            self._ctx.core.opened()
            raise LlamaClosedError("the Llama is closed")
        limit = self._queue_size
        if queue and limit is not None and len(self.places.jobs) >= self.places.n + limit:
            raise LlamaQueueFullError(
                f"{limit} requests wait already, which is the queue_size: try again later"
            )
        if not self.places.jobs:
            self._rounds.turn = Turn(self._turns)
        job.request.on_cancel = partial(self._stop, job)
        job.reader.jobs.append(job)
        self.places.jobs.append(job)
        self.places.lean = None
        if job.reader.notify is not None:
            self._start()

    def read(self, reader: Reader) -> tuple[int, str]:
        """The next piece of ``reader``. IndexError if there is none."""
        reader.asked = time.perf_counter()
        if len(reader.ready) == AHEAD:  # there is room for another one now
            self.places.lean = None
            self._start()
        return reader.ready.popleft()

    def advance(self, reader: Reader) -> None:
        """Compute a step for ``reader``, or wait for the thread that does."""
        if self._turns.lock.locked():
            self._rounds.check_reentry()
        reader.asking, reader.asked, reader.thread = True, time.perf_counter(), get_ident()
        if self.places.lean is not reader:
            self.places.lean = None
        if self._guests:
            time.sleep(_BREATH)
        try:
            if self._hot and not reader.joined:
                reader.joined = True  # it will take this one in
                self._start()
            if reader.joined:
                self._wait(reader)
                if reader.ready or self._hot:
                    return
            if not take(self._turns.lock) and not wait_for(self._turns.lock, PATIENCE):
                self._check_progress(reader)
                return
            try:
                self._rounds.holder = reader.thread
                if self._leads(reader):
                    return
            finally:
                self._rounds.holder = 0
                self._turns.lock.release()
            if not reader.joined:
                self._wait(reader)
        finally:
            reader.asking = False

    def _wait(self, reader: Reader) -> None:
        seconds = PATIENCE
        for job in reader.jobs[:]:
            if job.request.deadline:
                seconds = min(seconds, job.request.deadline - time.perf_counter())
        reader.bell.wait(max(0.0, seconds))
        self._check_progress(reader)
        for job in reader.jobs[:]:
            if stopped := job.stopped():
                self.places.fail(job, stopped)

    def _check_progress(self, reader: Reader) -> None:
        """LlamaBusyError if another thread's step does not end, perhaps because a callback in it
        waits for this call."""
        core, decoded = self._ctx.core, self._ctx.books.decoded
        now = time.perf_counter()
        going_on = core.running or self._guests or not self._turns.lock.locked()
        if going_on or decoded is not reader.seen:
            reader.seen, reader.since = decoded, now
        elif now - reader.since > STUCK:
            raise LlamaBusyError(
                f"the step of another thread has not ended for {STUCK:g} seconds: a sampler or "
                "another callback in it must not wait for this call"
            )

    def leave(self, jobs: Iterable[Job]) -> None:
        """End ``jobs``, which are not read any more. Their places are free at once, or after the
        running step of another thread."""
        for job in jobs:
            job.request.on_cancel = None
            self.places.over(job)
            if job in self._rounds.computed:
                self._rounds.abort()
        if take(self._turns.lock):
            try:
                self.places.clean()
            finally:
                self._turns.lock.release()
        self._nudge()

    def cancel(self, thread: int | None = None) -> bool:
        """Stop all requests, from any thread: they raise LlamaCancelled. With ``thread``, only
        those that it waits for. Returns whether it is in the block of a `guest`."""
        for job in list(self.places.jobs):
            reader = job.reader
            if thread is None or (thread == reader.thread and not reader.notify):
                reader.failure = reader.failure or LlamaCancelled("the generation was cancelled")
                job.request.cancel()
        visits = thread is not None and self._visitor == thread
        if visits:
            self._ctx.cancel()
        return visits

    def close(self) -> None:
        """End all requests with LlamaClosedError."""
        self._closed = True
        mine = self._rounds.holder == get_ident()
        while not mine and not self._turns.lock.acquire(timeout=_BREATH):
            self._rounds.abort()
        try:
            if self.places.jobs:
                self.places.fail_all(LlamaClosedError("the Llama was closed"))
            self.places.clean()
            self.places.parked.clear()
        finally:
            if not mine:
                self._turns.lock.release()
        self._bell.ring()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Compute nothing for requests during the block."""
        self._rounds.check_reentry()
        self._guests.append(0)
        try:
            self.places.lean = None
            with self._turns.lock:
                self._rounds.holder = get_ident()
                try:
                    yield
                finally:
                    self._rounds.holder = 0
        finally:
            self._guests.pop()

    @contextmanager
    def guest(self) -> Iterator[LlamaSequence]:
        """A sequence for the calling thread; requests wait meanwhile."""
        with self.paused():
            self._turns.latest = self._rounds.turn
            slot = self.places.spare()
            self._visitor = get_ident()
            try:
                yield slot.sequence
            finally:
                self._visitor = 0
            slot.writes = slot.sequence.writes

    def adopt(self, data: Buffer) -> int:
        """Restore a saved sequence for requests that begin like it. Returns its length."""
        with self.guest() as free:
            slot = next(slot for slot in self.places.slots if slot.sequence is free)
            return self.places.adopt(slot, data)

    def _leads(self, reader: Reader) -> bool:
        """With the lock held: compute a step if ``reader`` is alone, otherwise leave that to the
        thread."""
        places = self.places
        if places.lean is reader and self._turns.latest is self._rounds.turn:
            self._rounds.run(self._led, reader)  # nothing has changed
            return True
        places.lean, self._led = reader, []  # before all that is looked at: a change resets it
        self._rounds.check_turn()
        places.clean()
        if (reader.errors and reader.alone) or not reader.jobs:
            return True
        places.admit(reader)
        active = places.active()
        self._led = [slot for slot in active if slot.job and slot.job.reader is reader]
        if len(self._led) < len(active):
            reader.joined = True
            self._start()
        if len(self._led) < len(active) or not active:
            places.lean = None
            return False
        reader.joined = False
        job = reader.jobs[0] if reader.alone else None
        if job is not None:
            places.settle(self._led[0], job)
            if places.generates(self._led[0], job):
                return True
        if job is not None or any(job.request.deadline for job in reader.jobs):
            places.lean = None
        self._rounds.run(self._led, reader)
        return True

    def _start(self) -> None:
        """Wake the thread, or start it."""
        self._bell.ring()
        if not self._started:
            self._started = True
            start(partial(_run, weakref.ref(self), self._bell), "llama_cpp", self._not_started)

    def _not_started(self, error: BaseException) -> None:
        self._started = False
        self.places.fail_all(LlamaError(f"no thread for the requests: {error}"))

    def _nudge(self) -> None:
        """Wake all waiting threads after a change."""
        if self._started:
            self._bell.ring()
        for job in list(self.places.jobs):
            if job.reader.asking:
                job.reader.bell.ring()

    def work(self) -> float:
        """Do a step of the thread. Returns the seconds to wait before the next one, below 0 for
        until the bell rings."""
        if self._guests:
            time.sleep(_BREATH)
        if not self._hot:
            self._await_others()
        with self._turns.lock:
            self._rounds.holder = get_ident()
            try:
                if self._closed or not self.places.jobs:
                    self._hot = False
                    return -1
                try:
                    self._rounds.check_turn()
                    self.places.clean()
                    self.places.admit(None)
                except Exception as error:
                    self.places.fail_all(error)
                active = self.places.active()
                readers = {slot.job.reader for slot in active if slot.job is not None}
                self._hot = False
                if not readers:
                    return PATIENCE
                self.places.lean = None
                if len(readers) == 1 and not (reader := readers.pop()).notify:
                    reader.joined = False  # it can do that itself
                    reader.bell.ring()
                    return PATIENCE
                self._hot = True
                try:
                    self._rounds.run(active, None)
                except LlamaBusyError:  # somebody else is in the context
                    return _BREATH
                except Exception:  # which its readers raise
                    return 0
                return 0
            finally:
                self._rounds.holder = 0

    def _await_others(self) -> None:
        """Wait for requests that are being prepared, so that they share the first batch."""
        end, jobs = time.perf_counter() + _TOGETHER, self.places.jobs
        while any(job.reader.coming for job in jobs[:]) and time.perf_counter() < end:
            time.sleep(_BREATH)

    def _stop(self, job: Job) -> None:
        """Called when ``job`` was cancelled, from any thread."""
        lean = self.places.lean is job.reader
        if lean:
            self.places.lean = None
        if job in self._rounds.computed or (lean and job.reader.alone):
            self._rounds.abort()
        speculation = job.speculation
        if speculation is not None:
            speculation.cancel()
        job.reader.tell()
        self._nudge()


class Feed:
    """A request for a reader that must not block, such as an asyncio task."""

    def __init__(self, scheduler: Scheduler, job: Job) -> None:
        self._scheduler = scheduler
        self._job = job

    def whole(self) -> None:
        """Notify only about the end."""
        self._job.reader.whole = True

    def follow(self, notify: Callable[[], object], coming: Sized) -> None:
        """Have the scheduler's thread compute it. ``notify`` is called in any thread when there is
        a piece, or the end. ``coming`` holds requests that are being prepared."""
        self._job.reader.notify, self._job.reader.coming = notify, coming
        self._job.reader.joined = True
        self._scheduler.submit(self._job)

    def poll(self) -> str | None:
        """The next piece, or None when there is none yet. Raises EOFError at the end, and the error
        that ended it."""
        reader = self._job.reader
        if reader.ready:
            return self._scheduler.read(reader)[1]
        if reader.errors:
            raise reader.errors[0]
        if self._job.over:
            raise EOFError
        return None

    def leave(self) -> None:
        """End the request, which is not read any more."""
        self._scheduler.leave([self._job])


def _run(ref: weakref.ref[Scheduler], bell: Bell) -> None:
    """Run the thread of a scheduler until the scheduler is gone."""
    while (scheduler := ref()) is not None:
        pause = scheduler.work()
        del scheduler
        if pause:
            bell.wait(pause)
