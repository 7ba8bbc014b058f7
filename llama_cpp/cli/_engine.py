"""``llama-py engine``: the commands of `llama_cpp.engine`, and a list of the engines; and
``llama-py bindings``, for an engine of another llama.cpp."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from .. import _raw
from ..engine.command import main
from ..engine.find import installed_engines, missing_features, preferred_engine
from ._common import give, json_option, show


@click.group()
def engine() -> None:
    """Get the engine: libllama and its programs."""


def _pass_on(name: str, words: list[str], help: str) -> None:
    """A command whose options and their help are those of `llama_cpp.engine`."""

    @engine.command(
        name, help=f"{help} --help has the options.", short_help=help, add_help_option=False,
        context_settings={"ignore_unknown_options": True},
    )  # fmt: skip
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        return main([*words, *arguments])


_pass_on("install", ["install"], "Install an engine.")
_pass_on(
    "build", ["install", "--from", "source"], "Build an engine; --source DIR is llama.cpp's tree."
)
_pass_on("where", ["where"], "Print the folder of the engine in use.")


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


# The generator, from the folder in the first argument and nowhere else.
_GENERATE = """
import importlib, sys
sys.path[0], name = sys.argv[1:3]
try:
    main = importlib.import_module(f"{name}.__main__").main
except ModuleNotFoundError as error:
    sys.exit(f"llama-py: {error}: this needs pip install 'libllama-py[codegen]'")
sys.exit(main(["bindings", *sys.argv[3:]]))
"""


@click.command(short_help="Write bindings for another llama.cpp.")
@click.option("--llama-cpp", metavar="DIR", help="Its source tree, or the prefix of its headers.")
@click.option("--tag", metavar="bNNNN", help="Or its tag, which is fetched.")
@click.option("--out", metavar="DIR", default="llama-cpp-bindings", show_default=True)
def bindings(llama_cpp: str | None, tag: str | None, out: str) -> int:
    """Write this package, with bindings for another llama.cpp, to a folder.

    The last line printed is how a program then uses both. It needs the extra 'codegen'.
    """
    if (llama_cpp is None) == (tag is None):
        raise click.UsageError("give one of --llama-cpp and --tag")
    root = Path(__file__).parents[2]
    name = "codegen" if (root / "codegen" / "upstream.toml").is_file() else "llama_py_codegen"
    where = ["--llama-cpp", llama_cpp] if llama_cpp else ["--tag", str(tag)]
    command = [sys.executable, "-c", _GENERATE, str(root), name, *where, "--out", out]
    return subprocess.run(command, check=False).returncode
