"""Runs the tools that a model called: hooks, checks, threads, timeouts."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import LlamaToolError
from ..native.arguments import check_callable
from .tools import AfterCall, BeforeCall, Deny, Replace, Tool, ToolCall, check_timeout

RunAsync = Callable[[Awaitable[Any]], Any]


@dataclass
class Executor:
    """The hooks and the timeout of all calls of an agent."""

    before_call: Any = None
    after_call: Any = None
    timeout: float | None = None
    """Seconds for tools without a timeout of their own."""
    run_async: RunAsync | None = None
    """Runs awaitables; by default in a loop of their own."""

    def __post_init__(self) -> None:
        check_callable(self.before_call, "before_call")
        check_callable(self.after_call, "after_call")
        check_timeout(self.timeout, "tool_timeout")

    def run(self, calls: Iterable[ToolCall], tools: Mapping[str, Tool]) -> None:
        """Run ``calls``, in parallel where their tools allow it, and fill in their results.

        Errors of a tool become the call's error; errors of a hook are raised.
        """
        waiting: list[_Thread] = []
        for call in calls:
            tool = tools.get(call.name)
            alone = tool is None or not tool.parallel
            if alone:
                _join(waiting)
            if call.error is not None:  # its arguments were not JSON
                continue
            # Here, not in its thread: it may ask the user, who answers one question at a time.
            decided = self._hook(self.before_call, call)
            work = partial(self._one, call, tool, tools, decided)
            if alone:
                work()
            else:
                waiting.append(_Thread(work))
        if len(waiting) == 1:
            waiting.pop().work()  # a single call needs no thread
        _join(waiting)

    def _one(
        self, call: ToolCall, tool: Tool | None, tools: Mapping[str, Tool], decided: object
    ) -> None:
        start = time.perf_counter()
        try:
            if isinstance(decided, Deny):
                call.error = decided.reason
            elif isinstance(decided, Replace):
                call.result = decided.result
            elif tool is None:
                call.error = f"there is no tool {call.name!r}, only {', '.join(tools) or 'none'}"
            else:
                try:
                    call.result = self._call(tool, call)
                except LlamaToolError as error:
                    call.error = str(error)
                except Exception as error:
                    call.error = f"{type(error).__name__}: {error}"
        finally:
            call.duration = time.perf_counter() - start
        changed = self._hook(self.after_call, call)
        if isinstance(changed, Replace):
            call.result, call.error = changed.result, None

    def _call(self, tool: Tool, call: ToolCall) -> Any:
        positional, keywords = tool.bind(call.arguments)
        limit = self.timeout if tool.timeout is None else tool.timeout
        if limit is None:
            return self._finish(tool(*positional, **keywords))
        # A thread cannot be stopped: one that takes too long goes on unwatched.
        thread = _Thread(lambda: self._finish(tool(*positional, **keywords), limit))
        start = time.monotonic()
        thread.start()
        try:
            if thread.wait(limit):
                return thread.result()
        except (TimeoutError, asyncio.TimeoutError):
            # The limit of the awaitable, which may pass first, or an error of the tool's own.
            if time.monotonic() - start < limit:
                raise
        raise LlamaToolError(f"{tool.name} took longer than {limit:g} s")

    def _finish(self, value: Any, limit: float | None = None) -> Any:
        """``value``, awaited if it is awaitable."""
        if not inspect.isawaitable(value):
            return value

        async def wait() -> Any:
            return await asyncio.wait_for(value, limit)

        return self.run_async(wait()) if self.run_async is not None else asyncio.run(wait())

    def _hook(self, hook: BeforeCall | AfterCall | None, call: ToolCall) -> Any:
        return None if hook is None else self._finish(hook(call))


class _Thread:
    """A function in a daemon thread, with the context variables of the caller."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.work = function
        self._value: Any = None
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=lambda: context.run(self._run), daemon=True)

    def _run(self) -> None:
        try:
            self._value = self.work()
        except BaseException as error:
            self._error = error

    def start(self) -> None:
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


def _join(threads: list[_Thread]) -> None:
    """Run all, wait for all, then raise the first error. Empties the list."""
    running, threads[:] = threads[:], []
    for thread in running:
        thread.start()
    for thread in running:
        thread.wait()
    for thread in running:
        thread.result()
