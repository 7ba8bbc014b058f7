"""Many prompts side by side: the iterator of `Llama.generate_many`."""

from __future__ import annotations

import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...context.context import LlamaContext
from ...errors import LlamaBusyError, LlamaContextError
from ...native.locks import take
from ...sampling.answer import Answer
from ...sampling.chain import LlamaSampler
from ..generation import Completion, Request
from ..options import check_options, with_seed
from .jobs import Job, ParallelGeneration, Reader
from .scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

_END: Any = object()  # the default of `next`, for an iterator that has ended


class Generations(Iterator[tuple[int, str]]):
    """Pieces of the texts as they come, each with the index of its prompt; made by
    `Llama.generate_many`.

    Closing it, or dropping the last reference to it, ends the generations that still run.
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
        self._leave = weakref.finalize(self, _let_go, scheduler, self._reader)
        self._leave.atexit = False

    def __next__(self) -> tuple[int, str]:
        reader = self._reader
        if not reader.ready or reader.joined:
            return self._computed()
        reader.asked = time.perf_counter()
        try:
            return reader.ready.popleft()
        except IndexError:  # another thread has just taken it
            return self._computed()

    def _computed(self) -> tuple[int, str]:
        """The next piece, when it is there."""
        reader = self._reader
        if not take(self._lock):
            raise LlamaBusyError("another thread is in this iterator")
        try:
            while not reader.ready:
                if self._ended:
                    raise StopIteration
                if reader.failure is not None:
                    raise reader.failure
                if not self._exhausted:
                    self._fill()
                if reader.jobs:
                    self._scheduler.advance(reader)
                elif reader.failure is None and not reader.ready:
                    self._fail(None)
                    if reader.errors and not self._return_errors:
                        raise reader.errors[0]
            return self._scheduler.read(reader)
        except StopIteration:
            raise
        except BaseException as error:
            self._fail(error)
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
        return [
            one._completed("".join(texts[one.index]), self._return_errors)
            for one in self.generations
        ]

    def close(self) -> None:
        """Stop all of them. The Llama can be used for something else."""
        self._fail(None)

    def _fail(self, error: BaseException | None) -> None:
        self._ended = True
        self._reader.ready.clear()
        for generation in self.generations:
            generation._fail(error)
        # An error of the reader refers to this object by its traceback: the finalizer, which refers
        # to the reader, would keep both for ever.
        self._leave()

    def _fill(self) -> None:
        """Take prompts as long as there are places."""
        while not self._exhausted and len(self._reader.jobs) < self._scheduler.places.n:
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
                generation._fail(error.with_traceback(None))  # see `_fail`
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


class _Refused(Request):
    """Stands for one that could not be made."""

    def __init__(self) -> None:
        self.prompt = []
        self.logprobs = []
        self.prompt_logprobs = []
        self.answer = Answer({})
        self.thoughts = None


def _let_go(scheduler: Scheduler, reader: Reader) -> None:
    scheduler.leave(reader.jobs[:])
