"""The command ``llama-py``. It needs the extra ``cli``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from typing import Any, NoReturn

try:
    import click

    if importlib.util.find_spec("rich") is None:  # which only what draws imports
        raise ModuleNotFoundError(name="rich")
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "llama-py needs the extra 'cli': pip install 'libllama-py[cli]'", name=error.name
    ) from None

import llama_cpp

from ..errors import LlamaError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Command -> its module, which is imported when it is used.
_COMMANDS = {
    "run": "_text",
    "chat": "_chat",
    "agent": "_agent",
    "embed": "_vectors",
    "tokenize": "_vectors",
    "info": "_info",
    "bench": "_bench",
    "pull": "_models",
    "models": "_models",
    "rm": "_models",
    "server": "_server",
    "quantize": "_quantize",
    "engine": "_engine",
    "bindings": "_engine",
    "doctor": "_doctor",
}
# The names of these commands in ollama and other programs.
_ELSEWHERE = {
    "list": "models", "ls": "models", "show": "info", "serve": "server", "remove": "rm",
    "delete": "rm", "download": "pull", "generate": "run", "complete": "run",
}  # fmt: skip


def visible(text: str) -> str:
    """``text`` with its control characters spelled out: no text of a model, a tool or a server
    moves the cursor, sets the title, fills the clipboard or turns letters round."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text.replace("\r\n", "\n"))


def is_whole() -> bool:
    """Whether this package's own `__init__` is in place. llama-cpp-python, installed over this
    package, replaces it, and removes it when it is uninstalled."""
    return hasattr(llama_cpp, "__getattr__")


class _Program(click.Group):
    """The commands. An error of any of them is a line, never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        if cmd_name != "doctor" and not is_whole():
            raise LlamaError(
                "another package has replaced files of llama-py: llama-py doctor says more"
            )
        command = getattr(importlib.import_module(f".{module}", __name__), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # which only an error needs

            near = difflib.get_close_matches(args[0], _COMMANDS, 1)
            meant = _ELSEWHERE.get(args[0]) or next(iter(near), None)
            if meant is None:
                raise
            text = f"{error.message} Did you mean {meant!r}?"
            raise click.UsageError(text, ctx) from error

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        extra["standalone_mode"] = False
        color = False if os.environ.get("NO_COLOR") else None  # click itself does not read it
        extra.setdefault("color", color)
        try:
            code = super().main(*args, **extra)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except click.Abort:
            click.echo(err=True)
            code = 130
        except (LlamaError, OSError, TypeError, ValueError, ImportError) as error:
            click.secho(f"llama-py: {visible(str(error))}", fg="red", err=True, color=color)
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="libllama-py", prog_name="llama-py")
def main() -> None:
    """llama.cpp in Python.

    A MODEL is a GGUF file, the first of a split model, or hf:owner/repo:Q4_K_M, which is
    downloaded from the Hugging Face Hub (extra 'hub'). Instead of the quantization it may have a
    file, or a pattern: 'hf:owner/repo/*Q4_K_M.gguf'. Models that are in the caches can be called
    by the names that 'llama-py models' lists. The first word or --model names it, or the
    environment, LLAMA_MODEL.

    Exit codes: 0 done, 1 an error, 2 wrong usage, 130 stopped by Ctrl-C.

    Completion: put the line for your shell into its start file.

    \b
      bash   eval "$(_LLAMA_PY_COMPLETE=bash_source llama-py)"
      zsh    eval "$(_LLAMA_PY_COMPLETE=zsh_source llama-py)"
      fish   _LLAMA_PY_COMPLETE=fish_source llama-py | source
    """
