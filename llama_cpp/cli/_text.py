"""``llama-py run``: text in, text out."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    wrapped,
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


# A blank line between two blocks of Markdown: what follows does not belong to an item of a list.
_BORDER = re.compile(r"\n\n+(?=\S)")
# A block of code; its second group matches if it is not closed.
_CODE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1|(\Z))", re.MULTILINE | re.DOTALL)
_FRAME = 0.1  # seconds


def give_text(
    generation: Generation, timings: bool, as_json: bool, said: list[str], markdown: bool = False
) -> None:
    """Write the text of ``generation``, and add it to ``said``. With ``markdown`` a terminal shows
    it formatted."""
    if as_json:
        from dataclasses import asdict  # here: text alone appears sooner without

        done = completion(generation)
        said.append(done.text)
        names = ("text", "reasoning", "tokens", "finish_reason", "stopped_by")
        about = {"usage": asdict(done.usage), "timings": asdict(done.timings)}
        give({name: getattr(done, name) for name in names} | about)
    else:
        pieces = _pieces(generation, said)
        if markdown and sys.stdout.isatty():
            show_markdown(pieces)
        else:
            show_plain(pieces)
            click.echo()
    if timings:
        usage, speed = generation.usage, generation.timings
        text = (
            f"{usage.prompt_tokens} tokens of prompt ({usage.cached_tokens} from the cache) in "
            f"{speed.prompt_seconds:.2f} s, {usage.completion_tokens} generated in "
            f"{speed.generation_seconds:.2f} s ({speed.tokens_per_second:.1f} per second)"
        )
        click.secho(text, dim=True, err=True)


def _pieces(generation: Generation, said: list[str]) -> Iterator[str]:
    """The pieces of the answer; its reasoning goes to stderr, and is ended by a blank line."""
    shown, answer = 0, False
    for piece in generation:
        if new := generation.reasoning[shown:]:
            click.secho(visible(new), dim=True, nl=False, err=True)
            shown += len(new)
        if piece and shown and not answer:
            click.echo("\n", err=True)
        answer = answer or bool(piece)
        said.append(piece)
        yield piece


def show_plain(pieces: Iterable[str]) -> None:
    """The pieces as they are; on a terminal, lines end between words."""
    color = None
    if sys.stdout.isatty():
        pieces = map(visible, pieces)
        if os.environ.get("TERM") != "dumb":
            pieces, color = wrapped(pieces), True  # also with NO_COLOR: codes that move the cursor
    for piece in pieces:
        click.echo(piece, nl=False, color=color)
        sys.stdout.flush()


def _in_front() -> bool:
    """Whether this process has a terminal and may change it; a job in the background is stopped."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def _unechoed() -> Iterator[None]:
    """Hide typed characters: they, and the ^C of Ctrl-C, would move the cursor, and the Markdown
    would be drawn anew in the wrong place. The typed text becomes part of the next message."""
    if sys.platform == "win32" or not _in_front():
        yield
        return
    import termios  # which Windows does not have

    before = termios.tcgetattr(0)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(0, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)


@_unechoed()
def show_markdown(pieces: Iterator[str]) -> None:
    """Blocks that are complete are written for good. The last one is drawn anew until it is, cut
    off where it is longer than the screen."""
    from rich.console import Console  # here, as they take long to import
    from rich.live import Live
    from rich.markdown import Markdown

    def block(text: str) -> Markdown:
        return Markdown(visible(text), code_theme="ansi_dark", hyperlinks=False)

    console, text, drawn = Console(highlight=False), "", 0.0
    # Drawn by this thread alone: rich's own mixes up frames and printed blocks.
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            for piece in pieces:
                text += piece
                done, text = blocks(text)
                if done or time.monotonic() - drawn > _FRAME:
                    live.update(block(text))
                    for one in done:
                        console.print(block(one))
                    live.refresh()
                    drawn = time.monotonic()
        finally:
            live.vertical_overflow = "visible"
            live.update(block(text), refresh=True)


def blocks(text: str) -> tuple[list[str], str]:
    """The complete blocks of Markdown at the beginning of ``text``, and the rest."""
    done, start = [], 0
    for border in _BORDER.finditer(text):
        block = text[start : border.start()]
        if all(code[2] is None for code in _CODE.finditer(block)):
            done.append(block)
            start = border.end()
    return done, text[start:]
