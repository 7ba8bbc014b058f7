"""Lines on stderr for tasks that take long."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class Progress:
    """The state of a long task on stderr: nothing for two seconds, then an update now and then.

    A terminal shows one line, which is rewritten; elsewhere a plain line is added from time to
    time, so that a log stays readable.
    """

    def __init__(self, label: str, *, stream: TextIO | None = None, delay: float = 2.0) -> None:
        self._label = label
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._next = time.monotonic() + delay
        self._shown = False

    def show(self, state: str) -> None:
        """Show the state, unless something was shown only a moment ago."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._terminal else 15.0)
        self._shown = True
        line = f"{self._label}: {state}"
        if self._terminal:
            width = max(shutil.get_terminal_size().columns - 1, 20)
            self._stream.write(f"\r\x1b[K{line[:width]}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        """Remove the line from the terminal."""
        if self._shown and self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def say(message: str) -> None:
    """Print a line on stderr at once."""
    print(message, file=sys.stderr, flush=True)
