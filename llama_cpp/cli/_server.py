"""``llama-py server``: the engine's llama-server in the foreground."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..agent.server import LlamaServer
from ..errors import LlamaServerError
from ..server._options import OPTIONS
from ..server.values import words
from ._common import ModelCommand, find, give, json_option, model_option


class _Value(click.ParamType[Any]):
    """A value of one of llama-server's options."""

    name = "value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        assert param is not None
        option = OPTIONS[str(param.name)]
        for number in (int, float):
            if number.__name__ in option.value.types:
                with suppress(ValueError):
                    value = number(value)
        try:
            if not option.pair:
                words(param.opts[-1], value, option)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        choices = OPTIONS[str(param.name)].value.choices
        if choices:
            return [CompletionItem(c) for c in choices if c.startswith(incomplete)]
        return [CompletionItem(incomplete, type="file")]


class _Option(click.Option):
    """One of llama-server's own, which the help does not list."""

    def get_help_record(self, ctx: click.Context) -> None:
        return None


def _with_server_options(command: click.Command) -> click.Command:
    for name, option in OPTIONS.items():
        kind: dict[str, Any] = {"type": _Value(), "nargs": 1 + option.pair}
        if option.flags is not None:
            kind = {"is_flag": True, "default": None}
        command.params.append(_Option([name, option.flag], multiple="nargs" in kind, **kind))
    return command


@_with_server_options
@click.command(cls=ModelCommand, short_help="Run llama-server on a MODEL until Ctrl-C.")
@model_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="By default a free port.")
@click.option(
    "--api-key", envvar="LLAMA_API_KEY",
    help="By default a random key [environment: LLAMA_API_KEY].",
)  # fmt: skip
@click.option("--log", type=click.Path(dir_okay=False), help="File for the server's output.")
@json_option
def server(model: str, as_json: bool, **given: Any) -> None:
    """Run llama-server on a MODEL until Ctrl-C, and print its address and key.

    Other options, in their long form, are llama-server's own: --ctx-size 4096 --jinja. The shell
    completes them. With --json, the address and the key are a line of JSON when the server is
    ready.
    """
    options = {}
    for name, value in given.items():
        if isinstance(value, tuple) and len(value) == 1:
            value = value[0]
        if value not in (None, ()):
            options[name] = value
    # Service managers end a service with SIGTERM: clean up as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with LlamaServer(find(model), **options) as running:
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
