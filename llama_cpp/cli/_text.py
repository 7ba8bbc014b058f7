"""``llama-py run`` and ``llama-py chat``: text in, text out."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..generate.generation import Generation, completion
from ._common import (
    give,
    json_option,
    loading_options,
    model_option,
    open_llama,
    parse_option,
    sampling,
    sampling_options,
    talk,
    text_or_stdin,
)

_HELP = """\
/clear       forget the conversation
/quit        leave; so does Ctrl-D. Ctrl-C stops an answer"""


@click.command()
@model_option
@sampling_options
@parse_option
@loading_options
@click.option("--timings", is_flag=True, help="Print the speed on stderr.")
@json_option
@click.argument("prompt", required=False)
def run(
    model: str, prompt: str | None, parse_special: bool, timings: bool, as_json: bool, **given: Any
) -> None:
    """Continue a text.

    Without a PROMPT, or with -, it is read from stdin. The text appears as it is generated; with
    --json, as one object at the end.
    """
    text = text_or_stdin(prompt)
    options = sampling(given)
    with open_llama(model, given) as llm:
        generation = llm.generate(text, parse_special=parse_special, **options)
        _give(generation, timings, as_json, [])


@click.command()
@model_option
@click.option("--system", "-s", help="System message.")
@click.option("--template", help="Chat template, or its name; by default the model's own.")
@click.option("--thinking/--no-thinking", default=None, help="Whether to reason before the answer.")
@sampling_options
@loading_options
@click.option("--timings", is_flag=True, help="Print the speed of each answer on stderr.")
@json_option
@click.argument("message", required=False)
def chat(
    model: str, system: str | None, template: str | None, thinking: bool | None, timings: bool,
    as_json: bool, message: str | None, **given: Any,
) -> None:  # fmt: skip
    """Talk with a model.

    With a MESSAGE, answer it and end; otherwise talk, line by line. The model is in this process.
    Its reasoning is printed on stderr. 'llama-py agent' has tools.
    """
    options = sampling(given)
    first = [] if system is None else [{"role": "system", "content": system}]
    messages = [*first]

    def answer(line: str) -> None:
        messages.append({"role": "user", "content": line})
        said: list[str] = []
        generation = None
        try:
            generation = llm.chat_stream(messages, template=template, thinking=thinking, **options)
            _give(generation, timings, as_json, said)
        finally:
            if generation is not None and any(said):
                thoughts = {"reasoning_content": generation.reasoning}
                messages.append({"role": "assistant", "content": "".join(said), **thoughts})
            else:
                messages.pop()

    def command(line: str) -> None:
        if line == "/clear":
            messages[:] = first
        else:
            click.echo(_HELP)

    with open_llama(model, given) as llm:
        talk(message, answer, command)


def _give(generation: Generation, timings: bool, as_json: bool, said: list[str]) -> None:
    """Write the text of ``generation``, and add it to ``said``."""
    if as_json:
        from dataclasses import asdict  # here: text alone appears sooner without

        done = completion(generation)
        said.append(done.text)
        names = ("text", "reasoning", "tokens", "finish_reason", "stopped_by")
        about = {"usage": asdict(done.usage), "timings": asdict(done.timings)}
        give({name: getattr(done, name) for name in names} | about)
    else:
        shown = 0
        for piece in generation:
            if new := generation.reasoning[shown:]:
                click.secho(new, dim=True, nl=False, err=True)
                shown += len(new)
            said.append(piece)
            click.echo(piece, nl=False)
            sys.stdout.flush()
        click.echo()
    if timings:
        usage, speed = generation.usage, generation.timings
        text = (
            f"{usage.prompt_tokens} tokens of prompt ({usage.cached_tokens} from the cache) in "
            f"{speed.prompt_seconds:.2f} s, {usage.completion_tokens} generated in "
            f"{speed.generation_seconds:.2f} s ({speed.tokens_per_second:.1f} per second)"
        )
        click.secho(text, dim=True, err=True)
