"""Shared parts of the commands: options, progress bars, lines from the user."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import llama_cpp

from .. import _std as std
from .._lazy import Later
from ..engine.find import EngineInfo, cache_root, engine_info
from ..errors import LlamaError
from . import visible

if TYPE_CHECKING:
    from rich.table import Table

    from ..model import hub
else:
    hub = Later(__package__, "..model.hub")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def with_options(*options: Decorator) -> Decorator:
    """Several decorators in one, in the order of the help."""
    return lambda function: reduce(lambda made, option: option(made), reversed(options), function)


class _Number(click.types.FloatParamType):
    """A float other than NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


NUMBER = _Number()
COUNT = click.IntRange(1)
MODEL = click.Path()
"""A file for the shell's completion; `find` takes more."""
MODEL.name = "model"
model_option: Decorator = click.option(
    "--model", "-m", type=MODEL, required=True, envvar="LLAMA_MODEL",
    help="GGUF file, hf:owner/repo:Q4_K_M or a name of 'llama-py models'; it can also be the "
    "first word, or in the environment, LLAMA_MODEL.",
)  # fmt: skip
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Give JSON.")
parse_option: Decorator = click.option(
    "--parse-special/--no-parse-special", default=True,
    help="Read control tokens such as <|im_start|> in a text as such.",
)  # fmt: skip
loading_options: Decorator = with_options(
    click.option(
        "--ctx-size", "-c", type=COUNT, metavar="TOKENS",
        help="Room for prompt and answer; by default the model's own, at most 4096.",
    ),
    click.option("--threads", type=COUNT, help="By default the usable cores."),
    click.option("--gpu-layers", "-g", type=int, help="Layers on the GPU; by default all."),
    click.option(
        "--prompt-cache", type=click.Path(file_okay=False), metavar="FOLDER",
        help="Keep long prompts computed in a folder, for the next time.",
    ),
)  # fmt: skip
sampling_options: Decorator = with_options(
    click.option("--max-tokens", "-n", type=COUNT, help="The most to generate."),
    click.option("--temperature", type=NUMBER, help="0 takes the most likely token."),
    click.option("--top-k", type=int, help="Only that many of the likeliest tokens."),
    click.option("--top-p", type=NUMBER, help="Only the likeliest with this probability together."),
    click.option("--min-p", type=NUMBER, help="Only tokens at least this likely."),
    click.option("--repeat-penalty", type=NUMBER, help="Above 1, against repetition."),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of the random numbers."),
    click.option("--stop", multiple=True, help="Text to end before; can be repeated."),
    click.option(
        "--grammar", "grammar", type=click.File(encoding="utf-8"), metavar="FILE",
        help="GBNF grammar that the text must follow.",
    ),
    click.option(
        "--json-schema", "json_schema", type=click.File(encoding="utf-8"), metavar="FILE",
        help="JSON schema that the text must follow.",
    ),
    click.option(
        "--option", "-o", "others", multiple=True, metavar="NAME=VALUE",
        help="Another keyword of Llama.generate, its value in JSON: dry_multiplier=0.8.",
    ),
)  # fmt: skip


