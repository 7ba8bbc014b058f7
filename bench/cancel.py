"""How soon a long prompt stops: by Ctrl-C, by a time limit, by another thread."""

from __future__ import annotations

import math
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llama_cpp import Llama, LlamaCancelled

from .measure import Spread
from .place import Place
from .report import Row, Table, at_most

TRIES = 50
_MILLISECONDS = 100
_WORDS = "one and two and three and four and "


class _Trigger:
    """Stops the running work after a while, and notes the time."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self.at = 0.0

    @contextmanager
    def after(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._fire)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def _fire(self) -> None:
        self.at = time.perf_counter()
        self._stop()


def cancel(place: Place) -> Table:
    """The slowest of the tries decides."""
    table = Table(f"cancelling a long prompt, {place.model.stem}, the slowest of {TRIES} tries")
    # A shell that starts this in the background has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(1)
    size = place.threads
    with Llama(place.model, n_ctx=2048, n_threads=size, n_threads_batch=size) as llm:
        prompt = llm.tokenize(_WORDS * 300)[:2000]
        reference = llm.complete("Hello", max_tokens=8, temperature=0, cache_prompt=False).tokens
        ways = {
            "signal (Ctrl-C)": _Trigger(lambda: os.kill(os.getpid(), signal.SIGINT)).after,
            "another thread": _Trigger(llm.cancel).after,
            "time limit": llm.cancel_after,
        }
        for name, after in ways.items():
            took = []
            for _ in range(TRIES):
                seconds = rng.uniform(0.02, 0.4)
                begun = time.perf_counter()
                try:
                    with after(seconds):
                        llm.complete(prompt, max_tokens=1, cache_prompt=False)
                except (LlamaCancelled, KeyboardInterrupt):
                    trigger = getattr(after, "__self__", None)
                    at = trigger.at if isinstance(trigger, _Trigger) else begun + seconds
                    took.append(1e3 * (time.perf_counter() - at))
                else:
                    took.append(math.inf)  # it came to its end
            within = sum(t <= _MILLISECONDS for t in took)
            again = llm.complete("Hello", max_tokens=8, temperature=0, cache_prompt=False).tokens
            usable = "usable afterwards" if again == reference else "NOT USABLE AFTERWARDS"
            note = (
                f"{within} of {TRIES} within {_MILLISECONDS} ms, "
                f"median {statistics.median(took):.0f} ms, {usable}"
            )
            slowest = Spread.of([max(took)])
            table.rows.append(Row(name, slowest, "ms", note, at_most(_MILLISECONDS)))
    return table
