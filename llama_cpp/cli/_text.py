"""``llama-py run`` and ``llama-py chat``: text in, text out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from ..errors import LlamaError
from ..generate.generation import Completion, Generation, completion
from ..generate.llama import Llama
from ._common import (
    give,
    going_on,
    json_option,
    lines,
    loading_options,
    model_option,
    open_llama,
    sampling,
    sampling_options,
    text_or_stdin,
)

_HELP = """\
/clear       forget the conversation
/quit        leave; so does Ctrl-D. Ctrl-C stops an answer"""


@click.command()
@model_option
@sampling_options
@loading_options
@click.option("--timings", is_flag=True, help="Say on stderr how fast it was.")
@json_option
@click.argument("prompt", required=False)
def run(model: str, prompt: str | None, timings: bool, as_json: bool, **given: Any) -> None:
    """Go on with a text.

    Without a PROMPT, or with -, it is read from stdin. The text comes out as it is generated; with
    --json, one object at the end.
    """
    text = text_or_stdin(prompt)
    options = sampling(given)
    with open_llama(model, given) as llm:
        _give(llm.generate(text, **options), timings, as_json, [])


@click.command()
@model_option
@click.option("--system", "-s", help="System message.")
@click.option("--template", help="Chat template that llama.cpp knows; by default the model's own.")
@sampling_options
@loading_options
@click.option("--timings", is_flag=True, help="Say on stderr how fast each answer was.")
@json_option
@click.argument("message", required=False)
def chat(
    model: str,
    system: str | None,
    template: str | None,
    timings: bool,
    as_json: bool,
    message: str | None,
    **given: Any,
) -> None:
    """Talk with a model.

    With a MESSAGE, answer it and end; otherwise talk, line by line. The model is in this process;
    'llama-py agent' has tools, and runs chat templates that this one does not know.
    """
    options = sampling(given)
    messages = [] if system is None else [{"role": "system", "content": system}]
    with open_llama(model, given) as llm:
        said: Iterable[str] = lines() if message is None else [message]
        for line in said:
            if line in ("/quit", "/exit"):
                return
            if line == "/clear":
                del messages[0 if system is None else 1 :]
            elif line.startswith("/") and message is None:
                click.echo(_HELP)
            elif line.strip():
                messages.append({"role": "user", "content": line})
                answer = _answer(
                    llm, messages, template, options, timings, as_json, once=message is not None
                )
                if answer is None:
                    messages.pop()
                else:
                    messages.append({"role": "assistant", "content": answer})


def _answer(
    llm: Llama,
    messages: list[dict[str, str]],
    template: str | None,
    options: dict[str, Any],
    timings: bool,
    as_json: bool,
    *,
    once: bool,
) -> str | None:
    """The answer to ``messages``, as far as it came, shown; None where it could not begin."""
    said: list[str] = []
    try:
        generation = llm.chat_stream(messages, template=template, **options)
    except (LlamaError, ValueError) as error:  # such as one that is too long
        if once:
            raise
        click.secho(str(error), fg="red", err=True)
        return None
    with going_on(once=once):
        _give(generation, timings, as_json, said)
    return "".join(said)


def _give(generation: Generation, timings: bool, as_json: bool, said: list[str]) -> None:
    """Write the text of ``generation``, and add it to ``said``."""
    if as_json:
        done = completion(generation)
        said.append(done.text)
        give(_plain(done))
    else:
        for piece in generation:
            said.append(piece)
            click.echo(piece, nl=False)
            sys.stdout.flush()
        click.echo()
    if timings:
        usage, speed = generation.usage, generation.timings
        click.secho(
            f"{usage.prompt_tokens} tokens of prompt ({usage.cached_tokens} from the cache) in "
            f"{speed.prompt_seconds:.2f} s, {usage.completion_tokens} generated in "
            f"{speed.generation_seconds:.2f} s ({speed.tokens_per_second:.1f} per second)",
            dim=True,
            err=True,
        )


def _plain(done: Completion) -> dict[str, Any]:
    return {
        "text": done.text,
        "tokens": done.tokens,
        "finish_reason": done.finish_reason,
        "stopped_by": done.stopped_by,
        "usage": asdict(done.usage),
        "timings": asdict(done.timings),
    }
