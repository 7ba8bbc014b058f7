"""``llama-py run``: text in, text out."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..generate.generation import Generation, completion
from . import visible
from ._common import (
    ModelCommand,
    give,
    json_option,
    loading_options,
    model_option,
    open_llama,
    parse_option,
    sampling,
    sampling_options,
    text_or_stdin,
)


@click.command(cls=ModelCommand)
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
        give_text(generation, timings, as_json, [])


def give_text(generation: Generation, timings: bool, as_json: bool, said: list[str]) -> None:
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
                click.secho(visible(new), dim=True, nl=False, err=True)
                shown += len(new)
            said.append(piece)
            click.echo(visible(piece) if sys.stdout.isatty() else piece, nl=False)
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
