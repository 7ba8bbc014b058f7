"""One turn of an agent: ask, run the tools that were called, tell the results, until an answer."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from ..errors import (
    LlamaAnswerError,
    LlamaBadRequestError,
    LlamaCancelled,
    LlamaServerTemplateError,
)
from ..server.assemble import ChatStream
from ..server.fields import ChatParams, Json
from ..server.http import Stop
from ..usage import Timings, Usage
from . import history as _history
from .events import (
    Event,
    Mode,
    Reason,
    Retry,
    RunResult,
    Step,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from .question import Choice, Question, arguments_of, choice_of
from .schema import adapter_of, for_server, what_is_wrong
from .tools import Tool, ToolCall

if TYPE_CHECKING:
    from .agent import LlamaAgent


_NO_SAMPLERS = "Failed to initialize samplers"


class Handle:
    """What stops a run from outside, and where its awaitables are awaited."""

    def __init__(
        self,
        submit: Callable[[Awaitable[Any]], concurrent.futures.Future[Any]] | None = None,
    ) -> None:
        self.cancelled = False
        self.run_async = None if submit is None else self._wait
        self._submit = submit
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

    def check(self) -> None:
        """LlamaCancelled when it was stopped."""
        if self.cancelled:
            raise LlamaCancelled("the run was cancelled")

    def sending(self) -> contextlib.AbstractContextManager[None]:
        """While requests of this thread are what has to be stopped."""
        return self._stop.watching()

    @contextlib.contextmanager
    def reading(self, stream: ChatStream) -> Generator[None, None, None]:
        """While ``stream`` is what has to be stopped."""
        self._stream = stream
        try:
            self.check()
            yield
        finally:
            self._stream = None

    def _wait(self, awaitable: Awaitable[Any]) -> Any:
        assert self._submit is not None
        future = self._submit(awaitable)
        self._futures.add(future)
        try:
            if self.cancelled:
                future.cancel()
            return future.result()
        except concurrent.futures.CancelledError:
            raise LlamaCancelled("the run was cancelled") from None
        finally:
            self._futures.discard(future)


@dataclass
class Talk:
    """A conversation during one turn."""

    system: str | None
    """What stands in front and is not part of it."""
    before: list[Json]
    """What was said before."""
    added: list[Json] = field(default_factory=list)
    """What the turn adds and the conversation keeps."""
    aside: list[Json] = field(default_factory=list)
    """What is said besides and not kept."""

    @property
    def messages(self) -> list[Json]:
        """All of it."""
        head = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*head, *self.before, *self.added, *self.aside]


class Run:
    """One turn of an agent: what was asked for, and how far it is."""

    def __init__(
        self,
        agent: LlamaAgent,
        handle: Handle,
        talk: Talk,
        tools: Mapping[str, Tool],
        params: Json,
        output_type: Any = None,
    ) -> None:
        self.agent, self.handle, self.talk, self.tools = agent, handle, talk, tools
        agent.check_fields(params)
        self.params = {**agent.sampling, **params}
        self.choice = choice_of(self.params.pop("tool_choice", None), tools)
        if self.choice.kind == "required" and not tools:
            raise ValueError("tool_choice asks for a call, and there are no tools")
        self.adapter, self.schema = None, None
        if output_type is not None:
            self.adapter, schema = adapter_of(output_type)
            self.schema = for_server(schema)
        self.mode: Mode = self._first_mode()
        self.as_completion = False  # past the server's reading of replies, where that fails
        self.steps: list[Step] = []
        self.replies: list[Json] = []
        self.calls: list[ToolCall] = []

    def _first_mode(self) -> Mode:
        if not self.tools or self.choice.kind == "none":
            return "plain"
        if self.agent.mode != "auto":
            return self.agent.mode
        if self.choice.kind == "required" or not self.agent.native_tools:
            return "constrained"
        return "native"

    # -- one reply

    def ask(
        self, *, stream: bool = True, answer_only: bool = False
    ) -> Generator[Event, None, Json]:
        """The model's reply, in one form whatever the mode."""
        with self.handle.sending():
            self._fit()
        while True:
            question = self._question(answer_only)
            try:
                response = yield from self._send(question, stream)
            except (LlamaServerTemplateError, LlamaBadRequestError) as error:
                # The second: a grammar that does not take the beginning of the answer that the
                # template wrote, as some tokenizers cut it.
                known = isinstance(error, LlamaServerTemplateError) or _NO_SAMPLERS in str(error)
                if not known or self.agent.mode == "native" or self.as_completion:
                    raise
                if question.mode != "native" and _has_media(self.talk.messages):
                    raise
                if question.mode == "native":
                    self.mode = "constrained"
                else:
                    self.as_completion = True
                yield Retry(str(error))
                continue
            reply = question.reply(response)
            self.replies.append(reply)
            if self.as_completion and (question.mode == "constrained" or self.schema):
                self.agent.schemas_as_completion = True  # no need to find out again
            if self.choice.kind == "required":
                _check_called(reply, response, question.mode)
            if stream and question.mode == "constrained":
                text = reply["choices"][0]["message"]["content"]
                if text and not question.text_given:  # a number, or JSON of a type
                    yield TextDelta(text)
                calls = reply["choices"][0]["message"].get("tool_calls") or ()
                for i, call in enumerate(calls):
                    function = call["function"]
                    yield ToolCallDelta(i, function["name"], function["arguments"])
            return reply

    def _question(self, answer_only: bool) -> Question:
        native = self.agent.mode == "native" or (
            self.agent.mode == "auto" and self.agent.native_tools
        )
        return Question(
            self.talk.messages,
            self.tools,
            self.choice,
            dict(self.params),
            self.mode,
            native_history=native,
            answer=self.schema,
            answer_only=answer_only,
        )

    def _send(self, question: Question, stream: bool) -> Generator[Event, None, Json]:
        messages, tools, params = question.request()
        fields = cast("ChatParams", params)
        self.handle.check()
        past_templates = question.mode != "native" and (
            self.as_completion or (self.agent.schemas_as_completion and "response_format" in params)
        )
        with self.handle.sending():
            if past_templates:
                chunks = self.agent._text_stream(messages, params)
            elif stream:
                conversation = uuid.uuid4().hex if self.agent.resume else None
                chunks = self.agent.chat_stream(
                    messages, tools=tools, conversation=conversation, **fields
                )
            else:
                return self.agent.chat_completion(messages, tools=tools, **fields)
        with chunks, self.handle.reading(chunks):
            for chunk in chunks:
                yield from question.events(chunk)
        return chunks.response

    # -- the context

    def count(self) -> int:
        """How many tokens would be sent now."""
        messages, tools, params = self._question(False).request()
        return self.agent.count_tokens(messages, tools=tools, **cast("ChatParams", params))

    def _fit(self) -> None:
        """Drop the oldest turns until the prompt and a reply have room."""
        if not self.agent.trim:
            return
        reserve = self.params.get("max_tokens") or self.params.get("n_predict") or 0
        size = self.agent.context_size
        room = size - min(max(int(reserve), 1), size // 2)
        while self.count() > room:
            shorter = _history.without_first_turn(self.talk.before, self.talk.added)
            if shorter is None:
                return  # the server says what is too long
            self.talk.before = shorter

    # -- the loop

    def loop(self, max_steps: int) -> Generator[Event, None, RunResult[Any]]:
        """Replies and calls until there is an answer, or a reason to stop."""
        failures = 0
        retries = 0
        repeated = False
        while True:
            reply = yield from self.ask(answer_only=repeated)
            message = stored(reply)
            made = message.get("tool_calls") or []
            calls = [_call_of(call) for call in made]
            if self._repeats(calls):
                # A small model that goes round in circles has all that it asked for.
                repeated = True
                yield Retry("the model repeated its last calls")
                continue
            repeated = False
            self.steps.append(Step(self.mode, reply, calls))
            reason = reply["choices"][0]["finish_reason"]
            if not calls:
                if reason == "length":
                    self.talk.added.append(message)
                    return self._result("length")
                output, problem = self._output(str(message.get("content") or ""))
                if problem is None:
                    self.talk.added.append(message)
                    return self._result("answer", output)
                retries += 1
                if retries > self.agent.output_retries:
                    raise LlamaAnswerError(problem, text=str(message.get("content") or ""))
                self._ask_again(message, problem)
                yield Retry(problem)
                continue
            self.talk.added.append(message)
            self.calls += calls
            if any(self._is_callers(call) for call in calls):
                return self._result("tool_calls")
            for call in calls:
                yield ToolCallStarted(call)
            replace(self.agent.executor, run_async=self.handle.run_async).run(calls, self.tools)
            for call in calls:
                yield ToolCallFinished(call)
                self.talk.added.append(_told(call))
            self.handle.check()
            failures = failures + 1 if all(call.error is not None for call in calls) else 0
            if failures >= self.agent.max_tool_errors:
                return self._result("tool_errors")
            if len(self.steps) >= max_steps:
                return self._result("max_steps")
            if self.choice.kind == "required":  # once: the results are there to be used
                self.choice = Choice()
                self.mode = self._first_mode()

    def _repeats(self, calls: list[ToolCall]) -> bool:
        """Whether the model asks for nothing but what it has just been told."""
        if self.mode != "constrained" or self.choice.kind == "required":
            return False
        messages = self.talk.messages
        told: dict[Any, str] = {}
        while messages and messages[-1]["role"] == "tool":
            message = messages.pop()
            told[message.get("tool_call_id")] = str(message.get("content"))
        made = messages[-1].get("tool_calls") if messages else None
        before = [_call_of(dict(call)) for call in made or () if call.get("id") in told]
        known = [(c.name, c.arguments) for c in before if not told[c.id].startswith("Error: ")]
        return bool(calls) and all((call.name, call.arguments) in known for call in calls)

    def _is_callers(self, call: ToolCall) -> bool:
        tool = self.tools.get(call.name)
        return tool is not None and tool.function is None

    def _output(self, text: str) -> tuple[Any, str | None]:
        """The answer as the type that was asked for, or what is wrong with it."""
        if self.adapter is None:
            return None, None
        from pydantic import ValidationError

        try:
            return self.adapter.validate_json(text), None
        except ValidationError as error:
            with contextlib.suppress(ValidationError):
                return self.adapter.validate_python(text), None  # a text, without quotes
            return None, f"the answer does not fit: {what_is_wrong(error)}"

    def _ask_again(self, message: Json, problem: str) -> None:
        told = f"Error: {problem}. Answer again."
        if self.mode == "native":
            # From here on a schema takes the place of the tools.
            self.mode = "plain"
            told = f"Answer with JSON of this schema: {json.dumps(self.schema)}"
        self.talk.aside = [message, {"role": "user", "content": told}]

    def _result(self, reason: Reason, output: Any = None) -> RunResult[Any]:
        last = self.steps[-1].response["choices"][0]["message"]
        final = reason in ("answer", "length")
        modes: list[Mode] = [step.mode for step in self.steps if step.mode != "plain"]
        return RunResult(
            text=str(last.get("content") or "") if final else "",
            output=output,
            reason=reason,
            mode=modes[-1] if modes else "plain",
            messages=list(self.talk.added),
            calls=self.calls,
            steps=self.steps,
            usage=_usage(self.replies),
            timings=_timings(self.replies),
            reasoning=str(last.get("reasoning_content") or ""),
        )


def _check_called(reply: Json, response: Json, mode: Mode) -> None:
    """LlamaAnswerError when the model wrote something else in place of a call."""
    message = response["choices"][0]["message"]
    cut_off = reply["choices"][0]["finish_reason"] == "length"
    if reply["choices"][0]["message"].get("tool_calls"):
        return
    if mode == "native" and not message.get("tool_calls"):
        cut_off = False  # prose, and no end of it
    if not cut_off:
        raise LlamaAnswerError(
            "a tool has to be called, and the model called none", text=message.get("content") or ""
        )


def _has_media(messages: list[Json]) -> bool:
    return any(isinstance(message.get("content"), list) for message in messages)


def drain(events: Generator[Event, None, Json]) -> Json:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return cast("Json", end.value)


def stored(reply: Json) -> Json:
    """The reply's message as the conversation keeps it."""
    message = dict(reply["choices"][0]["message"])
    if message.get("tool_calls"):
        message["tool_calls"] = [dict(call) for call in message["tool_calls"]]
    return message


def _call_of(call: Json) -> ToolCall:
    arguments, problem = arguments_of(call)
    return ToolCall(call["function"]["name"], arguments, call["id"], error=problem)


def _told(call: ToolCall) -> Json:
    return {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": call.text}


def _usage(replies: list[Json]) -> Usage:
    parts = [reply.get("usage") or {} for reply in replies]
    timings = [reply.get("timings") or {} for reply in replies]
    return Usage(
        prompt_tokens=sum(part.get("prompt_tokens", 0) for part in parts),
        cached_tokens=sum(
            (part.get("prompt_tokens_details") or {}).get("cached_tokens", 0) for part in parts
        ),
        completion_tokens=sum(part.get("completion_tokens", 0) for part in parts),
        drafted_tokens=sum(part.get("draft_n", 0) for part in timings),
        accepted_tokens=sum(part.get("draft_n_accepted", 0) for part in timings),
    )


def _timings(replies: list[Json]) -> Timings:
    parts = [reply.get("timings") or {} for reply in replies]
    tokens = sum(part.get("predicted_n", 0) for part in parts)
    seconds = sum(part.get("predicted_ms", 0.0) for part in parts) / 1000
    return Timings(
        prompt_seconds=sum(part.get("prompt_ms", 0.0) for part in parts) / 1000,
        generation_seconds=seconds,
        tokens_per_second=tokens / seconds if seconds > 0 else 0.0,
    )
