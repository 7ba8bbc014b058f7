"""Load damaged files, and count the outcomes.

    python -m checks.fuzz [-n 10000] [--seed 0] [--jobs 2] [--keep FOLDER] [--only KIND NUMBER]

Prints how many were loaded (and used), raised a typed error, raised another exception, crashed the
process, and hung. Files of the last three are kept. 0 when there are none of those, 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from checks import fuzzworker
from checks.fuzzworker import SECONDS
from tests.support.patience import patience
from tests.support.python import ROOT

# Ending a worker frees the memory that the library leaked in calls that never returned.
_FILES_A_WORKER = 400


class Outcome(NamedTuple):
    """The outcome of a damaged file."""

    kind: str
    number: int
    what: str
    """loaded, raised, untyped, crashed or hung."""
    said: str


class _Worker:
    """A process that loads files, until it dies."""

    def __init__(self, folder: Path, script: str) -> None:
        self._folder = folder
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in stop
        self._process = subprocess.Popen(
            [sys.executable, "-m", script, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=ROOT,
            env={
                **os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONFAULTHANDLER": "1",
                "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1",
            },
        )  # fmt: skip
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.left = _FILES_A_WORKER
        if self._answers.get(timeout=patience(SECONDS)) != "ready":
            raise RuntimeError(f"the worker does not start: {self.stop()}")

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line.rstrip("\n"))
        self._answers.put("")

    def load(self, kind: str, number: int) -> Outcome:
        """The outcome of a file. After a crash or a hang the process is gone."""
        assert self._process.stdin
        self.left -= 1
        self._process.stdin.write(f"{kind} {number}\n")
        self._process.stdin.flush()
        try:
            answer = self._answers.get(timeout=patience(SECONDS))
        except queue.Empty:
            self.left = 0
            return Outcome(kind, number, "hung", self.stop())
        if not answer:
            self.left = 0
            said = self.stop()
            return Outcome(kind, number, "crashed", f"{self._process.returncode}: {said}")
        what, _, said = answer.partition(" ")
        return Outcome(kind, number, what, said)

    @property
    def file(self) -> Path:
        """The last one that it wrote."""
        return self._folder / f"mutant-{self._process.pid}"

    def stop(self) -> str:
        """End it, and return its stderr."""
        if self._process.poll() is None and self.left > 0:
            self._process.stdin.close()  # type: ignore[union-attr]
        else:
            self._process.kill()
        self._process.wait(patience(SECONDS))
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace")
        self._errors.close()
        return text[-4000:]


def jobs(count: int, seed: int) -> Iterator[tuple[str, int]]:
    """Kinds and numbers: each kind in turn."""
    for i in range(count):
        yield fuzzworker.KINDS[i % len(fuzzworker.KINDS)], seed * 1_000_000 + i


@contextmanager
def _one(folder: Path) -> Iterator[list[_Worker]]:
    workers: list[_Worker] = []
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def run(
    todo: Iterable[tuple[str, int]],
    folder: Path,
    keep: Path,
    n_workers: int = 1,
    *,
    script: str = "checks.fuzzworker",
) -> Iterator[Outcome]:
    """Load the files that ``todo`` names; those that end badly are copied to ``keep``. Another
    ``script`` does its own work, and the copied file is its output."""
    if not (folder / "vector.gguf").exists():
        fuzzworker.prepare(folder)
    waiting: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    for job in todo:
        waiting.put(job)
    done: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            with _one(folder) as workers:
                while True:
                    try:
                        kind, number = waiting.get_nowait()
                    except queue.Empty:
                        break
                    if not workers or workers[0].left <= 0:
                        for old in workers:
                            old.stop()
                            old.file.unlink(missing_ok=True)
                        workers[:] = [_Worker(folder, script)]
                    outcome = workers[0].load(kind, number)
                    if outcome.what not in ("loaded", "raised"):
                        keep.mkdir(parents=True, exist_ok=True)
                        shutil.copy(workers[0].file, keep / f"{kind}-{number}-{outcome.what}")
                    done.put(outcome)
        except BaseException as error:
            done.put(error)
        done.put(None)

    for _ in range(n_workers):
        threading.Thread(target=work, daemon=True).start()
    running = n_workers
    while running:
        found = done.get()
        if found is None:
            running -= 1
        elif isinstance(found, BaseException):
            raise found
        else:
            yield found


def main() -> int:
    parser = argparse.ArgumentParser(description="Load damaged files.")
    parser.add_argument("-n", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--only", nargs=2, metavar=("KIND", "NUMBER"), help="one file")
    parser.add_argument("--api", action="store_true", help="wrong calls in place of files")
    options = parser.parse_args()
    todo: Iterable[tuple[str, int]] = jobs(options.n, options.seed)
    script = "checks.fuzzworker"
    if options.api:
        script = "checks.apiworker"
        todo = [("api", options.seed * 1_000_000 + i) for i in range(options.n)]
    if options.only:
        todo = [(options.only[0], int(options.only[1]))]
    started = time.monotonic()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="llama-fuzz-") as name:
        for outcome in run(todo, Path(name), options.keep, options.jobs, script=script):
            counts[outcome.what] += 1
            if outcome.what not in ("loaded", "raised") or options.only:
                print(f"{outcome.what}: {outcome.kind} {outcome.number}: {outcome.said}")
            if sum(counts.values()) % 1000 == 0:
                print(f"… {_line(counts)}", flush=True)
    print(f"{_line(counts)} in {time.monotonic() - started:.0f} s")
    return 0 if counts["loaded"] + counts["raised"] == sum(counts.values()) else 1


def _line(counts: Counter[str]) -> str:
    names = ("loaded", "raised", "untyped", "crashed", "hung")
    return f"files {sum(counts.values())}: " + ", ".join(f"{n} {counts[n]}" for n in names)


if __name__ == "__main__":
    sys.exit(main())
