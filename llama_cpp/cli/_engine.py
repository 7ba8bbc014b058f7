"""``llama-py engine``: the commands of `llama_cpp.engine`, and a list of the engines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from .. import _raw
from ..engine.command import main
from ..engine.find import installed_engines, missing_features, preferred_engine
from ._common import give, json_option, show

_PASSED_ON: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True},
    "add_help_option": False,  # `main` has its own
}


@click.group()
def engine() -> None:
    """The engine: libllama and llama.cpp's programs, in the cache."""


@engine.command(**_PASSED_ON, short_help="Install an engine.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def install(arguments: tuple[str, ...]) -> int:
    """Official binaries, or a build; --help has the options."""
    return main(["install", *arguments])


@engine.command(**_PASSED_ON, short_help="Build an engine: --source DIR is a llama.cpp tree.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def build(arguments: tuple[str, ...]) -> int:
    """From the source of llama.cpp; --help has the options."""
    return main(["install", "--from", "source", *arguments])


@engine.command(**_PASSED_ON, short_help="Print the folder of the engine in use.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def where(arguments: tuple[str, ...]) -> int:
    """Print the engine's folder; --help has the options."""
    return main(["where", *arguments])


@engine.command("list")
@json_option
def list_engines(as_json: bool) -> None:
    """List the engines in the cache; * marks the one in use."""
    found = installed_engines()
    if as_json:
        give([{"folder": str(folder), **asdict(info)} for folder, info in found])
        return
    if not found:
        click.echo("No engine in the cache; run: llama-py engine install", err=True)
        return
    used = preferred_engine(_raw.TAG)
    table = Table("", "tag", "from", "backend", "runs here", "folder", box=None)
    for folder, info in found:
        mark = "*" if folder == used else ""
        runs = "no, another CPU" if missing_features(info) else "yes"
        table.add_row(mark, info.tag, info.origin, info.backend or "CPU", runs, str(folder))
    show(table)
