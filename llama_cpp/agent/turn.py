"""One turn of an agent: ask, run the tools that the model calls, tell it the results, repeat."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from ..errors import (
    LlamaAnswerError,
    LlamaCancelled,
    LlamaLimitError,
    LlamaNotSupportedError,
    LlamaServerError,
    LlamaServerTemplateError,
)
from ..native.arguments import check_count, check_type
from ..server._fields import ChatParams, Json
from ..server.client import LlamaClient, schema_wanted
from ..usage import Timings, Usage
from .context import Limits, RunContext
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
)
from .execute import Executor
from .handle import Handle
from .history import Talk, unanswered
from .question import JOINER, MARK, Choice, Question, arguments_of, choice_of
from .schema import adapter_of, error_text, for_server, given_type
from .tools import Tool, ToolCall, media_in

if TYPE_CHECKING:
    from ..server.tracing import Tracing

ToolMode = Literal["auto", "native", "constrained"]

# The parts of a message that hold text from outside.
_TEXTS = ("content", "reasoning_content", "text", "tool_calls", "function", "name", "arguments")
_MOST_ALIKE = 2
# With some tokenizers and templates the grammar refuses the beginning of the answer, which the
# template wrote, or the end of the thoughts.
_NO_GRAMMAR = ("Failed to initialize samplers", "Unexpected empty grammar stack")


@dataclass
class Settings:
    """The settings of an agent, for all its runs."""

    mode: ToolMode = "auto"
    """How tools are offered."""
    max_steps: int = 10
    """Replies in a run."""
    max_tool_errors: int = 3
    """Replies in a row whose calls all fail."""
    output_retries: int = 2
    """How often a typed answer that does not fit is asked for again."""
    trim: bool = False
    """Whether the oldest turns are dropped when the conversation outgrows the context."""
    resume: bool = False
    """Whether the server keeps each answer, so that reading can continue after a broken
    connection."""
    limits: Limits = field(default_factory=Limits)
    """How much a run may use."""
    deps: Any = None
    """What tools get as the ``deps`` of their `RunContext`."""
    tracing: Tracing | None = None
    """Makes OpenTelemetry spans."""
    sampling: Json = field(default_factory=dict)
    """Fields of every request."""
    executor: Executor = field(default_factory=Executor)
    """Runs the tools."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(ToolMode):
            raise ValueError(f"mode must be auto, native or constrained, not {self.mode!r}")
        check_count(self.max_steps, "max_steps", 1)
        check_count(self.max_tool_errors, "max_tool_errors")
        check_count(self.output_retries, "output_retries")
        check_type(self.limits, Limits)


