"""`Llama` for asyncio: the event loop goes on while the model computes.

The scheduler's thread computes generations, and notifies the loop of a task when a piece is ready.
Threads of a pool do everything else.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from .._display import Described
from ..errors import LlamaClosedError, LlamaContextError, LlamaError
from ..model.model import LlamaModel
from ..native import fork
from ..native.library import LlamaLibrary
from ..native.peers import needs_model
from .batching.generations import Generations
from .generation import Completion, Generation
from .llama import Llama, LlamaParams

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

_P = ParamSpec("_P")
_R = TypeVar("_R")
_END: Any = object()
# Between two attempts to stop a call: one that comes before the call has begun is lost.
_RETRY = 0.005
# Calls that wait for a thread of the pool queue.
_THREADS = 32

_S = TypeVar("_S", Generation, Generations)
_T = TypeVar("_T")


class AsyncStream(AsyncIterator[_T], Generic[_S, _T]):
    """What `AsyncLlama` generates, as it is generated: for ``async for``.

    Leaving the loop, `aclose`, and cancelling the task stop the computation.
    """

    def __init__(self, llm: AsyncLlama, begin: Callable[[Llama], _S]) -> None:
        # The generator does not know this object: forgetting this ends it at once.
        self._begun: list[_S] = []
        self._pieces: AsyncGenerator[_T, None] = _pieces(llm, begin, self._begun)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        return await self._pieces.__anext__()

    async def aclose(self) -> None:
        """Stop generating."""
        await self._pieces.aclose()

    @property
    def state(self) -> _S:
        """What did the work so far: a `Generation`, with its tokens and its usage, or a
        `Generations`. Raises LlamaContextError before the first piece was asked for."""
        if not self._begun:
            raise LlamaContextError("it has not begun: ask for the first piece")
        return self._begun[0]


async def _pieces(
    llm: AsyncLlama, begin: Callable[[Llama], _S], begun: list[_S], whole: bool = False
) -> AsyncGenerator[Any, None]:
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def notify() -> None:
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(told.set)

    source: _S | None = None
    try:
        llm._coming.append(told)
        try:
            source = await llm._run(lambda: begin(llm._loaded()), llm._beginning)
            begun.append(source)
            if isinstance(source, Generation):
                source.follow(notify, whole=whole, coming=llm._coming)
        finally:
            llm._coming.pop()
        if isinstance(source, Generations):
            while (piece := await llm._run(lambda: next(source, _END))) is not _END:
                yield piece
            return
        while True:
            told.clear()
            try:
                text = source.poll()
            except EOFError:
                return
            if text is None:
                await told.wait()
            else:
                yield text
    finally:
        if isinstance(source, Generations):
            source.close()
        elif source is not None:
            source.unfollow()


def _awaited(
    method: Callable[Concatenate[Llama, _P], _R],
) -> Callable[Concatenate[AsyncLlama, _P], Coroutine[Any, Any, _R]]:
    """``method`` of `Llama` as a coroutine of `AsyncLlama`."""

    @wraps(method)
    async def call(self: AsyncLlama, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await self._run(lambda: method(self._loaded(), *args, **kwargs))

    return call


def _completed(
    method: Callable[Concatenate[Llama, _P], Completion], begin: Callable[..., Generation]
) -> Callable[Concatenate[AsyncLlama, _P], Coroutine[Any, Any, Completion]]:
    """``method`` of `Llama` as a coroutine, by the generation that ``begin`` returns."""

    several = _awaited(method)

    @wraps(method)
    async def call(self: AsyncLlama, /, *args: _P.args, **kwargs: _P.kwargs) -> Completion:
        options: dict[str, Any] = dict(kwargs)
        n = options.pop("n", 1)
        if n != 1:
            return await several(self, *args, **kwargs)
        begun: list[Generation] = []
        pieces = _pieces(self, lambda llm: begin(llm, *args, **options), begun, whole=True)
        text = "".join([piece async for piece in pieces])
        if not begun[0].has_output:
            return begun[0].completed(text)  # at once: another thread costs more
        return await self._run(lambda: begun[0].completed(text))

    return call


def _streamed(
    method: Callable[Concatenate[Llama, _P], _S], _: type[_T]
) -> Callable[Concatenate[AsyncLlama, _P], AsyncStream[_S, _T]]:
    """``method`` of `Llama`, which returns an iterator, as one of `AsyncLlama`."""

    @wraps(method)
    def call(self: AsyncLlama, /, *args: _P.args, **kwargs: _P.kwargs) -> AsyncStream[_S, _T]:
        return AsyncStream(self, lambda llm: method(llm, *args, **kwargs))

    return call


def _infill(llm: Llama, prefix: str, suffix: str = "", **options: Any) -> Generation:
    special = options.get("parse_special", False)
    return llm.generate(llm.infill_tokens(prefix, suffix, parse_special=special), **options)


class AsyncLlama(Described):
    """A model and a context, for text, in asyncio.

    ``model`` is a GGUF file, a `LlamaModel` or a `Llama`; the other arguments are those of `Llama`.
    A file is loaded when it is first needed, or by ``async with``.

    The methods are those of `Llama`, with the same arguments: those that return a text have to be
    awaited, those that return an iterator give one for ``async for``. Tasks, also of several event
    loops, share the model's batches, up to ``n_seq_max`` at a time; others wait for a place, in the
    order of their calls. A slow reader holds up only its own generation. Cancelling a task stops
    its computation within some milliseconds. A stream raises errors in its arguments when the first
    piece is asked for.
    """

    @needs_model
    def __init__(
        self,
        model: Llama | LlamaModel | str | os.PathLike[str],
        *,
        library: LlamaLibrary | None = None,
        progress: Callable[[float], object] | None = None,
        **params: Unpack[LlamaParams],
    ) -> None:
        self._llama: Llama | None = None
        self._closed = False
        self._stopped = False  # while it loads
        self._loader = 0  # the thread that does
        if isinstance(model, Llama):
            if params or library is not None or progress is not None:
                raise TypeError("the Llama is made already: it takes no more arguments")
            self._llama = model
        else:
            path_or_model = model

            def report(done: float) -> object:
                if self._stopped or self._closed:
                    return False
                return None if progress is None else progress(done)

            def make() -> Llama:
                if isinstance(path_or_model, LlamaModel):
                    return Llama(path_or_model, library=library, progress=progress, **params)
                return Llama(path_or_model, library=library, progress=report, **params)

            self._make = make
        self.after_fork()
        fork.renew(self)

    def after_fork(self) -> None:
        """In a child, which has none of the threads."""
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="llama_cpp")
        # Of one thread: generations begin in the order of their calls.
        self._coming: deque[object] = deque()  # an item for each call that is being prepared
        self._beginning = ThreadPoolExecutor(1, thread_name_prefix="llama_cpp")
        self._loading = threading.Lock()

    # -- lifetime

    @property
    def sync(self) -> Llama:
        """The `Llama` that does the work. Raises LlamaContextError before it is loaded."""
        if self._llama is None:
            raise LlamaContextError("the model is not loaded yet: use async with, or await a call")
        return self._llama

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    async def aclose(self) -> None:
        """Stop what is computed, and free the context and the model."""
        if not self._closed:
            self._closed = True
            try:
                await self._waited(self._free, self._pool)
            finally:
                self._pool.shutdown(wait=False)
                self._beginning.shutdown(wait=False)

    def _free(self) -> None:
        with self._loading:
            if self._llama is not None:
                self._llama.close()

    async def __aenter__(self) -> Self:
        await self._run(self._loaded)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        what = "closed" if self._closed else repr(self._llama) if self._llama else "not loaded"
        return f"<AsyncLlama, {what}>"

    # -- what Llama does

    generate = _streamed(Llama.generate, str)
    chat_stream = _streamed(Llama.chat_stream, str)
    generate_many = _streamed(Llama.generate_many, cast("type[tuple[int, str]]", tuple))
    complete = _completed(Llama.complete, Llama.generate)
    chat = _completed(Llama.chat, Llama.chat_stream)
    infill = _completed(Llama.infill, _infill)
    score = _awaited(Llama.score)
    embed = _awaited(Llama.embed)
    rerank = _awaited(Llama.rerank)
    classify = _awaited(Llama.classify)
    complete_many = _awaited(Llama.complete_many)

    def cancel(self) -> None:
        """Stop all running and waiting calls: they raise LlamaCancelled."""
        if self._llama is not None:
            self._llama.cancel()

    # -- inside

    def _loaded(self) -> Llama:
        """In a thread of the pool."""
        with self._loading:
            if self._closed:
                raise LlamaClosedError("the AsyncLlama is closed")
            if self._llama is None:
                self._loader, self._stopped = threading.get_ident(), False
                self._llama = self._make()
            return self._llama

    def _stop(self, thread: int) -> None:
        """Stop what a thread of the pool does."""
        if self._llama is not None:
            self._llama.stop_thread(thread)
        elif self._loader == thread:
            self._stopped = True

    async def _run(
        self, function: Callable[[], _R], threads: ThreadPoolExecutor | None = None
    ) -> _R:
        """Have a thread call ``function``. When this is cancelled, it is stopped and waited for."""
        if self._closed:
            raise LlamaClosedError("the AsyncLlama is closed")
        return await self._waited(function, threads or self._pool)

    async def _waited(self, function: Callable[[], _R], threads: ThreadPoolExecutor) -> _R:
        begun: list[int] = []

        def call() -> _R:
            begun.append(threading.get_ident())
            return function()

        try:
            future = asyncio.get_running_loop().run_in_executor(threads, call)
        except RuntimeError as error:  # the system has no more threads
            raise LlamaError(f"the call was not started: {error}") from error
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                if begun:
                    self._stop(begun[0])
                else:
                    future.cancel()
                with suppress(asyncio.CancelledError):  # once is enough
                    await asyncio.wait([future], timeout=_RETRY)
            if not future.cancelled():
                future.exception()  # LlamaCancelled, which nobody needs to hear of
            raise


AsyncGeneration = AsyncStream[Generation, str]
"""What `AsyncLlama.generate` and `AsyncLlama.chat_stream` return."""
AsyncGenerations = AsyncStream[Generations, "tuple[int, str]"]
"""What `AsyncLlama.generate_many` returns."""
