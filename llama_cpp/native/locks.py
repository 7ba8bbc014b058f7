"""Locks and threads that stay consistent if a signal handler raises, as Ctrl-C's does.

Python runs handlers in the main thread, after a call and at the start of a function. So a lock can
be taken without its taker noticing, and `threading.Event` and `Thread.start` can lose track of
their inner lock: "release unlocked lock", or a thread that ends at once.
"""

from __future__ import annotations

import _thread
import contextlib
import threading
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any

_NO = (False,)


def take(lock: Any) -> bool:
    """Take ``lock`` if it is free. For a ``try`` in the next line whose ``finally`` releases it."""
    taken: list[bool] = []
    # One step of the interpreter: the call, and keeping its result.
    taken += map(lock.acquire, _NO)
    return taken[0]


def wait_for(lock: Any, seconds: float) -> bool:
    """As `take`, if it is free within ``seconds``."""
    taken: list[bool] = []
    taken += map(lock.acquire, (True,), (seconds,))
    return taken[0]


def exits_with(name: str) -> Any:
    """The ``__exit__`` of a class that releases the object's lock ``name``. It is the lock's own C
    function: at the start of a Python function a handler could raise and leave the lock taken."""
    return property(attrgetter(f"{name}.__exit__"))


def let_go(error: BaseException) -> None:
    """Leave the blocks of `contextlib.contextmanager` that a handler has ended with ``error`` while
    they were entered. Whoever keeps the error calls this: its traceback keeps them suspended, with
    the locks that they have."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == contextlib.__file__:
            with suppress(RuntimeError):  # it still runs
                trace.tb_frame.clear()
        trace = trace.tb_next


class Done:
    """An event for one waiting thread; see the module for the reason."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.over = False

    def set(self) -> None:
        """Say that it is over."""
        self.over = True
        with suppress(RuntimeError):  # said before
            self._lock.release()

    def wait(self, seconds: float = -1) -> bool:
        """Wait, at most so long. Whether it is over."""
        if not self.over:
            self._lock.acquire(timeout=seconds)
        return self.over


class Bell:
    """Wakes one thread that waits: an Event that is cleared by waiting, see above. `ring` may be
    called from anywhere, also before the wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or the next that does."""
        with suppress(RuntimeError):  # it was rung before
            self._lock.release()

    def wait(self, seconds: float = -1) -> None:
        """Wait for the bell, at most so long."""
        self._lock.acquire(timeout=seconds)


def start(run: Callable[[], object], name: str, failed: Callable[[BaseException], object]) -> None:
    """Start a daemon thread, from another one, in which no handler runs. ``failed`` gets the error
    of a system that has no more threads, or this raises it."""
    thread = threading.Thread(target=run, name=name, daemon=True)

    def begin() -> None:
        try:
            thread.start()
        except BaseException as error:
            failed(error)

    _thread.start_new_thread(begin, ())
