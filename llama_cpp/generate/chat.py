"""Chat messages as the prompt that a model was trained on: its own template, rendered."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

from .. import _raw
from .. import _std as std
from .._needs import needs
from ..errors import LlamaTemplateError
from ..model.quoting import Quoting
from ..native.arguments import c_number, c_string, check_type, text_bytes
from ..native.peers import unknown_keyword
from .options import GenerationOptions
from .reasoning import ChatPrompt, ReasoningTags, find_tags

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..model.model import LlamaModel

Message = dict[str, Any]
Outside = Callable[[Any], Any]

# llama-server keeps the reasoning of earlier answers where a template can, and so their tokens in
# the cache: every name that templates have for it.
_KEEP_REASONING = {
    "preserve_reasoning": True,
    "preserve_thinking": True,
    "clear_thinking": False,
    "truncate_history_thinking": False,
    "drop_thinking": False,
}


class ChatOptions(TypedDict, total=False):
    """How messages become a prompt."""

    template: str | None
    """A Jinja template; the name of one in the model's file, such as ``tool_use``; or the name of
    one that llama.cpp has built in, such as ``chatml``. By default the model's own."""
    tools: Sequence[Mapping[str, Any]] | None
    """Functions that the model may call, as the OpenAI API describes them."""
    thinking: bool | None
    """Whether a model that can think before it answers does so; by default as llama-server has it.
    Templates without such a switch ignore it."""
    template_kwargs: Mapping[str, Any] | None
    """More variables for the template, such as ``{"reasoning_effort": "low"}``."""
    jinja: bool
    """False to have the C API's function write the prompt (``llama_chat_apply_template``). It
    recognises some templates by words in them, and writes roles and contents alone."""


class ChatGenerationOptions(GenerationOptions, ChatOptions, total=False):
    """Keywords of `Llama.chat`: how messages become a prompt, and those of `Llama.generate`."""


def split_options(options: Mapping[str, Any]) -> tuple[ChatOptions, GenerationOptions]:
    """The options of the prompt, and those of the generation."""
    known = ChatGenerationOptions.__annotations__
    for name in options:
        if name not in known:
            raise unknown_keyword(name, known, "chat")
    of_chat: Any = {n: v for n, v in options.items() if n in ChatOptions.__annotations__}
    others: Any = {n: v for n, v in options.items() if n not in of_chat}
    return of_chat, others


def apply_chat_template(
    model: LlamaModel,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_assistant: bool = True,
    **options: Unpack[ChatOptions],
) -> str:
    """``messages`` as the text that the model was trained on, ready for `LlamaModel.tokenize` with
    ``parse_special=True``. It does not begin with a BOS where ``tokenize`` adds one.

    A message has a ``role`` and a ``content``, text or a list of parts (``{"type": "text", "text":
    ...}``). Answers can have ``tool_calls`` and ``reasoning_content`` as well, and results of tools
    a ``tool_call_id`` and a ``name``. If the last one is the assistant's, the text ends in it, to
    be continued; otherwise ``add_assistant`` ends it with the beginning of an answer.

    The template runs in a sandbox, with the variables that llama-server passes. What a template
    refuses is put in another way first: a system message joins the next one, and neighbours of one
    role become one message. Needs jinja2, the extra ``chat``, except for built-in templates.

    Raises TypeError and ValueError for wrong messages, and LlamaTemplateError for a missing or
    faulty template and for what it refuses.
    """
    return render_chat(model, messages, options, add_assistant)[0]


def chat_prompt(
    model: LlamaModel,
    messages: Sequence[Mapping[str, Any]],
    options: ChatOptions,
    parse_special: bool,
) -> ChatPrompt:
    """The tokens of ``messages``; see `apply_chat_template`."""
    prompt = ChatPrompt(token for token in model.vocab.added[:1] if token is not None)

    def render(outside: Outside) -> str:
        text, prompt.tags = render_chat(model, messages, options, outside=outside)
        return text

    prompt += Quoting(model, parse_special=parse_special).tokens(render)
    return prompt


