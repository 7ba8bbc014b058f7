"""Tool calls for models whose chat template knows no tools.

The tools are described in the system message, and a JSON schema forces the reply into a call of one
of them or an answer. The conversation is rewritten as text: calls as the JSON that the model wrote,
results as messages from the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..server._fields import Json
from .schema import (
    answer_text,
    as_json,
    definitions_text,
    for_server,
    members_text,
    merge_definitions,
    notes_text,
)
from .tools import Tool

ANSWER: Json = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "number"}]}
"""The schema of a plain text answer. Small models write numbers without quotes."""

_MOST_CALLS = 16
# Small models repeat an example instead of using the words of the user: it is left out, and the
# rest of the description stays.
_EXAMPLE = re.compile(
    r"""[\s,;:(]*\b(?:e\.g\.|for\ example|for\ instance)
    (?:[^()"'.;]|"[^"]*"|'[^']*'|\.(?!\s|$))*\)?""",
    re.I | re.X,
)
_ANSWER = re.compile(r'\s*\{\s*"answer"\s*:\s*"')
# Whole characters of a JSON string: plain, \n, \u00e9, and surrogate pairs, which are one.
_CHARACTERS = re.compile(
    r'(?:[^"\\]|\\[^u]|\\u(?!d[89ab])[0-9a-f]{4}|'
    r"\\u[0-9a-f]{4}(?:\\u[0-9a-f]{4}|(?=[^\\]|\\[^u])))*",
    re.I,
)
_CALL_FORM = '{"tool": ..., "arguments": {...}}'
_CALLS_FORM = f'{{"calls": [{_CALL_FORM}, ...]}}'
_ANSWER_FORM = '{"answer": ...}'
_OF_PROGRAM = ("system", "developer")


@dataclass(frozen=True)
class Protocol:
    """The replies that the model may give."""

    tools: Mapping[str, Tool]
    """The tools that are described to it."""
    answer: Json | None = field(default_factory=lambda: ANSWER)
    """The schema of an answer; None if it must call a tool."""
    parallel: bool = False
    """Whether one reply may hold several calls."""
    answer_only: bool = False
    """Whether it must answer now, without a call."""

    def system(self) -> str:
        """The description of the tools and of the replies."""
        call = f"{_CALLS_FORM} to call tools" if self.parallel else f"{_CALL_FORM} to call a tool"
        answer = "" if self.answer is None else f", or {_ANSWER_FORM} to answer the user"
        if self.answer is not None and self.answer is not ANSWER:
            answer += f", where answer: {answer_text(self.answer)}"
        lines = [f"Reply with JSON only: {call}{answer}.", "", "Tools:"]
        for tool in self.tools.values():
            lines += _described(tool)
        return "\n".join(lines)

    def schema(self) -> Json:
        """The schema of a reply."""
        definitions: Json = {}
        alternatives: list[Json] = []
        if not self.answer_only:
            calls = []
            for i, tool in enumerate(self.tools.values()):
                arguments = merge_definitions(for_server(tool.parameters), f"t{i}", definitions)
                calls.append(_object(tool={"const": tool.name}, arguments=arguments))
            if self.parallel:
                one = calls[0] if len(calls) == 1 else {"anyOf": calls}
                listed = {"type": "array", "items": one, "minItems": 1, "maxItems": _MOST_CALLS}
                alternatives.append(_object(calls=listed))
            else:
                alternatives += calls
        if self.answer is not None:
            answer = merge_definitions(for_server(self.answer), "a", definitions)
            alternatives.append(_object(answer=answer))
        schema = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
        return {**schema, "$defs": definitions} if definitions else schema

    def messages(self, messages: Sequence[Mapping[str, Any]]) -> list[Json]:
        """``messages`` as text, with the tools in the system message."""
        return with_system(as_text(messages, answers=True), self.system())


def with_system(messages: Sequence[Json], text: str) -> list[Json]:
    """``messages`` with ``text`` at the end of the system message."""
    if not messages or messages[0].get("role") not in _OF_PROGRAM:
        return [{"role": "system", "content": text}, *messages]
    first, *rest = messages
    before = str(first.get("content") or "")
    return [{**first, "content": f"{before}\n\n{text}" if before else text}, *rest]


def as_text(messages: Sequence[Mapping[str, Any]], *, answers: bool = False) -> list[Json]:
    """``messages`` for a template that knows neither calls nor results. With ``answers`` the
    model's answers have the form that a `Protocol` asks for."""
    result: list[Json] = []
    names: dict[str, str] = {}
    for message in messages:
        role, content = message.get("role"), _one_text(message.get("content"))
        if role == "assistant":
            calls = message.get("tool_calls") or ()
            for call in calls:
                names[call.get("id", "")] = call["function"]["name"]
            if calls:
                written = [_written(call["function"]) for call in calls]
                content = as_json(written[0] if len(written) == 1 else {"calls": written})
            elif answers:
                content = as_json({"answer": _json_or_text(content)})
            result.append({"role": "assistant", "content": content or ""})
        elif role == "tool":
            name = message.get("name") or names.get(message.get("tool_call_id", "")) or "the tool"
            _add(result, "user", f"Result of {name}: {content}")
        elif role == "user":
            _add(result, role, content)
        else:
            result.append({**message, "content": content})
    return result


def alternating(messages: Sequence[Json]) -> list[Json]:
    """Texts for a template that takes only a system message first, a user's, an assistant's and so
    on: later system messages are the user's, and neighbours of one role are one message."""
    result: list[Json] = []
    for message in messages:
        role, last = message["role"], result[-1]["role"] if result else "system"
        if role in _OF_PROGRAM:
            role = "system" if last == "system" else "user"
        if role == "assistant" and last == "system":
            _add(result, "user", "")
        _add(result, role, message["content"])
    return result


def read_reply(text: str) -> tuple[str | None, list[Json]]:
    """A whole reply: the answer, or the calls as ``{"name": ..., "arguments": ...}``.

    ValueError if it is neither, for example because it was cut off.
    """
    reply = json.loads(text, strict=False)
    if not isinstance(reply, dict):
        raise ValueError("the reply is not a JSON object")
    if "answer" in reply:
        answer = reply["answer"]
        return answer if isinstance(answer, str) else as_json(answer), []
    calls = reply.get("calls", [reply])
    try:
        return None, [{"name": c["tool"], "arguments": as_json(c["arguments"])} for c in calls]
    except (KeyError, TypeError) as error:
        raise ValueError("the reply is neither a call nor an answer") from error


class Stops:
    """Ends a text before the first of some strings."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [text for text in texts if text]
        self._held = ""
        self._ended = False

    def cut(self, text: str) -> str:
        """``text`` up to the first of the strings."""
        found = [at for one in self._texts if (at := text.find(one)) >= 0]
        return text[: min(found)] if found else text

    def feed(self, part: str) -> str:
        """The text up to ``part`` that belongs to no stop string."""
        text = "" if self._ended else self._held + part
        cut = self.cut(text)
        self._ended = self._ended or len(cut) < len(text)
        if self._ended:
            self._held = ""
            return cut
        sizes = (n for one in self._texts for n in range(len(one)) if text.endswith(one[:n]))
        keep = max(sizes, default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """The text that is held back when the answer ends."""
        held, self._held = self._held, ""
        return held


class AnswerReader:
    """Reads a reply while it is generated, and extracts the text of its answer."""

    def __init__(self) -> None:
        self._raw = ""
        self._inside = False
        self._ended = False

    def feed(self, part: str) -> str:
        """The answer's text that ``part`` completes."""
        if self._ended:
            return ""
        self._raw += part
        if not self._inside:
            start = _ANSWER.match(self._raw)
            if start is None:
                return ""
            self._inside = True
            self._raw = self._raw[start.end() :]
        found = _CHARACTERS.match(self._raw)
        assert found is not None  # the pattern matches an empty text, too
        self._raw = self._raw[found.end() :]
        self._ended = self._raw.startswith('"')
        return str(json.loads(f'"{found[0]}"', strict=False))


def _described(tool: Tool) -> list[str]:
    signature = ", ".join(members_text(tool.parameters))
    about = " ".join(tool.description.split())
    lines = [f"- {tool.name}({signature}){': ' + about if about else ''}"]
    for name, schema in tool.parameters.get("properties", {}).items():
        notes = _EXAMPLE.sub("", notes_text(schema)).strip()
        if notes:
            lines.append(f"  {name}: {notes}")
    return [*lines, *(f"  {text}" for text in definitions_text(tool.parameters))]


def _object(**properties: Json) -> Json:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {**schema, "additionalProperties": False}


def _written(function: Mapping[str, Any]) -> Json:
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json_or_text(arguments)
    return {"tool": function["name"], "arguments": arguments}


def _json_or_text(text: Any) -> Any:
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return text if text is not None else ""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _add(messages: list[Json], role: str, content: Any) -> None:
    """Add to the last message if it has the same ``role``: many templates want them to
    alternate."""
    last = messages[-1] if messages else {}
    if last.get("role") != role:
        messages.append({"role": role, "content": content})
    elif isinstance(last["content"], str) and isinstance(content, str):
        last["content"] += f"\n\n{content}"
    else:
        last["content"] = [*_parts(last["content"]), *_parts(content)]


def _one_text(content: Any) -> Any:
    """``content`` without parts if all are text: the server cannot join a system message with
    them."""
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        return "\n".join(str(part.get("text")) for part in content)
    return content


def _parts(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
