"""LlamaAgent: a model behind llama-server that calls tools, whatever its chat template knows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from .._lazy import Later
from ..errors import LlamaError
from ..native.arguments import check_count, check_text, check_type
from ..native.locks import take
from ..native.resource import ClosedByWith
from ..server._fields import ChatParams, Json
from ..server.client import LlamaClient
from ..server.http import Timeouts
from . import history
from .context import Limits
from .events import Done, Event, RunResult
from .execute import Executor
from .handle import Handle, in_thread
from .history import Talk
from .question import arguments_of
from .tools import AfterCall, BeforeCall, Deny, Replace, Tool, ToolCall, as_tools, tool_name
from .turn import Run, ServerFacts, Settings, ToolMode, call_of, drain, stored

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..server import tracing
    from ..server.tracing import Tracing
    from . import mcp as mcp_servers
    from .mcp import McpServer
else:  # most programs do without
    tracing = Later(__package__, "..server.tracing")
    mcp_servers = Later(__package__, ".mcp")

T = TypeVar("T")
Input = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Tools = Iterable[Any] | None
Decision = Literal[True] | Deny | Replace


class Sampling(ChatParams, total=False):
    """The fields of every chat."""

    extra_body: Mapping[str, Any] | None
    """More fields, sent unchecked: for a server that knows others."""


class Chat(Sampling, total=False):
    """The fields of a chat."""

    model: str | None
    """The model of a request, instead of the agent's."""


class Fields(Chat, total=False):
    """The fields of a chat, and the limits of a run."""

    max_steps: int | None
    """The greatest number of replies; by default that of the agent."""
    limits: Limits | None
    """How much the run may use; by default the agent's."""
    deps: Any
    """The ``deps`` of the tools' `RunContext`; by default the agent's."""


class Options(Fields, total=False):
    """The options of a run."""

    output_type: Any
    """The type of the answer."""


class Resumed(Options, total=False):
    """The options of a run, or of one that goes on."""

    decisions: Mapping[str, Decision]
    """For calls that wait for one: the conversation is resumed, see `LlamaAgent.resume`."""


