"""``llama-py server``: the engine's llama-server in the foreground."""

from __future__ import annotations

import signal
import time
from typing import Any

import click

from ..agent.server import RESERVED, LlamaServer
from ..errors import LlamaServerError
from ._common import find, give, json_option, model_option


@click.command(
    context_settings={"ignore_unknown_options": True},
    short_help="Run llama-server on a MODEL until Ctrl-C.",
)
@model_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="By default a free port.")
@click.option(
    "--api-key", envvar="LLAMA_API_KEY",
    help="By default a random key [environment: LLAMA_API_KEY].",
)  # fmt: skip
@click.option("--log", type=click.Path(dir_okay=False), help="File for the server's output.")
@json_option
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def server(model: str, as_json: bool, options: tuple[str, ...], **others: Any) -> None:
    """Run llama-server on a MODEL until Ctrl-C, and print its address and key.

    Other OPTIONS, in their long form, are llama-server's own: --ctx-size 4096 --jinja. With --json,
    the address and the key are a line of JSON when the server is ready.
    """
    given = _options(options)
    # Service managers end a service with SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with LlamaServer(find(model), **others, **given) as running:
        if as_json:
            give({"url": running.base_url, "api_key": running.api_key})
        else:
            click.echo(f"url  {running.base_url}\nkey  {running.api_key}")
            click.secho("Ctrl-C stops it.", dim=True, err=True)
        while running.running:
            time.sleep(0.2)
        raise LlamaServerError(
            f"llama-server has ended (code {running.returncode}). The end of its log:\n"
            + running.log_tail()
        )


def _options(words: tuple[str, ...]) -> dict[str, Any]:
    """``--ctx-size 4096 --jinja`` as keywords of `LlamaServer`."""
    given: dict[str, list[str | bool]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            if name in (*RESERVED, "program", "timeout"):
                raise click.UsageError(f"{word} cannot be given to this server")
            given.setdefault(name, []).append(value if equals else True)
        elif name and given[name][-1] is True:
            given[name][-1] = word
        else:
            raise click.UsageError(f"{word!r} is not an option of llama-server in its long form")
    return {name: _one_or_all(name, values) for name, values in given.items()}


def _one_or_all(name: str, values: list[str | bool]) -> object:
    if len(set(values)) > 1 and True in values:
        flag = name.replace("_", "-")
        raise click.UsageError(f"--{flag} is given {len(values)} times, not always with a value")
    return values[0] if len(values) == 1 or values[0] is True else values
