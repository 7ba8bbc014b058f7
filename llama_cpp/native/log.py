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
from typing import TYPE_CHECKING

from .. import _raw
from . import fork
from .interrupt import held_back

if TYPE_CHECKING:
    import logging

# The levels of `logging`, which is not imported here: see `show`.
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS: dict[int, int] = {
    _raw.GGML_LOG_LEVEL_DEBUG: DEBUG,
    _raw.GGML_LOG_LEVEL_INFO: INFO,
    _raw.GGML_LOG_LEVEL_WARN: WARNING,
    _raw.GGML_LOG_LEVEL_ERROR: ERROR,
}
_CONT = int(_raw.GGML_LOG_LEVEL_CONT)


class _Thread:
    """A thread's unfinished log line, and its listeners."""

    def __init__(self) -> None:
        self.level = INFO
        self.line = ""
        self.listeners: list[list[str]] = []
        self.watcher: Callable[[str], object] | None = None
        self.mark = b""  # of the lines that the watcher wants
        self.error: BaseException | None = None
        self.handling = False  # whether a logging handler runs
        # Not current_thread(), which would keep an object for a thread that C made.
        self.signals = threading.get_ident() == threading.main_thread().ident


class _Threads(threading.local):
    """The `_Thread` of each thread: looking up a thread-local attribute takes four times as long
    as that of a plain object."""

    def __init__(self) -> None:
        self.own = _Thread()


_threads = _Threads()


def _receive(level: int, text: bytes | None, _: int | None) -> None:
    # An exception must not reach C. Those of logging handlers, and Ctrl-C, wait for `heard`.
    thread = _threads.own
    try:
        if level != _CONT:
            thread.level = LEVELS.get(level, INFO)
            thread.line = ""
        text = text or b""
        wanted = thread.watcher is not None and thread.mark in text
        if thread.level < WARNING and not wanted and _logger(thread.level) is None:
            return  # at once: a load logs several lines for each tensor
        thread.line += text.decode("utf-8", "replace")
        if not thread.line.endswith("\n"):
            return
        line, thread.line = thread.line.strip(), ""
        if not line:
            return
        if thread.watcher is not None and wanted:
            thread.watcher(line)
        if thread.level >= WARNING and thread.listeners:
            thread.listeners[-1].append(line)
        show(thread.level, line)
    except BaseException as error:
        thread.error = thread.error or error


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    # Python may run a signal handler at the start of `_receive`, before its `try`. Only ctypes is
    # above it then, and ctypes passes the exception to this hook. There is no other way to catch
    # it, and a Ctrl-C would be lost. Everything else is passed on to the program's hook.
    trace = what.exc_traceback
    if trace is not None and trace.tb_frame.f_code is _receive.__code__:
        thread = _threads.own
        thread.error = thread.error or what.exc_value
    else:
        _hook(what)


_hook = sys.unraisablehook  # the program's hook, which `_unraisable` replaces


def _after_fork() -> None:
    """The thread that forked is the child's main thread; the other one may have set the hook."""
    thread = _threads.own
    thread.signals = True
    if not thread.listeners and sys.unraisablehook is _unraisable:
        sys.unraisablehook = _hook


fork.at_fork(_after_fork)


def show(level: int, line: str) -> None:
    """Pass a line to the logger ``llama_cpp``.

    A program that has not imported `logging` does not want the log, and is spared the import,
    which is a tenth of this package's memory. The library's log during a logging handler is
    dropped: it would call that handler again.
    """
    thread = _threads.own
    logger = None if thread.handling else _logger(level)
    if logger is None:
        return
    if not logger.handlers:  # without any, Python prints warnings by itself
        logger.addHandler(sys.modules["logging"].NullHandler())
    thread.handling = True
    try:
        logger.log(level, "%s", line)
    finally:
        thread.handling = False


def _logger(level: int) -> logging.Logger | None:
    """The logger, if the program wants lines of this level."""
    module = sys.modules.get("logging")
    if module is None or not hasattr(module, "captureWarnings"):  # or half imported
        return None
    logger: logging.Logger = module.getLogger("llama_cpp")
    return logger if logger.isEnabledFor(level) else None


_callback = _raw.ggml_log_callback(_receive)


def attach(set_callback: object, silence: object) -> None:
    """Route a library's log here: ``set_callback`` is its ``llama_log_set``.

    When the process ends, the callback is replaced by ``silence``, any C function without
    arguments and effects, because Python can no longer be called.
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
        # Call nothing here: a signal handler could run and raise, and leave the listener installed.
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
def watched(mark: bytes, watcher: Callable[[str], object]) -> Iterator[None]:
    """Call ``watcher`` with each line, of any level, with ``mark`` in it, that the library logs in
    this thread while the block runs."""
    thread = _threads.own
    before = thread.mark, thread.watcher
    thread.mark, thread.watcher = mark, watcher
    try:
        yield
    finally:
        thread.mark, thread.watcher = before


def handling() -> bool:
    """Whether this thread is in a logging handler, called by a log line of the library."""
    return _threads.own.handling


def inherit(handling: bool) -> None:
    """Set `handling` in a thread that works for another, to that thread's value."""
    _threads.own.handling = handling


def pass_on(lines: list[str]) -> None:
    """Pass lines from a helper thread to this thread's listeners."""
    if _threads.own.listeners:
        _threads.own.listeners[-1].extend(lines)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Delay Ctrl-C during a long call: the yielded function returns whether it came, and the block
    ends with KeyboardInterrupt.

    Python's own handler would raise as soon as the library calls Python, for a log line or to
    report progress. An exception there cannot pass through C; Python would print and drop it.
    A program's own handler stays installed.
    """
    came: list[int] = []
    try:
        with held_back(came):
            yield lambda: bool(came)
    finally:
        if came:
            raise KeyboardInterrupt


def reason(lines: list[str], otherwise: str) -> str:
    """The library's last log lines, for an error message."""
    return "; ".join(lines[-3:]) or otherwise
