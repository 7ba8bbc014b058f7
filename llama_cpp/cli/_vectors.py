"""``llama-py embed`` and ``llama-py tokenize``: text as numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from ..model.model import LlamaModel
from ._common import (
    ModelCommand,
    find,
    give,
    json_option,
    loading_options,
    model_option,
    open_llama,
    parse_option,
    text_or_stdin,
)

_AT_ONCE = 64  # texts to compute before any is written


@click.command(cls=ModelCommand)
@model_option
@loading_options
@parse_option
@click.option("--normalize/--no-normalize", default=True, help="Scale each vector to length 1.")
@json_option
@click.argument("texts", nargs=-1)
def embed(
    model: str, parse_special: bool, normalize: bool, as_json: bool, texts: tuple[str, ...],
    **given: Any,
) -> None:  # fmt: skip
    """Turn texts into vectors, a line for each.

    Without TEXTS, each line of stdin is one. A vector is numbers with spaces between them; with
    --json, an object with the text and its embedding.
    """
    source = iter(texts) if texts else _lines()
    with open_llama(model, given) as llm:
        while some := list(islice(source, _AT_ONCE)):
            rows: Any = llm.embed(some, normalize=normalize, parse_special=parse_special).tolist()
            for text, row in zip(some, rows, strict=True):
                if as_json:
                    give({"text": text, "embedding": row})
                else:
                    click.echo(" ".join(f"{number:.7g}" for number in row))


def _lines() -> Iterator[str]:
    return (line.rstrip("\n") for line in sys.stdin if line.strip())


@click.command(cls=ModelCommand)
@model_option
@click.option("--special/--no-special", default=True, help="Add the tokens that begin and end it.")
@parse_option
@json_option
@click.argument("text", required=False)
def tokenize(
    model: str, special: bool, parse_special: bool, as_json: bool, text: str | None
) -> None:
    """Split a text into tokens, a line for each.

    A line has the token's number and its piece. Without a TEXT, or with -, it is read from stdin.
    A piece with a part of a character has U+FFFD in it.
    """
    text = text_or_stdin(text)
    with LlamaModel.from_file(find(model), vocab_only=True) as loaded:
        tokens = loaded.tokenize(text, add_special=special, parse_special=parse_special)
        pieces = [loaded.token_to_piece(token) for token in tokens]
    if as_json:
        give([{"id": token, "piece": piece} for token, piece in zip(tokens, pieces, strict=True)])
        return
    for token, piece in zip(tokens, pieces, strict=True):
        click.echo(f"{token}\t{piece!r}")
