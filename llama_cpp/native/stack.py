"""Calls that need more stack than a thread has.

libstdc++'s regular expressions call themselves for each character that they match.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from . import log
from .calls import guarded_as, guarding

T = TypeVar("T")

_DETACHED = 2 if sys.platform == "darwin" else 1  # PTHREAD_CREATE_DETACHED
_ATTRIBUTES = 256  # more than a pthread_attr_t has on any system
_PAGE = 1 << 16  # on macOS a stack is a multiple of the page size
_OWN = 1 << 20  # for Python, and for the library besides its regular expressions

_thread = threading.local()
_jobs: dict[int, Callable[[], None]] = {}
_numbers = itertools.count(1)


def stack_size() -> int:
    """The bytes of stack that this thread has in all."""
    try:
        return int(_thread.size)
    except AttributeError:
        _thread.size = _read_size()
        return int(_thread.size)


def _read_size() -> int:
    if sys.platform == "win32":
        return sys.maxsize  # see `deep`
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_void_p
    this = ctypes.c_void_p(libc.pthread_self())
    size = ctypes.c_size_t(_OWN // 2)  # the default of macOS
    if hasattr(libc, "pthread_getattr_np"):
        attributes = ctypes.create_string_buffer(_ATTRIBUTES)
        if not libc.pthread_getattr_np(this, attributes):
            libc.pthread_attr_getstacksize(attributes, ctypes.byref(size))
            libc.pthread_attr_destroy(attributes)
    elif hasattr(libc, "pthread_get_stacksize_np"):
        libc.pthread_get_stacksize_np.restype = ctypes.c_size_t
        size.value = libc.pthread_get_stacksize_np(this)
    return size.value


def deep(call: Callable[[], T], size: int) -> T:
    """Run ``call`` in a thread with ``size`` bytes of stack; return its result or re-raise.

    Only used stack takes memory, until the call ends. `threading.stack_size` would change the
    whole process. An exception of a signal handler, as for Ctrl-C, is raised at once; the call then
    continues alone and must keep its objects alive. OSError if the system refuses the stack.
    """
    if sys.platform == "win32":  # there such an expression throws, and ctypes raises that
        return call()
    libc = ctypes.CDLL(None)
    results: list[T] = []
    errors: list[BaseException] = []
    heard: list[list[str]] = []
    done = threading.Lock()
    done.acquire()
    handling, guard = log.handling(), guarding()

    def run() -> None:
        try:
            log.inherit(handling)
            with guarded_as(guard), log.heard() as lines:
                heard.append(lines)
                results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.release()

    number = next(_numbers)
    _jobs[number] = run
    attributes = ctypes.create_string_buffer(_ATTRIBUTES)
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setdetachstate(attributes, _DETACHED)
    room = ctypes.c_size_t((size + _OWN + _PAGE - 1) // _PAGE * _PAGE)
    code = libc.pthread_attr_setstacksize(attributes, room) or libc.pthread_create(
        ctypes.byref(ctypes.c_void_p()), attributes, _run, ctypes.c_void_p(number)
    )
    libc.pthread_attr_destroy(attributes)
    if code:
        del _jobs[number]
        raise OSError(code, f"{os.strerror(code)}: a thread with a stack of {room.value} bytes")
    done.acquire()
    log.pass_on([line for lines in heard for line in lines])
    if errors:
        raise errors[0]
    return results[0]


def _start(number: int) -> None:
    _jobs.pop(number)()


# One for all threads, so that none ends in a function that is gone.
_run = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(_start)
