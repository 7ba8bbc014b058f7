"""A program's calls leave the process as it was, also for a moment, while other threads use it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.python import run_program

_PLANTS = {
    "sys.excepthook = print": "sys.excepthook = print: hooks",
    "os.environ['A'] = str(len(found))": "os.environ['A'] = str(len(found)): environment",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)": "signal.SIG_IGN): signal handlers",
    "os.open(os.devnull, 0)": "at the end: descriptors",
    "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()": "at the end: threads",
    "s = os.dup(2); os.dup2(0, 2); time.sleep(0.1); os.dup2(s, 2); os.close(s)": (
        "for a while: standard descriptors"
    ),
}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def _run(model: Path, folder: Path, *more: str) -> list[str]:
    """The differences, and lost lines."""
    done = run_program("leaves_the_process_alone", model, folder, *more, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    *lines, counts = done.stdout.splitlines()
    lost = ["lines"] * (counts != f"written {lines.count('line')} {done.stderr.count('line')}")
    return [line for line in lines if line != "line"] + lost


def test_a_program_leaves_the_process_as_it_was(
    tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    assert _run(tiny_path("llama"), tmp_path) == []


def test_what_changes_is_found(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    found = "\n".join(_run(tiny_path("llama"), tmp_path, *_PLANTS))
    assert [told for told in _PLANTS.values() if told not in found] == []
