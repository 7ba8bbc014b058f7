"""Ctrl-C during a call into the library.

Python runs signal handlers between bytecodes of the main thread, so not while C computes. But its
C-level handler writes the signal's number to a file descriptor at once. A thread that reads it
sets the byte that the library's abort callback checks, the call returns, and Python's handler
runs as usual.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import fork
from .locks import Done, start

if TYPE_CHECKING:
    import socket

_lock = threading.Lock()
_writer: int | None = None  # no socket object: Python would warn of it at the end
_stop: ctypes.Array[ctypes.c_char] | None = None  # the stop flag of the main thread's call
_held: list[int] = []  # signals that `held_back` is holding back
_previous = -1  # the program's own wakeup descriptor

# Python cannot tell whether the program wants this warning, so it is off.
_set_wakeup_fd = functools.partial(signal.set_wakeup_fd, warn_on_full_buffer=False)


@contextmanager
def held_back(came: list[int]) -> Iterator[None]:
    """While the block runs, record Ctrl-C in ``came`` instead of raising. Only in the main thread,
    and only if Python's own handler is installed: a program's handler stays."""
    global _held
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, functools.partial(_hold, came))
        _held = came
        yield
    finally:
        _held = []
        try:
            _let_go()
        except BaseException:  # another signal's handler raised: they run first, if one came
            _let_go()
            raise


def _let_go() -> None:
    """Restore Python's own handler, unless the program has set another one meanwhile."""
    if getattr(signal.getsignal(signal.SIGINT), "func", None) is _hold:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _hold(came: list[int], number: int, _: object) -> None:
    came.append(number)


def held() -> int:
    """The number of Ctrl-C's that the main thread's current `held_back` has recorded."""
    return len(_held) if threading.current_thread() is threading.main_thread() else 0


@contextmanager
def stops_on_ctrl_c(stop: ctypes.Array[ctypes.c_char], came: Callable[[], bool]) -> Iterator[None]:
    """While the block runs in the main thread, Ctrl-C sets the first byte of ``stop``. So does an
    earlier one that `log.interruptible` holds back."""
    global _stop, _previous
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer = _stop  # not None if a signal handler makes a call during another call
    writer = _watched()
    before: list[int] = []
    try:
        # In one step: a program's handler that raises could come between the call and its result.
        before += map(_set_wakeup_fd, (writer,))
        if before[0] != writer:
            _previous = before[0]
        _stop = stop
        if came():
            stop[0] = b"\x01"
        yield
    finally:
        _stop = outer  # _previous stays: a signal may be on its way to it
        if before and (now := _set_wakeup_fd(before[0])) != writer:
            _set_wakeup_fd(now)  # the program has set another one meanwhile


def _watched() -> int:
    """The descriptor to write to; its watcher is started on first use, and again after a fork."""
    if _writer is None:
        ready, errors = Done(), list[BaseException]()

        def fail(error: BaseException) -> None:
            errors.append(error)
            ready.set()

        start(functools.partial(_watch, ready, fail), "llama_cpp Ctrl-C", fail)
        ready.wait()
        if errors:
            raise errors[0]
    assert _writer is not None
    return _writer


def _watch(ready: Done, failed: Callable[[BaseException], object]) -> None:
    try:
        reader = _opened()
    except BaseException as error:
        failed(error)
        return
    ready.set()
    if reader is None:
        return
    while True:
        try:
            numbers = reader.recv(64)
        except OSError:
            return
        if not numbers:
            return
        stop, previous = _stop, _previous
        if signal.SIGINT in numbers and stop is not None:
            stop[0] = b"\x01"
        if previous != -1:  # such as an event loop's, which needs the signal too
            try:
                os.write(previous, numbers)
            except OSError:
                continue  # full, or closed meanwhile: signals may be lost there, as documented


def _opened() -> socket.socket | None:
    """The socket to read from. None if another thread does so already: the wait for it was
    interrupted."""
    global _writer
    with _lock:
        if _writer is not None:
            return None
        # In the watcher's thread, where no signal's handler runs. An exception of one would leave
        # open sockets, and Python drops that of the next one where it warns of them.
        import socket  # here: programs without long decodes do not need it

        reader, writer = socket.socketpair()
        writer.setblocking(False)
        _writer = writer.detach()
        return reader


def _after_fork() -> None:
    """Reset in a child: the thread that held Ctrl-C back may not exist there."""
    global _writer, _stop, _lock
    _lock = threading.Lock()
    if _writer is not None:
        if (before := _set_wakeup_fd(-1)) != -1:
            _set_wakeup_fd(_previous if before == _writer else before)
        os.close(_writer)
    _writer = _stop = None
    _let_go()


fork.at_fork(_after_fork)
