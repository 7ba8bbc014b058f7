"""C's operations on a context's memory (its KV cache)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import _raw
from ..errors import LlamaContextError
from ..native.arguments import c_number
from .cells import CellBooks
from .core import Core

_MAX = (1 << 31) - 1


class LlamaMemory:
    """The KV cache of a context, or its recurrent states: ``ctx.memory``.

    The methods are C's, under its names. Positions count from 0. Ranges are from ``p0`` up to but
    not including ``p1``; negative values are the beginning and the end of the sequence. A
    `LlamaSequence` keeps its tokens in step with its cells; these operations work below that, and
    may leave the tokens of one unknown. All raise ValueError for a sequence that there is not,
    LlamaContextError without a KV cache, and LlamaBusyError when another thread is in the context.
    C: ``llama_memory_t``, llama.h.
    """

    def __init__(self, core: Core, books: CellBooks) -> None:
        """Programs take it from `LlamaContext.memory`."""
        self._core = core
        self._books = books

    def __repr__(self) -> str:
        return "<LlamaMemory of a closed context>" if self._core.closed else "<LlamaMemory>"

    # -- facts

    def seq_pos_min(self, seq_id: int = 0) -> int:
        """The first position that it holds of a sequence, -1 when it holds nothing.

        More than 0 if the model forgets: with a sliding window, and with a recurrent state, which
        has only its last position. C: ``llama_memory_seq_pos_min``, llama.h.
        """
        with self._held(seq_id) as (seq_id,):
            return int(self._core.short.llama_memory_seq_pos_min(self._core.kv, seq_id))

    def seq_pos_max(self, seq_id: int = 0) -> int:
        """The last position that it holds of a sequence, -1 when it holds nothing.

        C: ``llama_memory_seq_pos_max``, llama.h.
        """
        with self._held(seq_id) as (seq_id,):
            return int(self._core.pos_max(self._core.kv, seq_id))

    @property
    def can_shift(self) -> bool:
        """Whether `seq_add` and `seq_div` work: not with several positions for a token (M-RoPE),
        nor if the sliding-window part is smaller than the rest (see ``swa_full``), nor with a
        ``type_k`` of BF16, nor with a quantized one if a head's keys are not a multiple of 64.

        C: ``llama_memory_can_shift``, llama.h.
        """
        with self._held():
            return not _unmovable(self._core)

    # -- changes

    def seq_rm(self, seq_id: int = 0, p0: int = -1, p1: int = -1) -> bool:
        """Remove a range of a sequence; without a range all of it, which never fails.

        Returns False, and removes nothing, if the model's memory cannot drop a part: a recurrent
        state cannot go back. C: ``llama_memory_seq_rm``, llama.h.
        """
        p0, p1 = _range(p0, p1)
        with self._held(seq_id) as (seq_id,):
            done = bool(self._core.seq_rm(self._core.kv, seq_id, p0, p1))
            if done:
                self._books.changed(seq_id, tail=p1 < 0)
            return done

    def seq_cp(self, src: int, dst: int, p0: int = -1, p1: int = -1) -> None:
        """Copy a range of sequence ``src`` to sequence ``dst``, replacing its own cells there; a
        whole copy replaces all of them.

        With ``kv_unified=True``, and for recurrent models, the two share the cells and it costs
        nothing; otherwise the cells are copied. Raises LlamaContextError when there is no room for
        them (then ``dst`` is empty), and for a part that cannot be copied: without ``kv_unified``,
        and on recurrent and hybrid models, only whole sequences can be.
        C: ``llama_memory_seq_cp``, llama.h.
        """
        p0, p1 = _range(p0, p1)
        with self._held(src, dst) as (src, dst):
            self._books.copy(src, dst, p0, p1)
            self._books.changed(dst)

    def seq_keep(self, seq_id: int) -> None:
        """Remove every other sequence. C: ``llama_memory_seq_keep``, llama.h."""
        core = self._core
        with self._held(seq_id) as (seq_id,):
            core.short.llama_memory_seq_keep(core.kv, seq_id)
            # Without kv_unified the library keeps sequences that do not share cells with it.
            for other in range(core.n_seq_max):
                if other != seq_id:
                    core.seq_rm(core.kv, other, -1, -1)
                    self._books.changed(other, tail=True)

    def seq_add(self, seq_id: int, p0: int, p1: int, delta: int) -> None:
        """Add ``delta`` to the positions of a range; the next decode turns the keys to match.

        Cells that the sequence shares with another (see `seq_cp`) move in that one too. Raises
        LlamaContextError where `can_shift` is False, and ValueError when a position would become
        negative. C: ``llama_memory_seq_add``, llama.h.
        """
        p0, p1 = _range(p0, p1)
        delta = c_number(_raw.llama_pos, delta, "delta")
        core = self._core
        with self._movable(seq_id) as seq_id:
            if (p0 := max(p0, self._books.first(seq_id))) + delta < 0:
                raise ValueError(f"delta={delta} would make position {p0} negative")
            last = core.pos_max(core.kv, seq_id)
            if last + delta >= _MAX:
                raise ValueError(f"delta={delta} would move position {last} beyond {_MAX - 1}")
            core.short.llama_memory_seq_add(core.kv, seq_id, p0, p1, delta)
            self._books.moved(seq_id)

    def seq_div(self, seq_id: int, p0: int, p1: int, divisor: int) -> None:
        """Divide the positions of a range by ``divisor``, rounding down, as grouped attention
        ("self-extend") does. Otherwise like `seq_add`.

        C: ``llama_memory_seq_add`` for each position: the keys come out wrong (b11434) after
        ``llama_memory_seq_div``, which turns them the other way.
        """
        p0, p1 = _range(p0, p1)
        divisor = c_number(_raw.llama_pos, divisor, "divisor")
        if divisor < 1:
            raise ValueError(f"divisor={divisor} must be 1 or more")
        core = self._core
        with self._movable(seq_id) as seq_id:
            end = core.pos_max(core.kv, seq_id) + 1
            add = core.short.llama_memory_seq_add
            for pos in range(max(p0, self._books.first(seq_id)), end if p1 < 0 else min(p1, end)):
                add(core.kv, seq_id, pos, pos + 1, pos // divisor - pos)
            self._books.moved(seq_id)

    def clear(self, *, data: bool = True) -> None:
        """Remove every sequence; with ``data`` the bytes of the cache become 0 too.

        C: ``llama_memory_clear``, llama.h.
        """
        core = self._core
        with self._held():
            core.short.llama_memory_clear(core.kv, data)
            for seq_id in range(core.n_seq_max):
                self._books.changed(seq_id, tail=True)

    # -- inside

    @contextmanager
    def _held(self, *seq_ids: int) -> Iterator[tuple[int, ...]]:
        """Reserve the context for this thread. Yields the checked sequences as plain ints, for the
        library."""
        core = self._core
        core.opened()
        numbers = tuple(int(c_number(_raw.llama_seq_id, i, "seq_id")) for i in seq_ids)
        for number in numbers:
            core.check_seq_id(number)
        core.check_memory()
        with core.held():
            yield numbers

    @contextmanager
    def _movable(self, seq_id: int) -> Iterator[int]:
        with self._held(seq_id) as (seq_id,):
            check_movable(self._core)
            yield seq_id


def check_movable(core: Core) -> None:
    """Raise LlamaContextError if positions cannot be moved."""
    if why := _unmovable(core):
        raise LlamaContextError(
            f"positions cannot be moved in this context (see LlamaMemory.can_shift): {why}"
        )


def _unmovable(core: Core) -> str:
    if not core.short.llama_memory_can_shift(core.kv):
        if core.n_swa and not core.params.swa_full:
            return "a model with a sliding window needs swa_full=True for it"
        return "llama.cpp cannot move those of this model"
    if core.turns_keys:
        return ""
    name = _raw.ggml_type(core.params.type_k).name
    return f"llama.cpp cannot turn this model's keys as type_k={name}; take GGML_TYPE_F16 or _F32"


def _range(p0: int, p1: int) -> tuple[int, int]:
    return c_number(_raw.llama_pos, p0, "p0"), c_number(_raw.llama_pos, p1, "p1")
