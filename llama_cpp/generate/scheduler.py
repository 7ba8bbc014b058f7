"""Many prompts through one context, with continuous batching.

Each step decodes one batch: the next token of every sequence that generates, and as much as there
is room for of the prompts that join. A sequence that ends makes place for the next prompt at once.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..context.batch import LlamaBatch
from ..context.context import LlamaContext
from ..context.sequence import LlamaSequence, n_common
from ..context.snapshot import Snapshot
from ..context.turns import Turn
from ..errors import (
    LlamaAnswerError,
    LlamaBusyError,
    LlamaContextError,
    LlamaDecodeError,
    LlamaError,
)
from ..sampling.answer import Answer
from ..sampling.chain import LlamaSampler
from .generation import Completion, GenerationState, Request
from .logprobs import portion
from .options import check_options, with_seed

if TYPE_CHECKING:
    from collections.abc import Sequence


# A prompt waits for another one that is being computed when they have so many tokens more in
# common than can be had already.
_WORTH_WAITING = 16
_END: Any = object()  # what an iterator gives when it has no more


class ParallelGeneration(GenerationState):
    """One of the generations of `Llama.generate_many`."""

    def __init__(self, index: int, request: Request) -> None:
        super().__init__(request)
        self.index = index
        """Which prompt it goes on with, from 0."""
        self.error: Exception | None = None
        """What was raised, if that ended it."""
        self._cancelled = False

    def cancel(self) -> None:
        """Stop this one before its next token, from any thread. The others go on."""
        self._cancelled = True


class _Refused(Request):
    """Stands for one that could not be made."""

    def __init__(self) -> None:
        self.prompt = []
        self.logprobs = []
        self.prompt_logprobs = []
        self.answer = Answer({})
        self.thoughts = None


class _Job:
    """A generation that is computed: what the cache has to hold for the next token."""

    def __init__(self, generation: ParallelGeneration, request: Request) -> None:
        self.generation = generation
        self.request = request
        self.tokens = list(request.prompt)  # and what was generated
        self.age = 0
        self.begun = False
        # Another job that computes the same beginning, and how much of it they have in common.
        self.leader: _Job | None = None
        self.common = 0


class _Slot:
    """A sequence of the context; when its job is done it stays, for prompts that begin alike."""

    def __init__(self, sequence: LlamaSequence) -> None:
        self.sequence = sequence
        self.id = sequence.id
        self.job: _Job | None = None
        self.used = 0

    def check(self) -> None:
        """Have a free sequence begin anew whose cells somebody else has changed."""
        if self.job is None and self.sequence.unknown:
            self.sequence.clear()


class Generations(Iterator[tuple[int, str]]):
    """Pieces of the texts as they come, each with the index of its prompt; made by
    `Llama.generate_many`.

    Closing it, or letting go of it, ends what still runs.
    """

    def __init__(
        self,
        ctx: LlamaContext,
        sequences: list[LlamaSequence],
        prompts: Iterable[str | Sequence[int]],
        options: Iterable[Mapping[str, Any]] | None,
        shared: Mapping[str, Any],
        return_errors: bool,
        watch: Callable[[bool], object],
    ) -> None:
        """``sequences`` are those of ``ctx`` to work with; more are made as there is room, and
        added. ``watch`` is called before each step, with whether it is the first, and may raise to
        stop."""
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
        self._sequences = sequences
        self._watch = watch
        self._turn = Turn(ctx.turns)
        self._n_batch = self._ctx.n_batch
        self._prompts = iter(prompts)
        self._options = None if options is None else iter(options)
        self._shared = shared
        self._return_errors = return_errors
        self._given: dict[int, LlamaSampler] = {}  # those of the caller, by their id()
        self._errors: list[Exception] = []
        self._ready: deque[tuple[int, str]] = deque()
        self._slots: list[_Slot] = []
        self._waiting: deque[_Job] = deque()  # for the room that was taken from them
        self._kept: list[int] = []  # the tokens of the snapshot
        self._snapshot: Snapshot | None = None
        self._exhausted = False
        self._crowded = False
        self._ended = False
        self._clock = 0
        self._batch_ids: list[int] = []
        self._batch: LlamaBatch | None = None

    def __next__(self) -> tuple[int, str]:
        while not self._ready:
            if self._ended:
                raise StopIteration
            first = not self._turn.begun
            try:
                with self._turn:
                    going_on = self._stepped(first)
            except LlamaBusyError:
                raise
            except LlamaContextError as error:  # also the turn's: it is over
                self._end(error)
                raise
            if not going_on:
                self._end(None)
                if self._errors and not self._return_errors:
                    raise self._errors[0]
        return self._ready.popleft()

    def _stepped(self, first: bool) -> bool:
        try:
            return self._step(first)
        except BaseException as error:
            self._end(error)
            raise

    def completions(self) -> list[Completion]:
        """All of them, when the last is done, without the pieces that were taken before. An answer
        that is not valid is an error."""
        texts: dict[int, list[str]] = defaultdict(list)
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
        self._ready.clear()
        for job in [*(slot.job for slot in self._slots), *self._waiting]:
            if job is not None:
                if error is None:
                    job.generation._end("cancelled")
                else:
                    job.generation._fail(error)
        self._slots = []
        self._waiting.clear()
        self._snapshot = None

    # -- a step

    def _step(self, first: bool) -> bool:
        """Decode one batch, and choose the tokens that come next. False when all is done."""
        self._watch(first)
        if first:
            while len(self._sequences) < self._ctx.n_seq_max:
                try:
                    self._sequences.append(self._ctx.sequence())
                except LlamaContextError:
                    if not self._sequences:
                        raise
                    break  # none is left: they are enough
            self._slots = [_Slot(sequence) for sequence in self._sequences]
        self._clock += 1
        self._admit()
        parts, plain = self._share_out()
        if not parts:
            return not self._exhausted or bool(self._waiting) or any(s.job for s in self._slots)
        batch, outputs = self._next_tokens(parts) if plain else _mixed(parts)
        try:
            self._ctx.decode(batch)
        except LlamaDecodeError as error:
            if error.code != 1:
                raise
            self._make_room(error)
            return True
        if not plain:
            self._score_prompts(parts)
        for i, slot in outputs:
            if slot.job is not None:
                self._sample(slot, i)
        return True

    def _score_prompts(self, parts: list[tuple[_Slot, list[int]]]) -> None:
        i = 0
        for slot, part in parts:
            job, end = slot.job, len(slot.sequence)
            if job is not None and job.request.scores_prompt:
                try:
                    job.request.score_prompt(self._ctx, end - len(part), end, i)
                except LlamaError as error:
                    self._failed(job.generation, error)
                    self._leave(slot)
            i += len(part)

    def _sample(self, slot: _Slot, i: int) -> None:
        job = slot.job
        assert job is not None
        generation = job.generation
        text = ""
        try:
            token = job.request.sampler.choose(self._ctx.outputs, i)
            job.request.score(self._ctx, token, i)
            text = generation._take(token)
        except Exception as error:
            self._failed(generation, error)
        else:
            job.tokens.append(token)
            if text:
                self._ready.append((generation.index, text))
        if generation.finish_reason is not None:
            self._leave(slot)

    def _share_out(self) -> tuple[list[tuple[_Slot, list[int]]], bool]:
        """What each sequence has in the next batch, and whether that is one token for each that
        generates and nothing else. Those come first; the others share what room is left, the
        oldest before the rest."""
        joining: list[tuple[_Slot, _Job]] = []
        parts: list[tuple[_Slot, list[int]]] = []
        for slot in self._slots:
            job = slot.job
            if job is None:
                continue
            if job.generation._cancelled:
                job.generation._end("cancelled")
                self._leave(slot)
            elif not job.begun and not self._begin(slot, job):
                continue
            elif len(job.tokens) - len(slot.sequence) == 1:
                parts.append((slot, job.tokens[-1:]))
            else:
                joining.append((slot, job))
        if not joining:
            return parts, True
        room = self._n_batch - len(parts)
        for slot, job in sorted(joining, key=lambda pair: pair[1].age):
            start = len(slot.sequence)
            part = job.tokens[start : min(start + room, self._end_of(slot, job))]
            if part:
                parts.append((slot, part))
                room -= len(part)
        # Without kv_unified, the library computes those together that follow on each other.
        parts.sort(key=lambda pair: pair[0].id)
        return parts, False

    def _end_of(self, slot: _Slot, job: _Job) -> int:
        """How far a prompt may be computed. A recurrent state can only be copied as it is: who
        waits for it does so for the end of what they have in common."""
        ends = [len(job.tokens)]
        if job.request.scores_prompt:
            ends.append(len(slot.sequence) + portion(self._ctx))
        if self._ctx.core.is_stateful:
            others = [other.job for other in self._slots if other.job is not None]
            ends += [o.common for o in others if o.leader is job and o.common > len(slot.sequence)]
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

    # -- who joins

    def _admit(self) -> None:
        """Give the free sequences to those that wait, as long as there is room."""
        while not self._crowded:
            free = [slot for slot in self._slots if slot.job is None]
            if not free:
                return
            for slot in free:
                slot.check()
            job = self._waiting.popleft() if self._waiting else self._next_job()
            if job is None:
                return
            if job.generation.finish_reason is None:
                self._place(job, free)

    def _next_job(self) -> _Job | None:
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
                self._errors.append(error)
                return None
            if prompt is _END:
                self._exhausted = True
                return None
            try:
                options = self._merged(index, own)
                since = self._ctx.outputs.cancelled_since()
                request = Request(self._ctx.model, prompt, self._ctx.n_ctx_seq, options, since)
            except Exception as error:
                generation = ParallelGeneration(index, _Refused())
                self.generations.append(generation)
                self._failed(generation, error)
                continue
            request.started = time.perf_counter()
            generation = ParallelGeneration(index, request)
            self.generations.append(generation)
            return _Job(generation, request)
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

    def _place(self, job: _Job, free: list[_Slot]) -> None:
        """Let ``job`` have one of the free sequences: the one with the longest common beginning,
        else an empty one, else the one that nobody used for longest."""
        self._clock += 1
        job.age = self._clock
        now = {slot.id: self._reusable(slot, job) for slot in self._slots}
        slot = max(free, key=lambda s: (now[s.id], not len(s.sequence), -s.used))
        if max(now.values()) > now[slot.id]:  # it will be copied, so it is not taken from here
            slot = max(free, key=lambda s: (not len(s.sequence), -s.used))
        worth = max(now.values()) + _WORTH_WAITING
        for other in self._slots:
            if other.job is not None and job.request.cache_prompt:
                common = _common(other.job.tokens, job.tokens)
                if common >= worth and common > max(job.common, len(other.sequence)):
                    job.leader, job.common = other.job, common
        slot.job = job

    def _begin(self, slot: _Slot, job: _Job) -> bool:
        """Bring the sequence to hold what can be had of the prompt. False while that is still
        being computed."""
        leads = [s for s in self._slots if s.job is not None and s.job is job.leader]
        if leads and len(leads[0].sequence) < job.common:
            return False
        job.leader = None
        job.begun = True
        slot.used = self._clock
        n, _, source = max(
            ((self._reusable(s, job), s is slot, s) for s in self._slots), key=lambda it: it[:2]
        )
        if self._ctx.core.is_stateful and n and n == job.common:
            self._keep(source)
        if n < len(self._kept) == _common(self._kept, job.tokens) and job.request.cache_prompt:
            assert self._snapshot is not None
            n = slot.sequence.restore(self._snapshot, self._kept)
        elif source is not slot:
            try:
                n = slot.sequence.copy_from(source.sequence, n) if n else self._clear(slot)
            except LlamaContextError:
                n = self._clear(slot)  # no room for a copy: it is computed again
        else:
            slot.sequence.rewind(n)
            n = len(slot.sequence)
        if not job.generation.tokens:
            job.request.cached_tokens = n
        return True

    def _reusable(self, slot: _Slot, job: _Job) -> int:
        """How many tokens of the prompt can be had from the cells of ``slot``."""
        sequence = slot.sequence
        if not job.request.cache_prompt or not len(sequence):
            return 0
        n = sequence.reusable(job.tokens[:-1])  # not the last one, which makes the logits
        if self._ctx.core.is_stateful:
            return n if n == len(sequence) else 0
        return n if self._sees(slot, n) else 0

    def _sees(self, slot: _Slot, n: int) -> bool:
        """Whether token ``n`` would find all that it can see: a sliding window leaves tokens
        behind."""
        window = self._ctx.core.n_swa
        first = self._ctx.memory.seq_pos_min(slot.id) if window else 0
        return not window or 0 <= first <= max(0, n + 1 - window)

    def _keep(self, slot: _Slot) -> None:
        """Keep a copy of a recurrent state that several go on from: when the next one comes, the
        sequences themselves will have left it behind."""
        tokens = slot.sequence.tokens
        if self._exhausted or self._kept == tokens:
            return
        snapshot = slot.sequence.snapshot()
        if snapshot is not None:
            self._kept, self._snapshot = tokens, snapshot

    # -- who leaves

    def _leave(self, slot: _Slot) -> None:
        """Free the sequence. What the cache holds of it stays, for who begins the same way."""
        slot.job = None
        slot.used = self._clock
        self._crowded = False

    def _failed(self, generation: ParallelGeneration, error: Exception) -> None:
        """One has failed: the others go on."""
        generation.error = error
        generation._fail(error)
        self._errors.append(error)

    def _make_room(self, error: LlamaDecodeError) -> None:
        """The cache is full: forget what is not in use, then have the youngest wait for room."""
        idle = [s for s in self._slots if len(s.sequence) and (s.job is None or not s.job.begun)]
        if idle:
            self._clear(min(idle, key=lambda slot: slot.used))
            return
        jobs = [(slot, slot.job) for slot in self._slots if slot.job and slot.job.begun]
        slot, job = max(jobs, key=lambda pair: pair[1].age)
        if len(jobs) > 1:
            self._clear(slot)
            slot.job = None
            job.begun, job.common = False, 0
            self._waiting.appendleft(job)
            self._crowded = True  # until somebody leaves
            return
        # All the cache is its own, and is not enough.
        generation = job.generation
        if generation.tokens:
            generation._end("length")
            text = generation._rest()
            if text:
                self._ready.append((generation.index, text))
        else:
            self._failed(generation, error)
        self._leave(slot)

    def _clear(self, slot: _Slot) -> int:
        slot.sequence.clear()
        return 0


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
