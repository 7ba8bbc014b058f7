"""Runs rows of the table of wrong uses in processes, and judges how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.misuse.cases import Row
from tests.support.patience import patience
from tests.support.python import PROGRAMS, ROOT

_TOGETHER = 20
_SECONDS = 180.0
_MARK = "\x1e"
_PROGRAM = PROGRAMS / "misuse_cases.py"


class Outcome(NamedTuple):
    """The outcome of a case."""

    error: str
    message: str
    problem: str
    """The fault; empty without one."""


def outcomes(rows: Sequence[Row], model: Path, tiny: Path, folder: Path) -> Iterator[Outcome]:
    """Every case's, in order. Some share a process; when one ends it, each runs alone."""
    groups: list[list[Row]] = []
    for row in rows:
        if row.alone or not groups or groups[-1][0].alone or len(groups[-1]) == _TOGETHER:
            groups.append([])
        groups[-1].append(row)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda group: _group(group, model, tiny, folder), groups):
            yield from found


def _group(rows: Sequence[Row], *files: Path) -> list[Outcome]:
    done = run(sys.executable, _PROGRAM, [row.code for row in rows], *files)
    ends = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    if done.returncode or len(ends) != len(rows):
        if len(rows) > 1:
            return [outcome for row in rows for outcome in _group([row], *files)]
        end = f"the process ended with {done.returncode}: {done.stderr[-2000:]}"
        return [Outcome("", "", end)]
    *noise, rest = done.stderr.split(_MARK)
    noise[-1] += rest
    told = zip(rows, ends, noise, strict=True)
    return [_judge(row, error, message, said) for row, (error, message), said in told]


def _judge(row: Row, error: str, message: str, noise: str) -> Outcome:
    problem = ""
    if error != row.error or row.message not in message:
        problem = f"{error}: {message}"
    elif noise:
        problem = f"it wrote: {noise}"
    return Outcome(error, message, problem)


def run(
    python: str | Path,
    program: Path,
    codes: Sequence[str],
    *files: Path,
    cwd: Path = ROOT,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    """Run cases in a process. A crash must show as one: quickly, and where it was."""
    arguments = [python, program, *map(str, files), json.dumps(codes)]
    variables = {"GGML_NO_BACKTRACE": "1", "PYTHONFAULTHANDLER": "1", "OMP_WAIT_POLICY": "passive"}
    try:
        return subprocess.run(
            arguments, cwd=cwd, env={**os.environ, **variables, **env}, capture_output=True,
            text=True, errors="replace", timeout=patience(_SECONDS), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 124, "", f"{_SECONDS:.0f} seconds were over")