class ModelCommand(click.Command):
    """A command whose option --model can also be its first word that is not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = self._first_word(args)
        if at is not None and (_is_model(args[at]) or not os.environ.get("LLAMA_MODEL")):
            args = ["--model", args[at], *args[:at], *args[at + 1 :]]
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            if error.param is None or error.param.name != "model":
                raise
            text = (
                "no MODEL: give a GGUF file, hf:owner/repo:Q4_K_M, or a name that 'llama-py "
                "models' lists, as the first word, with -m, or in LLAMA_MODEL"
            )
            raise click.UsageError(text, ctx) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS] [MODEL]", *super().collect_usage_pieces(ctx)[1:]]

    def _first_word(self, args: list[str]) -> int | None:
        """Its index; None without one, and if an option names a model or a server."""
        values = {
            name: 0 if option.is_flag else option.nargs
            for option in self.params
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts)
        }
        found, skip = None, 0
        for i, arg in enumerate(args):
            if skip:
                skip -= 1
            elif arg == "--":
                break
            elif re.match(r"-m|--model(=|$)|--url(=|$)", arg):
                return None
            elif arg.startswith("-") and arg != "-":
                skip = values.get(arg, 0)
            elif found is None:
                found = i
        return found


def _is_model(word: str) -> bool:
    """Whether a word names a model rather than being the text for one."""
    if word.startswith("hf:") or word.endswith(".gguf") or Path(word).is_file():
        return True
    return any(model.is_called(word) for model in hub.cached_models())


def sampling(given: dict[str, Any]) -> dict[str, Any]:
    """The values of `sampling_options` as keywords of ``generate``."""
    names = ("max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed")
    options = {name: given[name] for name in names if given[name] is not None}
    if given["stop"]:
        options["stop"] = given["stop"]
    for name in ("grammar", "json_schema"):
        if given[name] is not None:
            options[name] = given[name].read()
    for one in given["others"]:
        name, equals, text = one.partition("=")
        if not equals:
            raise click.UsageError(f"--option {one} is not NAME=VALUE")
        options[name] = keyword(text)
    return options


def keyword(text: str) -> Any:
    """The value of a keyword in JSON; a string may be without quotes."""
    try:
        return std.json.loads(text)
    except ValueError:
        return text


def open_llama(model: str, given: dict[str, Any]) -> llama_cpp.Llama:
    """The model with the values of `loading_options`."""
    params = {
        "n_ctx": given["ctx_size"], "n_gpu_layers": given["gpu_layers"],
        "n_threads": given["threads"], "n_threads_batch": given["threads"],
        "prompt_cache": given["prompt_cache"],
    }  # fmt: skip
    named: Any = {name: value for name, value in params.items() if value is not None}
    path = find(model)
    with bar(f"Loading {path.name}") as progress:
        llm = llama_cpp.Llama(path, progress=progress, **named)
    if sys.stderr.isatty():
        layers = ", ".join(f"{n} layers on {device}" for device, n in llm.model.layers.items())
        click.secho(f"{llm.model.description}; {layers}; n_ctx {llm.ctx.n_ctx}", dim=True, err=True)
    return llm


def find(model: str) -> Path:
    """The file of ``model``: a path, a name in the caches, or one of the hub, which is downloaded
    first."""
    path = fetch(model)
    if path.is_file():
        return path
    return hub.cached_model(model).files[0]


def fetch(model: str) -> Path:
    """The path that ``model`` means; one of the hub's is downloaded first."""
    if not model.startswith("hf:"):
        return Path(model)
    with _progress("DownloadColumn", "TransferSpeedColumn") as progress:
        tasks: dict[str, int] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        return hub.resolve(model, progress=show if progress else None)


def engine_of(library: llama_cpp.LlamaLibrary) -> EngineInfo | None:
    """The engine of a library; None for the system's and for one built by other means."""
    return engine_info(library.path.parent) if library.path.is_absolute() else None


@contextmanager
def bar(label: str) -> Iterator[Callable[[float], None] | None]:
    """A progress bar for the block, and a function to set the fraction that is done; None where
    there is no terminal to draw it on."""
    with _progress("TaskProgressColumn") as progress:
        task = progress and progress.add_task(label, total=1.0)
        yield progress and (lambda done: progress.update(task, completed=done))