class LlamaAgent(ClosedByWith):
    """A conversation with the model of a llama-server, and the tools that it may call.

        agent = LlamaAgent("http://localhost:8080", tools=[get_current_weather])
        print(agent.run("What is the weather in Istanbul?").text)

    Tools are Python functions, see `llama_cpp.agent.tool`. Before the first call the agent asks the
    server how to offer them: a chat template that knows tools gets them (``native``). For other
    templates the agent describes the tools itself and forces each reply into a call or an answer
    (``constrained``), which works with every model. ``mode`` fixes one of the two. In ``auto`` a
    call that must be made (``tool_choice``) is constrained, since templates do not force any, and
    a native reply that the server cannot parse is asked for again in constrained form.

    The conversation is in `messages`: change it, replace it, `save` it. One run at a time uses it;
    otherwise threads may share an agent. `client` has all other endpoints of the server.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8080",
        *,
        tools: Iterable[Any] = (),
        api_key: str | None = None,
        system: str | None = None,
        model: str | None = None,
        mode: ToolMode = "auto",
        max_steps: int = 10,
        max_tool_errors: int = 3,
        output_retries: int = 2,
        tool_timeout: float | None = None,
        mcp: Iterable[Any] = (),
        limits: Limits | None = None,
        deps: Any = None,
        before_call: BeforeCall | None = None,
        after_call: AfterCall | None = None,
        trim: bool = False,
        resume: bool = False,
        timeouts: Timeouts | None = None,
        retries: int = 3,
        headers: Mapping[str, str] | None = None,
        on_wait: Callable[[str, float], None] | None = None,
        alive: Callable[[], None] | None = None,
        tracing: Tracing | bool = False,
        **sampling: Unpack[Sampling],
    ) -> None:
        """``sampling`` are fields for every request, for example ``temperature=0``.

        A run has at most ``max_steps`` replies, and at most ``max_tool_errors`` in a row whose
        calls all fail. ``tool_timeout``, in seconds, is for tools without a timeout of their own.
        ``mcp`` are servers of tools: commands, URLs, open sessions or `McpServer`s, or a mapping
        that names them; they are reached at the first run, and ended by `close`.
        ``limits`` are for each run, ``deps`` for tools with a `RunContext`.
        ``before_call(call)`` may return `Deny`, `Replace` or `Wait` and may change
        ``call.arguments``; it is called for one call at a time, before calls that may run in
        parallel are started.
        ``after_call(call)`` may return `Replace`. ``trim`` drops the oldest turns when the
        conversation outgrows the context. With ``resume`` the server keeps each answer, so that
        reading can continue after a broken connection; the server then goes on generating if this
        program dies. ``tracing``, True or a `Tracing`, makes OpenTelemetry spans of each run. The
        other arguments are those of `LlamaClient`.
        """
        self.client = LlamaClient(
            base_url, api_key=api_key, model=model, timeouts=timeouts, retries=retries,
            on_wait=on_wait, alive=alive, headers=headers,
        )  # fmt: skip
        """The connection to the server."""
        self.settings = Settings(
            mode=mode, max_steps=max_steps, max_tool_errors=max_tool_errors,
            output_retries=output_retries, trim=trim, resume=resume, deps=deps,
            limits=Limits() if limits is None else limits,
            tracing=None if tracing is False else _tracing(tracing),
            sampling=cast("Json", sampling),
            executor=Executor(before_call, after_call, tool_timeout),
        )  # fmt: skip
        """The settings of all runs. They may be changed between runs."""
        check_text(system, "system")
        self.client.check_fields(self.settings.sampling)
        self.tools = as_tools(tools)
        self.mcp: list[McpServer] = []
        """Servers of more tools."""
        if mcp != ():
            self.mcp += mcp_servers.as_servers(mcp)
        self.system = system
        self.messages: list[Json] = []
        """The conversation so far, without the system message. It may be changed between runs."""
        self._facts = ServerFacts(self.client)
        self._handles: set[Handle] = set()
        self._turn = threading.Lock()

    def __repr__(self) -> str:
        return f"<LlamaAgent {self.client.base_url}>"

    def close(self) -> None:
        """Close the connections, and end the MCP servers."""
        for server in self.mcp:
            server.close()
        self.client.close()

    # -- one reply

    def chat(
        self,
        message: Input,
        tools: Tools = None,
        *,
        stream: bool = False,
        **params: Unpack[Chat],
    ) -> Json:
        """The server's response to ``message``, a dict with ``choices``; tools are not run.

        ``message`` is the user's text or one message, which continues the conversation, or a list
        of messages, which is a conversation of its own. ``tools`` replace the agent's. Constrained
        calls have the same form as native ones. With ``stream`` the server sends the answer in
        parts, so that `cancel` can stop it; the response is the same.
        """
        return self._chat(Handle(), message, tools, stream, cast("Json", params))

    def _chat(
        self, handle: Handle, message: Input, tools: Tools, stream: bool, params: Json
    ) -> Json:
        offered = self._offered(tools)
        with self._conversation(message) as talk, self._running(handle):
            reply = drain(self._run(handle, talk, offered, params).ask(stream=stream))
            kept = stored(reply)
            for call in kept.get("tool_calls", ()):
                arguments_of(call)
            talk.added.append(kept)
            return reply

    # -- the loop

    @overload
    def run(
        self, message: Input, tools: Tools = None, *, output_type: type[T], **params: Unpack[Fields]
    ) -> RunResult[T]: ...

    @overload
    def run(
        self, message: Input, tools: Tools = None, **options: Unpack[Resumed]
    ) -> RunResult[Any]: ...

    def run(
        self, message: Input, tools: Tools = None, **options: Unpack[Resumed]
    ) -> RunResult[Any]:
        """Ask, run the tools that the model calls, tell it the results, until it answers.

        ``message`` and ``tools`` are as for `chat`, ``max_steps`` replaces the agent's.
        ``output_type`` is the type of the answer: a dataclass, a TypedDict, a Pydantic model or any
        other type. The answer is then JSON, is checked, and is asked for again if it does not fit.
        LlamaAnswerError if it never fits.

        The conversation changes only when the run ends. Raises LlamaCancelled after `cancel`,
        LlamaLimitError for ``limits``. Errors have the run so far as ``error.run``: to go on after
        one, add ``error.run.messages`` to `messages` and `resume`.
        """
        for event in self.stream(message, tools, **options):
            if isinstance(event, Done):
                return event.result
        raise AssertionError("a run ends with Done")

    def stream(
        self, message: Input, tools: Tools = None, **options: Unpack[Resumed]
    ) -> Iterator[Event]:
        """The events of a `run`: text, reasoning and calls while they are generated, tools while
        they run, and `Done` with the result. Closing the iterator stops the generation."""
        return self._events(Handle(), message, tools, cast("Json", options))

    def resume(
        self, decisions: Mapping[str, Decision] | None = None, tools: Tools = None,
        *, messages: Sequence[Mapping[str, Any]] | None = None, **options: Unpack[Options],
    ) -> RunResult[Any]:  # fmt: skip
        """Go on with a conversation that ended at calls, or with an error.

        ``decisions`` maps the id of a call to True (make it), `Deny`, or `Replace` with the result
        of a call that the caller made. A call that needs a decision and has none ends the run
        again. ``messages`` replace the agent's conversation, which may also come from a file that
        another process wrote with `save`. The other arguments and the errors are those of `run`.

            result = agent.run("Delete the old logs.")
            if result.reason == "approval":
                agent.save("talk.json")
            ...
            agent.load("talk.json")
            agent.resume({call.id: True for call in agent.pending})
        """
        return self.run(messages or (), tools, decisions=decisions or {}, **options)

    def _events(
        self, handle: Handle, message: Input, tools: Tools, options: Json
    ) -> Iterator[Event]:
        offered = self._offered(tools)
        names = ("output_type", "max_steps", "limits", "deps", "decisions")
        output_type, given, limits, deps, decisions = (options.pop(name, None) for name in names)
        steps = self.settings.max_steps if given is None else given
        check_count(steps, "max_steps", 1)
        settings = self.settings if limits is None else replace(self.settings, limits=limits)
        with self._conversation(message) as talk, self._running(handle):
            run = self._run(handle, talk, offered, options, output_type, settings, deps)
            result = yield from run.loop(steps, decisions)
        yield Done(result)

    def _offered(self, tools: Tools) -> dict[str, Tool]:
        if tools is not None:
            return as_tools(tools)
        return _with_servers(self.tools, self.mcp)

    def _run(
        self, handle: Handle, talk: Talk, tools: Mapping[str, Tool], params: Json, type: Any = None,
        settings: Settings | None = None, deps: Any = None,
    ) -> Run:  # fmt: skip
        own = self.settings if settings is None else settings
        return Run(self.client, self._facts, own, handle, talk, tools, params, type, deps)

    def cancel(self) -> None:
        """Stop every run, from any thread: runs raise LlamaCancelled, and the server stops
        generating. A running tool is waited for."""
        for handle in list(self._handles):
            handle.cancel()

    @contextlib.contextmanager
    def _running(self, handle: Handle) -> Iterator[None]:
        self._handles.add(handle)
        try:
            yield
        finally:
            self._handles.discard(handle)

    # -- the conversation

    @property
    def pending(self) -> list[ToolCall]:
        """The calls at the end of the conversation that have no result, see `resume`."""
        return [call_of(call) for call in history.unanswered(self.messages)]

    def reset(self) -> None:
        """Forget the conversation."""
        self.messages = []

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation and the system message to a JSON file: all of it or nothing."""
        history.save(Path(path), self.system, self.messages)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Continue a saved conversation. ValueError for any other file."""
        self.system, self.messages = history.load(Path(path))

    def count(self, message: Input = (), tools: Tools = None) -> int:
        """How many tokens `run` would send for ``message``, with the conversation and the tools."""
        with self._conversation(message, commit=False) as talk:
            return self._run(Handle(), talk, self._offered(tools), {}).count()

    @property
    def n_ctx(self) -> int:
        """How many tokens a conversation and its answer can have together."""
        return self._facts.n_ctx

    @property
    def native_tools(self) -> bool:
        """Whether the model's chat template knows tools, calls and their results."""
        return self._facts.native_tools

    @contextlib.contextmanager
    def _conversation(self, message: Input, *, commit: bool = True) -> Iterator[Talk]:
        """The conversation for one turn; the messages that it adds are kept if it succeeds."""
        if not isinstance(message, str | Mapping) and (
            message or not isinstance(message, Sequence)
        ):
            yield self._talk(history.checked(message))
            return
        if not take(self._turn):
            raise LlamaError(
                "this agent's conversation is in use: start one run at a time, or pass lists of "
                "messages"
            )
        try:
            talk = self._talk(history.checked(self.messages))
            if isinstance(message, str):
                talk.added.append({"role": "user", "content": message})
            elif message:
                talk.added += history.checked([message])
            yield talk
            if commit:
                self.messages = [*talk.before, *talk.added]
        finally:
            self._turn.release()

    def _talk(self, messages: list[Json]) -> Talk:
        has_own = bool(messages) and messages[0]["role"] == "system"
        return Talk(None if has_own else self.system, messages)