class ServerFacts:
    """What an agent has learned about its server: asked once, or found out on the way."""

    def __init__(self, client: LlamaClient) -> None:
        self._client = client
        self._props: Json | None = None
        self._marks: dict[str, bool] = {}
        self.schemas_as_completion = False
        """Whether schemas need `LlamaClient.chat_as_completion`, because the server cannot apply
        them with this template or tokenizer."""

    @property
    def n_ctx(self) -> int:
        """Tokens that a conversation and its answer can have together."""
        return int(self._asked()["default_generation_settings"]["n_ctx"])

    @property
    def native_tools(self) -> bool:
        """Whether the model's chat template knows tools, calls and their results."""
        props = self._asked()
        caps = props.get("chat_template_caps")
        if caps is None:  # an older server
            return "tool" in str(props.get("chat_template", "tool"))
        return bool(caps.get("supports_tools") and caps.get("supports_tool_calls"))

    def as_text(self, message: Json) -> Json:
        """``message`` with the model's control tokens in its texts broken up: the server reads
        those of a result or a user as it reads those of the template. Messages of the program,
        ``system`` and ``developer``, stay as they are."""
        if message["role"] in ("system", "developer"):
            return message
        return {key: self._plain(v) if key in _TEXTS else v for key, v in message.items()}

    def _plain(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if isinstance(value, Mapping):
            return {k: self._plain(v) if k in _TEXTS else v for k, v in value.items()}
        marks = set(MARK.findall(value)) if isinstance(value, str) else ()
        for mark in self._control_tokens(marks) if marks else ():
            value = value.replace(mark, mark[0] + JOINER + mark[1:])
        return value

    def _control_tokens(self, marks: set[str]) -> list[str]:
        """Those of ``marks`` that the server reads as control tokens."""
        new = marks - self._marks.keys()
        try:
            if new and not self._is_read("".join(new)):
                self._marks.update(dict.fromkeys(new, False))
            for mark in new - self._marks.keys():
                self._marks[mark] = self._is_read(mark)
        except (LlamaServerError, LookupError, TypeError):  # not a llama-server
            self._marks.update(dict.fromkeys(new, True))
        return [mark for mark in marks if self._marks[mark]]

    def _is_read(self, text: str) -> bool:
        ids = [self._client.tokenize(text, parse_special=parse) for parse in (True, False)]
        return ids[0] != ids[1]

    @property
    def sees_media(self) -> bool:
        """Whether the model takes images or sounds."""
        return any((self._asked().get("modalities") or {}).values())

    def _asked(self) -> Json:
        if self._props is None:
            try:
                self._props = self._client.props()
            except LlamaNotSupportedError:
                self._props = {}
        return self._props


class Run:
    """One turn of an agent: the question, and the replies and calls so far."""

    def __init__(
        self, client: LlamaClient, facts: ServerFacts, settings: Settings, handle: Handle,
        talk: Talk, tools: Mapping[str, Tool], params: Json, output_type: Any = None,
        deps: Any = None,
    ) -> None:  # fmt: skip
        client.check_fields(params)
        self.client, self.facts, self.settings = client, facts, settings
        self.handle, self.talk, self.tools, self.deps = handle, talk, tools, deps
        self.params = {**settings.sampling, **params}
        tracing, model = settings.tracing, client.model
        self.spans = None if tracing is None else tracing.spans(client.base_url, model)
        self.choice = choice_of(self.params.pop("tool_choice", None), tools)
        if self.choice.kind == "required" and not tools:
            raise ValueError("tool_choice requires a call, but there are no tools")
        self.adapter, self.schema = None, None
        wanted = None if output_type is not None else schema_wanted(self.params)
        if wanted is not None and tools:  # tools and a schema exclude each other in a request
            output_type = given_type(wanted)
            for name in ("response_format", "json_schema"):
                self.params.pop(name, None)
        # The caller of a schema of its own reads the reason of the end.
        self.typed = output_type is not None and Any not in get_args(output_type)[:1]
        if output_type is not None:
            self.adapter, schema = adapter_of(output_type)
            self.schema = for_server(schema)
        self.mode: Mode = self._first_mode()
        self.as_completion = False  # whether the server's chat endpoint refused the model's replies
        self.texts_only = False  # whether the template refused calls and results in the history
        self.alternate = False  # and then neighbours of one role, or a late system message
        self.steps: list[Step] = []
        self.replies: list[Json] = []
        self.calls: list[ToolCall] = []
        self.made: list[Any] = []  # calls with their results, for each reply
        self.shown = 0  # characters of results that the model was given
        seconds = settings.limits.seconds
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def _first_mode(self) -> Mode:
        if not self.tools:
            return "plain"
        if self.choice.kind == "none":  # after calls as text the model would go on with them
            called = any(message.get("tool_calls") for message in self.talk.messages)
            native = self.settings.mode == "native" or self.facts.native_tools
            return "constrained" if called and not native else "plain"
        if self.settings.mode != "auto":
            return self.settings.mode
        if self.choice.kind == "required" or not self.facts.native_tools:
            return "constrained"
        return "native"

    # -- one reply

    def ask(
        self, *, stream: bool = True, answer_only: bool = False
    ) -> Generator[Event, None, Json]:
        """The model's reply, in the same form for every mode."""
        with self.handle.sending():
            self._fit()
        while True:
            self._check_tokens()
            question = self._question(answer_only)
            try:
                response = yield from self._send(question, stream)
            except LlamaServerError as error:
                known = isinstance(error, LlamaServerTemplateError) or any(
                    text in str(error) for text in _NO_GRAMMAR
                )
                if not known or self.settings.mode == "native" or self.as_completion:
                    raise
                if question.mode == "native":
                    self.mode = "constrained"
                elif question.mode == "plain" and question.native_history:
                    self.texts_only = True
                elif not self.alternate and isinstance(error, LlamaServerTemplateError):
                    self.alternate = True
                elif _has_media(self.talk.messages):
                    raise
                else:
                    self.as_completion = True
                yield Retry(str(error))
                continue
            reply = question.reply(response)
            self.replies.append(reply)
            if question.ignored(response) and not (
                self.settings.mode == "native" or self.as_completion
                or _has_media(self.talk.messages)
            ):  # fmt: skip
                self.as_completion = True
                yield Retry("the server did not hold the model to the schema")
                continue
            if self.as_completion and question.formatted:
                self.facts.schemas_as_completion = True
            if self.choice.kind == "required":
                _check_called(reply, response, question.mode)
            if stream and question.mode == "constrained":
                if rest := question.rest():
                    yield TextDelta(rest)
                text = reply["choices"][0]["message"]["content"]
                if text and not question.text_given:  # a number, or the JSON of a typed answer
                    yield TextDelta(text)
                calls = reply["choices"][0]["message"].get("tool_calls") or ()
                for i, call in enumerate(calls):
                    function = call["function"]
                    yield ToolCallDelta(i, function["name"], function["arguments"])
            return reply

    def _question(self, answer_only: bool) -> Question:
        native = self.settings.mode == "native" or (
            self.settings.mode == "auto" and self.facts.native_tools and not self.texts_only
        )
        messages = [self.facts.as_text(message) for message in self.talk.messages]
        return Question(
            messages, self.tools, self.choice, dict(self.params), self.mode, native, self.alternate,
            answer=self.schema, answer_only=answer_only or self.choice.kind == "none",
        )  # fmt: skip

    def _send(self, question: Question, stream: bool) -> Generator[Event, None, Json]:
        messages, tools, params = question.request()
        fields = cast("ChatParams", params)
        self.handle.check()
        as_completion = question.mode != "native" and (
            self.as_completion or (self.facts.schemas_as_completion and "response_format" in params)
        )
        span = (
            contextlib.nullcontext(_ignored)
            if self.spans is None
            else self.spans.chat(messages, tools, params, stream or as_completion)
        )
        with span as answered:
            with self.handle.sending():
                if as_completion:
                    chunks = self.client.chat_as_completion(messages, **fields)
                elif stream:
                    conversation = uuid.uuid4().hex if self.settings.resume else None
                    chunks = self.client.chat_stream(
                        messages, tools=tools, conversation=conversation, **fields
                    )
                else:
                    response = self.client.chat_completion(messages, tools=tools, **fields)
                    answered(response)
                    return response
            with chunks, self.handle.reading(chunks):
                for chunk in chunks:
                    yield from question.events(chunk)
            answered(chunks.response)
            return chunks.response

    # -- the context

    def count(self) -> int:
        """How many tokens the next request has."""
        messages, tools, params = self._question(False).request()
        return self.client.count_tokens(messages, tools=tools, **cast("ChatParams", params))

    def _fit(self) -> None:
        """Drop the oldest turns until the prompt and a reply have room."""
        if not self.settings.trim:
            return
        reserve = self.params.get("max_tokens") or self.params.get("n_predict") or 0
        size = self.facts.n_ctx
        room = size - min(max(int(reserve), 1), size // 2)
        while self.count() > room and self.talk.drop_first_turn():
            pass  # if the present turn alone is too long, the server says so

    # -- limits

    def _check_tokens(self) -> None:
        limit = self.settings.limits.tokens
        if limit is None:
            return
        usage, _ = _totals(self.replies)
        left = limit - usage.prompt_tokens - usage.completion_tokens
        if left <= 0:
            raise LlamaLimitError(f"the run used its {limit} tokens", limit="tokens")
        names = [name for name in ("max_tokens", "n_predict") if (self.params.get(name) or -1) >= 0]
        wanted = [self.params.pop(name) for name in names]
        self.params["max_tokens"] = min([left, *wanted])

    def _check_calls(self, calls: list[ToolCall]) -> None:
        limit = self.settings.limits.calls
        if limit is not None and len(self.calls) + len(calls) > limit:
            text = f"{len(calls)} more calls would exceed the run's limit of {limit}"
            raise LlamaLimitError(text, limit="calls")

    def _shorten(self, call: ToolCall) -> None:
        """Cut the text of a result that is too large, and tell the model."""
        limits, tool = self.settings.limits, self.tools.get(call.name)
        own = None if tool is None else tool.max_result
        room = [limits.result if own is None else own]
        room.append(None if limits.results is None else max(0, limits.results - self.shown))
        text = call.text
        limit = min((one for one in room if one is not None), default=len(text))
        if len(text) > limit:
            note = f"[cut off after {limit} of {len(text)} characters: ask for less]"
            call.text = f"{text[:limit]}\n{note}"
        self.shown += min(limit, len(text))

    # -- the loop

    def loop(
        self, max_steps: int, decisions: Mapping[str, Any] | None = None
    ) -> Generator[Event, None, RunResult[Any]]:
        """Replies and calls until there is an answer, or a reason to stop. With ``decisions``,
        calls that wait for one come first."""
        timer = None
        if self.deadline is not None:
            timer = threading.Timer(self.deadline - time.monotonic(), self.handle.expire)
            timer.daemon = True
            timer.start()
        span = contextlib.nullcontext(_ignored) if self.spans is None else self.spans.run()
        try:
            with span as used:
                try:
                    return (yield from self._loop(max_steps, decisions))
                finally:
                    used(_totals(self.replies)[0])
        except Exception as error:
            if isinstance(error, LlamaCancelled) and self.handle.expired:
                seconds = self.settings.limits.seconds
                text = f"the run took longer than {seconds:g} s"
                error = LlamaLimitError(text, limit="seconds")
            with contextlib.suppress(AttributeError):
                error.run = self._result("error")  # type: ignore[attr-defined]
            raise error from error.__cause__
        finally:
            if timer is not None:
                timer.cancel()

    def _loop(
        self, max_steps: int, decisions: Mapping[str, Any] | None
    ) -> Generator[Event, None, RunResult[Any]]:
        failures = retries = 0
        repeated = False
        if decisions is not None:
            calls = [call_of(call) for call in unanswered(self.talk.messages)]
            reason = yield from self._make(calls, decisions)
            if reason is not None:
                return self._result(reason)
        while True:
            reply = yield from self.ask(answer_only=repeated)
            message = stored(reply)
            calls = [call_of(call) for call in message.get("tool_calls") or ()]
            repeated = self._repeats(calls)
            if repeated:  # a small model repeats itself: it already has the results
                yield Retry("the model repeated its last calls")
                continue
            self.steps.append(Step(self.mode, reply, calls))
            if calls:
                self._check_calls(calls)
                self.talk.added.append(message)
                reason = yield from self._make(calls, {})
                if reason is not None:
                    return self._result(reason)
                failures = failures + 1 if all(call.error is not None for call in calls) else 0
                if failures >= self.settings.max_tool_errors:
                    return self._result("tool_errors")
                if len(self.steps) >= max_steps:
                    return self._result("max_steps")
                repeated = self._circles(calls)
                continue
            text = str(message.get("content") or "")
            cut_off = reply["choices"][0]["finish_reason"] == "length"
            if cut_off:
                self._check_tokens()
            output, problem = (None, None) if cut_off else self._output(text)
            if cut_off and self.typed:
                where = "" if text else ", before it began"
                problem = f"the answer was cut off{where}: allow more tokens (max_tokens)"
            if problem is None:
                self.talk.added.append(message)
                return self._result("length" if cut_off else "answer", output)
            retries += 1
            if retries > self.settings.output_retries:
                raise LlamaAnswerError(problem, text=text)
            self._ask_again(message, problem)
            yield Retry(problem)

    def _make(
        self, calls: list[ToolCall], decisions: Mapping[str, Any]
    ) -> Generator[Event, None, Reason | None]:
        """Run ``calls`` and add their results; a reason to stop if some were not made."""
        self.calls += calls
        if any(self._is_callers(call) and call.id not in decisions for call in calls):
            for call in calls:
                call.pending = True
            return "tool_calls"
        executor = replace(
            self.settings.executor, run_async=self.handle.run_async, context=self._context,
            check=self.handle.check, deadline=self.deadline, decisions=decisions, spans=self.spans,
        )  # fmt: skip
        finished: set[int] = set()
        try:
            for event in executor.run(calls, self.tools):
                if isinstance(event, ToolCallFinished):
                    self._shorten(event.call)
                    finished.add(id(event.call))
                yield event
        finally:  # also those before an error, in the order of the calls
            done = [call for call in calls if id(call) in finished]
            self.talk.added += [_result_message(call) for call in done]
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.handle.expire()  # the timer may be later than the tool
        self.handle.check()
        if any(call.pending for call in calls):
            return "approval"
        if media := [part for call in done for part in media_in(call.result)]:
            text = "Attached to the results:"
            if not self.facts.sees_media:
                text, media = "You cannot see the attached images and sounds.", []
            parts = [{"type": "text", "text": text}, *media]
            self.talk.added.append({"role": "user", "content": parts if media else text})
        if self.choice.kind == "required":  # once: the model needs the chance to use the results
            self.choice = Choice()
            self.mode = self._first_mode()
        return None

    def _repeats(self, calls: list[ToolCall]) -> bool:
        """Whether the model repeats calls of the caller whose results are the last messages."""
        if self.mode != "constrained" or self.choice.kind == "required":
            return False
        messages = self.talk.messages
        results: dict[Any, str] = {}
        while messages and messages[-1]["role"] == "tool":
            message = messages.pop()
            results[message.get("tool_call_id")] = str(message.get("content"))
        made = messages[-1].get("tool_calls") if messages else None
        before = [call_of(dict(call)) for call in made or () if call.get("id") in results]
        known = [(c.name, c.arguments) for c in before if not results[c.id].startswith("Error: ")]
        own = [call for call in calls if not self._is_callers(call)]
        return bool(calls) and not own and all((c.name, c.arguments) in known for c in calls)

    def _circles(self, calls: list[ToolCall]) -> bool:
        """Whether a small model repeats calls that give the same results: twice in a row, or a
        third time with others in between. Different results mean progress."""
        if self.mode != "constrained" or self.choice.kind == "required":
            return False
        made = [(call.name, call.arguments, call.text) for call in calls]
        again = made in self.made[-1:] or self.made.count(made) >= _MOST_ALIKE
        self.made.append(made)
        return again and not any(call.error for call in calls)

    def _context(self, call: ToolCall) -> RunContext[Any]:
        usage, _ = _totals(self.replies)
        messages = copy.deepcopy(self.talk.messages)
        deps = self.settings.deps if self.deps is None else self.deps
        return RunContext(deps, messages, usage, len(self.steps), call.name, call.id)

    def _is_callers(self, call: ToolCall) -> bool:
        tool = self.tools.get(call.name)
        return tool is not None and tool.function is None

    def _output(self, text: str) -> tuple[Any, str | None]:
        """The answer as the ``output_type``, or the problem with it."""
        if self.adapter is None:
            return None, None
        from pydantic import ValidationError

        try:
            return self.adapter.validate_json(text), None
        except ValidationError as error:
            with contextlib.suppress(ValidationError):
                return self.adapter.validate_python(text), None  # a text, without quotes
            return None, f"the answer does not fit: {error_text(error)}"

    def _ask_again(self, message: Json, problem: str) -> None:
        request = f"Error: {problem}. Answer again."
        if self.mode == "native":
            # From here on a schema replaces the tools.
            self.mode = "plain"
            request = f"Answer with JSON of this schema: {json.dumps(self.schema)}"
        self.talk.aside = [message, {"role": "user", "content": request}]

    def _result(self, reason: Reason, output: Any = None) -> RunResult[Any]:
        last = self.steps[-1].response["choices"][0]["message"] if self.steps else {}
        text = str(last.get("content") or "")
        if reason == "max_steps":
            text = f"There is no answer after {len(self.steps)} replies (max_steps)."
        elif reason == "tool_errors":
            text = f"There is no answer: {self.settings.max_tool_errors} replies had failing calls."
        elif reason not in ("answer", "length"):
            text = ""
        modes: list[Mode] = ["plain", *(step.mode for step in self.steps if step.mode != "plain")]
        return RunResult(
            text, output, reason, modes[-1], list(self.talk.added), self.calls, self.steps,
            *_totals(self.replies), reasoning=str(last.get("reasoning_content") or ""),
        )  # fmt: skip


def _check_called(reply: Json, response: Json, mode: Mode) -> None:
    """LlamaAnswerError if the model wrote something else instead of a call."""
    message, choice = response["choices"][0]["message"], reply["choices"][0]
    is_prose = mode == "native" and not message.get("tool_calls")  # which may be endless
    cut_off = choice["finish_reason"] == "length" and not is_prose
    if not choice["message"].get("tool_calls") and not cut_off:
        raise LlamaAnswerError(
            "the model must call a tool, but called none", text=message.get("content") or ""
        )


def _has_media(messages: list[Json]) -> bool:
    contents = [message.get("content") for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return any(isinstance(part, Mapping) and part.get("type") != "text" for part in parts)


def _ignored(value: object) -> None:
    """Stands in for the callback of a span when nothing is traced."""


def drain(events: Generator[Event, None, Json]) -> Json:
    """The result of ``events``, which are ignored."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return cast("Json", end.value)


def stored(reply: Json) -> Json:
    """The reply's message, as a copy for the conversation."""
    message = dict(reply["choices"][0]["message"])
    if message.get("tool_calls"):
        message["tool_calls"] = [dict(call) for call in message["tool_calls"]]
    return message


def call_of(call: Json) -> ToolCall:
    """A message's call, repaired as by `arguments_of`."""
    arguments, problem = arguments_of(call)
    return ToolCall(call["function"]["name"], arguments, call["id"], error=problem)


def _result_message(call: ToolCall) -> Json:
    return {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": call.text}


def _totals(replies: list[Json]) -> tuple[Usage, Timings]:
    usages = [reply.get("usage") or {} for reply in replies]
    timings = [reply.get("timings") or {} for reply in replies]
    details = [usage.get("prompt_tokens_details") or {} for usage in usages]

    def total(parts: list[Json], name: str) -> Any:
        return sum(part.get(name, 0) for part in parts)

    usage = Usage(
        prompt_tokens=total(usages, "prompt_tokens"),
        cached_tokens=total(details, "cached_tokens"),
        completion_tokens=total(usages, "completion_tokens"),
        drafted_tokens=total(timings, "draft_n"),
        accepted_tokens=total(timings, "draft_n_accepted"),
    )
    tokens, seconds = total(timings, "predicted_n"), total(timings, "predicted_ms") / 1000
    speed = tokens / seconds if seconds > 0 else 0.0
    return usage, Timings(total(timings, "prompt_ms") / 1000, seconds, speed)
