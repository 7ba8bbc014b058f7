"""Runs the tools that a model called: hooks, checks, threads, timeouts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import LlamaToolError
from ..native.arguments import check_callable
from .handle import started
from .tools import AfterCall, BeforeCall, Deny, Replace, Tool, ToolCall, check_timeout

RunAsync = Callable[[Awaitable[Any]], Any]
_TIMEOUTS = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError)


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
        waiting: list[Callable[[], None]] = []
        for call in calls:
            tool = tools.get(call.name)
            alone = tool is None or not tool.parallel
            if alone:
                _run_together(waiting)
            if call.error is not None:  # its arguments were not JSON
                continue
            # Here, not in its thread: it may ask the user, who answers one question at a time.
            decided = self._hook(self.before_call, call)
            _check_decision(decided, "before_call", Deny, Replace)
            work = partial(self._one, call, tool, tools, decided)
            if alone:
                work()
            else:
                waiting.append(work)
        _run_together(waiting)

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
        _check_decision(changed, "after_call", Replace)
        if isinstance(changed, Replace):
            call.result, call.error = changed.result, None

    def _call(self, tool: Tool, call: ToolCall) -> Any:
        positional, keywords = tool.bind(call.arguments)
        limit = self.timeout if tool.timeout is None else tool.timeout
        if limit is None:
            return self._finish(tool(*positional, **keywords))
        # A thread cannot be stopped: one that takes too long goes on unwatched.
        start = time.monotonic()
        thread = started(lambda: self._finish(tool(*positional, **keywords), limit))
        try:
            return thread.result(limit)
        except _TIMEOUTS:
            # Ours, that of the awaitable, which may pass first, or an error of the tool's own.
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


def _check_decision(decision: object, hook: str, *known: type) -> None:
    """TypeError for anything but None and the ``known`` types: False and ``Deny`` without
    parentheses would look like a refusal."""
    if decision is not None and not isinstance(decision, known):
        wanted = "".join(f", {one.__name__}(...)" for one in known)
        raise TypeError(f"{hook} must return None{wanted}, not {decision!r}")


def _run_together(works: list[Callable[[], None]]) -> None:
    """Run all, wait for all, then raise the first error. Empties the list."""
    running, works[:] = works[:], []
    if len(running) == 1:
        running[0]()  # a single call needs no thread
        return
    threads = [started(work) for work in running]
    concurrent.futures.wait(threads)
    for thread in threads:
        thread.result()