class AsyncLlamaAgent:
    """A `LlamaAgent` whose methods are awaited; it takes the same arguments.

        async with AsyncLlamaAgent(url, tools=[get_current_weather]) as agent:
            result = await agent.run("What is the weather in Istanbul?")

    Async tools and hooks run in the caller's event loop, the others in threads. Cancelling the task
    stops the generation in the server. `sync` has all else, also the server's other endpoints:
    ``await asyncio.to_thread(agent.sync.client.embed, texts)``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sync = LlamaAgent(*args, **kwargs)
        """The agent underneath."""

    async def chat(self, message: Input, tools: Tools = None, **params: Unpack[Chat]) -> Json:
        """As `LlamaAgent.chat`."""
        handle = Handle(asyncio.get_running_loop())
        fields = cast("Json", params)
        return await in_thread(
            lambda: self.sync._chat(handle, message, tools, True, fields), handle
        )

    @overload
    async def run(
        self, message: Input, tools: Tools = None, *, output_type: type[T], **params: Unpack[Fields]
    ) -> RunResult[T]: ...

    @overload
    async def run(
        self, message: Input, tools: Tools = None, **options: Unpack[Resumed]
    ) -> RunResult[Any]: ...

    async def run(
        self, message: Input, tools: Tools = None, **options: Unpack[Resumed]
    ) -> RunResult[Any]:
        """As `LlamaAgent.run`."""
        async for event in self.stream(message, tools, **options):
            if isinstance(event, Done):
                return event.result
        raise AssertionError("a run ends with Done")

    async def resume(
        self, decisions: Mapping[str, Decision] | None = None, tools: Tools = None,
        *, messages: Sequence[Mapping[str, Any]] | None = None, **options: Unpack[Options],
    ) -> RunResult[Any]:  # fmt: skip
        """As `LlamaAgent.resume`."""
        return await self.run(messages or (), tools, decisions=decisions or {}, **options)

    async def stream(
        self, message: Input, tools: Tools = None, **options: Unpack[Resumed]
    ) -> AsyncIterator[Event]:
        """As `LlamaAgent.stream`: ``async for event in agent.stream(...)``."""
        loop = asyncio.get_running_loop()
        handle = Handle(loop)
        events: asyncio.Queue[Event | None] = asyncio.Queue()

        def work() -> None:
            try:
                for event in self.sync._events(handle, message, tools, cast("Json", options)):
                    loop.call_soon_threadsafe(events.put_nowait, event)
            finally:
                loop.call_soon_threadsafe(events.put_nowait, None)

        worker = asyncio.ensure_future(in_thread(work, handle))
        try:
            while (event := await events.get()) is not None:
                yield event
            await worker
        finally:
            if not worker.done():
                worker.cancel()
                await asyncio.wait([worker])

    @property
    def messages(self) -> list[Json]:
        """As `LlamaAgent.messages`: the conversation, which may be changed between runs."""
        return self.sync.messages

    @messages.setter
    def messages(self, messages: list[Json]) -> None:
        self.sync.messages = messages

    @property
    def pending(self) -> list[ToolCall]:
        """As `LlamaAgent.pending`."""
        return self.sync.pending

    def cancel(self) -> None:
        """As `LlamaAgent.cancel`."""
        self.sync.cancel()

    def reset(self) -> None:
        """As `LlamaAgent.reset`."""
        self.sync.reset()

    async def save(self, path: str | os.PathLike[str]) -> None:
        """As `LlamaAgent.save`."""
        await asyncio.to_thread(self.sync.save, path)

    async def load(self, path: str | os.PathLike[str]) -> None:
        """As `LlamaAgent.load`."""
        await asyncio.to_thread(self.sync.load, path)

    async def count(self, message: Input = (), tools: Tools = None) -> int:
        """As `LlamaAgent.count`."""
        return await asyncio.to_thread(self.sync.count, message, tools)

    async def aclose(self) -> None:
        """Stop every run and close the connections."""
        self.sync.cancel()
        self.sync.close()

    def __repr__(self) -> str:
        return f"<AsyncLlamaAgent {self.sync.client.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()


def _tracing(given: object) -> Tracing:
    given = tracing.Tracing() if given is True else given
    check_type(given, tracing.Tracing)
    return cast("Tracing", given)


def _with_servers(own: dict[str, Tool], servers: Iterable[McpServer]) -> dict[str, Tool]:
    """``own`` tools and those of ``servers``. A name that two have begins with the server's, and
    ends in a number if that is not enough."""
    found = [(server, tool) for server in servers for tool in server.tools()]
    names = [*own, *(tool.name for _, tool in found)]
    tools = dict(own)
    for server, tool in found:
        if names.count(tool.name) > 1:
            tool.name = tool_name(f"{server.name}_{tool.name}")
        first, number = tool.name, 1
        while tool.name in tools:
            number += 1
            tool.name = f"{first[:60]}_{number}"
        tools[tool.name] = tool
    return tools
