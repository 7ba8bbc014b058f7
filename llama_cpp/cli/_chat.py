"""``llama-py chat``: a conversation in the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .. import Llama
from ..errors import LlamaError
from ..generate.generation import Generation
from ._common import (
    ModelCommand,
    help_lines,
    json_option,
    keyword,
    loading_options,
    model_option,
    note,
    open_llama,
    sampling,
    sampling_options,
    talk,
    unknown,
)
from ._text import give_text

_COMMANDS = {
    "/system TEXT": "Set the system message; without a text, remove it.",
    "/set NAME VALUE": "Set a keyword of Llama.generate, its value in JSON: /set temperature 0",
    "/read FILE": "Put the text of a file before the next message.",
    "/regen": "Answer the last message again.",
    "/edit": "Change the last message in an editor, and answer it.",
    "/clear": "Forget the conversation.",
    "/save FILE": "Write the conversation to a file, as JSON.",
    "/load FILE": "Continue a saved conversation.",
    "/stats": "Show the last answer's tokens and speed, and the room that is used.",
    "/help": "List the commands.",
    "/quit": "Leave; so does Ctrl-D. Ctrl-C stops an answer, Alt-Enter begins a new line.",
}


@click.command(cls=ModelCommand)
@model_option
@click.option("--system", "-s", help="System message.")
@click.option("--template", help="Chat template, or its name; by default the model's own.")
@click.option("--thinking/--no-thinking", default=None, help="Whether to reason before the answer.")
@sampling_options
@loading_options
@click.option("--markdown/--plain", default=True, help="Whether a terminal formats answers.")
@click.option("--timings", is_flag=True, help="Print the speed of each answer on stderr.")
@json_option
@click.argument("message", required=False)
def chat(
    model: str, system: str | None, template: str | None, thinking: bool | None, markdown: bool,
    timings: bool, as_json: bool, message: str | None, **given: Any,
) -> None:  # fmt: skip
    """Talk with a model.

    With a MESSAGE, answer it and end (- is all of stdin); otherwise talk, message by message:
    /help lists the commands. The model is in this process. Its reasoning is printed on stderr.
    'llama-py agent' has tools.
    """
    options = {"template": template, "thinking": thinking, **sampling(given)}
    with open_llama(model, given) as llm:
        how = {"timings": timings, "as_json": as_json, "markdown": markdown}
        conversation = _Conversation(llm, options, how)
        conversation.set_system(system)
        talk(message, conversation.answer, conversation.command)


class _Conversation:
    def __init__(self, llm: Llama, options: dict[str, Any], how: dict[str, bool]) -> None:
        self._llm = llm
        self._options = options
        self._how = how  # to write an answer
        self._messages: list[dict[str, str]] = []
        self._read: list[str] = []
        """Texts of files for the next message."""
        self._last: Generation | None = None

    def set_system(self, text: str | None) -> None:
        self._messages[:] = [m for m in self._messages if m["role"] != "system"]
        if text:
            self._messages.insert(0, {"role": "system", "content": text})

    def answer(self, line: str) -> None:
        """Answer the message ``line``; it is forgotten if there is no answer."""
        self._messages.append({"role": "user", "content": "\n\n".join([*self._read, line])})
        said: list[str] = []
        generation = None
        try:
            generation = self._llm.chat_stream(self._messages, **self._options)
            give_text(generation, said=said, **self._how)
            if generation.finish_reason == "length" and not self._how["as_json"]:
                n, room = generation.usage.completion_tokens, self._llm.ctx.n_ctx
                limited = self._options.get("max_tokens") == n
                reason = f"-n is {n}" if limited else f"the room of -c, {room} tokens, is used up"
                click.secho(f"[cut off: {reason}]", dim=True, err=True)
        finally:
            if generation is not None and any(said):
                thoughts = {"reasoning_content": generation.reasoning}
                self._messages.append({"role": "assistant", "content": "".join(said), **thoughts})
                self._last = generation
                self._read.clear()
            else:
                self._messages.pop()

    def command(self, line: str) -> None:
        """Do what a line that begins with / asks for."""
        name, _, argument = line.partition(" ")
        argument = argument.strip()
        if name == "/system":
            self.set_system(argument)
            note(f"The system message is {'set' if argument else 'removed'}.")
        elif name == "/set":
            self._set(*argument.split(None, 1))
        elif name == "/read":
            self._read.append(_file(argument).read_text("utf-8"))
            note(f"The next message begins with {argument}.")
        elif name in ("/regen", "/edit"):
            self._again(name == "/edit")
        elif name == "/clear":
            self._messages[:] = [m for m in self._messages if m["role"] == "system"]
            note("The conversation is forgotten.")
        elif name == "/save":
            _file(argument).write_text(json.dumps(self._messages, ensure_ascii=False), "utf-8")
            note(f"The conversation is written to {argument}.")
        elif name == "/load":
            self._messages[:] = _saved(_file(argument))
            note(f"The conversation is that of {argument}.")
        elif name == "/stats":
            self._stats()
        elif name in ("/help", "/?"):
            click.echo(help_lines(_COMMANDS))
        else:
            raise unknown(name, _COMMANDS)

    def _set(self, name: str = "", value: str = "") -> None:
        if not value:
            raise LlamaError("give a name and a value: /set temperature 0.2")
        tried = {**self._options, name: keyword(value)}
        self._llm.chat_stream([{"role": "user", "content": "."}], **tried).close()  # or an error
        self._options = tried
        note(f"{name} is {tried[name]!r}.")

    def _again(self, edit: bool) -> None:
        at = max((i for i, m in enumerate(self._messages) if m["role"] == "user"), default=None)
        if at is None:
            raise LlamaError("there is no message yet")
        text: str | None = self._messages[at]["content"]
        if edit:
            text = click.edit(text)
            if text is None:
                raise LlamaError("the message was not changed")
        before = self._messages[:]
        del self._messages[at:]
        try:
            assert text is not None
            self.answer(text.rstrip("\n"))
        finally:
            if len(self._messages) == at:  # no answer: keep the old one
                self._messages[:] = before

    def _stats(self) -> None:
        if self._last is None:
            raise LlamaError("there is no answer yet")
        usage, speed = self._last.usage, self._last.timings
        total = usage.prompt_tokens + usage.completion_tokens
        click.echo(
            f"prompt {usage.prompt_tokens} tokens, {usage.cached_tokens} of them from the cache, "
            f"{speed.prompt_seconds:.2f} s; answer {usage.completion_tokens} tokens, "
            f"{speed.tokens_per_second:.1f} per second; {total} of {self._llm.ctx.n_ctx} tokens of "
            "room are used"
        )


def _file(name: str) -> Path:
    if not name:
        raise LlamaError("give the name of a file")
    return Path(name).expanduser()


def _saved(file: Path) -> list[dict[str, str]]:
    messages = json.loads(file.read_text("utf-8"))
    right = isinstance(messages, list) and all(
        isinstance(m, dict) and {"role", "content"} <= m.keys() for m in messages
    )
    if not right:
        raise LlamaError(f"{file} is not a saved conversation")
    return list(messages)
