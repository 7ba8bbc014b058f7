"""How long OpenMP's threads look for work before they sleep: alone, and beside other programs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .measure import Contender, Spread, interleaved, ratios
from .place import PROMPT, Place
from .report import Row, Table

_LIBGOMP = "300000"  # what it does unless told otherwise
_COUNTS = (_LIBGOMP, "10000", "3000", "1000", "300")
_SEQUENCES = (1, 4, 16)
_OTHERS = 2


@contextmanager
def _computing(programs: int) -> Iterator[None]:
    running = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)
    ]
    try:
        yield
    finally:
        for program in running:
            program.kill()
            program.wait()


def spin(place: Place) -> Table:
    """Tokens a second by GOMP_SPINCOUNT, over those with libgomp's own."""
    table = Table(f"GOMP_SPINCOUNT, {place.model.stem}, {place.threads} threads: tokens/s")
    text = place.file("spin.txt", PROMPT)
    for others in (0, _OTHERS):
        where = f"beside {others} programs" if others else "alone"
        for n in _SEQUENCES:
            contenders: dict[str, Contender] = {}
            for count in _COUNTS:
                worker = place.ours("parallel", place.model, n, text)
                worker.environment["GOMP_SPINCOUNT"] = count
                contenders[count] = worker
            with _computing(others):
                found = interleaved(contenders, place.rounds)
            for count, values in found.items():
                note = f"{1 / Spread.of(values).median:.0f} tokens/s"
                over = ratios(found[_LIBGOMP], values)
                table.rows.append(Row(f"{where}, {n} sequences, {count}", over, note=note))
    return table
