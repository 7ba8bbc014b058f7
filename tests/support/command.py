"""The command ``llama-py``, as a user runs it."""

from __future__ import annotations

import sys

from tests.support.python import Result, run_command

CLI = [sys.executable, "-m", "llama_cpp.cli"]


def run(*arguments: object, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    """A command's exit code and output."""
    return run_command(*CLI, *arguments, env=env, stdin=stdin)
