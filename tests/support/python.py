"""Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import llama_cpp
from tests.support.patience import patience

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""
PROGRAMS = ROOT / "tests" / "programs"


# -I and -S: no environment variables, no site-packages; the project's folder alone is added.
BARE = [sys.executable, "-I", "-S", "-c"]
PREPARE = f"import sys; sys.path.insert(0, {str(ROOT)!r});"


class Result(NamedTuple):
    """A process's exit code and output."""

    returncode: int
    stdout: str
    stderr: str


def run_python(
    code: str, *arguments: object, timeout: float = 120, env: dict[str, str] | None = None,
    python: Path | str = sys.executable,
) -> Result:  # fmt: skip
    """Run ``code`` in a fresh interpreter in the project's folder. ``env`` goes on top of ours."""
    return _run(["-c", code, *map(str, arguments)], timeout, env or {}, python)


def run_program(
    name: str, *arguments: object, timeout: float = 120, env: dict[str, str] | None = None
) -> Result:
    """Run ``tests/programs/NAME.py`` as `run_python` runs code."""
    return _run([str(PROGRAMS / f"{name}.py"), *map(str, arguments)], timeout, env or {})


def run_example(
    name: str, *arguments: object, stdin: str = "", env: dict[str, str] | None = None
) -> Result:
    """Run ``examples/NAME.py`` as `run_python` runs code."""
    command = [str(ROOT / "examples" / f"{name}.py"), *map(str, arguments)]
    return _run(command, 300, env or {}, stdin=stdin)


def _run(
    arguments: list[str], timeout: float, env: dict[str, str], python: Path | str = sys.executable,
    stdin: str | None = None,
) -> Result:  # fmt: skip
    folder = Path(llama_cpp.__file__).parents[1]  # the package under test may be another copy
    # A crash must show as one: quickly, and where it was.
    crash = {"GGML_NO_BACKTRACE": "1", "PYTHONFAULTHANDLER": "1"}
    path = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return run_command(
        python, *arguments, cwd=folder, env={**path, **crash, **env}, stdin=stdin, timeout=timeout
    )


def run_command(
    *command: object, cwd: Path = ROOT, env: Mapping[str, str | None] | None = None,
    stdin: str | None = None, timeout: float = 600,
) -> Result:  # fmt: skip
    """Run a program, to its end. ``env`` goes on top of ours; None removes a variable."""
    variables = {**os.environ, **(env or {})}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, input=stdin, capture_output=True, text=True, check=False,
        env={k: v for k, v in variables.items() if v is not None}, timeout=patience(timeout),
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


def codegen(*arguments: object, cwd: Path = ROOT) -> Result:
    """Run the generator of the project in the folder ``cwd``."""
    env = {"LLAMA_CPP": None, "PYTHONPATH": None}
    return run_command(sys.executable, "-m", "codegen", *arguments, cwd=cwd, env=env)


def bare(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where there are no packages, no engine and an empty cache."""
    env = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [*BARE, PREPARE + code], cwd=home, env=env, capture_output=True, text=True, check=False
    )
