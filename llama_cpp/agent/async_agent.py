"""AsyncLlamaAgent: `LlamaAgent` for asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..server.fields import ChatParams, Json
from .agent import LlamaAgent, Message
from .events import Done, Event, RunResult
from .turn import Handle

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

T = TypeVar("T")
R = TypeVar("R")

# How long a cancelled task waits for its thread, which may be in a tool that nothing can stop.
_PATIENCE = 5.0


class AsyncLlamaAgent:
    """A `LlamaAgent` whose methods are awaited; it takes the same arguments.

        async with AsyncLlamaAgent(url, tools=[get_current_weather]) as agent:
            result = await agent.run("What is the weather in Istanbul?")

    Async tools and hooks run in the caller's event loop, the others in threads. Cancelling the task
    stops the generation in the server. `sync` is the agent underneath, with the conversation and
    the server's other endpoints: ``await asyncio.to_thread(agent.sync.embed, texts)``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sync = LlamaAgent(*args, **kwargs)

    async def chat(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        **params: Unpack[ChatParams],
    ) -> Json:
        """As `LlamaAgent.chat`."""
        handle = _handle()
        given = cast("Json", params)
        return await _in_thread(
            lambda: self.sync._chat(handle, message, tools, True, given), handle
        )

    @overload
    async def run(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: type[T],
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> RunResult[T]: ...

    @overload
    async def run(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: Any = None,
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> RunResult[Any]: ...

    async def run(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: Any = None,
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> RunResult[Any]:
        """As `LlamaAgent.run`."""
        async for event in self.stream(
            message, tools, output_type=output_type, max_steps=max_steps, **params
        ):
            if isinstance(event, Done):
                return event.result
        raise AssertionError("a run ends with Done")

    async def stream(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: Any = None,
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> AsyncIterator[Event]:
        """As `LlamaAgent.stream`: ``async for event in agent.stream(...)``."""
        handle = _handle()
        given = cast("Json", params)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        def work() -> None:
            try:
                for event in self.sync._events(
                    handle, message, tools, output_type, max_steps, given
                ):
                    loop.call_soon_threadsafe(events.put_nowait, event)
            finally:
                loop.call_soon_threadsafe(events.put_nowait, None)

        worker = asyncio.ensure_future(_in_thread(work, handle))
        try:
            while (event := await events.get()) is not None:
                yield event
            await worker
        finally:
            if not worker.done():
                worker.cancel()
                await asyncio.wait([worker])

    def cancel(self) -> None:
        """Stop all that runs, as `LlamaAgent.cancel`."""
        self.sync.cancel()

    async def close(self) -> None:
        """Stop what runs and close the connections."""
        self.sync.cancel()
        self.sync.close()

    def __repr__(self) -> str:
        return f"<AsyncLlamaAgent {self.sync.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _handle() -> Handle:
    """A handle whose awaitables run in the loop of the caller."""
    loop = asyncio.get_running_loop()

    def submit(awaitable: Awaitable[Any]) -> concurrent.futures.Future[Any]:
        async def wait() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), loop)

    return Handle(submit)


async def _in_thread(function: Callable[[], R], handle: Handle) -> R:
    """``function`` in a thread of its own; cancelling it cancels ``handle``."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[R] = loop.create_future()

    def set_result(value: R) -> None:
        if not done.done():
            done.set_result(value)

    def set_error(error: BaseException) -> None:
        if not done.done():
            done.set_exception(error)

    def work() -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have been closed in the meantime
            try:
                value = function()
            except BaseException as error:
                loop.call_soon_threadsafe(set_error, error)
            else:
                loop.call_soon_threadsafe(set_result, value)

    threading.Thread(target=work, daemon=True).start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        handle.cancel()
        await asyncio.wait([done], timeout=_PATIENCE)
        if done.done():
            done.exception()  # it was cancelled: that is said already
        raise