def render_chat(
    model: LlamaModel,
    messages: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    add_assistant: bool = True,
    outside: Outside = lambda value: value,
) -> tuple[str, ReasoningTags | None]:
    """The text of `apply_chat_template`, and how the model marks its reasoning. What goes into the
    template goes through ``outside`` first."""
    for name in options:
        if name not in ChatOptions.__annotations__:
            raise unknown_keyword(name, ChatOptions.__annotations__, "apply_chat_template")
    checked = _checked(messages)
    tools = _tools(options.get("tools"))
    source, built_in = _source(model, options.get("template"), bool(tools))
    tags = None
    vocab = model.vocab
    bos, eos = (model.token_to_piece(t) if t is not None else "" for t in (vocab.bos, vocab.eos))
    if built_in or not c_number(ctypes.c_bool, options.get("jinja", True), "jinja"):
        text = _by_c(model, outside(checked), source, add_assistant)
    else:
        needs("jinja2", "A chat template", extra="chat")
        chat = chat_template(source)
        variables: dict[str, Any] = {"bos_token": bos, "eos_token": eos}
        if tools:
            variables["tools"] = outside(tools)
        thinking = options.get("thinking")
        if thinking is None:
            variables["enable_thinking"] = chat.tags is not None
        else:
            thinking = c_number(ctypes.c_bool, thinking, "thinking")
            variables |= {"enable_thinking": thinking, "thinking": thinking}
        more = options.get("template_kwargs") or {}
        check_type(more, Mapping)
        if not all(isinstance(name, str) for name in more):
            raise TypeError(f"template_kwargs must have names that are strings: {more!r}")
        text, tags = chat.prompt(checked, variables | dict(more), add_assistant, outside)
    if vocab.add_bos and bos:
        text = text.removeprefix(bos)
    if vocab.add_eos and eos:
        text = text.removesuffix(eos)
    return text, tags


def _source(model: LlamaModel, template: str | None, tools: bool) -> tuple[str, bool]:
    """The template that was asked for, and whether it is the name of a built-in one."""
    if template is None:
        found = (model.named_chat_template("tool_use") if tools else None) or model.chat_template
        if found is None:
            raise LlamaTemplateError(
                f"{model.path.name} has no chat template: give one, for example template='chatml'"
            )
        return found, False
    check_type(template, str)
    if "{{" in template or "{%" in template:
        return template, False
    names = _built_in(model)
    if template in names:
        return template, True
    found = model.named_chat_template(template)
    if found is None:
        raise LlamaTemplateError(
            f"there is no chat template {template!r}: give a Jinja template, the name of one in "
            f"the model's file, or one of {', '.join(names)}"
        )
    return found, False


def _built_in(model: LlamaModel) -> list[str]:
    call = model.library.short.llama_chat_builtin_templates
    array = (ctypes.c_char_p * call(None, 0))()
    call(array, len(array))
    return [name.decode() for name in array if name]


