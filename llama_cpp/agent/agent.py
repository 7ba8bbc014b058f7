"""LlamaAgent: a model behind llama-server that calls tools, whatever its chat template knows."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from ..errors import LlamaError, LlamaNotSupportedError
from ..native.arguments import check_count, check_text
from ..server.client import LlamaClient
from ..server.fields import ChatParams, Json
from ..server.http import Timeouts
from . import history as _history
from .events import Done, Event, RunResult
from .execute import Executor
from .question import arguments_of
from .tools import AfterCall, BeforeCall, as_tools
from .turn import Handle, Run, Talk, drain, stored

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")
Message = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
ToolMode = Literal["auto", "native", "constrained"]


class LlamaAgent(LlamaClient):
    """A conversation with the model of a llama-server, and the tools that it may call.

        agent = LlamaAgent("http://localhost:8080", tools=[get_current_weather])
        print(agent.run("What is the weather in Istanbul?").text)

    Tools are Python functions, see `llama_cpp.agent.tool`. How they are offered is asked of the
    server before the first call: a chat template that knows tools gets them (``native``). For
    others the agent describes them itself and forces each reply into a call or an answer
    (``constrained``), which works with every model. ``mode`` fixes one of the two. In ``auto`` a
    call that has to be made (``tool_choice``) is constrained, since templates do not force any, and
    a native reply that the server cannot read is asked for again in constrained form.

    The conversation is kept in `messages`: change it, replace it, `save` it. One run at a time
    uses it; threads may otherwise share an agent. The class has the methods of `LlamaClient` too.
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
        before_call: BeforeCall | None = None,
        after_call: AfterCall | None = None,
        trim: bool = False,
        resume: bool = False,
        timeouts: Timeouts | None = None,
        retries: int = 3,
        on_wait: Callable[[str, float], None] | None = None,
        alive: Callable[[], None] | None = None,
        **sampling: Unpack[ChatParams],
    ) -> None:
        """``sampling`` are fields for every request, for example ``temperature=0``.

        ``max_steps`` replies make a run at most, and ``max_tool_errors`` of them in a row whose
        calls all fail. ``tool_timeout``, in seconds, is for tools that have none of their own.
        ``before_call(call)`` may return `Deny` or `Replace` and may change ``call.arguments``; it
        is asked of one call at a time, before any of those that may run beside each other;
        ``after_call(call)`` may return `Replace`. ``trim`` drops the oldest turns of a conversation
        that has grown longer than the context. ``resume`` has the server keep each answer, so that
        it is taken up again when the connection breaks; the server then goes on generating when
        this program dies. The other arguments are those of `LlamaClient`.
        """
        super().__init__(
            base_url,
            api_key=api_key,
            model=model,
            timeouts=timeouts,
            retries=retries,
            on_wait=on_wait,
            alive=alive,
        )
        if mode not in ("auto", "native", "constrained"):
            raise ValueError(f"mode must be auto, native or constrained, not {mode!r}")
        check_count(max_steps, "max_steps", 1)
        check_count(max_tool_errors, "max_tool_errors")
        check_count(output_retries, "output_retries")
        check_text(system, "system")
        self.tools = as_tools(tools)
        self.system = system
        self.mode: ToolMode = mode
        self.max_steps = max_steps
        self.max_tool_errors = max_tool_errors
        self.output_retries = output_retries
        self.trim = trim
        self.resume = resume
        self.sampling = dict(sampling)
        self.messages: list[Json] = []
        """The conversation so far, without the system message. It may be changed between runs."""
        self.check_fields(self.sampling)
        self.executor = Executor(before_call, after_call, tool_timeout)
        self.schemas_as_completion = False
        """Whether a schema has to go past the server's chat endpoint, which cannot apply it with
        this template or tokenizer. The agent finds out."""
        self._props: Json | None = None
        self._handles: set[Handle] = set()
        self._turn = threading.Lock()

    # -- one reply

    def chat(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        stream: bool = False,
        **params: Unpack[ChatParams],
    ) -> Json:
        """The server's answer to ``message``, a dict with ``choices``; tools are not run.

        ``message`` is the user's text or one message, which goes on with the conversation, or a
        list of messages, which is a conversation of its own. ``tools`` take the place of the
        agent's. Constrained calls come in the same form as native ones. ``stream`` changes nothing
        in the answer: the server sends it in parts, and `cancel` can stop it.
        """
        return self._chat(Handle(), message, tools, stream, cast("Json", params))

    def _chat(
        self,
        handle: Handle,
        message: Message,
        tools: Iterable[Any] | None,
        stream: bool,
        params: Json,
    ) -> Json:
        offered = self.tools if tools is None else as_tools(tools)
        with self._conversation(message) as talk, self._running(handle):
            reply = drain(Run(self, handle, talk, offered, params).ask(stream=stream))
            kept = stored(reply)
            for call in kept.get("tool_calls", ()):
                arguments_of(call)
            talk.added.append(kept)
            return reply

    # -- the loop

    @overload
    def run(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: type[T],
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> RunResult[T]: ...

    @overload
    def run(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: Any = None,
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> RunResult[Any]: ...

    def run(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: Any = None,
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> RunResult[Any]:
        """Ask, run the tools that the model calls, tell it the results, until it answers.

        ``message`` and ``tools`` are as for `chat`. ``output_type``, a dataclass, a TypedDict, a
        Pydantic model or any other type, is what the answer has to be: it is asked for as JSON,
        checked, and asked for again when it does not fit; LlamaAnswerError when it never does.

        The conversation changes only when the run ends. Raises LlamaCancelled after `cancel`.
        """
        for event in self.stream(
            message, tools, output_type=output_type, max_steps=max_steps, **params
        ):
            if isinstance(event, Done):
                return event.result
        raise AssertionError("a run ends with Done")

    def stream(
        self,
        message: Message,
        tools: Iterable[Any] | None = None,
        *,
        output_type: Any = None,
        max_steps: int | None = None,
        **params: Unpack[ChatParams],
    ) -> Iterator[Event]:
        """As `run`, as events: text, reasoning and calls while they are generated, tools as they
        run, and `Done` with the result. Closing the iterator stops the generation."""
        given = cast("Json", params)
        return self._events(Handle(), message, tools, output_type, max_steps, given)

    def _events(
        self,
        handle: Handle,
        message: Message,
        tools: Iterable[Any] | None,
        output_type: Any,
        max_steps: int | None,
        params: Json,
    ) -> Iterator[Event]:
        offered = self.tools if tools is None else as_tools(tools)
        steps = self.max_steps if max_steps is None else max_steps
        check_count(steps, "max_steps", 1)
        with self._conversation(message) as talk, self._running(handle):
            run = Run(self, handle, talk, offered, params, output_type)
            result = yield from run.loop(steps)
        yield Done(result)

    def cancel(self) -> None:
        """Stop what runs, from any thread: it raises LlamaCancelled, and the server stops
        generating. A tool that is running is waited for."""
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

    def reset(self) -> None:
        """Forget the conversation."""
        self.messages = []

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation and the system message to a JSON file: all of it or nothing."""
        _history.save(Path(path), self.system, self.messages)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on with a conversation that was saved. ValueError for any other file."""
        self.system, self.messages = _history.load(Path(path))

    def count(self, message: Message = (), tools: Iterable[Any] | None = None) -> int:
        """How many tokens `run` would send for ``message``, with the conversation and the tools."""
        offered = self.tools if tools is None else as_tools(tools)
        with self._conversation(message, commit=False) as talk:
            return Run(self, Handle(), talk, offered, {}).count()

    @property
    def context_size(self) -> int:
        """How many tokens a conversation and its answer may have together: the server's n_ctx."""
        return int(self._facts()["default_generation_settings"]["n_ctx"])

    @property
    def native_tools(self) -> bool:
        """Whether the model's chat template knows tools, calls and their results."""
        caps = self._facts().get("chat_template_caps")
        if caps is None:  # an older server
            return "tool" in str(self._facts().get("chat_template", "tool"))
        return bool(caps.get("supports_tools") and caps.get("supports_tool_calls"))

    def _facts(self) -> Json:
        if self._props is None:
            try:
                self._props = self.props()
            except LlamaNotSupportedError:
                self._props = {}
        return self._props

    @contextlib.contextmanager
    def _conversation(self, message: Message, *, commit: bool = True) -> Iterator[Talk]:
        """The messages before this turn, and room for those that it adds."""
        if not isinstance(message, str | Mapping) and (
            message or not isinstance(message, Sequence)
        ):
            yield self._talk(_history.checked(message))
            return
        if not self._turn.acquire(blocking=False):
            raise LlamaError(
                "this agent's conversation is in use: one run at a time, or give lists of messages"
            )
        try:
            talk = self._talk(_history.checked(self.messages))
            if isinstance(message, str):
                talk.added.append({"role": "user", "content": message})
            elif message:
                talk.added += _history.checked([message])
            yield talk
            if commit:
                self.messages = [*talk.before, *talk.added]
        finally:
            self._turn.release()

    def _talk(self, messages: list[Json]) -> Talk:
        has_own = bool(messages) and messages[0]["role"] == "system"
        return Talk(None if has_own else self.system, messages)
