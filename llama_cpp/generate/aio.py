"""`Llama` for asyncio: the event loop goes on while the model computes.

Everything that computes runs on one thread of its own, a step at a time: the next piece is only
computed when it is asked for, so nothing piles up in front of a slow reader. The hop to the thread
and back costs about a tenth of a millisecond a piece.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

from ..errors import LlamaBusyError, LlamaClosedError, LlamaContextError, LlamaError
from ..model.model import LlamaModel
from ..native import fork
from ..native.library import LlamaLibrary
from ..native.peers import needs_model
from .generation import Generation
from .llama import Llama, LlamaParams
from .scheduler import Generations

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T_co = TypeVar("_T_co", covariant=True)
_END: Any = object()
# Between two attempts to stop a call: one that comes before the call has begun is lost.
_RETRY = 0.005
# Between two looks at whether the loop whose turn it is was closed.
_OWNER_LOOK = 1.0


class _Source(Protocol[_T_co]):
    def __next__(self) -> _T_co: ...

    def close(self) -> None: ...


_S = TypeVar("_S", bound=_Source[Any])
_T = TypeVar("_T")


class AsyncStream(AsyncIterator[_T], Generic[_S, _T]):
    """What `AsyncLlama` generates, as it is generated: for ``async for``.

    Leaving the loop, `aclose`, and cancelling the task stop the computation.
    """

    def __init__(self, llm: AsyncLlama, begin: Callable[[Llama], _S]) -> None:
        # The generator does not know this object: forgetting this ends it at once.
        self._begun: list[_S] = []
        self._pieces: AsyncGenerator[_T, None] = _pieces(llm, begin, self._begun, weakref.ref(self))

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
    llm: AsyncLlama,
    begin: Callable[[Llama], _S],
    begun: list[_S],
    owner: weakref.ref[AsyncStream[_S, Any]],
) -> AsyncGenerator[Any, None]:
    async with _Turn(llm, owner):
        source = await llm._run(lambda: begin(llm._loaded()))
        begun.append(source)
        try:
            while True:
                piece = await llm._run(lambda: next(cast("Any", source), _END))
                if piece is _END:
                    return
                yield piece
        finally:
            if not llm.closed:
                await llm._run(source.close)


def _awaited(
    method: Callable[Concatenate[Llama, _P], _R],
) -> Callable[Concatenate[AsyncLlama, _P], Coroutine[Any, Any, _R]]:
    """``method`` of `Llama` as a coroutine of `AsyncLlama`."""
    name = method.__name__

    @wraps(method)
    async def call(self: AsyncLlama, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        async with _Turn(self, lambda: None):
            return await self._run(lambda: getattr(self._loaded(), name)(*args, **kwargs))

    return call


def _streamed(
    method: Callable[Concatenate[Llama, _P], _S], _: type[_T]
) -> Callable[Concatenate[AsyncLlama, _P], AsyncStream[_S, _T]]:
    """``method`` of `Llama`, which returns an iterator, as one of `AsyncLlama`."""
    name = method.__name__

    @wraps(method)
    def call(self: AsyncLlama, /, *args: _P.args, **kwargs: _P.kwargs) -> AsyncStream[_S, _T]:
        return AsyncStream(self, lambda llm: getattr(llm, name)(*args, **kwargs))

    return call


class AsyncLlama:
    """A model and a context, for text, in asyncio.

    ``model`` is a GGUF file, a `LlamaModel` or a `Llama`; the other arguments are those of `Llama`.
    A file is loaded when it is first needed, or by ``async with``.

    The methods are those of `Llama`, with the same arguments: those that return a text have to be
    awaited, those that return an iterator give one for ``async for``. Calls queue, in the order in
    which they were made; a stream has its turn until it is over or closed. Cancelling the task
    stops what is computed for it within some milliseconds. What is wrong with the arguments of a
    stream is raised when its first piece is asked for.
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
        if isinstance(model, Llama):
            if params or library is not None or progress is not None:
                raise TypeError("the Llama is made already: it takes no more arguments")
            self._llama = model
        else:
            path_or_model = model

            def report(done: float) -> object:
                if self._stopped:
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
        """In a child, which has neither the worker nor the tasks that wait."""
        # One: the context is only ever used by it.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="llama_cpp")
        self._lock = _Queue()
        self._holder: asyncio.Task[Any] | None = None
        self._stream: Callable[[], object | None] = lambda: None

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
            future = self._submit(self._free)
            self._worker.shutdown(wait=False)
            await self._stop(future)

    def _free(self) -> None:
        if self._llama is not None:
            self._llama.close()

    async def __aenter__(self) -> Self:
        async with _Turn(self, lambda: None):
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
    complete = _awaited(Llama.complete)
    chat = _awaited(Llama.chat)
    infill = _awaited(Llama.infill)
    complete_many = _awaited(Llama.complete_many)
    score = _awaited(Llama.score)
    embed = _awaited(Llama.embed)
    rerank = _awaited(Llama.rerank)
    classify = _awaited(Llama.classify)

    def cancel(self) -> None:
        """Stop what is computed now: it raises LlamaCancelled. What waits for its turn goes on."""
        if self._llama is not None:
            self._llama.cancel()

    # -- inside

    def _loaded(self) -> Llama:
        """In the worker."""
        if self._llama is None:
            self._stopped = False
            self._llama = self._make()
        return self._llama

    def _check_open(self) -> None:
        if self._closed:
            raise LlamaClosedError("the AsyncLlama is closed")

    def _submit(self, function: Callable[[], _R]) -> asyncio.Future[_R]:
        """Have the worker call ``function``. LlamaError where the system has no thread for it."""
        try:
            return asyncio.get_running_loop().run_in_executor(self._worker, function)
        except RuntimeError as error:
            raise LlamaError(f"the call was not started: {error}") from error

    async def _run(self, function: Callable[[], _R]) -> _R:
        """Have the worker call ``function``. When this is cancelled, it is stopped and waited
        for."""
        self._check_open()
        future = self._submit(function)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await self._stop(future)
            raise

    async def _stop(self, future: asyncio.Future[Any]) -> None:
        while not future.done():
            self._stopped = True
            self.cancel()
            try:
                await asyncio.wait([future], timeout=_RETRY)
            except asyncio.CancelledError:
                continue  # once is enough; the worker must not be left alone with it
        if not future.cancelled():
            future.exception()  # LlamaCancelled, which nobody needs to hear of


