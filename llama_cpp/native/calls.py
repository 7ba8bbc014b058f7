"""Calls in which the library may abort: a failed assertion becomes an exception.

ggml calls a function before it aborts, and aborts when that returns. So the call is made in a
thread of its own, and the function never returns there: the thread sleeps until the process ends,
keeping the call's memory, and the program continues. This is for calls that compute in their
own thread only, hold no lock of the library, and fail for reasons that cannot be checked before.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from .. import _raw
from ..errors import LlamaBusyError, LlamaCancelled, LlamaError, LlamaModelError
from . import fork, locks, log
from .library import LlamaLibrary

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_LOOK = 0.01  # seconds between two checks of `stopped`
_RPC = "ggml-rpc.cpp:"  # part of the abort message when a server is lost

_lock = threading.Lock()
# Threads whose calls are guarded: ident -> the function that ends the wait for one.
_threads: dict[int, Callable[[str], None]] = {}
# Calls that use RPC servers: another thread, the library's own, may be the one that loses a server.
_remote: set[Callable[[str], None]] = set()
_running: dict[Path, int] = {}  # library -> its guarded calls
_previous: dict[Path, _raw.ggml_abort_callback_t] = {}
MOST_LEFT = 8
"""So many calls that are not waited for any more may still run."""
_left: list[locks.Done] = []  # those that do
fork.renew_lock(globals(), "_lock", threading.Lock)
fork.renew_lock(globals(), "_left", list)


class Guard(Protocol):
    """The type of `guarded`, which makes a call that may abort, and of its variant for RPC."""

    def __call__(
        self,
        library: LlamaLibrary,
        call: Callable[[], T],
        what: str,
        *,
        error: type[LlamaError] = ...,
    ) -> T:
        """The result of ``call``."""
        ...


def guarded(
    library: LlamaLibrary,
    call: Callable[[], T],
    what: str,
    *,
    error: type[LlamaError] = LlamaModelError,
    lost: Callable[[str], LlamaError] | None = None,
    slow: Callable[[int], str | None] | None = None,
) -> T:
    """Return the result of ``call`` or re-raise its exception; ``error`` if the library aborts.

    The message is ``what`` and the library's reason. With ``lost`` the call may use RPC servers:
    ``lost`` makes the error when one is gone, or when ``slow`` gives a reason not to wait any
    longer. ``slow`` is called once a second during the call, with the number of pending exceptions.
    Ctrl-C and other exceptions wait meanwhile.
    """
    fork.check(library)
    if not library.has("ggml_set_abort_callback"):
        return call()  # older llama.cpp
    with log.interruptible():
        return _in_thread(library, call, what, error, lost, slow)


def unguarded(
    library: LlamaLibrary,
    call: Callable[[], T],
    what: str,
    *,
    error: type[LlamaError] = LlamaModelError,
) -> T:
    """The result of ``call``, which does not abort."""
    return call()


def call(
    library: LlamaLibrary,
    function: Callable[[], T | None],
    what: str,
    *,
    error: type[LlamaError] = LlamaModelError,
    guard: Guard | None = None,
) -> T:
    """Return the result of ``function``, a long call of the library that can fail.

    C reports a failure as NULL or a code, so None and a number other than 0 raise ``error``, with
    ``what`` and the reason that the library logged. So does an abort, see `guarded`. Ctrl-C waits
    for the end. ``function`` wraps a handle in an `owned` Resource, so that a later exception does
    not leak it.
    """
    said: list[str] = []

    def work() -> T | None:
        with log.heard() as heard:
            result = function()
            said.extend(heard)
            return result

    with log.interruptible():
        result = (guard or guarded)(library, work, what, error=error)
    if result is None or (isinstance(result, int) and result):
        code = "the library does not say why" if result is None else f"code {int(result)}"
        raise error(f"{what}: {log.reason(said, code)}")
    return result


def abandonable(
    function: Callable[[], T], stopped: Callable[[], bool], seconds: float, error: LlamaError
) -> T:
    """Return the result of ``function``, which may take very long and cannot be stopped.

    It runs in a thread of its own. Ctrl-C, a true result of ``stopped``, and ``error`` after
    ``seconds`` do not wait for it: the objects that it uses must not be touched any more. While
    `MOST_LEFT` abandoned calls still run, it raises LlamaBusyError.
    """
    _left[:] = [left for left in _left if not left.over]
    if len(_left) >= MOST_LEFT:
        raise LlamaBusyError(
            f"{len(_left)} calls that took too long were stopped, and still compute: wait for them"
        )
    call = Beside(function, "llama_cpp long call")
    end = time.monotonic() + seconds
    try:
        while not call.done.wait(_LOOK):
            if stopped():
                raise LlamaCancelled("it was cancelled")
            if time.monotonic() > end:
                raise error
    except BaseException:
        _left.append(call.done)
        raise
    return call.result()


class Beside(Generic[T]):
    """A call in a thread of its own, next to what this thread does."""

    def __init__(self, function: Callable[[], T], name: str) -> None:
        """``name`` is that of the thread."""
        self.done = locks.Done()
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        handling = log.handling()

        def run() -> None:
            log.inherit(handling)
            try:
                self._results.append(function())
            except BaseException as raised:
                self._errors.append(raised)
            self.done.set()

        try:
            locks.start(run, name, self._fail)
        except RuntimeError as raised:
            self._fail(raised)

    def _fail(self, raised: BaseException) -> None:
        self._errors.append(LlamaError(f"the system has no more threads: {raised}"))
        self.done.set()

    def result(self) -> T:
        """Wait for the result of the function, or re-raise its error. LlamaError if the system has
        no more threads."""
        self.done.wait()
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def _in_thread(
    library: LlamaLibrary,
    call: Callable[[], T],
    what: str,
    error: type[LlamaError],
    lost: Callable[[str], LlamaError] | None,
    slow: Callable[[int], str | None] | None,
) -> T:
    results: list[T] = []
    errors: list[BaseException] = []
    done = locks.Done()
    begun = threading.Lock()  # taken once: by the thread, or by us when it could not start
    handling = log.handling()

    def run() -> None:
        if not begun.acquire(blocking=False):
            return
        log.inherit(handling)
        try:
            with guarded_as(stop):
                results.append(call())
        except BaseException as raised:
            errors.append(raised)
        done.set()

    gone: list[str] = []

    def stop(reason: str) -> None:
        if lost is not None and _RPC in reason:
            gone.append(reason.rpartition(": ")[2])
        else:
            errors.append(error(f"{what}: {reason}"))
        done.set()

    def fail(raised: BaseException) -> None:  # no memory for a thread, or the process ends
        errors.append(error(f"{what}: {raised}"))
        done.set()

    if lost is not None:
        _remote.add(stop)
    with _lock:
        if not _running.get(library.path):
            _previous[library.path] = library.ggml_set_abort_callback(_callback)
        _running[library.path] = _running.get(library.path, 0) + 1
    tired: str | None = None
    try:
        try:
            locks.start(run, "llama_cpp guarded call", fail)
        except BaseException as raised:
            if not begun.acquire(blocking=False):
                errors.append(raised)  # a signal handler's, and the call has begun
            elif isinstance(raised, RuntimeError):
                fail(raised)
            else:
                raise
        tired = _wait(done, errors, slow)
    finally:
        if tired is None:
            with _lock:
                _running[library.path] -= 1
                if not _running[library.path]:
                    library.ggml_set_abort_callback(_previous.pop(library.path))
            _remote.discard(stop)
    if tired is not None:  # it is still guarded: it may come back, and abort
        gone.append(tired)
    if gone and lost is not None:
        raise lost(gone[0])
    if errors:
        raise errors[0]
    return results[0]


def guarding() -> Callable[[str], None] | None:
    """The guard of this thread's current call, or None."""
    return _threads.get(threading.get_ident())


