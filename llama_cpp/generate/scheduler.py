"""All requests of one `Llama`, from any threads and tasks, in one continuous batch.

Each step decodes one batch: the next token of every sequence that generates, and as much as there
is room for of the prompts that join. A sequence that ends makes place for the next request at once,
and keeps its tokens for requests that begin alike.

Whoever wants text drives. A request that is alone is computed by the thread that reads it, token by
token. While there are several, a thread of the scheduler's own computes them, each up to
``_AHEAD`` pieces further than it was read; it ends with the scheduler.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from ..context.batch import LlamaBatch
from ..context.context import LlamaContext
from ..context.memory import check_movable
from ..context.sequence import LlamaSequence, n_common
from ..context.turns import Turn
from ..errors import (
    LlamaAnswerError,
    LlamaBusyError,
    LlamaCancelled,
    LlamaClosedError,
    LlamaContextError,
    LlamaDecodeError,
    LlamaError,
    LlamaModelError,
    LlamaQueueFullError,
    LlamaTimeoutError,
)
from ..native import fork
from ..native.locks import Bell, start, take
from ..sampling.answer import Answer
from ..sampling.chain import LlamaSampler
from .generation import Completion, Generation, GenerationState, Request, TokenSource
from .logprobs import portion
from .options import check_options, with_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from .drafts import Speculation


# A prompt waits for another one that is being computed when they have so many tokens more in
# common than can be had already.
_WORTH_WAITING = 16
# A talk that goes on loses so many tokens of its sequence: how the last answer ended.
_LITTLE = 4
# So many pieces of a request may wait for their reader; then it pauses.
_AHEAD = 64
# A request that nobody has asked for so many seconds gives its place to one that waits. And so
# often a reader that waits looks itself whether it can go on.
_PATIENCE = 0.25
# Between two attempts at what another thread is in the way of.
_BREATH = 0.001
STUCK = 20.0
"""A step that computes nothing for so many seconds does not end."""
_END: Any = object()  # what an iterator gives when it has no more


class Reader:
    """Where the text of one or more requests goes: to a `Generation`, or to `Generations`."""

    def __init__(self) -> None:
        self.ready: deque[tuple[int, str]] = deque()
        """Pieces that were not read yet, each with the index of its request."""
        self.jobs: list[Job] = []
        """Those that are not over."""
        self.errors: list[BaseException] = []
        """What went wrong with one of them."""
        self.alone: Job | None = None
        """The only one that it will ever have, of a `Generation`."""
        self.failure: BaseException | None = None
        """What ended them all."""
        self.bell = Bell()
        self.notify: Callable[[], object] | None = None
        """For a reader that does not wait: called from any thread when there is something."""
        self.whole = False
        """Whether it wants nothing but the end."""
        self.joined = False  # the scheduler computes ahead for it
        self.asking = False  # it waits now
        self.asked = 0.0  # when it last did
        self.thread = 0  # and in which thread
        self.seen: object = None  # the last decode that it knows of
        self.since = 0.0

    @property
    def paused(self) -> bool:
        """Whether nothing is to be computed for it now."""
        if not self.joined and not self.asking:
            return True
        return not self.whole and len(self.ready) >= _AHEAD

    def tell(self) -> None:
        """Wake who waits for it."""
        if self.notify is not None:
            self.notify()
        else:
            self.bell.ring()


class Job:
    """A request that is computed: what the cache has to hold for the next token."""

    def __init__(self, request: Request, reader: Reader, index: int = 0) -> None:
        self.request = request
        self.reader = reader
        self.index = index
        self.of: Callable[[], GenerationState | None] = lambda: None
        """Its generation, as long as somebody has it."""
        self.tokens = list(request.prompt)  # and what was generated
        self.age = 0
        self.begun = False
        self.over = False
        self.encoded = False
        self.speculation: Speculation | None = None
        # Another job that computes the same beginning, and how much of it they have in common.
        self.leader: Job | None = None
        self.common = 0

    def stopped(self) -> LlamaError | None:
        """Why it is not to go on."""
        if self.request.cancelled:
            return LlamaCancelled("the generation was cancelled")
        deadline = self.request.deadline
        if deadline and time.perf_counter() >= deadline:
            return LlamaTimeoutError("the generation was not done after its timeout")
        return None


class _Slot:
    """A place: a sequence of the context. When its job is done its tokens stay, for prompts that
    begin alike."""

    def __init__(self, sequence: LlamaSequence) -> None:
        self.sequence = sequence
        self.id = sequence.id
        self.job: Job | None = None
        self.used = 0
        self.writes = sequence.writes

    def check(self) -> None:
        """Have a free sequence begin anew whose cells somebody else has changed."""
        if self.job is None and self.sequence.unknown:
            self.sequence.clear()


class ParallelGeneration(GenerationState):
    """One of the generations of `Llama.generate_many`."""

    def __init__(self, index: int, request: Request) -> None:
        super().__init__(request)
        self.index = index
        """Which prompt it goes on with, from 0."""
        self.error: Exception | None = None
        """What was raised, if that ended it."""


class _Refused(Request):
    """Stands for one that could not be made."""

    def __init__(self) -> None:
        self.prompt = []
        self.logprobs = []
        self.prompt_logprobs = []
        self.answer = Answer({})
        self.thoughts = None


class Scheduler:
    """The requests of one `Llama`. Its lock is that of the context's turns: whoever computes has
    it for a step."""

    def __init__(self, ctx: LlamaContext, queue_size: int | None = None) -> None:
        """``queue_size`` says how many requests may wait for a place, by default any number."""
        self._ctx = ctx
        self._queue_size = queue_size
        self._n_places = 1 if ctx.model.has_encoder else ctx.n_seq_max
        self._turns = ctx.turns
        self._turn = Turn(ctx.turns)
        self._slots: list[_Slot] = []
        self._jobs: list[Job] = []  # all that are not over, with a place and without
        self._lean: Job | None = None  # the one that its reader computes, as it is alone
        self._crowded = False  # the cache is full: nobody gets a place until somebody leaves
        self._closed = False
        self._clock = 0
        self._holder = 0  # the thread that has the lock
        self._guests: deque[int] = deque()  # threads that want the lock, and no text
        self._visitor = 0  # the thread that is in `guest`
        self._aborted = False
        self._batch_ids: list[int] = []
        self._batch: LlamaBatch | None = None
        self._computed: list[Job] = []  # those in the step that runs
        self._hot = False  # whether the thread computes, one step after the other
        self._no_thread()
        if ctx.core.has_memory:
            self._more()
        fork.renew(self)

    def _no_thread(self) -> None:
        self._bell = Bell()
        self._started = self._hot = False
        weakref.finalize(self, self._bell.ring).atexit = False  # which ends it

    def after_fork(self) -> None:
        """In a child, which has neither the thread nor the readers of other threads."""
        if self._turns.lock.locked() and self._holder != threading.get_ident():
            for job in list(self._jobs):
                self._fail(job, fork.lost("the generation"), everything=True)
            for slot in self._slots:
                slot.job = None
            self._turns.lock, self._holder = threading.Lock(), 0
        self._guests.clear()
        self._no_thread()

    @property
    def sequences(self) -> list[LlamaSequence]:
        """Those of its places; nobody else is to change them but in `paused`."""
        return [slot.sequence for slot in self._slots]

    @property
    def idle(self) -> bool:
        """Whether there is no request, and all places are free."""
        return not self._jobs and all(slot.job is None or slot.job.over for slot in self._slots)

    # -- what readers call

    def generation(self, request: Request) -> Generation:
        """Pieces of what ``request`` gives. It has a place from the first one that is asked for."""
        if not self._slots and not self._ctx.core.has_memory:
            self._ctx.core.opened()
            name = self._ctx.model.path.name
            raise LlamaContextError(f"{name} has no KV cache: it cannot generate")
        job = Job(request, Reader())
        job.reader.alone = job
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
                    self.read(reader)
                    yield None
                elif reader.errors:
                    raise reader.errors[0]
                elif job.over:
                    return
                elif self._lean is job:
                    yield from self._alone(job)
                else:
                    self.advance(reader)
        finally:
            self.leave([job])

    def submit(self, job: Job, *, queue: bool = True) -> None:
        """Have ``job`` computed. LlamaQueueFullError where too many wait in the ``queue``."""
        if self._closed:
            self._ctx.core.opened()
            raise LlamaClosedError("the Llama is closed")
        limit = self._queue_size
        if queue and limit is not None and len(self._jobs) >= self._n_places + limit:
            raise LlamaQueueFullError(
                f"{limit} requests wait already, which is the queue_size: try again later"
            )
        if not self._jobs:
            self._turn = Turn(self._turns)
        job.request.on_cancel = partial(self._stop, job)
        job.reader.jobs.append(job)
        self._jobs.append(job)
        self._lean = None
        if job.reader.notify is not None:
            self._start()

    def read(self, reader: Reader) -> None:
        """A piece of ``reader`` is read: there may be room for another one now."""
        reader.asked = time.perf_counter()
        if len(reader.ready) == _AHEAD:
            self._lean = None
            self._start()

    def advance(self, reader: Reader) -> None:
        """Compute a step for ``reader``, or wait for the thread that does."""
        self._check_reentry()
        lean = self._lean
        if lean is not None and lean.reader is not reader:
            self._lean = None
        reader.asking, reader.asked, reader.thread = True, time.perf_counter(), get_ident()
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
            if not take(self._turns.lock, _PATIENCE):
                self._check_progress(reader)
                return
            try:
                self._holder = reader.thread
                if self._leads(reader):
                    return
            finally:
                self._holder = 0
                self._turns.lock.release()
            if not reader.joined:
                self._wait(reader)
        finally:
            reader.asking = False

    def _wait(self, reader: Reader) -> None:
        seconds = _PATIENCE
        for job in reader.jobs[:]:
            if job.request.deadline:
                seconds = min(seconds, job.request.deadline - time.perf_counter())
        reader.bell.wait(max(0.0, seconds))
        self._check_progress(reader)
        for job in reader.jobs[:]:
            if stopped := job.stopped():
                self._fail(job, stopped)

    def _check_progress(self, reader: Reader) -> None:
        """LlamaBusyError where another thread's step does not end, which may be as what it calls
        waits for this one."""
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
        """``jobs`` are not read any more. Their places are free at once, or after the step that
        another thread is in."""
        for job in jobs:
            job.request.on_cancel = None
            self._over(job)
            if job in self._computed:
                self._abort()
        if take(self._turns.lock):
            try:
                self._clean()
            finally:
                self._turns.lock.release()
        self._nudge()

    def cancel(self, thread: int | None = None) -> bool:
        """Stop all requests, from any thread: they raise LlamaCancelled. Or those alone that
        ``thread`` waits for. Returns whether it is in the block of a `guest`."""
        for job in list(self._jobs):
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
        mine = self._holder == get_ident()
        while not mine and not self._turns.lock.acquire(timeout=_BREATH):
            self._abort()
        try:
            for job in list(self._jobs):
                self._fail(job, LlamaClosedError("the Llama was closed"), everything=True)
            self._clean()
        finally:
            if not mine:
                self._turns.lock.release()
        self._bell.ring()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is computed for requests in the block."""
        self._check_reentry()
        self._guests.append(0)
        try:
            self._lean = None
            with self._turns.lock:
                self._holder = get_ident()
                try:
                    yield
                finally:
                    self._holder = 0
        finally:
            self._guests.pop()

    @contextmanager
    def guest(self) -> Iterator[LlamaSequence]:
        """A sequence for the thread that calls, while requests wait."""
        with self.paused():
            self._turns.latest = self._turn
            self._clean()
            if not self._slots:
                self._more()
            slots = self._free() or [max(self._slots, key=lambda s: s.job.age if s.job else 0)]
            slot = min(slots, key=lambda slot: slot.used)
            self._preempt(slot)
            slot.check()
            self._visitor = get_ident()
            try:
                yield slot.sequence
            finally:
                self._visitor = 0
            slot.writes = slot.sequence.writes

    def adopt(self, data: Buffer) -> int:
        """Keep a sequence that was saved for requests that begin like it. Returns its length."""
        with self.guest() as free:
            slot = next(slot for slot in self._slots if slot.sequence is free)
            free.close()
            try:
                slot.sequence = self._ctx.sequence.from_bytes(data)
            except BaseException:
                self._slots.remove(slot)
                raise
            self._clock += 1
            slot.used, slot.id, slot.writes = self._clock, slot.sequence.id, slot.sequence.writes
            return len(slot.sequence)

    def nearest(self, tokens: Sequence[int]) -> LlamaSequence | None:
        """With `paused`: the sequence that has most of the beginning of ``tokens``."""
        known = [slot.sequence for slot in self._slots if not slot.sequence.unknown]
        found = max(known, key=lambda sequence: sequence.reusable(tokens), default=None)
        return found if found is not None and found.reusable(tokens) else None

    # -- who computes

    def _check_reentry(self) -> None:
        if self._turns.lock.locked() and self._holder == get_ident():
            raise LlamaBusyError(
                "this context is in the middle of a step, of the code that called this: give it "
                "its own context (a Llama of its own, on the same model)"
            )

    def _leads(self, reader: Reader) -> bool:
        """With the lock: compute a step if ``reader`` is alone, or else leave that to the
        thread."""
        self._check_turn()
        self._clean()
        if (reader.errors and reader.alone) or not reader.jobs:
            return True
        self._admit(reader)
        active = self._active()
        mine = [slot for slot in active if slot.job is not None and slot.job.reader is reader]
        if len(mine) < len(active):
            reader.joined = True
            self._start()
            return False
        if not mine:
            return False
        reader.joined = False
        job = reader.alone
        if job is not None:
            self._settle(mine[0], job)
        if job is not None and self._generates(mine[0], job):
            self._lean = job
        else:
            self._compute(mine, reader)
        return True

    def _generates(self, slot: _Slot, job: Job) -> bool:
        """Whether its next token alone is to be computed."""
        missing = len(job.tokens) - len(slot.sequence)
        return job.begun and missing == 1 and not job.request.scores_prompt

    def _active(self) -> list[_Slot]:
        """The places of those that are read."""
        return [s for s in self._slots if s.job is not None and not s.job.reader.paused]

    def _alone(self, job: Job) -> Generator[int, None, None]:
        """Compute ``job`` token by token, as long as it is the only one."""
        slot = next((slot for slot in self._slots if slot.job is job), None)
        if slot is None:
            self._lean = None
            return
        request, sequence, outputs, turns = (
            job.request,
            slot.sequence,
            self._ctx.outputs,
            self._turns,
        )
        choose, turn, written, i = (
            request.sampler.choose,
            self._turn,
            self._ctx.books.writes,
            slot.id,
        )
        token, output, deadline = job.tokens[-1], -1, request.deadline
        plain = request.n_keep is None and request.draft is None
        while self._lean is job:
            if turns.lock.locked():
                self._check_reentry()
            with turns.lock:
                self._holder = get_ident()
                try:
                    if self._lean is not job or turns.latest is not turn:
                        break
                    if written[i] != slot.writes:
                        sequence.check_writes(slot.writes)
                    if deadline and time.perf_counter() >= deadline:
                        break
                    if plain:
                        sequence.append(token)
                    else:
                        output = self._advance(slot, job, token)
                    token = choose(outputs, output)
                    request.score(self._ctx, token, output)
                    job.tokens.append(token)
                    slot.writes = written[i]
                except LlamaDecodeError as error:
                    if error.code != 1:
                        raise
                    slot.writes = written[i]
                    self._settle(slot, job)
                    self._make_room(error, [slot])
                    break
                except LlamaCancelled:
                    if not self._aborted:
                        raise
                    self._aborted, slot.writes = False, written[i]
                    break
                finally:
                    self._holder = 0
            yield token
        if self._lean is job:
            self._lean = None

    def _advance(self, slot: _Slot, job: Job, token: int) -> int:
        """Compute ``token`` of the only job, with drafts if it wants them. Returns where its output
        is."""
        request, sequence = job.request, slot.sequence
        if request.draft is not None and job.speculation is None:
            from .drafts import Speculation  # here: most programs do without

            job.speculation = Speculation(self._ctx, sequence, request, request.n_keep)
        if job.speculation is not None:
            return job.speculation.step(token)
        self._shift(slot, job)
        sequence.append(token)
        return -1

    def _shift(self, slot: _Slot, job: Job) -> None:
        """Make room in a full context, if the request asks for that."""
        n_keep, n = job.request.n_keep, len(slot.sequence)
        if n_keep is not None and n >= self._ctx.n_ctx_seq:
            slot.sequence.shift(n_keep, (n - n_keep) // 2)
            job.tokens[:] = [*slot.sequence.tokens, job.tokens[-1]]

    # -- the thread

    def _start(self) -> None:
        """Have the thread look what there is to compute."""
        self._bell.ring()
        if not self._started:
            self._started = True
            start(partial(_run, weakref.ref(self), self._bell), "llama_cpp", self._not_started)

    def _not_started(self, error: BaseException) -> None:
        self._started = False
        for job in list(self._jobs):
            self._fail(job, LlamaError(f"no thread for the requests: {error}"), everything=True)

    def _nudge(self) -> None:
        """Something has changed: whoever waits looks again."""
        if self._started:
            self._bell.ring()
        for job in list(self._jobs):
            if job.reader.asking:
                job.reader.bell.ring()

    def work(self) -> float:
        """A step of the thread. Returns how long it may wait for the next one; below 0: until it
        is rung for."""
        if self._guests:
            time.sleep(_BREATH)
        with self._turns.lock:
            self._holder = get_ident()
            try:
                if self._closed or not self._jobs:
                    self._hot = False
                    return -1
                try:
                    self._check_turn()
                    self._clean()
                    self._admit(None)
                except Exception as error:
                    for job in list(self._jobs):
                        self._fail(job, error, everything=True)
                active = self._active()
                readers = {slot.job.reader for slot in active if slot.job is not None}
                self._hot = False
                if not readers:
                    return _PATIENCE
                self._lean = None
                if len(readers) == 1 and not (reader := readers.pop()).notify:
                    reader.joined = False  # it can do that itself
                    reader.bell.ring()
                    return _PATIENCE
                self._hot = True
                try:
                    self._compute(active, None)
                except LlamaBusyError:  # somebody else is in the context
                    return _BREATH
                except Exception:  # which its readers raise
                    return 0
                return 0
            finally:
                self._holder = 0

    def _stop(self, job: Job) -> None:
        """It was cancelled, by any thread."""
        if self._lean is job or job in self._computed:
            self._lean = None
            self._abort()
        speculation = job.speculation
        if speculation is not None:
            speculation.cancel()
        job.reader.tell()
        self._nudge()

    def _abort(self) -> None:
        """Stop the decode that runs: what it has of others is computed again."""
        self._aborted = True
        self._ctx.cancel()

    # -- places

    def _check_turn(self) -> None:
        """Begin the turn, or end all requests where another generation was begun."""
        if not self._turn.begun:
            self._turn.begun, self._turns.latest = True, self._turn
        elif self._turns.latest is not self._turn:
            for job in list(self._jobs):
                error = LlamaContextError("another generation was begun on this context")
                self._fail(job, error, everything=True)
            self._clean()

    def _clean(self) -> None:
        """Take the places of those that are over, or were stopped, or that nobody has any more."""
        for job in list(self._jobs):
            generation = job.of()
            if generation is None:
                self._over(job)
            elif stopped := job.stopped():
                if job.reader.alone is None and not isinstance(stopped, LlamaTimeoutError):
                    generation._end("cancelled")
                    self._over(job)
                else:
                    self._fail(job, stopped)
        for slot in self._slots:
            if slot.job is not None and slot.job.over:
                self._leave(slot)

    def _free(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.job is None]

    def _more(self) -> bool:
        """Take another sequence of the context, if there is one."""
        if len(self._slots) >= self._n_places:
            return False
        try:
            self._slots.append(_Slot(self._ctx.sequence()))
        except LlamaContextError:
            if not self._slots:
                raise
            return False  # the program has the others
        return True

    def _admit(self, reader: Reader | None) -> None:
        """Give those that wait a place, as long as there is one, for ``reader``, which asks."""
        if self._crowded and self._active():
            return
        self._crowded = False
        for job in list(self._jobs):
            if job.reader.paused or any(slot.job is job for slot in self._slots):
                continue
            free = self._free()
            if not free and not self._more():
                unread = self._unread(reader)
                if unread is None:
                    return
                self._preempt(unread)
            for slot in self._free():
                slot.check()
            self._place(job)

    def _unread(self, reader: Reader | None) -> _Slot | None:
        """The place of one that nobody has read for long, or that the thread has which asks."""
        now, thread = time.perf_counter(), 0 if reader is None else reader.thread
        for slot in sorted(self._slots, key=lambda slot: slot.job.reader.asked if slot.job else 0):
            job = slot.job
            if job is not None and job.reader.paused:
                idle = now - job.reader.asked > _PATIENCE
                if idle or (job.reader.thread == thread and job.reader is not reader):
                    return slot
        return None

    def _preempt(self, slot: _Slot) -> None:
        """Have its job wait for another place: then it is computed again."""
        job = slot.job
        slot.job = None
        if job is not None:
            self._settle(slot, job)
            job.begun, job.common = False, 0
            if self._lean is job:
                self._lean = None

    def _settle(self, slot: _Slot, job: Job) -> None:
        """End its drafts. Of a context that was shifted, so much stays as a shift leaves."""
        n_keep, n = job.request.n_keep, self._ctx.n_ctx_seq
        if job.speculation is None and slot.job is job:
            return
        if n_keep is not None and len(job.tokens) > n:
            del job.tokens[n_keep : len(job.tokens) - (n - n_keep) // 2]
        if job.speculation is not None:
            job.speculation = None
            slot.sequence.rewind(min(slot.sequence.reachable(job.tokens[:-1]), len(slot.sequence)))

    def _place(self, job: Job) -> None:
        """Let ``job`` have one of the free sequences: the one that it goes on from if that loses
        little, else the one that is worth least, by what it has that ``job`` has not, and by how
        long ago it was used."""
        self._clock += 1
        job.age = self._clock
        now = {slot.id: self._reusable(slot, job) for slot in self._slots}
        free = self._free()
        slot = max(free, key=lambda slot: (now[slot.id], slot.used))
        if not now[slot.id] or len(slot.sequence) - now[slot.id] > _LITTLE:
            if all(len(slot.sequence) for slot in free) and self._more():
                free = self._free()
                now[free[-1].id] = 0

            def worth(slot: _Slot) -> tuple[float, int, int]:
                lost = len(slot.sequence) - now[slot.id]
                return lost / (self._clock - slot.used), -now[slot.id], slot.used

            slot = min(free, key=worth)
        worth_waiting = max(now.values()) + _WORTH_WAITING
        for other in self._slots:
            if other.job is not None and job.request.cache_prompt:
                common = _common(other.job.tokens, job.tokens)
                if common >= worth_waiting and common > max(job.common, len(other.sequence)):
                    job.leader, job.common = other.job, common
        slot.job = job

    def _begin(self, slot: _Slot, job: Job) -> bool:
        """Bring the sequence to hold what can be had of the prompt. False while that is still
        being computed."""
        request, sequence = job.request, slot.sequence
        leader = job.leader
        if leader is not None and not leader.reader.paused:
            leads = [s for s in self._slots if s.job is leader]
            if leads and len(leads[0].sequence) < job.common:
                return False
        job.leader = None
        if request.n_keep is not None:
            check_movable(self._ctx.core)
        job.begun = True
        slot.used = self._clock
        request.started = request.started or time.perf_counter()
        if self._ctx.model.has_encoder:
            sequence.clear()
            self._encode(job)
            return True
        n, _, source = max(
            ((self._reusable(s, job), s is slot, s) for s in self._slots), key=lambda it: it[:2]
        )
        if source is not slot:
            try:
                n = sequence.copy_from(source.sequence, n) if n else self._clear(slot)
            except LlamaContextError:
                n = self._clear(slot)  # no room for a copy: it is computed again
        else:
            sequence.rewind(n)
            n = len(sequence)
        if n:
            sequence.checkpoint()
        if len(job.tokens) == len(request.prompt):
            request.cached_tokens = n
        slot.writes = sequence.writes
        return True

    def _encode(self, job: Job) -> None:
        """Give the encoder the prompt, and the decoder its first token."""
        model = self._ctx.model
        start = model.decoder_start_token
        if start is None:
            start = model.vocab.bos
        if start is None:
            raise LlamaModelError(f"{model!r} does not say what its decoder starts with")
        prompt = job.request.prompt
        self._ctx.encode(prompt)
        if not job.encoded:
            job.encoded, job.tokens[:] = True, [start]

    def _reusable(self, slot: _Slot, job: Job) -> int:
        """How many tokens of the prompt can be had from the cells of ``slot``."""
        sequence = slot.sequence
        if not job.request.cache_prompt or sequence.unknown or not len(sequence):
            return 0
        return sequence.reachable(job.tokens[:-1])  # not the last one, which makes the logits

    # -- a step

    def _compute(self, slots: list[_Slot], reader: Reader | None) -> None:
        """Decode one batch for the jobs of ``slots``, and choose the tokens that come next. Raises
        what ended them all."""
        jobs = [slot.job for slot in slots if slot.job is not None]
        self._computed = jobs
        try:
            self._step(slots)
        except LlamaCancelled as error:
            if not self._aborted:
                self._fail_all(jobs, error)
                raise
        except BaseException as error:
            if reader is not None or not isinstance(error, LlamaBusyError):
                self._fail_all(jobs, error)
            raise
        finally:
            self._computed, self._aborted = [], False
            for told in {job.reader for job in jobs}:
                if told is not reader and (not told.whole or not told.jobs or told.errors):
                    told.tell()

    def _step(self, slots: list[_Slot]) -> None:
        parts, plain = self._share_out(slots)
        if not parts:
            return
        batch, outputs = self._next_tokens(parts) if plain else _mixed(parts)
        try:
            self._ctx.decode(batch)
        except LlamaDecodeError as error:
            if error.code != 1:
                raise
            self._make_room(error, slots)
            return
        finally:
            for slot, _ in parts:
                slot.writes = slot.sequence.writes
        if not plain:
            self._score_prompts(parts)
        for i, slot in outputs:
            if slot.job is not None:
                self._sample(slot, i)

    def _score_prompts(self, parts: list[tuple[_Slot, list[int]]]) -> None:
        i = 0
        for slot, part in parts:
            job, end = slot.job, len(slot.sequence)
            if job is not None and job.request.scores_prompt:
                try:
                    job.request.score_prompt(self._ctx, end - len(part), end, i)
                except LlamaError as error:
                    self._fail(job, error)
                    self._leave(slot)
            i += len(part)

    def _sample(self, slot: _Slot, i: int) -> None:
        job = slot.job
        assert job is not None
        generation = job.of()
        if generation is None or job.over:
            self._leave(slot)
            return
        try:
            token = job.request.sampler.choose(self._ctx.outputs, i)
            job.request.score(self._ctx, token, i)
            text = generation._take(token)
        except Exception as error:
            self._fail(job, error)
        else:
            job.tokens.append(token)
            thoughts = job.request.thoughts
            if text or (thoughts is not None and thoughts.grows and job.reader.alone):
                job.reader.ready.append((job.index, text))
        if generation.finish_reason is not None:
            self._leave(slot)

    def _share_out(self, slots: list[_Slot]) -> tuple[list[tuple[_Slot, list[int]]], bool]:
        """What each sequence has in the next batch, and whether that is one token for each that
        generates and nothing else. Those come first; the others share what room is left, the
        oldest before the rest."""
        joining: list[tuple[_Slot, Job]] = []
        parts: list[tuple[_Slot, list[int]]] = []
        for slot in slots:
            job = slot.job
            try:
                if job is None or not self._ready(slot, job):
                    continue
            except Exception as error:
                assert job is not None
                self._fail(job, error)
                self._leave(slot)
                continue
            if len(job.tokens) - len(slot.sequence) == 1:
                parts.append((slot, job.tokens[-1:]))
            else:
                joining.append((slot, job))
        if not joining:
            return parts, True
        room = self._room(bool(parts)) - len(parts)
        for slot, job in sorted(joining, key=lambda pair: pair[1].age):
            start = len(slot.sequence)
            part = job.tokens[start : min(start + room, self._end_of(slot, job))]
            if part:
                parts.append((slot, part))
                room -= len(part)
        # Without kv_unified, the library computes those together that follow on each other.
        parts.sort(key=lambda pair: pair[0].id)
        return parts, False

    def _ready(self, slot: _Slot, job: Job) -> bool:
        """Whether its next tokens can be computed."""
        if not job.begun:
            return self._begin(slot, job)
        slot.sequence.check_writes(slot.writes)
        self._settle(slot, job)
        self._shift(slot, job)
        return True

    def _room(self, generating: bool) -> int:
        """How many tokens a batch may have: with prompts, others are to wait little for their next
        token, and for their turn."""
        core = self._ctx.core
        if self._n_places == 1:
            return core.n_batch
        return min(core.n_batch, max(core.n_ubatch // (2 if generating else 1), core.n_seq_max + 1))

    def _end_of(self, slot: _Slot, job: Job) -> int:
        """How far a prompt may be computed: to where a checkpoint is to be, also for who waits for
        the end of what they have in common."""
        n, sequence = len(slot.sequence), slot.sequence
        ends = [len(job.tokens)]
        if job.request.scores_prompt:
            ends.append(n + portion(self._ctx))
        if self._ctx.core.forgets:
            followers = [other.job for other in self._slots if other.job is not None]
            common = [other.common for other in followers if other.leader is job]
            marks = {*sequence.marks(len(job.tokens)), *common}
            if n in marks:
                sequence.checkpoint()
            ends += [mark for mark in marks if mark > n]
        return min(ends)

    def _next_tokens(
        self, parts: list[tuple[_Slot, list[int]]]
    ) -> tuple[LlamaBatch, Iterable[tuple[int, _Slot]]]:
        """The batch of one token for each, and the slots by where their outputs are."""
        ids = [slot.id for slot, _ in parts]
        batch = self._batch
        if batch is None or ids != self._batch_ids:
            # Made once for all steps in which nobody joins and nobody leaves.
            batch = LlamaBatch([0] * len(ids), seq_id=ids, logits=True)
            self._batch, self._batch_ids = batch, ids
        for i, (_, part) in enumerate(parts):
            batch.tokens[i] = part[0]
        return batch, enumerate(slot for slot, _ in parts)

    # -- who leaves

    def _over(self, job: Job) -> None:
        """``job`` is not to be computed any more."""
        job.over = True
        for jobs in (self._jobs, job.reader.jobs):
            with suppress(ValueError):
                jobs.remove(job)

    def _leave(self, slot: _Slot) -> None:
        """Free the sequence. What the cache holds of it stays, for who begins the same way."""
        job = slot.job
        slot.job = None
        slot.used = self._clock
        self._crowded = False
        if job is not None:
            self._over(job)

    def _fail(self, job: Job, error: BaseException, *, everything: bool = False) -> None:
        """One has failed: the others go on. With ``everything``, all of its reader."""
        reader, generation = job.reader, job.of()
        if everything and reader.failure is None:
            reader.failure = error
        reader.errors.append(error)
        if generation is not None:
            if isinstance(generation, ParallelGeneration) and not everything:
                generation.error = error if isinstance(error, Exception) else None
            generation._fail(error)
        self._over(job)
        if reader.asking or reader.notify:
            reader.tell()

    def _fail_all(self, jobs: list[Job], error: BaseException) -> None:
        for job in jobs:
            if not job.over:
                self._fail(job, error, everything=True)
        self._clean()

    def _make_room(self, error: LlamaDecodeError, slots: list[_Slot]) -> None:
        """The cache is full: forget what is not in use, then have the youngest wait for room."""
        idle = [s for s in self._slots if len(s.sequence) and (s.job is None or not s.job.begun)]
        if idle:
            self._clear(min(idle, key=lambda slot: slot.used))
            return
        jobs = [(slot, slot.job) for slot in self._slots if slot.job and slot.job.begun]
        unread = [pair for pair in jobs if pair[0] not in slots]
        slot, job = max(unread or jobs, key=lambda pair: pair[1].age)
        if len(jobs) > 1:
            self._preempt(slot)
            self._clear(slot)
            self._crowded = not unread  # until somebody leaves
            return
        # All the cache is its own, and is not enough.
        generation = job.of()
        if generation is not None and generation.tokens:
            generation._end("length")
            text = generation._rest()
            if text:
                job.reader.ready.append((job.index, text))
        else:
            self._fail(job, error)
        self._leave(slot)

    def _clear(self, slot: _Slot) -> int:
        slot.sequence.clear()
        return 0


class Feed:
    """A request for somebody who cannot wait for it, as a task of asyncio."""

    def __init__(self, scheduler: Scheduler, job: Job) -> None:
        self._scheduler = scheduler
        self._job = job

    def whole(self) -> None:
        """Nothing but the end is of interest."""
        self._job.reader.whole = True

    def follow(self, notify: Callable[[], object]) -> None:
        """Have the scheduler's thread compute it. ``notify`` is called, in any thread, when there
        is something."""
        self._job.reader.notify = notify
        self._job.reader.joined = True
        self._scheduler.submit(self._job)

    def poll(self) -> str | None:
        """The next piece, None when there is nothing yet. Raises EOFError at the end, and what
        ended it."""
        reader = self._job.reader
        if reader.ready:
            self._scheduler.read(reader)
            return reader.ready.popleft()[1]
        if reader.errors:
            raise reader.errors[0]
        if self._job.over:
            raise EOFError
        return None

    def leave(self) -> None:
        """It is not read any more."""
        self._scheduler.leave([self._job])


class Generations(Iterator[tuple[int, str]]):
    """Pieces of the texts as they come, each with the index of its prompt; made by
    `Llama.generate_many`.

    Closing it, or letting go of it, ends what still runs.
    """

    def __init__(
        self,
        ctx: LlamaContext,
        scheduler: Scheduler,
        prompts: Iterable[str | Sequence[int]],
        options: Iterable[Mapping[str, Any]] | None,
        shared: Mapping[str, Any],
        return_errors: bool,
    ) -> None:
        """``scheduler`` is that of ``ctx``."""
        if isinstance(prompts, str | bytes):
            raise TypeError("generate_many takes several prompts: use generate for one")
        check_options(shared, "generate_many")
        if isinstance(options, list | tuple):
            for own in options:
                check_options(own, "generate_many")
            if isinstance(prompts, list | tuple) and len(prompts) != len(options):
                raise ValueError(f"{len(options)} options for {len(prompts)} prompts")
        if ctx.model.has_encoder:
            raise LlamaContextError(
                f"{ctx.model.path.name} has an encoder, which takes one prompt at a time: use "
                "generate"
            )
        self.generations: list[ParallelGeneration] = []
        """Those that were begun, by the index of their prompt."""
        self._ctx = ctx
        self._scheduler = scheduler
        self._reader = Reader()
        self._lock = threading.Lock()
        self._prompts = iter(prompts)
        self._options = None if options is None else iter(options)
        self._shared = shared
        self._return_errors = return_errors
        self._given: dict[int, LlamaSampler] = {}  # those of the caller, by their id()
        self._exhausted = False
        self._ended = False
        weakref.finalize(self, _let_go, scheduler, self._reader).atexit = False

    def __next__(self) -> tuple[int, str]:
        reader = self._reader
        if not take(self._lock):
            raise LlamaBusyError("another thread is in this iterator")
        try:
            while not reader.ready:
                if self._ended:
                    raise StopIteration
                if reader.failure is not None:
                    raise reader.failure
                self._fill()
                if reader.jobs:
                    self._scheduler.advance(reader)
                elif reader.failure is None and not reader.ready:
                    self._end(None)
                    if reader.errors and not self._return_errors:
                        raise reader.errors[0]
            self._scheduler.read(reader)
            return reader.ready.popleft()
        except StopIteration:
            raise
        except BaseException as error:
            self._end(error)
            raise
        finally:
            self._lock.release()

    def completions(self) -> list[Completion]:
        """All of them, when the last is done, without the pieces that were taken before. An answer
        that is not valid is an error."""
        texts: dict[int, list[str]] = defaultdict(list)
        self._reader.whole = True
        for index, piece in self:
            texts[index].append(piece)
        return [self._completed(one, "".join(texts[one.index])) for one in self.generations]

    def _completed(self, generation: ParallelGeneration, text: str) -> Completion:
        error, output = generation.error, None
        if error is None and generation.finish_reason != "cancelled":
            try:
                output = generation._value(text)
            except LlamaAnswerError as raised:
                if not self._return_errors:
                    raise
                error = raised
        return generation._completion(text, error, output)

    def close(self) -> None:
        """Stop all of them. The Llama can be used for something else."""
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        self._reader.ready.clear()
        for generation in self.generations:
            if error is None:
                generation._end("cancelled")
            else:
                generation._fail(error)
        self._scheduler.leave(self._reader.jobs[:])

    def _fill(self) -> None:
        """Take prompts as long as there are places."""
        while not self._exhausted and len(self._reader.jobs) < self._ctx.n_seq_max:
            job = self._next_job()
            if job is not None:
                self._scheduler.submit(job, queue=False)

    def _next_job(self) -> Job | None:
        """Take the next prompt; None when there is none."""
        while not self._exhausted:
            index = len(self.generations)
            try:
                prompt = next(self._prompts, _END)
                own = {} if self._options is None else next(self._options, _END)
                if own is _END and prompt is not _END:
                    raise ValueError(f"there are no options for prompt {index}")
            except Exception as error:  # of the caller's: the others go on to their end
                self._exhausted = True
                self._reader.errors.append(error)
                return None
            if prompt is _END:
                self._exhausted = True
                return None
            try:
                options = self._merged(index, own)
                request = Request(self._ctx.model, prompt, self._ctx.n_ctx_seq, options)
            except Exception as error:
                generation = ParallelGeneration(index, _Refused())
                self.generations.append(generation)
                generation.error = error
                generation._fail(error)
                self._reader.errors.append(error)
                continue
            generation = ParallelGeneration(index, request)
            self.generations.append(generation)
            job = Job(request, self._reader, index)
            job.of = weakref.ref(generation)
            return job
        return None

    def _merged(self, index: int, own: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a prompt and the shared ones."""
        check_options(own, "generate_many")
        sampler = own.get("sampler")
        if isinstance(sampler, LlamaSampler):
            if id(sampler) in self._given:
                raise ValueError(
                    f"the sampler of prompt {index} is another prompt's too: each needs its own"
                )
            self._given[id(sampler)] = sampler
        elif isinstance(self._shared.get("sampler"), LlamaSampler):
            own = {"sampler": self._shared["sampler"].clone, **own}
        return {**with_seed(self._shared, index), **own}


def _run(ref: weakref.ref[Scheduler], bell: Bell) -> None:
    """The thread of a scheduler, as long as there is that."""
    while (scheduler := ref()) is not None:
        pause = scheduler.work()
        del scheduler
        if pause:
            bell.wait(pause)


def _mixed(
    parts: list[tuple[_Slot, list[int]]],
) -> tuple[LlamaBatch, Iterable[tuple[int, _Slot]]]:
    """The batch of prompts and tokens, and the slots by where their outputs are."""
    tokens: list[int] = []
    seq_ids: list[int] = []
    outputs: dict[int, _Slot] = {}
    wanted: list[bool] = []
    for slot, part in parts:
        tokens += part
        seq_ids += [slot.id] * len(part)
        assert slot.job is not None
        wanted += [slot.job.request.scores_prompt] * len(part)
        if len(slot.sequence) + len(part) == len(slot.job.tokens):
            outputs[len(tokens) - 1] = slot
            wanted[-1] = True
    return LlamaBatch(tokens, seq_id=seq_ids, logits=wanted), outputs.items()


def _common(held: list[int], tokens: list[int]) -> int:
    """How many tokens both begin with; not the last one, which makes the logits."""
    return min(n_common(held, tokens), len(tokens) - 1)


def _let_go(scheduler: Scheduler, reader: Reader) -> None:
    scheduler.leave(reader.jobs[:])
