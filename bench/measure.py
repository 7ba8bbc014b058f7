"""Programs that do the same work, asked in turn how long it takes them."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from .build import CannotMeasure

PROJECT = Path(__file__).parents[1]
_TIMEOUT = 600.0
_ROUNDS = 3  # until the contenders start anew
_SLOW = 6.0  # seconds
_QUICK = 60.0  # seconds
_MORE = 3


class Spread(NamedTuple):
    """The middle of some numbers, and the quarter and three quarters of the way."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


class Contender(Protocol):
    """Something that can be measured repeatedly."""

    def start(self) -> None:
        """Get ready: load the model and texts, work once."""

    def measure(self) -> float:
        """A number: seconds for a unit of the work, or bytes."""

    def stop(self) -> None:
        """Let go of everything."""


class Once:
    """A contender that is a function: a program that runs from its start to its end."""

    def __init__(self, function: Callable[[], float]) -> None:
        self.measure = function

    def start(self) -> None:
        self.measure()

    def stop(self) -> None:
        pass


def each(
    call: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter
) -> Once:
    """A contender: seconds for one of ``times`` calls."""

    def measure() -> float:
        begun = clock()
        for _ in range(times):
            call()
        return (clock() - begun) / times

    return Once(measure)


class Worker:
    """A contender in a process of its own, which works once for each line that it gets.

    `loop.c`, `ours.py` and `theirs.py` are such programs.
    """

    def __init__(
        self, command: Sequence[object], environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = [str(part) for part in command]
        self.environment = {**os.environ, **(environment or {})}
        self.fingerprint = ""
        """A fingerprint of the results: contenders with the same work have the same one."""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.command,
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.fingerprint = self._line().removeprefix("ready ")

    def measure(self) -> float:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the line that is missing says it
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            _, said = self._process.communicate(timeout=_TIMEOUT)
            last = "\n".join(said.strip().splitlines()[-12:])
            raise CannotMeasure(f"{' '.join(self.command)} ended: {last}")
        return line

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def check_alike(contenders: Mapping[str, Contender]) -> None:
    """CannotMeasure when the contenders do not come to the same result."""
    for contender in contenders.values():
        try:
            contender.start()
        finally:
            contender.stop()
    found = {name: c.fingerprint for name, c in contenders.items() if isinstance(c, Worker)}
    if len(set(found.values())) > 1:
        raise CannotMeasure(f"they come to different results: {found}")


def interleaved(
    contenders: Mapping[str, Contender], rounds: int, *, more: bool = False
) -> dict[str, list[float]]:
    """The measures of each, one a round, in which each has its turn.

    With ``more`` there are up to three times as many rounds for a minute in all, because a
    disturbance is a large part of a quick contender's time. Every third round they start anew:
    a program's addresses in memory make it a little faster or slower for as long as it runs.
    A very slow contender works once in three rounds.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    done, wanted = 0, rounds * _MORE if more else rounds
    started = time.perf_counter()
    while done < rounds or (done < wanted and time.perf_counter() - started < _QUICK):
        with contextlib.ExitStack() as running:
            for contender in contenders.values():
                running.callback(contender.stop)
                contender.start()
            slow: set[str] = set()
            for _ in range(min(_ROUNDS, (rounds if done < rounds else wanted) - done)):
                # There and back, so that a drift over time affects all alike.
                for name in names if done % 2 == 0 else reversed(names):
                    if name in slow:
                        found[name].append(found[name][-1])
                        continue
                    begun = time.perf_counter()
                    found[name].append(contenders[name].measure())
                    if time.perf_counter() - begun > _SLOW:
                        slow.add(name)
                done += 1
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratios of values from the same round."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])
