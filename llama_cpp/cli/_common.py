"""What several commands share: options, bars, lines from the user."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from ..engine.find import EngineInfo, engine_info
from ..errors import LlamaError
from ..model import hub

if TYPE_CHECKING:
    from ..generate.llama import Llama
    from ..native.library import LlamaLibrary

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

# For progress, which is not what a command gives.
_stderr = Console(stderr=True, highlight=False)


def with_options(*options: Decorator) -> Decorator:
    """Several decorators in one, in the order of the help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class _Number(click.types.FloatParamType):
    """A float, but for NaN, which compares with nothing."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


NUMBER = _Number()
MODEL = click.Path()
"""A file for the shell's completion, and anything for `find`."""
model_option: Decorator = click.option(
    "--model", "-m", type=MODEL, required=True, metavar="MODEL",
    help="GGUF file, or hf:owner/repo/file.gguf.",
)  # fmt: skip
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Give JSON.")
loading_options: Decorator = with_options(
    click.option(
        "--ctx-size", "-c", type=click.IntRange(1), metavar="TOKENS",
        help="Room for prompt and answer; by default the model's own, 4096 at most.",
    ),
    click.option("--threads", type=click.IntRange(1), help="By default the cores there are."),
    click.option("--gpu-layers", "-g", type=int, help="Layers on the GPU; by default all."),
)  # fmt: skip
sampling_options: Decorator = with_options(
    click.option("--max-tokens", "-n", type=click.IntRange(1), help="The most to generate."),
    click.option("--temperature", type=NUMBER, help="0 takes the most likely token."),
    click.option("--top-k", type=int, help="Only so many of the likeliest."),
    click.option("--top-p", type=NUMBER, help="Only the likeliest that have this probability."),
    click.option("--min-p", type=NUMBER, help="Only those at least this likely."),
    click.option("--repeat-penalty", type=NUMBER, help="Above 1, against repetition."),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of the random numbers."),
    click.option("--stop", multiple=True, help="Text to end before; can be repeated."),
    click.option(
        "--grammar", "grammar", type=click.File(encoding="utf-8"), metavar="FILE",
        help="GBNF grammar that the text has to follow.",
    ),
)  # fmt: skip


def sampling(given: dict[str, Any]) -> dict[str, Any]:
    """The values of `sampling_options` as keywords of ``generate``."""
    names = ("max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed")
    options = {name: given[name] for name in names if given[name] is not None}
    if given["stop"]:
        options["stop"] = given["stop"]
    if given["grammar"] is not None:
        options["grammar"] = given["grammar"].read()
    return options


def open_llama(model: str, given: dict[str, Any]) -> Llama:
    """The model with the values of `loading_options`."""
    from ..generate.llama import (
        Llama,  # here: the doctor works where that file is not this package's
    )

    names = {
        "ctx_size": ("n_ctx",),
        "threads": ("n_threads", "n_threads_batch"),
        "gpu_layers": ("n_gpu_layers",),
    }
    params: dict[str, Any] = {
        keyword: given[name]
        for name, keywords in names.items()
        for keyword in keywords
        if given[name] is not None
    }
    path = find(model)
    with bar(f"Loading {path.name}") as progress:
        return Llama(path, progress=progress, **params)


def find(model: str) -> Path:
    """The file of ``model``, which is downloaded where it is one of the hub's."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with _progress(*columns) as progress:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        path = hub.resolve(model, progress=show)
    if not path.is_file():
        raise LlamaError(f"there is no model {path}")
    return path


def engine_of(library: LlamaLibrary) -> EngineInfo | None:
    """The engine that a library is of; None for the system's, which may have no folder, and for
    one that another has built."""
    return engine_info(library.path.parent) if library.path.is_absolute() else None


@contextmanager
def bar(label: str) -> Iterator[Callable[[float], None]]:
    """A bar on the terminal for the block; call what this gives with the part that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with _progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task(label, total=1.0)
        yield lambda done: progress.update(task, completed=done)


def _progress(*columns: Any) -> Progress:
    return Progress(*columns, console=_stderr, transient=True, disable=not _stderr.is_terminal)


def give(value: object) -> None:
    """Write ``value`` as a line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False))


def show(table: Table) -> None:
    """Write ``table``: as wide as the terminal, or as it needs to be in a file or a pipe."""
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False, markup=False).print(table)


def text_or_stdin(text: str | None) -> str:
    """``text``, or all that comes through a pipe where it is not given."""
    if text is not None and text != "-":
        return text
    if sys.stdin.isatty():
        click.secho("Type the text; Ctrl-D ends it.", dim=True, err=True)
    return sys.stdin.read()


@contextmanager
def going_on(*, once: bool) -> Iterator[None]:
    """For an answer in a talk: Ctrl-C and what goes wrong end the answer, and are said, but not the
    talk. With ``once`` it is the only answer, and they come out."""
    try:
        yield
    except (KeyboardInterrupt, click.Abort):  # Abort: at a question
        if once:
            raise
        click.secho(" [stopped]", dim=True, err=True)
    except LlamaError as error:
        if once:
            raise
        click.secho(f"\n{error}", fg="red", err=True)


def lines() -> Iterator[str]:
    """What the user types, or what comes through a pipe."""
    typed = sys.stdin.isatty()
    if typed:
        click.secho("/help says what else can be typed.", dim=True, err=True)
        with suppress(ImportError):  # Windows has its own
            import readline  # noqa: F401 (input() uses it, to edit lines and for their history)
    while True:
        try:
            line = input("> " if typed else "")
        except EOFError:
            if typed:
                click.echo(err=True)
            return
        except KeyboardInterrupt:  # what was typed is not meant; the talk is not to be lost
            if not typed:
                raise
            click.secho("\nCtrl-D or /quit ends the talk.", dim=True, err=True)
        else:
            yield line
