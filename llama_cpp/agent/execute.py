"""Runs the tools that a model called: hooks, checks, threads, timeouts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import queue
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import LlamaToolError
from ..native.arguments import check_callable
from .context import RunContext, check_seconds
from .events import ToolCallFinished, ToolCallStarted
from .handle import started
from .tools import (
    AfterCall,
    BeforeCall,
    Deny,
    Replace,
    Tool,
    ToolCall,
    Wait,
    gathered,
    listed,
    result_text,
)

if TYPE_CHECKING:
    from ..server.tracing import Spans

RunAsync = Callable[[Awaitable[Any]], Any]
_TIMEOUTS = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError)
# Threads for the calls of one reply, and threads of one tool that took too long and go on.
_MOST_THREADS = 16


@dataclass
class Executor:
    """The hooks and the timeout of all calls of an agent."""

    before_call: Any = None
    after_call: Any = None
    timeout: float | None = None
    """Seconds for tools without a timeout of their own."""
    run_async: RunAsync | None = None
    """Runs awaitables; by default in a loop of their own."""
    context: Callable[[ToolCall], RunContext[Any]] | None = None
    """Makes the context of a call."""
    check: Callable[[], None] | None = None
    """Raises when no further tool should be started."""
    deadline: float | None = None
    """When the run ends, by `time.monotonic`."""
    decisions: Mapping[str, Any] = field(default_factory=dict)
    """True, `Deny` or `Replace` by the id of a call that waited for it."""
    spans: Spans | None = None
    """Makes OpenTelemetry spans."""

    def __post_init__(self) -> None:
        check_callable(self.before_call, "before_call")
        check_callable(self.after_call, "after_call")
        check_seconds(self.timeout, "tool_timeout")

    def run(
        self, calls: Sequence[ToolCall], tools: Mapping[str, Tool]
    ) -> Iterator[ToolCallStarted | ToolCallFinished]:
        """Run ``calls``, in parallel where their tools allow it, and fill in their results.

        Errors of a tool become the call's error; errors of a hook are raised. A call that has to
        wait for a decision, and those after it, are left ``pending``.
        """
        together: list[tuple[ToolCall, Callable[[], None]]] = []
        waits = False
        for call in calls:
            tool = tools.get(call.name)
            alone = waits or tool is None or not tool.parallel
            if alone:
                yield from _run_together(together)
            if call.error is not None:  # its arguments were not JSON
                yield ToolCallFinished(call)
                continue
            # Here, not in its thread: it may ask the user, who answers one question at a time.
            decided = None if waits else self._decide(call, tool)
            call.pending = waits = waits or isinstance(decided, Wait)
            if waits:
                continue
            yield ToolCallStarted(call)
            work = partial(self._one, call, tool, tools, decided)
            if alone:
                work()
                yield ToolCallFinished(call)
            else:
                together.append((call, work))
        yield from _run_together(together)

    def _decide(self, call: ToolCall, tool: Tool | None) -> object:
        if self.check is not None:
            self.check()
        if call.id in self.decisions:
            decided = self.decisions[call.id]
            if decided is True:
                return None
            _check_decision(decided, f"the decision on {call.id}", Deny, Replace)
        else:
            decided = self._hook(self.before_call, call)
            _check_decision(decided, "before_call", Deny, Replace, Wait)
        if decided is None and tool is not None and tool.approval:
            return Wait()
        return decided

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
                if self.check is not None:
                    self.check()
                try:
                    call.result = self._traced(tool, call)
                except Exception as error:
                    call.error = _problem(error)
        finally:
            call.duration = time.perf_counter() - start
        changed = self._hook(self.after_call, call)
        _check_decision(changed, "after_call", Replace)
        if isinstance(changed, Replace):
            call.result, call.error = changed.result, None
        if call.error is None:
            try:
                call.text = result_text(call.result)
            except LlamaToolError as error:
                call.error = str(error)

    def _traced(self, tool: Tool, call: ToolCall) -> Any:
        if self.spans is None:
            return self._call(tool, call)
        with self.spans.tool(tool.name, tool.description, call.id, call.arguments) as finished:
            result = self._call(tool, call)
            finished(lambda: result_text(result))
            return result

    def _call(self, tool: Tool, call: ToolCall) -> Any:
        context = None
        if self.context is not None and tool.signature is not None and tool.signature.takes_context:
            context = self.context(call)  # it copies the conversation
        positional, keywords = tool.bind(call.arguments, context)
        limit = self.timeout if tool.timeout is None else tool.timeout
        if self.deadline is not None:
            left = max(self.deadline - time.monotonic(), 0.001)
            limit = left if limit is None else min(left, limit)
        if limit is None:
            return listed(self._finish(tool(*positional, **keywords)))
        # A thread cannot be stopped: one that takes too long goes on unwatched.
        tool.left = [thread for thread in tool.left if not thread.done()]
        if len(tool.left) >= _MOST_THREADS:
            raise LlamaToolError(f"{len(tool.left)} calls of {tool.name} took too long and go on")
        start = time.monotonic()
        thread = started(lambda: listed(self._finish(tool(*positional, **keywords), limit)))
        try:
            return thread.result(limit)
        except _TIMEOUTS:
            # Our timeout, that of the awaitable, which may be earlier, or an error of the tool.
            if time.monotonic() - start < limit:
                raise
        tool.left.append(thread)
        raise LlamaToolError(f"{tool.name} took longer than {limit:g} s")

    def _finish(self, value: Any, limit: float | None = None) -> Any:
        """``value``, awaited if it is awaitable, and gathered if it is an async generator."""
        if inspect.isasyncgen(value):
            value = gathered(value)
        if not inspect.isawaitable(value):
            return value

        async def wait() -> Any:
            return await asyncio.wait_for(value, limit)

        if self.run_async is not None:
            return self.run_async(wait())
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(wait())
        return started(lambda: asyncio.run(wait())).result()  # a thread has one loop at a time

    def _hook(self, hook: BeforeCall | AfterCall | None, call: ToolCall) -> Any:
        return None if hook is None else self._finish(hook(call))


def _check_decision(decision: object, giver: str, *known: type) -> None:
    """TypeError for anything but None and the ``known`` types: False and ``Deny`` without
    parentheses would look like a refusal."""
    if decision is not None and not isinstance(decision, known):
        wanted = "".join(f", {one.__name__}(...)" for one in known)
        raise TypeError(f"{giver} must be None{wanted}, not {decision!r}")


def _problem(error: Exception) -> str:
    """``error`` as the model reads it."""
    try:
        text = str(error)
    except Exception:
        text = "an error without a text"
    return text if isinstance(error, LlamaToolError) else f"{type(error).__name__}: {text}"


def _run_together(works: list[tuple[ToolCall, Callable[[], None]]]) -> Iterator[ToolCallFinished]:
    """Run all, each call's event when it has finished; then raise the first error. Empties the
    list."""
    running, count = deque(works), len(works)
    works.clear()
    if count == 1:
        call, work = running.pop()
        work()  # a single call needs no thread
        yield ToolCallFinished(call)
        return
    done: queue.SimpleQueue[tuple[ToolCall, BaseException | None]] = queue.SimpleQueue()

    def worker() -> None:
        while running:
            try:
                call, work = running.popleft()
            except IndexError:  # another worker was quicker
                return
            try:
                work()
                done.put((call, None))
            except BaseException as error:
                done.put((call, error))

    for _ in range(min(count, _MOST_THREADS)):
        started(worker)
    errors: list[BaseException] = []
    try:
        for _ in range(count):
            call, error = done.get()
            if error is None:
                yield ToolCallFinished(call)
            else:
                errors.append(error)
    finally:
        running.clear()
    if errors:
        raise errors[0]
