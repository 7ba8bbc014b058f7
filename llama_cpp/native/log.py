"""The library's log lines, sent to Python's `logging` and kept for error messages.

Everything goes to the logger ``llama_cpp``, which is silent until the program configures logging:
``logging.basicConfig(level=logging.INFO)`` shows it. One level below, DEBUG, is the library's own
debug output.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import _raw
from . import fork
from .interrupt import held_back

# As `logging` has them, which is not imported here: see `show`.
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS: dict[int, int] = {
    _raw.GGML_LOG_LEVEL_DEBUG: DEBUG,
    _raw.GGML_LOG_LEVEL_INFO: INFO,
    _raw.GGML_LOG_LEVEL_WARN: WARNING,
    _raw.GGML_LOG_LEVEL_ERROR: ERROR,
}


class _Thread:
    """What a thread has said so far on its unfinished line, and who is listening."""

    def __init__(self) -> None:
        self.level = INFO
        self.line = ""
        self.listeners: list[list[str]] = []
        self.watcher: Callable[[str], object] | None = None
        self.error: BaseException | None = None
        self.handling = False  # whether a logging handler runs
        # Not current_thread(), which would keep an object for a thread that C made.
        self.signals = threading.get_ident() == threading.main_thread().ident


class _Threads(threading.local):
    """Has the `_Thread` of each: to look up a thread's own attribute takes four times as long as
    one of a plain object."""

    def __init__(self) -> None:
        self.own = _Thread()


_threads = _Threads()


def _receive(level: int, text: bytes | None, _: int | None) -> None:
    # An exception must not reach C. What logging handlers raise, and Ctrl-C, waits for `heard`.
    thread = _threads.own
    try:
        if level != _raw.GGML_LOG_LEVEL_CONT:
            thread.level = LEVELS.get(level, INFO)
            thread.line = ""
        thread.line += (text or b"").decode("utf-8", "replace")
        if not thread.line.endswith("\n"):
            return
        line, thread.line = thread.line.strip(), ""
        if not line:
            return
        if thread.watcher is not None:
            thread.watcher(line)
        if thread.level >= WARNING and thread.listeners:
            thread.listeners[-1].append(line)
        show(thread.level, line)
    except BaseException as error:
        thread.error = thread.error or error


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    # Python runs signal handlers as a function begins, so before any `try` in it, too. That ctypes
    # has called it is all that is above then, and ctypes gives what was raised to this hook: there
    # is no other way to it, and a Ctrl-C would be lost. Everything else goes on to the program's.
    trace = what.exc_traceback
    if trace is not None and trace.tb_frame.f_code is _receive.__code__:
        thread = _threads.own
        thread.error = thread.error or what.exc_value
    else:
        _hook(what)


_hook = sys.unraisablehook  # that `_unraisable` stands in for


def _after_fork() -> None:
    """The thread that forked is the child's main thread; the other one may have set the hook."""
    thread = _threads.own
    thread.signals = True
    if not thread.listeners and sys.unraisablehook is _unraisable:
        sys.unraisablehook = _hook


fork.at_fork(_after_fork)


def show(level: int, line: str) -> None:
    """Give a line to the logger ``llama_cpp``.

    A program that has not imported `logging` has not asked to see it, and is spared the import,
    which is a tenth of the memory that this package takes. What a handler has the library do is
    not logged: it would come to that handler.
    """
    thread = _threads.own
    if thread.handling:
        return
    logging = sys.modules.get("logging")
    if logging is None or not hasattr(logging, "captureWarnings"):  # or half imported
        return
    logger = logging.getLogger("llama_cpp")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # without any, Python prints warnings by itself
    thread.handling = True
    try:
        logger.log(level, "%s", line)
    finally:
        thread.handling = False


_callback = _raw.ggml_log_callback(_receive)


def attach(set_callback: object, silence: object) -> None:
    """Route a library's log here: ``set_callback`` is its ``llama_log_set``.

    When the process ends the callback is replaced by ``silence``, any C function that takes
    nothing and does nothing, because Python cannot be called any more then.
    """
    assert callable(set_callback)
    set_callback(_callback, None)
    quiet = ctypes.cast(silence, _raw.ggml_log_callback)  # type: ignore[arg-type]
    atexit.register(set_callback, quiet, None)


class heard:
    """The warnings and errors that the library logs in this thread, while the block runs.

    Raises, at the end, an exception that a logging handler or a signal raised inside a log call.
    A class, because it is entered for each token: a generator takes more than twice as long.
    """

    __slots__ = ()

    def __enter__(self) -> list[str]:
        global _hook
        lines: list[str] = []
        thread = _threads.own
        # Nothing is called here: a signal handler could run then, and what is set stay so.
        thread.listeners += [lines]
        if thread.signals and sys.unraisablehook is not _unraisable:
            _hook, sys.unraisablehook = sys.unraisablehook, _unraisable
        return lines

    def __exit__(self, *_: object) -> None:
        thread = _threads.own
        listeners = thread.listeners
        listeners.pop()
        if not listeners and sys.unraisablehook is _unraisable and thread.signals:
            sys.unraisablehook = _hook
        error = thread.error
        if error is not None:
            thread.error = None
            raise error


@contextmanager
def watched(watcher: Callable[[str], object]) -> Iterator[None]:
    """Have ``watcher`` called with each line, of any level, that the library logs in this thread
    while the block runs."""
    thread = _threads.own
    before, thread.watcher = thread.watcher, watcher
    try:
        yield
    finally:
        thread.watcher = before


def handling() -> bool:
    """Whether this thread is in a logging handler, called by a log line of the library."""
    return _threads.own.handling


def inherit(handling: bool) -> None:
    """In a thread that works for another: what `handling` says there."""
    _threads.own.handling = handling


def pass_on(lines: list[str]) -> None:
    """What was heard in another thread that worked for this one."""
    if _threads.own.listeners:
        _threads.own.listeners[-1].extend(lines)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C while the library works for long: the result says whether it came, and the block ends
    with KeyboardInterrupt.

    Python's own handler would raise as soon as the library calls Python, for a log line or to
    report progress. An exception there cannot go through C; Python would print it and forget it.
    A program's own handler stays as it is.
    """
    came: list[int] = []
    try:
        with held_back(came):
            yield lambda: bool(came)
    finally:
        if came:
            raise KeyboardInterrupt


def reason(lines: list[str], otherwise: str) -> str:
    """The end of what the library said, for an error message."""
    return "; ".join(lines[-3:]) or otherwise