class _Queue:
    """A lock for tasks of any event loop, in the order in which they came: `asyncio.Lock` serves
    one loop, and each ``asyncio.run`` has another. A loop that was closed holds nothing."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._owner: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def locked(self) -> bool:
        return self._owner is not None and not self._owner.is_closed()

    async def acquire(self) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        with self._guard:
            if not self._waiting and not self.locked():
                self._owner = loop
                return
            self._waiting.append(turn)
        try:
            while not turn.done():
                await asyncio.wait([turn], timeout=_OWNER_LOOK)
                with self._guard:
                    if not self.locked():
                        self._hand_on()
        except asyncio.CancelledError:
            with self._guard:
                mine = turn not in self._waiting
                if not mine:
                    self._waiting.remove(turn)
            if mine:
                self.release()
            raise

    def release(self) -> None:
        with self._guard:
            self._hand_on()

    def _hand_on(self) -> None:
        self._owner = None
        while self._waiting and self._owner is None:
            turn = self._waiting.popleft()
            with suppress(RuntimeError):  # its loop was closed
                turn.get_loop().call_soon_threadsafe(_begin, turn)
                self._owner = turn.get_loop()


def _begin(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


class _Turn:
    """A call's turn: ``async with`` waits for it."""

    def __init__(self, llm: AsyncLlama, stream: Callable[[], object | None]) -> None:
        self._llm = llm
        self._stream = stream

    async def __aenter__(self) -> None:
        llm = self._llm
        llm._check_open()
        task = asyncio.current_task()
        if llm._lock.locked() and llm._holder is task and llm._stream() is not None:
            raise LlamaBusyError(
                "this task has a stream that is not over: finish it or aclose() it first"
            )
        await llm._lock.acquire()
        llm._holder, llm._stream = task, self._stream

    async def __aexit__(self, *_: object) -> None:
        self._llm._holder = None
        self._llm._lock.release()


AsyncGeneration = AsyncStream[Generation, str]
"""What `AsyncLlama.generate` and `AsyncLlama.chat_stream` return."""
AsyncGenerations = AsyncStream[Generations, "tuple[int, str]"]
"""What `AsyncLlama.generate_many` returns."""
