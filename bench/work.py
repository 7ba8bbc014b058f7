"""Shared by the workers in Python, ours and llama-cpp-python's: their protocol.

No imports but the standard library: llama-cpp-python's environment has nothing of this project.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

STOPS = ["\n\nUser:", "</s>", "###"]
"""The stop strings of everything that streams."""

Work = Callable[[], "tuple[float, Iterable[int]]"]
"""Works once: the seconds for a unit, or bytes, and numbers that identify the result."""
_clock = time.perf_counter


def now() -> float:
    """Seconds: wall-clock time, or with ``--cpu`` this thread's processor time."""
    return _clock()


def arguments() -> argparse.Namespace:
    """The arguments of a worker. The text is the file's contents."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("model")
    parser.add_argument("threads", type=int)
    parser.add_argument("units", type=int)
    parser.add_argument("text", type=Path)
    parser.add_argument("--busy", action="store_true", help="keep another thread busy")
    parser.add_argument("--switch", type=float, help="seconds between two turns of the threads")
    parser.add_argument("--apart", action="store_true", help="the time between the decodes")
    parser.add_argument("--cpu", action="store_true", help="what other programs take apart")
    parser.add_argument("--numpy", action="store_true", help="a program that uses numpy too")
    given = parser.parse_args()
    given.text = given.text.read_text("utf-8")
    if given.switch:
        sys.setswitchinterval(given.switch)
    if given.cpu:
        global _clock
        _clock = time.thread_time
    return given


def serve(work: Work, busy: bool) -> None:
    """Work once for each line on standard input; see `loop.c`."""
    _, found = work()
    print("ready", fingerprint(found), flush=True)
    working = threading.Event()
    if busy:
        threading.Thread(target=_spin, args=(working,), daemon=True).start()
    for _ in sys.stdin:
        working.set()
        seconds, _ = work()
        working.clear()
        print(f"{seconds:.9f}", flush=True)


def fingerprint(numbers: Iterable[int]) -> int:
    """As `mark` of loop.c."""
    found = 0
    for number in numbers:
        found = (found * 31 + number) & 0xFFFFFFFF
    return found


def _spin(working: threading.Event) -> None:
    """Compute while the other thread works, and leave the machine to others while it does not."""
    while working.wait():
        sum(range(100))


class Apart:
    """A function, and the time that passes between its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.gaps: list[float] = []
        self._left = 0.0

    def __call__(self, *given: Any) -> Any:
        if self._left:
            self.gaps.append(now() - self._left)
        found = self.function(*given)
        self._left = now()
        return found

    def median(self) -> float:
        """Of the gaps so far, and forget them: the middle one, because some have the operating
        system's work and the other thread's turn in them."""
        found = statistics.median(self.gaps)
        self.gaps.clear()
        self._left = 0.0
        return found

    def of(self, work: Work) -> Work:
        """``work``, the time between the calls in place of all of it."""

        def apart() -> tuple[float, Iterable[int]]:
            _, found = work()
            return self.median(), found

        return apart
