"""Stopping a run from outside, and running it in a thread of its own for asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from ..errors import LlamaCancelled
from ..server.http import Stop
from ..server.stream import ChatStream

R = TypeVar("R")

# How long a cancelled task waits for its thread, which may be in a tool that nothing can stop.
_PATIENCE = 5.0


class Handle:
    """Stops one run, from any thread. Awaitables of the run go to ``loop``, if it has one."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.cancelled = False
        self.expired = False
        self.run_async = None if loop is None else self._wait
        self._loop = loop
        self._stream: ChatStream | None = None
        self._stop = Stop()
        self._futures: set[concurrent.futures.Future[Any]] = set()

    def cancel(self) -> None:
        """Stop, from any thread."""
        self.cancelled = True
        self._stop.set()
        stream = self._stream
        if stream is not None:
            stream.close()
        for future in list(self._futures):
            future.cancel()

    def expire(self) -> None:
        """Stop because the time of the run is over."""
        self.expired = True
        self.cancel()

    def check(self) -> None:
        """Raise LlamaCancelled if it was stopped."""
        if self.cancelled:
            raise LlamaCancelled("the run was cancelled")

    def sending(self) -> contextlib.AbstractContextManager[None]:
        """Let `cancel` end the requests that this thread sends meanwhile."""
        return self._stop.watching()

    @contextlib.contextmanager
    def reading(self, stream: ChatStream) -> Generator[None, None, None]:
        """Let `cancel` end ``stream`` meanwhile."""
        self._stream = stream
        try:
            self.check()
            yield
        finally:
            self._stream = None

    def _wait(self, awaitable: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await awaitable

        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(wait(), self._loop)
        self._futures.add(future)
        try:
            if self.cancelled:
                future.cancel()
            return future.result()
        except concurrent.futures.CancelledError:
            raise LlamaCancelled("the run was cancelled") from None
        finally:
            self._futures.discard(future)


def started(function: Callable[[], R]) -> concurrent.futures.Future[R]:
    """``function`` in a daemon thread, with the context variables of the caller."""
    future: concurrent.futures.Future[R] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()  # it cannot be cancelled any more
    context = contextvars.copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(function))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


async def in_thread(function: Callable[[], R], handle: Handle) -> R:
    """Run ``function`` in a thread of its own. Cancelling the task cancels ``handle``."""
    done = asyncio.wrap_future(started(function))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        handle.cancel()
        await asyncio.wait([done], timeout=_PATIENCE)
        if done.done():
            done.exception()  # mark it as seen: the task reports its own cancellation
        else:
            done.cancel()  # when the thread ends at last, the loop may be closed
        raise
