"""Rounds: each builds a batch, decodes it, and samples the next tokens."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from threading import get_ident

from ...context.batch import LlamaBatch
from ...context.context import LlamaContext
from ...context.turns import Turn
from ...errors import (
    LlamaBusyError,
    LlamaCancelled,
    LlamaContextError,
    LlamaDecodeError,
    LlamaError,
)
from ..logprobs import portion
from .jobs import Job, Reader, Slot
from .places import Places


class Rounds:
    """Computes the jobs in the places of ``ctx``. The caller holds the lock of its turns."""

    def __init__(self, ctx: LlamaContext, places: Places) -> None:
        self._ctx = ctx
        self._places = places
        self.turns = ctx.turns
        self.turn = Turn(ctx.turns)
        """The turn of the requests, from the first until none is left."""
        self.holder = 0
        """The thread that holds the lock of the turns."""
        self._batch_ids: list[int] = []
        self._batch: LlamaBatch | None = None
        self.computed: list[Job] = []
        """The jobs of the running round."""
        self.aborted = False
        """Whether the round was stopped for one job alone."""

    def abort(self) -> None:
        """Stop the running decode. The tokens of other jobs in it are computed again."""
        self.aborted = True
        self._ctx.cancel()

    def check_reentry(self) -> None:
        """LlamaBusyError where the calling thread is in a round, as a sampler is."""
        if self.turns.lock.locked() and self.holder == get_ident():
            raise LlamaBusyError(
                "this context is in the middle of a step, of the code that called this: give it "
                "its own context (a Llama of its own, on the same model)"
            )

    def check_turn(self) -> None:
        """Begin the turn, or end all requests where another generation was begun."""
        if not self.turn.begun:
            self.turn.begun, self.turns.latest = True, self.turn
        elif self.turns.latest is not self.turn:
            error = LlamaContextError("another generation was begun on this context")
            self._places.fail_all(error)
            self._places.clean()

    def run(self, slots: list[Slot], reader: Reader | None) -> None:
        """Decode one batch for the jobs of ``slots``, and sample their next tokens. Raises the
        error that ended them all."""
        jobs = [slot.job for slot in slots if slot.job is not None]
        self.computed = jobs
        try:
            self._step(slots)
        except BaseException as error:
            if not (self.aborted and isinstance(error, LlamaCancelled)):
                if reader is not None or not isinstance(error, LlamaBusyError):
                    self._places.fail_all(error, jobs)
                    self._places.clean()
                raise
        finally:
            self.computed, self.aborted = [], False
            if reader is None:  # else it asks itself
                for told in {job.reader for job in jobs}:
                    if not told.whole or not told.jobs or told.errors:
                        told.tell()

    def alone(self, job: Job) -> Generator[int, None, None]:
        """Compute ``job`` token by token, as long as it is the only one."""
        slot = next((slot for slot in self._places.slots if slot.job is job), None)
        if slot is None:
            self._places.lean = None
            return
        request, sequence, places, turns = job.request, slot.sequence, self._places, self.turns
        reader = job.reader
        choose, outputs, turn = request.sampler.choose, self._ctx.outputs, self.turn
        written, i = self._ctx.books.writes, slot.id
        token, output, deadline = job.tokens[-1], -1, request.deadline
        while places.lean is reader:
            if turns.lock.locked():
                self.check_reentry()
            with turns.lock:
                self.holder = get_ident()
                try:
                    if places.lean is not reader or turns.latest is not turn:
                        break
                    if written[i] != slot.writes:
                        sequence.check_writes(slot.writes)
                    if deadline and time.perf_counter() >= deadline:
                        break
                    if job.plain:
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
                    places.settle(slot, job)
                    places.make_room(error, [slot])
                    break
                except LlamaCancelled:
                    if not self.aborted:
                        raise
                    self.aborted, slot.writes = False, written[i]
                    break
                finally:
                    self.holder = 0
            yield token
        if places.lean is reader:
            places.lean = None

    def _advance(self, slot: Slot, job: Job, token: int) -> int:
        """Compute ``token`` of the only job, with drafts if it asks for them. Returns the index of
        its output."""
        request, sequence = job.request, slot.sequence
        if request.draft is not None and job.speculation is None:
            from .speculation import Speculation  # here: most programs do without

            job.speculation = Speculation(self._ctx, sequence, request, request.n_keep)
        if job.speculation is not None:
            return job.speculation.step(token)
        self._places.shift(slot, job)
        sequence.append(token)
        return -1

    def _step(self, slots: list[Slot]) -> None:
        parts, plain = self._share_out(slots)
        if not parts:
            return
        batch, outputs = self._next_tokens(parts) if plain else _mixed(parts)
        try:
            self._ctx.decode(batch)
        except LlamaDecodeError as error:
            if error.code != 1:
                raise
            self._places.make_room(error, slots)
            return
        finally:
            written = self._ctx.books.writes
            for slot, _ in parts:
                slot.writes = written[slot.id]
        if not plain:
            self._score_prompts(parts)
            for slot, _ in parts:
                self._places.store(slot)
        self._sample(outputs)

    def _score_prompts(self, parts: list[tuple[Slot, list[int]]]) -> None:
        i = 0
        for slot, part in parts:
            job, end = slot.job, len(slot.sequence)
            if job is not None and job.request.scores_prompt:
                try:
                    job.request.score_prompt(self._ctx, end - len(part), end, i)
                except LlamaError as error:
                    self._places.fail(job, error)
                    self._places.leave(slot)
            i += len(part)

    def _sample(self, outputs: Iterable[tuple[int, Slot]]) -> None:
        ctx, source = self._ctx, self._ctx.outputs
        for i, slot in outputs:
            job = slot.job
            if job is None:
                continue
            request, generation = job.request, job.of()
            if generation is None or job.over:
                self._places.leave(slot)
                continue
            try:
                token = request.sampler.choose(source, i)
                request.score(ctx, token, i)
                text = generation._take(token)
            except Exception as error:
                self._places.fail(job, error)
            else:
                job.tokens.append(token)
                job.going = True
                thoughts = request.thoughts
                if text or (thoughts is not None and thoughts.grows and job.reader.alone):
                    job.reader.ready.append((job.index, text))
            if generation.finish_reason is not None:
                self._places.leave(slot)

    def _share_out(self, slots: list[Slot]) -> tuple[list[tuple[Slot, list[int]]], bool]:
        """The tokens of each sequence in the next batch, and whether these are one token of each
        generating sequence and nothing else. Prompts share the room that these leave, the oldest
        request first."""
        joining: list[tuple[Slot, Job]] = []
        parts: list[tuple[Slot, list[int]]] = []
        written = self._ctx.books.writes
        for slot in slots:
            job = slot.job
            if job is None:
                continue
            if job.plain and job.going and written[slot.id] == slot.writes:
                parts.append((slot, job.tokens[-1:]))
                continue
            try:
                if not self._ready(slot, job):
                    continue
            except Exception as error:
                self._places.fail(job, error)
                self._places.leave(slot)
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

    def _ready(self, slot: Slot, job: Job) -> bool:
        """Whether the next tokens of ``job`` can be computed."""
        if not job.begun:
            return self._places.begin(slot, job)
        slot.sequence.check_writes(slot.writes)
        self._places.settle(slot, job)
        self._places.shift(slot, job)
        return True

    def _room(self, generating: bool) -> int:
        """The greatest number of tokens in a batch. With prompts it is smaller, so that other
        requests do not wait long for their next token or their turn."""
        core = self._ctx.core
        if self._places.n == 1:
            return core.n_batch
        return min(core.n_batch, max(core.n_ubatch // (2 if generating else 1), core.n_seq_max + 1))

    def _end_of(self, slot: Slot, job: Job) -> int:
        """The position up to which a prompt may be computed: the next checkpoint, or the end of the
        beginning that it shares with a request that waits for it."""
        n, sequence = len(slot.sequence), slot.sequence
        ends = [len(job.tokens)]
        if job.request.scores_prompt:
            ends.append(n + portion(self._ctx))
        ends += [mark for mark in job.stores if mark > n]
        if self._ctx.core.forgets:
            followers = [other.job for other in self._places.slots if other.job is not None]
            common = [other.common for other in followers if other.leader is job]
            marks = {*sequence.marks(len(job.tokens)), *common}
            if n in marks:
                sequence.checkpoint()
            ends += [mark for mark in marks if mark > n]
        return min(ends)

    def _next_tokens(
        self, parts: list[tuple[Slot, list[int]]]
    ) -> tuple[LlamaBatch, Iterable[tuple[int, Slot]]]:
        """The batch with one token of each, and the slots by the indexes of their outputs."""
        ids = [slot.id for slot, _ in parts]
        batch = self._batch
        if batch is None or ids != self._batch_ids:
            # Made once for all steps in which nobody joins and nobody leaves.
            batch = LlamaBatch([0] * len(ids), seq_id=ids if ids != [0] else 0, logits=True)
            self._batch, self._batch_ids = batch, ids
        for i, (_, part) in enumerate(parts):
            batch.tokens[i] = part[0]
        return batch, enumerate([slot for slot, _ in parts])


def _mixed(
    parts: list[tuple[Slot, list[int]]],
) -> tuple[LlamaBatch, Iterable[tuple[int, Slot]]]:
    """The batch of prompts and tokens, and the slots by the indexes of their outputs."""
    tokens: list[int] = []
    seq_ids: list[int] = []
    outputs: dict[int, Slot] = {}
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
