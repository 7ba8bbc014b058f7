"""Calls in which the library may abort: a failed assertion becomes an exception.

ggml calls a function before it aborts, and aborts when that returns. So the call is made in a
thread of its own, and the function never returns there: the thread sleeps until the process ends,
with what the call had allocated, and the program goes on. This is for calls that compute in their
own thread only, hold no lock of the library, and fail for reasons that cannot be checked before.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from . import _raw
from .errors import LlamaModelError
from .library import LlamaLibrary

T = TypeVar("T")

_lock = threading.Lock()  # the function is one for the whole library
_parked: list[object] = []  # what the threads that sleep are in


def guarded(library: LlamaLibrary, call: Callable[[], T], what: str) -> T:
    """The result of ``call``, or what it raises; LlamaModelError where the library aborts.

    The error's message is ``what`` and the library's. Meanwhile Ctrl-C and the like wait.
    """
    if not library.has("ggml_set_abort_callback"):
        return call()  # older llama.cpp
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        done.set()

    def aborting(message: bytes | None) -> None:
        text = (message or b"").decode("utf-8", "replace").strip()
        if threading.current_thread() is not thread:
            print(text, file=sys.stderr, flush=True)  # as it would have without us
            return
        # Of "file:line: reason" the first is a path of another machine.
        errors.append(LlamaModelError(f"{what}: {text.rpartition('/')[2]}"))
        _parked.append(callback)
        done.set()
        threading.Event().wait()

    thread = threading.Thread(target=run, name="llama_cpp guarded call", daemon=True)
    callback = _raw.ggml_abort_callback_t(aborting)
    with _lock:
        previous = library.ggml_set_abort_callback(callback)
        try:
            thread.start()
            _wait(done, errors)
        finally:
            library.ggml_set_abort_callback(previous)
    if errors:
        raise errors[0]
    return results[0]


def _wait(done: threading.Event, errors: list[BaseException]) -> None:
    """Until it is done: what a signal handler raises here comes afterwards."""
    while not done.is_set():
        try:
            done.wait()
        except BaseException as error:
            errors.append(error)
