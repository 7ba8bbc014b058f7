"""Places in the context: sequences that keep their tokens for requests that begin alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ...context.context import LlamaContext
from ...context.memory import check_movable
from ...context.sequence import LlamaSequence, n_common
from ...errors import (
    LlamaContextError,
    LlamaDecodeError,
    LlamaError,
    LlamaModelError,
    LlamaTimeoutError,
)
from ...native.locks import let_go
from .jobs import Job, Reader, Slot
from .parked import ParkedTexts

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ...context.prompts import StoredPrompts

# A prompt waits for another one that is being computed if they share at least so many more tokens
# than the cache already has.
_WORTH_WAITING = 16
# A conversation that continues loses at most so many tokens: the end of the last answer.
_LITTLE = 4
PATIENCE = 0.25
"""Seconds after which an unread request gives its place to a waiting one, and a waiting reader
checks for itself whether it can go on."""


class Places:
    """The places of a context, and the jobs that have a place or wait for one."""

    def __init__(
        self, ctx: LlamaContext, stored: StoredPrompts | None = None, ram_cache: int | None = None
    ) -> None:
        self._ctx = ctx
        self._stored = stored
        self.parked = ParkedTexts(ctx, ram_cache)
        """Texts that lost their cells."""
        self.n = 1 if ctx.model.has_encoder else ctx.n_seq_max
        """The greatest number of places."""
        self.slots: list[Slot] = []
        self.jobs: list[Job] = []
        """All jobs that are not over, with and without a place."""
        self.lean: Reader | None = None
        """The reader that computes its only job itself; reset by every change of the jobs."""
        self._crowded = False  # the cache is full: nobody gets a place until somebody leaves
        self._clock = 0
        if ctx.core.has_memory:
            self._more()

    @property
    def sequences(self) -> list[LlamaSequence]:
        """The sequences of all places. Others may only change them in `paused`."""
        return [slot.sequence for slot in self.slots]

    @property
    def idle(self) -> bool:
        """Whether there is no request, and all places are free."""
        return not self.jobs and all(slot.job is None or slot.job.over for slot in self.slots)

    def spare(self) -> Slot:
        """A place for a caller without a request: a free one, or that of the youngest job."""
        self.clean()
        if not self.slots:
            self._more()
        slots = self._free() or [max(self.slots, key=lambda s: s.job.age if s.job else 0)]
        slot = min(slots, key=lambda slot: slot.used)
        self.preempt(slot)
        slot.check()
        if slot.stays:
            self.parked.park(slot.sequence)
        return slot

    def adopt(self, slot: Slot, data: Buffer) -> int:
        """Restore a saved sequence in ``slot``. Returns its length."""
        slot.sequence.replace(data)
        self._clock += 1
        slot.used, slot.stays = self._clock, True
        return len(slot.sequence)

    def nearest(self, tokens: Sequence[int]) -> LlamaSequence | None:
        """In `paused`: the sequence with the longest common beginning with ``tokens``."""
        known = [slot.sequence for slot in self.slots if not slot.sequence.unknown]
        found = max(known, key=lambda sequence: sequence.reusable(tokens), default=None)
        return found if found is not None and found.reusable(tokens) else None

    def generates(self, slot: Slot, job: Job) -> bool:
        """Whether only the next token of ``job`` must be computed."""
        missing = len(job.tokens) - len(slot.sequence)
        return job.begun and missing == 1 and not job.request.scores_prompt

    def active(self) -> list[Slot]:
        """The places of jobs that are being read."""
        return [s for s in self.slots if s.job is not None and not s.job.reader.paused]

    def shift(self, slot: Slot, job: Job) -> None:
        """Make room in a full context if the request allows that."""
        n_keep, n = job.request.n_keep, len(slot.sequence)
        if n_keep is not None and n >= self._ctx.n_ctx_seq:
            slot.sequence.shift(n_keep, (n - n_keep) // 2)
            job.tokens[:] = [*slot.sequence.tokens, job.tokens[-1]]

    def clean(self) -> None:
        """Free the places of jobs that are over, were stopped, or have lost their reader."""
        for job in list(self.jobs):
            if job.of() is None:
                self.over(job)
            elif stopped := job.stopped():
                if not job.reader.alone and not isinstance(stopped, LlamaTimeoutError):
                    job.end(stopped)
                    self.over(job)
                else:
                    self.fail(job, stopped)
        for slot in self.slots:
            if slot.job is not None and slot.job.over:
                self.leave(slot)

    def _free(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.job is None]

    def _more(self) -> bool:
        """Take another sequence of the context, if there is one."""
        if len(self.slots) >= self.n:
            return False
        try:
            self.slots.append(Slot(self._ctx.sequence()))
        except LlamaContextError:
            if not self.slots:
                raise
            return False  # the program has the others
        return True

    def admit(self, reader: Reader | None) -> None:
        """Give waiting jobs places while there are any. ``reader`` is the one that asks."""
        if self._crowded and self.active():
            return
        self._crowded = False
        placed = {slot.job for slot in self.slots}
        for job in [job for job in self.jobs if job not in placed]:
            if job.reader.paused:
                continue
            if not self._free() and not self._more():
                unread = self._unread(reader)
                if unread is None:
                    return
                self.preempt(unread)
            free = self._free()
            for slot in free:
                slot.check()
            self._place(job, free)

    def _unread(self, reader: Reader | None) -> Slot | None:
        """The place of a job that was not read for long, or that the asking thread itself left."""
        now, thread = time.perf_counter(), 0 if reader is None else reader.thread
        for slot in sorted(self.slots, key=lambda slot: slot.job.reader.asked if slot.job else 0):
            job = slot.job
            if job is not None and job.reader.paused:
                idle = now - job.reader.asked > PATIENCE
                if idle or (job.reader.thread == thread and job.reader is not reader):
                    return slot
        return None

    def preempt(self, slot: Slot) -> None:
        """Make its job wait for another place, where it is computed again."""
        job = slot.job
        slot.job = None
        if job is not None:
            self.settle(slot, job)
            job.begun, job.going, job.common = False, False, 0
            self.lean = None

    def settle(self, slot: Slot, job: Job) -> None:
        """End its drafts, and after a context shift keep only the tokens that the shift left."""
        if job.speculation is None and slot.job is job:
            return
        n_keep, n = job.request.n_keep, self._ctx.n_ctx_seq
        if n_keep is not None and len(job.tokens) > n:
            del job.tokens[n_keep : len(job.tokens) - (n - n_keep) // 2]
        if job.speculation is not None:
            job.speculation = None
            slot.sequence.rewind(min(slot.sequence.reachable(job.tokens[:-1]), len(slot.sequence)))

    def _place(self, job: Job, free: list[Slot]) -> None:
        """Give ``job`` one of the ``free`` sequences: the one that it continues, if little is lost,
        otherwise the least valuable one, by the tokens that would be lost and the time since its
        last use."""
        self._clock += 1
        job.age = self._clock
        if self.n == 1:
            free[0].job = job
            return
        now = {slot.id: self._reusable(slot, job) for slot in self.slots}
        slot = max(free, key=lambda slot: (now[slot.id], slot.used))
        if not now[slot.id] or len(slot.sequence) - now[slot.id] > _LITTLE:
            if all(len(slot.sequence) for slot in free) and self._more():
                free = self._free()
                now[free[-1].id] = 0

            def worth(slot: Slot) -> tuple[float, int, int]:
                lost = len(slot.sequence) - now[slot.id]
                return lost / (self._clock - slot.used), -now[slot.id], slot.used

            slot = min(free, key=worth)
        worth_waiting = max(now.values()) + _WORTH_WAITING
        for other in self.slots:
            if other.job is not None and job.request.cache_prompt:
                common = _common(other.job.tokens, job.tokens)
                if common >= worth_waiting and common > max(job.common, len(other.sequence)):
                    job.leader, job.common = other.job, common
        slot.job = job

    def begin(self, slot: Slot, job: Job) -> bool:
        """Fill the sequence with the part of the prompt that the cache has. False while another job
        is still computing that part."""
        request, sequence = job.request, slot.sequence
        leader = job.leader
        if leader is not None and not leader.reader.paused:
            leads = [s for s in self.slots if s.job is leader]
            if leads and len(leads[0].sequence) < job.common:
                return False
        job.leader = None
        if request.n_keep is not None:
            check_movable(self._ctx.core)
        job.begun = True
        slot.used = self._clock
        request.started = request.started or time.perf_counter()
        if self._ctx.core.has_encoder:
            sequence.clear()
            self._encode(job)
            return True
        n, source = self._reusable(slot, job), slot
        if slot.stays and slot.held > n:
            self.parked.park(sequence, n)
        slot.stays = request.stays
        for other in self.slots:
            if other is not slot and (more := self._reusable(other, job)) > n:
                n, source = more, other
        wanted = job.tokens[:-1]  # the last one makes the logits
        text = None
        if self.parked and request.cache_prompt:
            text = self.parked.find(wanted, n)
        if self.n > 1:
            kept, room = (source, 0) if text is None else (slot, len(text.tokens))
            text = text if self._make_way(slot, kept, room) else None
        stored = self._stored if request.cache_prompt else None
        reach = n if text is None else self.parked.reach(text, wanted)
        filled = stored is not None and stored.load(sequence, wanted, reach)
        filled = filled or (text is not None and self.parked.restore(text, sequence, wanted))
        if not filled and source is slot:
            sequence.rewind(min(n, len(sequence)))  # a state that did not fit leaves nothing
        elif not filled:
            with suppress(LlamaContextError):  # no room for a copy: it is computed again
                sequence.copy_from(source.sequence, n)
        n = len(sequence)
        if n:
            sequence.checkpoint()
        if len(job.tokens) == len(request.prompt):
            request.cached_tokens = n
            if stored is not None:
                job.stores = stored.marks(job.tokens, n)
        slot.writes = sequence.writes
        return True

    def _make_way(self, slot: Slot, kept: Slot, room: int) -> bool:
        """Park texts in free places, but that of ``kept``: those that were not used for a while,
        since where sequences share the cells each cell in use slows the others, and more until
        ``slot`` has ``room`` for so many tokens. Returns whether it has."""
        if not self.parked.used or not self._ctx.core.shares_cells:
            return True
        now = time.perf_counter()
        held = sum(other.held for other in self.slots if other is not slot)
        for other in sorted(self._free(), key=lambda other: other.left):
            n = other.held
            wanted = held + room > self._ctx.n_ctx or now - other.left > PATIENCE
            if n and other is not kept and wanted and self.parked.park(other.sequence):
                other.sequence.clear()
                held -= n
        return held + room <= self._ctx.n_ctx

    def store(self, slot: Slot) -> None:
        """Store the beginning of a prompt that was just computed, if it is one to store."""
        job = slot.job
        if job is not None and self._stored is not None and len(slot.sequence) in job.stores:
            self._stored.save(slot.sequence)

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

    def _reusable(self, slot: Slot, job: Job) -> int:
        """The number of prompt tokens that ``slot`` has in the cache."""
        sequence = slot.sequence
        if not job.request.cache_prompt or sequence.unknown or not len(sequence):
            return 0
        return sequence.reachable(job.tokens[:-1])  # not the last one, which makes the logits

    def over(self, job: Job) -> None:
        """End ``job``."""
        job.over, self.lean = True, None
        for jobs in (self.jobs, job.reader.jobs):
            with suppress(ValueError):
                jobs.remove(job)

    def leave(self, slot: Slot) -> None:
        """Free the place. Its cells stay for requests that begin alike, unless its own request
        asked to free them: where sequences share the cells, each cell in use slows the others."""
        job = slot.job
        slot.job = None
        slot.used, slot.left = self._clock, time.perf_counter()
        self._crowded = False
        if job is None:
            return
        self.over(job)
        if not job.request.stays and self.n > 1:
            with suppress(LlamaError):  # the context was closed or lost, and its cells with it
                slot.sequence.clear()

    def fail(self, job: Job, error: BaseException, *, everything: bool = False) -> None:
        """End ``job`` with ``error``; with ``everything``, all jobs of its reader."""
        let_go(error)
        reader = job.reader
        if everything and reader.failure is None:
            reader.failure = error
        reader.errors.append(error)
        job.end(error, reported=not everything)
        self.over(job)
        if reader.asking or reader.notify:
            reader.tell()

    def fail_all(self, error: BaseException, jobs: list[Job] | None = None) -> None:
        """End all jobs, or all of ``jobs``, with ``error``, and their readers."""
        for job in list(self.jobs if jobs is None else jobs):
            if not job.over:
                self.fail(job, error, everything=True)

    def make_room(self, error: LlamaDecodeError, slots: list[Slot]) -> None:
        """Make room in a full cache: clear an unused sequence, or make the youngest job wait."""
        idle = [s for s in self.slots if len(s.sequence) and (s.job is None or not s.job.begun)]
        if idle:
            slot = min(idle, key=lambda slot: slot.used)
            if slot.job is None:
                self.parked.park(slot.sequence)
            slot.sequence.clear()
            return
        jobs = [(slot, slot.job) for slot in self.slots if slot.job and slot.job.begun]
        unread = [pair for pair in jobs if pair[0] not in slots]
        slot, job = max(unread or jobs, key=lambda pair: pair[1].age)
        if len(jobs) > 1:
            self.preempt(slot)
            slot.sequence.clear()
            self._crowded = not unread  # until somebody leaves
            return
        # All the cache is its own, and is not enough.
        generation = job.of()
        if generation is not None and generation.tokens:
            if text := generation._full():
                job.reader.ready.append((job.index, text))
        else:
            self.fail(job, error)
        self.leave(slot)


def _common(held: list[int], tokens: list[int]) -> int:
    """How many tokens both begin with; not the last one, which makes the logits."""
    return min(n_common(held, tokens), len(tokens) - 1)
