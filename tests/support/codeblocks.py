"""Code blocks in Markdown: Python is run, and command lines are compared with the real commands.
The README and the pages of docs/ are tested with it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from llama_cpp import LlamaLibrary
from tests.support.python import ROOT, Result, run_python

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "sh", "text", "c", "json", "gbnf", "toml", "ini", "nginx"}
"""The allowed names of blocks: a block with another name, or without one, would go untested."""


class Block(NamedTuple):
    """A fenced block, as it stands in its file."""

    language: str
    line: int
    """The line of the file that its first line is, from 1."""
    code: str


def blocks(page: Path) -> list[Block]:
    """All of a file."""
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        indent, language, code = match.groups()
        code = "\n".join(line.removeprefix(indent) for line in code.split("\n"))
        found.append(Block(language.strip(), text.count("\n", 0, match.start(3)) + 1, code))
    return found


def programs(page: Path) -> list[Block]:
    """Those that are Python."""
    return [block for block in blocks(page) if block.language == "python"]


def run(
    page: Path, programs: list[Block], folder: Path, *, python: Path | str = sys.executable,
    timeout: float = 120, **env: str,
) -> Result:  # fmt: skip
    """Run ``programs`` of ``page`` one after the other as one program in ``folder``, which must
    have their files. A traceback has the page's own lines."""
    lines: list[str] = []
    for program in programs:
        lines += [""] * (program.line - 1 - len(lines))
        lines += program.code.rstrip("\n").split("\n")
    start = (
        "import os, sys; os.chdir(sys.argv[3]); __name__ = '__main__'\n"
        "exec(compile(sys.argv[1], sys.argv[2], 'exec'))"
    )
    name = str(page.relative_to(ROOT))
    env = {"PYTHONPATH": str(ROOT), **env}
    text = "\n".join(lines)
    done = run_python(start, text, name, folder, env=env, python=python, timeout=timeout)
    # A machine that is busy takes long to load a model, and LlamaServer says so.
    return done._replace(stderr=re.sub(r"^llama-server: .*\n", "", done.stderr, flags=re.M))


def commands(page: Path) -> Iterator[list[str]]:
    """The command lines of the shell blocks, as words, without redirections and comments."""
    for block in blocks(page):
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                for part in re.split(r"\|(?![^']*')|&&", line):
                    words = shlex.split(part, comments=True)
                    while words and re.match(r"[A-Z_]+=", words[0]):
                        words.pop(0)
                    if words:
                        yield words


def fault(words: list[str]) -> str | None:
    """The first part of a command line that does not exist, or None."""
    match words:
        case ["llama-py", *rest]:
            return _llama_py(rest)
        case ["make", *rest]:
            return _make(rest)
        case ["pip", "install", *rest]:
            return _pip(rest)
        case ["python", "-m", "codegen", command, *_]:
            text = (ROOT / "codegen/__main__.py").read_text("utf-8")
            return None if f'"{command}"' in text else f"codegen has no {command}"
        case ["python", script, *_] if script.endswith(".py"):
            return None if (ROOT / script).is_file() else f"there is no {script}"
        case [("ggml-rpc-server" | "export" | "curl" | "python" | "taskset"), *_]:
            return None
    return f"unknown: {shlex.join(words)}"


def _llama_py(words: list[str]) -> str | None:
    import click

    from llama_cpp.cli import main

    command: click.Command = main
    path = "llama-py"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        path += f" {words[0]}"
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"there is no {path}"
        command, words = found, words[1:]
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    options |= {"--help"}
    if command.context_settings.get("ignore_unknown_options"):
        options |= _passed_on(path.removeprefix("llama-py "))
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("-") and name != "-" and name not in options:
            return f"{path} has no {name}"
    return None


@cache
def _passed_on(command: str) -> set[str]:
    """The options of the program that a command hands its own to."""
    program: list[Any] = [sys.executable, "-m", "llama_cpp.engine", command.split()[-1], "--help"]
    if command == "engine build":
        program[3] = "install"
    if command == "server":
        program = [LlamaLibrary.default().path.parent / "llama-server", "--help"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", done.stdout))


def _make(words: list[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for word in words:
        name, equals, _ = word.partition("=")
        known = rf"\$[({{]{name}[)}}]" if equals else rf"^{name}:"
        if not re.search(known, makefile, re.MULTILINE):
            return f"make has no {name}"
    return None


def _pip(words: list[str]) -> str | None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for word in words:
        match = re.fullmatch(r"libllama-py\[([\w,]+)\]", word)
        for extra in match[1].split(",") if match else ():
            if not re.search(rf"^{extra} = \[", text, re.MULTILINE):
                return f"there is no extra {extra}"
        if not match and not word.startswith("-") and word not in ("libllama-py", "numpy"):
            return f"pip install {word}"
    return None
