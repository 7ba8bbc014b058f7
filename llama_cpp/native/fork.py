"""Use of the library in a process that was made by ``fork``.

Only the thread that forks is in the child. The threads with which OpenMP computes are gone, and the
first decode would wait for them for ever: so they are ended before, and each process starts its
own. The parent's data on a GPU or an RPC server cannot be used or freed in the child. A lock
that another thread held stays locked there for good: objects with one have `after_fork`.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import LlamaError

_ADVICE = (
    "start processes with multiprocessing's method 'spawn' or 'forkserver', or with subprocess, "
    "and load the model there"
)


class Forked(Protocol):
    """An object that a child has a copy of."""

    def after_fork(self) -> None:
        """In the child: replace locks that only another thread could release."""
        ...


_libraries: dict[Any, tuple[Any, list[ctypes.CDLL]]] = {}  # by path, with its files
_objects: weakref.WeakSet[Any] = weakref.WeakSet()
_refused: dict[Any, str] = {}  # library -> why this process cannot compute with it
_fork = threading.local()  # each thread's own: others may fork at the same time


def watch(library: Any, dlls: list[ctypes.CDLL]) -> None:
    """Note a library that was loaded, with its files: a child will have it."""
    _libraries[library.path] = library, dlls


def renew(thing: Forked) -> None:
    """Have ``thing.after_fork()`` called in a child, if it lives then."""
    _objects.add(thing)


def refusal(library: Any) -> str | None:
    """Why this process, made by ``fork``, cannot compute with ``library``. None where it can."""
    return _refused.get(library.path)


def check(library: Any) -> None:
    """LlamaError where this process, made by ``fork``, cannot compute with ``library``."""
    if reason := refusal(library):
        raise LlamaError(reason)


def frees_nothing() -> bool:
    """Whether C's data here belongs to the parent's GPUs or servers, so that it is never freed."""
    return bool(_refused)


def at_fork(in_child: Callable[[], object], before: Callable[[], object] = lambda: None) -> None:
    """Call ``in_child`` in every child, and ``before`` in the parent. Windows has no ``fork``."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child, before=before)


def renew_lock(module: dict[str, Any], name: str, make: Callable[[], object]) -> None:
    """Make the lock ``name`` of a module new in a child."""
    at_fork(lambda: module.update({name: make()}))


def forked(reason: str) -> LlamaError:
    """The error for a child that cannot work."""
    return LlamaError(f"this process was forked from one with llama.cpp, {reason}: {_ADVICE}")


def lost(what: str) -> LlamaError:
    """The error for ``what``, which another thread was computing with when the process forked."""
    return LlamaError(
        f"{what} was in use by another thread when this process was forked, and is incomplete here:"
        f" make a new one, or {_ADVICE}"
    )


def _find(dlls: list[ctypes.CDLL], name: str) -> Any:
    """The function ``name`` of the OpenMP that a library uses."""
    return next((f for dll in dlls if (f := getattr(dll, name, None)) is not None), None)


def _before() -> None:
    _fork.ended = False  # whether OpenMP's threads were ended for it
    for _, dlls in _libraries.values():
        end = _find(dlls, "omp_pause_resource_all")
        if end is not None:
            end.argtypes, end.restype = (ctypes.c_int,), ctypes.c_int
            end(1)  # omp_pause_soft. Within a parallel region it does nothing, as the fork is.
            _fork.ended = True


def _in_child() -> None:
    from .. import _raw  # here: a program that only talks to a server does without

    local = (_raw.GGML_BACKEND_DEVICE_TYPE_CPU, _raw.GGML_BACKEND_DEVICE_TYPE_ACCEL)
    for path, (library, dlls) in _libraries.items():
        calls = library.short
        count = calls.ggml_backend_dev_count() if library.has("ggml_backend_dev_count") else 0
        devices = [calls.ggml_backend_dev_get(i) for i in range(count)]
        others = [d for d in devices if calls.ggml_backend_dev_type(d) not in local]
        reason = ""
        if others:
            names = ", ".join(calls.ggml_backend_dev_name(d).decode() for d in others)
            reason = f"the devices {names} cannot be used in it"
        elif sys.platform == "darwin":
            reason = "Apple's libraries cannot be used in it"
        elif not _fork.ended and _find(dlls, "GOMP_parallel") is not None:
            reason = "the threads of its OpenMP are gone"
        if reason:
            _refused[path] = str(forked(reason))
    for thing in list(_objects):
        thing.after_fork()


at_fork(_in_child, before=_before)