@contextmanager
def _progress(*columns: str) -> Iterator[Any]:
    """A display of tasks on the terminal, None without one."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import console, progress  # here: to import them takes longer than to load a model

    shown = [getattr(progress, name)() for name in ("BarColumn", *columns, "TimeRemainingColumn")]
    with progress.Progress(
        progress.TextColumn("{task.description}"), *shown, transient=True,
        console=console.Console(stderr=True, highlight=False),
    ) as display:  # fmt: skip
        yield display


def give(value: object) -> None:
    """Write ``value`` as a line of JSON."""
    click.echo(std.json.dumps(value, ensure_ascii=False))


def show(table: Table) -> None:
    """Write ``table`` as wide as the terminal, or into a file or a pipe as wide as needed."""
    from rich.console import Console  # here, as above

    if sys.stdout.isatty():
        Console(highlight=False, markup=False).print(table)
        return
    console = Console(width=10_000, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def wrapped(pieces: Iterable[str]) -> Iterator[str]:
    """``pieces`` with lines that end between words on this terminal: a word that does not fit is
    erased and written again on the next line. Copied text has these line ends."""
    from rich.cells import cell_len  # here, as above

    column, word = 0, ""  # the cursor's column, and the word that ends there
    for piece in pieces:
        room = shutil.get_terminal_size().columns - 1  # the last column would move the cursor
        written = ""
        for character in piece:
            wide = cell_len(character)
            if character == "\t":
                wide = 8 - column % 8
            if character == "\n":
                column = wide = 0
            elif column + wide > room and character in " \t":
                character, column, wide = "\n", 0, 0
            elif column + wide > room:
                moved = cell_len(word)
                if moved == column:  # a word as long as the line is cut
                    moved, word = 0, ""
                back = f"\x1b[{moved}D\x1b[K" if moved else ""
                written += f"{back}\n{word}"
                column = moved
            written += character
            column += wide
            word = "" if character.isspace() or wide > 1 else word + character
        yield written


def help_lines(commands: dict[str, str]) -> str:
    """The commands of a talk and their meanings, as wide as the terminal."""
    text = click.HelpFormatter(width=min(shutil.get_terminal_size().columns, 100))
    text.write_dl(list(commands.items()))
    return text.getvalue().rstrip()


def note(text: str) -> None:
    """Confirm on a terminal what a command of a talk has done."""
    if sys.stderr.isatty():
        click.secho(visible(text), dim=True, err=True)


def unknown(name: str, commands: Iterable[str]) -> LlamaError:
    """The error for a line that begins with / but not with one of ``commands``."""
    import difflib  # which only an error needs

    near = difflib.get_close_matches(name, [command.split()[0] for command in commands], 1)
    hint = f"did you mean {near[0]}?" if near else "/help lists the commands"
    return LlamaError(f"there is no command {name}; {hint}")


def text_or_stdin(text: str | None) -> str:
    """``text``, or all of stdin if it is None or "-"."""
    if text is not None and text != "-":
        return text
    if sys.stdin.isatty():
        click.secho("Type the text; Ctrl-D ends it.", dim=True, err=True)
    return sys.stdin.read()


def talk(
    message: str | None, answer: Callable[[str], None], command: Callable[[str], None]
) -> None:
    """Call ``answer`` with ``message`` (all of stdin if it is "-"), or with each line of the user,
    until /quit.

    Messages that begin with / go to ``command``. Ctrl-C and errors end an answer, with a
    line on stderr, but not the conversation; the error for a single ``message`` is raised.
    """
    if message is not None:
        answer(text_or_stdin(message))
        return
    for line in _lines():
        if line in ("/quit", "/exit", "/bye"):
            return
        try:
            if line.startswith("/"):
                command(line)
            elif line.strip():
                answer(line)
        except (KeyboardInterrupt, click.Abort):  # Abort: at a question
            click.secho(" [stopped]", dim=True, err=True)
        except (LlamaError, OSError, TypeError, ValueError) as error:
            click.secho(f"\n{visible(str(error))}", fg="red", err=True)


def _lines() -> Iterator[str]:
    """The messages that the user types, or the lines of a pipe."""
    typed = sys.stdin.isatty()
    read = _editor() if typed else input
    while True:
        try:
            line = read()
        except EOFError:
            return
        except KeyboardInterrupt:  # drops the line, not the conversation
            if not typed:
                raise
            click.secho("Ctrl-D or /quit ends the talk.", dim=True, err=True)
        else:
            yield line


def _editor() -> Callable[[], str]:
    """A function that reads a message: with history across sessions, several lines where they are
    pasted or Alt-Enter is pressed."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import create_output

    click.secho("/help lists the commands.", dim=True, err=True)
    history: History = InMemoryHistory()
    file = cache_root() / "history"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        history = FileHistory(file)
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    output = create_output(stdout=sys.stderr)  # stdout has the answers alone
    session: PromptSession[str] = PromptSession(
        "> ", history=history, key_bindings=keys, output=output
    )
    return session.prompt
