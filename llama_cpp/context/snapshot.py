"""Copies of a sequence's state in memory: to go back, or to continue from it elsewhere."""

from __future__ import annotations

import ctypes
import math
from typing import Any

from .. import _raw
from ..errors import LlamaStateError
from ..native import log
from ..native.arguments import check_type
from .core import Core

_PARTIAL = _raw.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY


def ask(core: Core, name: str, seq_id: int | None, *data: Any, partial: bool = False) -> int:
    """C's ``llama_state_`` function ``name``, for a sequence, a part of its state, or with None for
    the whole context."""
    functions, arguments = core.library, [core.handle, *data]
    if seq_id is None:
        return int(getattr(functions, f"llama_state_{name}")(*arguments))
    if partial:
        return int(getattr(functions, f"llama_state_seq_{name}_ext")(*arguments, seq_id, _PARTIAL))
    return int(getattr(functions, f"llama_state_seq_{name}")(*arguments, seq_id))


class Snapshot:
    """A copy of a sequence's memory after ``n`` tokens.

    A ``partial`` one has only the part that removing cells cannot restore: the recurrent state, or
    the sliding window. C: ``llama_state_seq_get_data``, ``llama_state_seq_get_data_ext``.
    """

    __slots__ = ("_core", "_data", "_partial", "earlier", "n")

    def __init__(
        self, core: Core, n: int, data: ctypes.Array[ctypes.c_uint8], partial: bool
    ) -> None:
        self.n = n
        """The number of its tokens."""
        self.earlier: tuple[Snapshot, ...] = ()
        """Partial ones of the same sequence, to go back to from this one."""
        self._core = core
        self._data = data
        self._partial = partial

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self._data) + sum(point.size for point in self.earlier)

    @classmethod
    def take(
        cls,
        core: Core,
        seq_id: int,
        n: int,
        *,
        partial: bool = False,
        most: float = math.inf,
    ) -> Snapshot | None:
        """Copy the state of a sequence of ``n`` tokens, with the context's lock held. None if the
        library cannot copy it, or if it has more than ``most`` bytes."""
        check_type(core, Core)
        core.check_seq_id(seq_id)
        size = ask(core, "get_size", seq_id, partial=partial)
        if size > most:
            return None
        data = (ctypes.c_uint8 * size)()
        got = ask(core, "get_data", seq_id, data, size, partial=partial)
        return cls(core, n, data, partial) if got == size and size else None

    def put(self, core: Core, seq_id: int) -> str:
        """Restore it into a sequence of its context, with the lock held. Returns an empty text, or
        the reason of a failure, such as a lack of cells; a whole sequence is empty then."""
        if core is not self._core:
            raise LlamaStateError("the snapshot is of another context")
        size = len(self._data)
        with log.heard() as said:
            read = ask(core, "set_data", seq_id, self._data, size, partial=self._partial)
        if read == size:
            return ""
        if not self._partial:
            core.seq_rm(core.kv, seq_id, -1, -1)
        return log.reason(said, "the library does not say why")
