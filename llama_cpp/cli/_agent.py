"""``llama-py agent``: a chat with a model that can call tools."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Generator
from contextlib import ExitStack, closing
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import click

from ..agent.agent import LlamaAgent
from ..agent.events import (
    Done,
    Event,
    ReasoningDelta,
    Retry,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from ..agent.server import LlamaServer
from ..agent.tools import Deny, Tool, ToolCall, as_tools
from ..errors import LlamaError
from . import visible
from ._common import COUNT, MODEL, NUMBER, ModelCommand, find, help_lines, note, talk, unknown
from ._text import show_markdown, show_plain

_SHOWN = 500  # characters of a tool's result
_COMMANDS = {
    "/tools": "List the tools that the model can call.",
    "/clear": "Forget the conversation.",
    "/save FILE": "Write the conversation to a file.",
    "/load FILE": "Continue a saved conversation.",
    "/help": "List the commands.",
    "/quit": "Leave; so does Ctrl-D. Ctrl-C stops an answer, Alt-Enter begins a new line.",
}


@click.command(cls=ModelCommand)
@click.option("--model", "-m", type=MODEL, help="As in 'llama-py run'; starts a server.")
@click.option("--url", help="A running llama-server, instead of --model.")
@click.option(
    "--api-key", envvar="LLAMA_API_KEY", help="The server's key [environment: LLAMA_API_KEY]."
)
@click.option(
    "--tools", "-t", multiple=True, type=click.Path(exists=True, dir_okay=False),
    help="Python file whose public functions, or whose TOOLS, are tools; can be repeated.",
)  # fmt: skip
@click.option(
    "--mcp", multiple=True, metavar="COMMAND|URL",
    help="MCP server whose tools are offered; can be repeated.",
)  # fmt: skip
@click.option("--system", "-s", help="System message.")
@click.option(
    "--mode", type=click.Choice(["auto", "native", "constrained"]), default="auto",
    show_default=True, help="How tools are offered.",
)  # fmt: skip
@click.option("--ctx-size", "-c", type=COUNT, default=8192, show_default=True, help="With --model.")
@click.option("--max-tokens", "-n", type=COUNT, help="The most to generate in a reply.")
@click.option("--temperature", type=NUMBER, help="0 takes the most likely token.")
@click.option(
    "--max-steps", type=COUNT, default=10, show_default=True, help="Replies to a message."
)
@click.option("--ask/--no-ask", default=False, help="Ask before each call of a tool.")
@click.option("--markdown/--plain", default=True, help="Whether a terminal formats answers.")
@click.argument("message", required=False)
def agent(
    message: str | None, model: str | None, url: str | None, api_key: str | None,
    tools: tuple[str, ...], ctx_size: int, ask: bool, markdown: bool, **options: Any,
) -> None:  # fmt: skip
    """Chat with a model that can call tools.

    With a MESSAGE, answer it and end (- is all of stdin); otherwise talk, line by line.
    """
    if (model is None) == (url is None):
        raise click.UsageError("give either --model or --url")
    options["tools"] = [tool for file in tools for tool in _tools_of(Path(file))]
    options["before_call"] = _asked if ask else None
    with ExitStack() as stack:
        if url is not None:
            talker = LlamaAgent(url, api_key=api_key, **options)
        else:
            assert model is not None
            server = stack.enter_context(LlamaServer(find(model), ctx_size=ctx_size))
            talker = server.agent(**options)
        answer = partial(_answer, talker, markdown and sys.stdout.isatty())
        talk(message, answer, partial(_command, talker))


def _answer(agent: LlamaAgent, markdown: bool, message: str) -> None:
    event = None
    with closing(cast("Generator[Event]", agent.stream(message))) as events:
        for is_text, group in groupby(events, lambda event: isinstance(event, TextDelta)):
            if is_text:
                show = show_markdown if markdown else show_plain
                show(visible(cast("TextDelta", event).text) for event in group)
                continue
            for event in group:
                _show(event)
    if not markdown:
        click.echo()
    if isinstance(event, Done) and event.result.reason == "length":
        click.secho("[cut off: -n, or the room of -c, is used up]", dim=True, err=True)
    elif isinstance(event, Done) and event.result.reason != "answer":
        raise LlamaError(event.result.text or f"the run ended with {event.result.reason}")


def _show(event: Event) -> None:
    if isinstance(event, ReasoningDelta):
        click.secho(visible(event.text), nl=False, dim=True, err=True)
    elif isinstance(event, ToolCallStarted):
        click.secho(f"-> {_written(event.call)}", fg="cyan", err=True)
    elif isinstance(event, ToolCallFinished):
        text = event.call.text
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
        click.secho(f"<- {visible(shown)}", fg="red" if event.call.error else "green", err=True)
    elif isinstance(event, Retry):
        click.secho(f"\n[again: {visible(event.reason)}]", dim=True, err=True)


def _command(agent: LlamaAgent, line: str) -> None:
    name, _, argument = line.partition(" ")
    argument = argument.strip()
    if name == "/clear":
        agent.reset()
        note("The conversation is forgotten.")
    elif name == "/tools":
        for tool in agent.tools.values():
            click.echo(visible(f"{tool.name}: {tool.description.partition(chr(10))[0]}"))
    elif name in ("/save", "/load"):
        if not argument:
            raise LlamaError("give the name of a file")
        try:
            (agent.save if name == "/save" else agent.load)(argument)
        except OSError as error:  # any other OSError ends the program, as a closed pipe must
            raise LlamaError(str(error)) from error
        note(f"{argument} is {'written' if name == '/save' else 'loaded'}.")
    elif name in ("/help", "/?"):
        click.echo(help_lines(_COMMANDS))
    else:
        raise unknown(name, _COMMANDS)


def _asked(call: ToolCall) -> Deny | None:
    return None if click.confirm(f"Call {_written(call)}?", err=True) else Deny()


def _written(call: ToolCall) -> str:
    """The call in one line, in which every character can be seen."""
    given = [f"{repr(name)[1:-1]}={value!r}" for name, value in call.arguments.items()]
    return f"{repr(call.name)[1:-1]}({', '.join(given)})"


def _tools_of(file: Path) -> list[Tool]:
    """The tools in a Python file: its ``TOOLS`` or its public functions."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise click.BadParameter(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # hints are looked up there
    sys.path.insert(0, str(file.resolve().parent))  # as for a script
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise click.BadParameter(f"{file} raised {type(error).__name__}: {error}") from error
    found = getattr(module, "TOOLS", None)
    if found is None:
        found = [value for name, value in vars(module).items() if _is_tool(name, value, module)]
    try:
        tools = list(as_tools(found).values())
    except (TypeError, ValueError, LlamaError) as error:
        raise click.BadParameter(f"{file}: {error}") from error
    if not tools:
        raise click.BadParameter(f"{file} has no public function")
    return tools


def _is_tool(name: str, value: Any, module: Any) -> bool:
    own = inspect.isfunction(value) and value.__module__ == module.__name__
    return isinstance(value, Tool) or (own and not name.startswith("_"))
