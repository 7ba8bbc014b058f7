"""Ownership of the library's objects."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..errors import LlamaClosedError, LlamaError
from . import fork
from .interrupt import held_back

if TYPE_CHECKING:
    from typing_extensions import Self


class Lock(Protocol):
    """A lock that is held while an object is in use."""

    def acquire(self, blocking: bool = True) -> bool:
        """False when it is."""
        ...


class NoCopy:
    """Base of objects that cannot be copied: the copy would close or use the same C object."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be copied, pickled or sent to another process: its "
            "memory or its connection is this process's own. Send what it was made of, and make "
            "another there (processes share the memory of a model's file)"
        )


class Resource(NoCopy):
    """A native object that is freed once, when nothing refers to it any more.

    ``keep`` are the resources it needs: each lives at least as long as this one, in whatever order
    Python lets go of them, also when it collects a cycle and at the end of the process. Closing a
    high-level object drops its reference; views of its memory may hold on to theirs.
    """

    __slots__ = ("__weakref__", "_finalizer", "abandoned", "handle")

    def __init__(
        self, handle: Any, free: Callable[[Any], object], *keep: object, lock: Lock | None = None
    ) -> None:
        """``lock`` is held while the object is in use. It is never freed then: a daemon thread
        may be in it when the process ends."""
        self.handle = handle
        self.abandoned = False
        """Whether it is stuck in the library: neither it nor its users are freed."""
        self._finalizer = weakref.finalize(self, _release, free, handle, keep, lock)

    def detach(self) -> Any:
        """Give the object away: it is not freed here any more."""
        self._finalizer.detach()
        return self.handle

    def abandon(self) -> object:
        """Never free it or its users. Returns the objects that the library still needs, to be
        kept."""
        self.abandoned = True
        return self._finalizer.detach()


def owned(
    handle: Any, free: Callable[[Any], object], *keep: object, lock: Lock | None = None
) -> Resource | None:
    """A handle that C has just made, as a `Resource`; None for NULL."""
    return None if handle is None else Resource(handle, free, *keep, lock=lock)


class ClosedByWith(NoCopy):
    """Base of objects with a `close`, which the end of a ``with`` block calls."""

    def close(self) -> None:
        """Free its memory."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Closable(ClosedByWith):
    """An object with a `Resource`: it closes by `close`, by ``with``, or when it is forgotten, and
    raises LlamaClosedError when it is used afterwards."""

    _resource: Resource | None = None
    _lost: LlamaError | None = None

    def _name(self) -> str:
        """A description, for the error."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._resource is None

    def close(self) -> None:
        """Free it, as soon as nothing needs it any more that was made from it."""
        self._resource = None

    def __enter__(self) -> Self:
        self.opened()
        return self

    def opened(self) -> Resource:
        """Its resource. LlamaClosedError once it is closed."""
        if self._resource is None:
            raise self._lost or LlamaClosedError(f"{self._name()} is closed")
        return self._resource

    def lose(self, error: LlamaError) -> None:
        """Never free it. Its use raises ``error`` from now on."""
        if self._resource is not None:
            self._resource.abandon()
            self._resource, self._lost = None, error


def _release(
    free: Callable[[Any], object], handle: Any, keep: tuple[object, ...], lock: Lock | None
) -> None:
    if fork.frees_nothing() or any(isinstance(n, Resource) and n.abandoned for n in keep):
        return
    # `keep` is dropped after this returns, so that its objects are freed after this one.
    if lock is None or lock.acquire(blocking=False):
        with _ctrl_c_later():
            free(handle)
        return
    for needed in keep:
        if isinstance(needed, Resource):
            needed.detach()


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Delay Ctrl-C until an object is freed: Python prints and drops exceptions that are raised
    while it frees objects, and so it would drop Ctrl-C."""
    came: list[int] = []
    try:
        with held_back(came):
            yield
    finally:
        if came and not sys.is_finalizing():
            # From elsewhere, and when we are out of here.
            threading.Timer(0.001, _interrupt_main).start()


def _interrupt_main() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # a real signal, as only that ends a sleep or another wait that has begun since
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