@contextmanager
def guarded_as(guard: Callable[[str], None] | None) -> Iterator[None]:
    """Guard this thread's calls in the block with another thread's `guarding`."""
    ident = threading.get_ident()
    if guard is not None:
        _threads[ident] = guard
    try:
        yield
    finally:
        _threads.pop(ident, None)


def _aborting(message: bytes | None) -> None:
    text = (message or b"").decode("utf-8", "replace").strip()
    stop = guarding()
    stops = [] if stop is None else [stop]
    if _RPC in text:
        stops += list(_remote)
    if not stops:
        print(text, file=sys.stderr, flush=True)  # as it would have without us
        return
    # In "file:line: reason" the file is a path of the machine that built the library.
    for stop in stops:
        stop(text.rpartition("/")[2])
    threading.Event().wait()


_callback = _raw.ggml_abort_callback_t(_aborting)


def _wait(
    done: locks.Done, errors: list[BaseException], slow: Callable[[int], str | None] | None
) -> str | None:
    """Wait until it is done, or return the reason to stop waiting. Exceptions of signal handlers
    are raised afterwards."""
    while not done.over:
        try:
            if not done.wait(-1 if slow is None else 1.0) and slow is not None:
                tired = slow(len(errors))
                if tired is not None:
                    return tired
        except BaseException as error:
            errors.append(error)
    return None
