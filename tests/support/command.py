"""The command ``llama-py``, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.python import ROOT

CLI = [sys.executable, "-m", "llama_cpp.cli"]


def run(
    *arguments: object, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command's exit code and output."""
    return subprocess.run(
        [*CLI, *map(str, arguments)], cwd=ROOT, env={**os.environ, **(env or {})}, input=stdin,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