def _checked(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """``messages`` as data of their own, each with a role and a content."""
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise TypeError(f"messages must be a list of messages, not {messages!r}")
    if not messages:
        raise ValueError("there are no messages")
    checked = []
    for i, given in enumerate(messages):
        message = dict(given) if isinstance(given, Mapping) else {}
        content, role = message.get("content"), message.get("role")
        if content is None and role == "assistant" and ("content" in message or _calls(message)):
            content = ""
        parts = isinstance(content, list | tuple) and all(map(_is_text, content))
        if not isinstance(role, str) or not (isinstance(content, str) or parts):
            raise TypeError(
                f"message {i} must have a role that is a string, and a content that is a string "
                f"or a list of parts of type text: {given!r}"
            )
        for text in [content] if isinstance(content, str) else [p["text"] for p in content or ()]:
            text_bytes(text, f"message {i}")
        message["content"] = content
        for name in "reasoning_content", "tool_calls", "tool_call_id", "name":
            if name in message and not message[name]:
                del message[name]
        if "tool_calls" in message:
            message["tool_calls"] = [_call(call, i) for call in _calls(message)]
        checked.append(message)
    return checked


def _calls(message: Message) -> list[Any]:
    calls = message.get("tool_calls") or []
    return list(calls) if isinstance(calls, list | tuple) else [calls]


def _is_text(part: Any) -> bool:
    if not isinstance(part, Mapping) or part.get("type") != "text":
        return False
    return isinstance(part.get("text"), str)


def _call(call: Any, i: int) -> Message:
    """A tool call, checked."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise TypeError(f"message {i} has a tool call without a function's name: {call!r}")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            std.json.loads(arguments)
        except ValueError as error:
            raise ValueError(
                f"message {i} has a tool call whose arguments are not JSON: {arguments!r}"
            ) from error
    return {"type": "function", **call, "function": {**function, "arguments": arguments}}


def _tools(tools: Sequence[Mapping[str, Any]] | None) -> list[Message]:
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools or (), Sequence):
        raise TypeError(f"tools must be a list of tools, not {tools!r}")
    found = []
    for tool in tools or ():
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise TypeError(
                "a tool must be like {'type': 'function', 'function': {'name': ..., 'parameters': "
                f"...}}}}, not {tool!r}"
            )
        defaults = {"name": function["name"], "description": "", "parameters": {}}
        found.append({"type": "function", "function": {**defaults, **function}})
    return found


class ChatTemplate:
    """A chat template, and what it can do, found out by rendering with it."""

    def __init__(self, source: str) -> None:
        from ..model.template import Template

        self._template = Template(source)
        self._source = source

    def prompt(
        self,
        messages: list[Message],
        variables: dict[str, Any],
        add_assistant: bool,
        outside: Outside,
    ) -> tuple[str, ReasoningTags | None]:
        """The text for ``messages``, and how the reasoning of its answer is marked."""
        last = messages[-1]
        continues = last["role"] == "assistant" and "tool_calls" not in last
        if continues:
            text = self._continued(messages[:-1], last, variables, outside)
        else:
            text = self._render(messages, variables, add_assistant, outside)
        return text, self.tags and self.tags.of(text, continues)

    def _continued(
        self,
        messages: list[Message],
        last: Message,
        variables: dict[str, Any],
        outside: Outside,
    ) -> str:
        """The text that ends in the answer ``last``, which has only begun."""
        content: str = outside(_joined(last["content"]))
        thoughts: str = outside(last.get("reasoning_content", ""))
        before, begun = (
            self._render(messages, variables, add, outside) if messages else ""
            for add in (False, True)
        )
        if content:
            # As the template writes a whole answer, up to the end of its content.
            answer = {**last, "content": "CONTENT-7"}
            whole = self._render([*messages, answer], variables, False, outside)
            text, found, _ = whole.rpartition("CONTENT-7")
            ended = self.tags is None or self.tags.closed(text[len(before) :])
            if found and text.startswith(before) and ended:
                return text + content
        if self.tags is None:
            return begun + content
        header = len(begun) - len(before) if begun.startswith(before) else 0
        return self.tags.begin(begun, header, thoughts, content)

    def _render(
        self,
        messages: list[Message],
        variables: dict[str, Any],
        add_assistant: bool,
        outside: Outside,
    ) -> str:
        fitted = self._fitted(messages)
        try:
            return self._raw(outside(fitted), variables, add_assistant)
        except LlamaTemplateError:
            merged = _merged(fitted)
            if merged == fitted:
                raise
            try:
                return self._raw(outside(merged), variables, add_assistant)
            except LlamaTemplateError:
                pass  # the first error names the fault of the messages
            raise

    def _raw(
        self, messages: list[Message], variables: Mapping[str, Any], add_assistant: bool = True
    ) -> str:
        given = {
            **_KEEP_REASONING,
            "datetime": time.strftime("%b %d %Y"),
            "date_string": time.strftime("%d %b %Y"),
            **variables,
            "messages": messages,
        }
        if add_assistant:
            given["add_generation_prompt"] = True
        if "source_lang_code" in self._source:  # TranslateGemma
            given["messages"] = [_to_translate(message, given) for message in messages]
        return self._template.render(given)

    def _fitted(self, messages: list[Message]) -> list[Message]:
        """``messages`` in the form that this template reads."""
        fitted = [dict(message) for message in messages]
        if "<|channel|>" not in self._source:
            for message in fitted:
                if message["role"] == "developer":
                    message["role"] = "system"
        if fitted and fitted[0]["role"] == "system" and not self._reads_system:
            fitted = _without_system(fitted)
        for message in fitted:
            self._fit(message)
        if "<|tool_call>call:" in self._source and "OpenAI Chat" not in self._source:
            fitted = _with_responses(fitted)
        return fitted

    def _fit(self, message: Message) -> None:
        content, thoughts = message["content"], message.get("reasoning_content")
        if "You have access to the following functions in JSONSchema format" in self._source:
            # StepFun reasons for ever after white space.
            content = _changed(content, str.strip)
        if isinstance(content, str):
            if not self._reads_text and self._reads_parts:
                content = [{"type": "text", "text": content}]
        elif not self._reads_parts:
            content = _joined(content)
        if "== 'thinking'" in self._source and message["role"] in ("system", "assistant"):
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            block = [{"type": "thinking", "thinking": thoughts}] if thoughts else []
            content = [*block, *parts]
        elif thoughts and "reasoning_content" not in self._source:
            message["reasoning"] = message["thinking"] = thoughts
        elif message["role"] == "assistant" and not thoughts and self._wants_thoughts:
            message["reasoning_content"] = ""
        message["content"] = content
        if "tool_calls" in message:
            message["tool_calls"] = [self._fitted_call(call) for call in message["tool_calls"]]

    def _fitted_call(self, call: Message) -> Message:
        arguments = call["function"]["arguments"]
        if self._reads_objects and isinstance(arguments, str):
            arguments = std.json.loads(arguments)
        elif not self._reads_objects and not isinstance(arguments, str):
            arguments = std.json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        return {**call, "function": {**call["function"], "arguments": arguments}}

    def _shows(self, messages: list[Message], *words: str) -> str | None:
        """The text of ``messages``, if it can be rendered and has all ``words``."""
        try:
            text = self._raw(messages, {"bos_token": "", "eos_token": ""}, False)
        except LlamaTemplateError:
            return None
        return text if all(word in text for word in words) else None

    @cached_property
    def _reads_text(self) -> bool:
        return self._shows([_user("TEXT-7")], "TEXT-7") is not None

    @cached_property
    def _reads_parts(self) -> bool:
        words = "PART-7", "PART-8"
        text = self._shows([_user([{"type": "text", "text": w} for w in words])], *words)
        return text is not None and "type" not in text[text.index("PART-7") : text.index("PART-8")]

    @cached_property
    def _reads_system(self) -> bool:
        system = {"role": "system", "content": self._content("SYSTEM-7")}
        return self._shows([system, _user(self._content("USER-7"))], "SYSTEM-7") is not None

    @cached_property
    def _wants_thoughts(self) -> bool:
        """Whether it refuses an answer without reasoning, unless the empty text stands for it."""
        asked = _user(self._content("USER-7"))
        answer = {"role": "assistant", "content": self._content("ANSWER-7")}
        if self._shows([asked, answer], "ANSWER-7") is not None:
            return False
        return self._shows([asked, {**answer, "reasoning_content": ""}], "ANSWER-7") is not None

    @cached_property
    def _reads_objects(self) -> bool:
        """Whether it takes the arguments of a call as an object, and does not print it as Python
        does."""
        function = {"name": "tool_7", "arguments": {"argument_7": "VALUE-7"}}
        call = {"id": "call00001", "type": "function", "function": function}
        thoughts = {"reasoning_content": ""} if self._wants_thoughts else {}
        messages: list[Message] = [
            _user(self._content("USER-7")),
            {"role": "assistant", "content": self._content(""), "tool_calls": [call], **thoughts},
            {"role": "tool", "tool_call_id": "call00001", "content": self._content("RESULT-7")},
        ]
        text = self._shows(messages, "VALUE-7")
        return text is not None and "{'argument_7'" not in text

    def _content(self, text: str) -> Any:
        if self._reads_text or not self._reads_parts:
            return text
        return [{"type": "text", "text": text}]

    @cached_property
    def tags(self) -> ReasoningTags | None:
        """How the model marks its reasoning."""

        def render(answer: Message | None, add_assistant: bool) -> str:
            messages = [_user("USER-7")] + ([answer] if answer else [])
            return self._raw(self._fitted(messages), {"enable_thinking": True}, add_assistant)

        return find_tags(self._source, render)


chat_template: Callable[[str], ChatTemplate] = lru_cache(maxsize=32)(ChatTemplate)
"""`ChatTemplate` of a text, made once."""


def _user(content: Any) -> Message:
    return {"role": "user", "content": content}


def _to_translate(message: Message, variables: Mapping[str, Any]) -> Message:
    """A user's message with the languages, which are in ``template_kwargs``."""
    if message["role"] != "user":
        return message
    names = "source_lang_code", "target_lang_code"
    part = {"type": "text", "text": _joined(message["content"])}
    codes = {name: variables.get(name, "en-GB") for name in names}  # as llama-server has it
    return {**message, "content": [part | codes]}


def _joined(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content)


def _changed(content: Any, change: Callable[[str], str]) -> Any:
    if isinstance(content, str):
        return change(content)
    return [{**part, "text": change(part["text"])} for part in content]


def _without_system(messages: list[Message]) -> list[Message]:
    """``messages`` whose system messages are the beginning of the next one."""
    found: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "system":
            waiting.append(_joined(message["content"]))
        else:
            if waiting:
                text = "\n".join([*waiting, _joined(message["content"])])
                message, waiting = {**message, "content": text}, []
            found.append(message)
    return found + [_user("\n".join(waiting))] * bool(waiting)


def _with_responses(messages: list[Message]) -> list[Message]:
    """``messages`` whose results of tools are in the call's message, as the first templates of
    Gemma 4 have it: call, results and answer are one turn."""
    found: list[Message] = []
    for message in messages:
        turn = found[-1] if found else {}
        calls = turn.get("tool_calls", [])
        if message["role"] == "tool" and calls:
            results = turn.setdefault("tool_responses", [])
            call = calls[min(len(results), len(calls) - 1)]
            results.append(
                {"name": call["function"]["name"], "response": _data(message["content"])}
            )
        elif message["role"] == "assistant" and "tool_responses" in turn and not turn["content"]:
            turn |= {name: value for name, value in message.items() if name != "tool_calls"}
            found += [message] if "tool_calls" in message else []
        else:
            found.append(message)
    return found


def _data(text: Any) -> Any:
    try:
        return std.json.loads(_joined(text))
    except ValueError:
        return text


def _merged(messages: list[Message]) -> list[Message]:
    """``messages`` of which no two neighbours have one role, and only the first is a system's."""
    merged: list[Message] = []
    for message in [*messages[:1], *_without_system(messages[1:])]:
        before = merged[-1] if merged else None
        plain = message["role"] == "user" or (before and not {"tool_calls"} & {*message, *before})
        if before and plain and before["role"] == message["role"] != "tool":
            text = "\n".join(_joined(m["content"]) for m in (before, message))
            merged[-1] = {**before, "content": text}
        else:
            merged.append(message)
    return merged


def _by_c(model: LlamaModel, messages: list[Message], template: str, add_assistant: bool) -> str:
    """The text of the C API's own function for ``template``."""
    array = (_raw.llama_chat_message * len(messages))()
    keep = []
    for i, message in enumerate(messages):
        role, content = c_string(message["role"]), c_string(_joined(message["content"]))
        keep += [role, content]
        array[i] = _raw.llama_chat_message(role=role, content=content)
    room = 2 * sum(map(len, keep)) + 1024
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = model.library.short.llama_chat_apply_template(
            c_string(template), array, len(messages), bool(add_assistant), buffer, room
        )
        if size < 0:
            raise LlamaTemplateError(
                "llama.cpp's own function does not know this chat template: leave jinja=False "
                f"out, or name one, for example template='chatml'. It begins {template[:60]!r}"
            )
        if size <= room:
            return buffer.raw[:size].decode("utf-8", "replace")
        room = size
