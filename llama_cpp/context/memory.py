"""What a context's memory holds (its KV cache): removing, copying and moving what was decoded."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import _raw
from ..errors import LlamaBusyError, LlamaContextError
from ..native import log
from ..native.arguments import c_number
from ..native.resource import Closable
from . import state as _state
from .batch import LlamaBatch

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ..model.model import LlamaModel
    from ..native.library import LlamaLibrary
    from .sequence import LlamaSequence, Sequences

_MAX = (1 << 31) - 1


class ContextMemory(Closable):
    """The part of `LlamaContext` that works on its KV cache, or its recurrent states.

    Positions count from 0. Ranges are from ``p0`` up to but not including ``p1``; ``p1=-1`` is the
    end of the sequence. C: ``llama_memory_t``, llama.h.
    """

    _model: LlamaModel
    _library: LlamaLibrary
    _lock: threading.Lock
    _has_memory: bool
    _all_outputs: bool
    _n_ctx: int
    _kv_unified: bool
    _n_seq_max: int
    _kv: Any
    _params: _raw.llama_context_params
    _seq_rm: Any
    _pos_max: Any
    _decode: Any
    _outputs: Any  # as `Outputs` has it
    _sequences: dict[int, weakref.ref[LlamaSequence]]
    _reserved: frozenset[int] = frozenset()  # ids that no LlamaSequence gets
    _writes: list[int]  # how often something came or changed, by sequence
    _orphans: list[int]  # ids of sequences that are gone, with their cells still in the cache
    _weighed = 0  # how often adapters were set
    _unapplied = False  # `shift` only notes positions down; a decode turns the keys, see `_apply`

    # -- facts

    def pos_min(self, seq_id: int = 0) -> int:
        """The first position that the cache holds of a sequence, -1 when it holds nothing.

        More than 0 where the model forgets: with a sliding window, and with a recurrent state,
        which stands for its last position alone. C: ``llama_memory_seq_pos_min``, llama.h.
        """
        seq_id = _seq_id(seq_id)
        with self._memory(seq_id) as (short, memory):
            return int(short.llama_memory_seq_pos_min(memory, seq_id))

    def pos_max(self, seq_id: int = 0) -> int:
        """The last position that the cache holds of a sequence, -1 when it holds nothing.

        C: ``llama_memory_seq_pos_max``, llama.h.
        """
        seq_id = _seq_id(seq_id)
        with self._memory(seq_id) as (short, memory):
            return int(short.llama_memory_seq_pos_max(memory, seq_id))

    @property
    def can_shift(self) -> bool:
        """Whether `shift` and `divide` work: not with several position numbers a token (M-RoPE),
        nor where the sliding-window part is smaller than the rest (see ``swa_full``).

        C: ``llama_memory_can_shift``, llama.h.
        """
        with self._memory() as (short, memory):
            return bool(short.llama_memory_can_shift(memory))

    # -- changes

    def remove(self, p0: int = 0, p1: int = -1, *, seq_id: int = 0) -> bool:
        """Remove a range of a sequence; without one all of it, which never fails.

        False, and nothing is removed, where the model's memory cannot forget a part: a recurrent
        state cannot go back. C: ``llama_memory_seq_rm``, llama.h.
        """
        p0, p1, seq_id = *_range(p0, p1), _seq_id(seq_id)
        with self._memory(seq_id) as (short, memory):
            done = bool(short.llama_memory_seq_rm(memory, seq_id, p0, p1))
            if done:
                self._changed(seq_id, tail=p1 < 0)
            return done

    def copy(self, src: int, dst: int, p0: int = 0, p1: int = -1) -> None:
        """Give sequence ``dst`` a range of sequence ``src``, in place of what it had there; a
        whole copy replaces all that it had.

        With ``kv_unified=True``, and for recurrent models, the two share the cells and it costs
        nothing; otherwise the cells are copied. Raises LlamaContextError when there is no room for
        them (then ``dst`` is empty), and for a part that cannot be copied: without ``kv_unified``,
        and on recurrent and hybrid models, only whole sequences can be.
        C: ``llama_memory_seq_cp``, llama.h.
        """
        p0, p1, src, dst = *_range(p0, p1), _seq_id(src), _seq_id(dst)
        with self._memory(src, dst):
            self._copy(src, dst, p0, p1)
            self._changed(dst)

    def keep(self, seq_id: int) -> None:
        """Remove every other sequence. C: ``llama_memory_seq_keep``, llama.h."""
        seq_id = _seq_id(seq_id)
        with self._memory(seq_id) as (short, memory):
            short.llama_memory_seq_keep(memory, seq_id)
            # Without kv_unified the library leaves alone what does not share cells with it.
            for other in range(self._n_seq_max):
                if other != seq_id:
                    short.llama_memory_seq_rm(memory, other, -1, -1)
                    self._changed(other, tail=True)

    def shift(self, p0: int, p1: int, delta: int, *, seq_id: int = 0) -> None:
        """Add ``delta`` to the positions of a range; the next decode turns the keys to match.

        Cells that the sequence shares with another (see `copy`) move in that one too. Raises
        LlamaContextError where `can_shift` is False, and ValueError when a position would become
        negative. C: ``llama_memory_seq_add``, llama.h.
        """
        p0, p1, seq_id = *_range(p0, p1), _seq_id(seq_id)
        delta = c_number(_raw.llama_pos, delta, "delta")
        with self._movable(seq_id) as (short, memory):
            if (p0 := max(p0, self._first(memory, seq_id))) + delta < 0:
                raise ValueError(f"delta={delta} would make position {p0} negative")
            last = short.llama_memory_seq_pos_max(memory, seq_id)
            if last + delta >= _MAX:
                raise ValueError(f"delta={delta} would move position {last} beyond {_MAX - 1}")
            short.llama_memory_seq_add(memory, seq_id, p0, p1, delta)
            self._moved(seq_id)

    def divide(self, p0: int, p1: int, divisor: int, *, seq_id: int = 0) -> None:
        """Divide the positions of a range by ``divisor``, rounding down, as grouped attention
        ("self-extend") does. Otherwise as `shift`.

        C: ``llama_memory_seq_add`` for each position: the keys come out wrong (b11434) after
        ``llama_memory_seq_div``, which turns them the other way.
        """
        p0, p1, seq_id = *_range(p0, p1), _seq_id(seq_id)
        divisor = c_number(_raw.llama_pos, divisor, "divisor")
        if divisor < 1:
            raise ValueError(f"divisor={divisor} must be 1 or more")
        with self._movable(seq_id) as (short, memory):
            end = short.llama_memory_seq_pos_max(memory, seq_id) + 1
            for pos in range(max(p0, self._first(memory, seq_id)), end if p1 < 0 else min(p1, end)):
                short.llama_memory_seq_add(memory, seq_id, pos, pos + 1, pos // divisor - pos)
            self._moved(seq_id)

    def clear(self, *, data: bool = True) -> None:
        """Remove every sequence; with ``data`` the bytes of the cache become 0 too.

        C: ``llama_memory_clear``, llama.h.
        """
        with self._memory() as (short, memory):
            short.llama_memory_clear(memory, data)
            for seq_id in self._sequences:
                self._changed(seq_id, tail=True)

    # -- state

    def save_state(self, tokens: Iterable[int] = ()) -> bytes:
        """All sequences of the cache as bytes for `load_state`, with ``tokens``, which are for you:
        a context does not know its tokens, a `LlamaSequence` does.

        C: ``llama_state_get_data``, llama.h, in a container that says what it belongs to.
        """
        return bytes(self._saved(tokens))

    def load_state(self, data: Buffer) -> list[int]:
        """Replace all that the cache holds by what `save_state` gave; returns its tokens.

        Raises LlamaStateError for data that is damaged, or belongs to another model or a context of
        another shape: nothing has changed then. The same error says so when the library refuses it
        after that, as for want of cells, and the cache is empty. There are no outputs until the
        next decode, and a `LlamaSequence` must be given its tokens anew.
        C: ``llama_state_set_data``, llama.h.
        """
        with self._memory():
            state = _state.check(self, data)
            self._outputs = None
            try:
                _state.restore(self, state)
            finally:
                for seq_id in range(self._n_seq_max):
                    self._changed(seq_id)
            return state.tokens

    def save_state_file(self, path: str | os.PathLike[str], tokens: Iterable[int] = ()) -> None:
        """Write `save_state` to a file. Until all is written, what was there stays. Raises OSError
        when it cannot be written."""
        _state.write_file(path, self._saved(tokens))

    def load_state_file(self, path: str | os.PathLike[str]) -> list[int]:
        """`load_state` of a file. Raises OSError when it cannot be read."""
        return self.load_state(_state.read_file(path))

    def _saved(self, tokens: Iterable[int]) -> bytearray:
        with self._memory():
            return _state.save(self, tokens)

    # -- sequences

    @property
    def sequence(self) -> Sequences:
        """Makes sequences: ``ctx.sequence()`` an empty one, ``ctx.sequence.load(path)`` and
        ``ctx.sequence.from_bytes(data)`` one that was saved. See `LlamaSequence`."""
        from .sequence import Sequences

        return Sequences(self)  # type: ignore[arg-type]

    def _take_id(self, sequence: LlamaSequence, seq_id: int | None) -> int:
        """An id for it, or that very one. The lock must be held, as for all that follows."""
        self._reclaim()
        if seq_id is not None:
            seq_id = self._check_seq_id(seq_id)
            if seq_id in self._sequences:
                raise LlamaContextError(
                    f"sequence {seq_id}, which this works with, is a LlamaSequence's: close it, or "
                    "use another context"
                )
            self._sequences[seq_id] = weakref.ref(sequence)
            return seq_id
        for seq_id in range(self._n_seq_max):
            taken = seq_id in self._sequences or seq_id in self._reserved
            if not taken and self._pos_max(self._kv, seq_id) < 0:
                self._sequences[seq_id] = weakref.ref(sequence)
                return seq_id
        raise LlamaContextError(
            f"no sequence is left: {len(self._sequences)} are in use, and what was decoded without "
            f"a LlamaSequence may be in others; close or remove one, or make the context with a "
            f"larger n_seq_max than {self._n_seq_max}"
        )

    def _reclaim(self) -> None:
        """Free the cells and ids of sequences that are gone."""
        while self._orphans:
            seq_id = self._orphans.pop()
            self._seq_rm(self._kv, seq_id, -1, -1)
            del self._sequences[seq_id]

    def _live(self, seq_id: int) -> LlamaSequence | None:
        ref = self._sequences.get(seq_id)
        return None if ref is None else ref()

    def _reweigh(self) -> None:
        """The model computes otherwise from now on: what the cache holds is not to be reused."""
        self._weighed += 1
        for seq_id in self._sequences:
            sequence = self._live(seq_id)
            if sequence is not None:
                sequence._drop_after(0)

    def _changed(self, seq_id: int, *, tail: bool = False) -> None:
        self._writes[seq_id] += 1
        sequence = self._live(seq_id)
        if sequence is not None:
            sequence._changed(tail=tail)

    def _check_writes(self, seq_id: int, writes: int) -> None:
        """LlamaContextError where something came or changed since there were ``writes``."""
        if self._writes[seq_id] != writes:
            raise LlamaContextError(
                "the context was used otherwise since this generation's last step"
            )

    def _moved(self, seq_id: int) -> None:
        self._unapplied = not self._is_recurrent
        for other in range(self._n_seq_max) if self._kv_unified else (seq_id,):
            self._changed(other)

    def _record(self, batch: LlamaBatch) -> None:
        """Tell the sequences what was decoded."""
        live = {}
        for seq_id, ref in self._sequences.items():
            sequence = ref()
            if sequence is not None:
                live[seq_id] = sequence
                sequence._output = None
        ids, pos = batch.seq_ids, batch.pos
        for i, token in enumerate(batch.tokens):
            sequence = live.get(0 if ids is None else ids[i])
            if sequence is not None:
                sequence._decoded(token, None if pos is None else pos[i])
        for i in range(len(batch)) if self._all_outputs else batch.outputs:
            sequence = live.get(0 if ids is None else ids[i])
            if sequence is not None:
                sequence._output = i

    # -- inside

    def _copy(self, src: int, dst: int, p0: int, p1: int) -> None:
        if src == dst:
            return
        last = self._pos_max(self._kv, src)
        if p0 <= 0 and (p1 < 0 or p1 > last):
            p0 = p1 = -1  # the whole
        elif not self._copies_parts:
            raise LlamaContextError(
                f"positions {p0} to {p1} of sequence {src} cannot be copied alone: copy the "
                "whole and remove the rest, or make the context with kv_unified=True (but "
                "recurrent and hybrid models only copy whole sequences)"
            )
        self._seq_rm(self._kv, dst, p0, p1)
        if last < 0:
            return
        if self._shares_cells:
            self._library.short.llama_memory_seq_cp(self._kv, src, dst, p0, p1)
        else:
            self._clone(src, dst)

    def _goes_on(self, seq_id: int, n: int) -> bool:
        """Whether the cache has all that the token at position ``n`` looks at."""
        if self._pos_max(self._kv, seq_id) != n - 1:
            return False
        if not self._n_swa or self._is_stateful:
            return True
        first = self._library.short.llama_memory_seq_pos_min(self._kv, seq_id)
        return bool(first <= max(0, n - self._n_swa + 1))

    @contextmanager
    def _memory(self, *seq_ids: int) -> Iterator[tuple[Any, Any]]:
        """The short calls of the library and the C memory, while no other thread is in it."""
        self._open()
        for seq_id in seq_ids:
            self._check_seq_id(seq_id)
        if not self._has_memory:
            raise LlamaContextError("this context has no KV cache")
        with self._held():
            yield self._library.short, self._kv

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise LlamaBusyError("another thread is using this context")
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _movable(self, seq_id: int) -> Iterator[tuple[Any, Any]]:
        with self._memory(seq_id) as (short, memory):
            if not short.llama_memory_can_shift(memory):
                raise LlamaContextError(
                    "positions cannot be moved in this context (see can_shift): a model with a "
                    "sliding window needs swa_full=True for it"
                )
            yield short, memory

    def _first(self, memory: Any, seq_id: int) -> int:
        """The first position of a sequence, or 0 when that cannot be known."""
        if self._is_stateful and not self._is_recurrent:
            return 0  # of a hybrid memory, pos_min is that of the recurrent state
        return max(0, int(self._library.short.llama_memory_seq_pos_min(memory, seq_id)))

    def _check_seq_id(self, seq_id: int) -> int:
        number = _seq_id(seq_id)
        if not 0 <= number < self._n_seq_max:
            raise ValueError(f"seq_id {number} is not 0 to {self._n_seq_max - 1} (see n_seq_max)")
        return number

    @cached_property
    def _is_recurrent(self) -> bool:
        """Whether the memory is nothing but recurrent states."""
        return self._model_is("recurrent") and not self._model_is("hybrid")

    @cached_property
    def _is_stateful(self) -> bool:
        """Whether the memory has recurrent states, alone or beside a KV cache."""
        return self._model_is("recurrent") or self._model_is("hybrid")

    @cached_property
    def _n_swa(self) -> int:
        """The sliding window in tokens, 0 without one."""
        short = self._library.short
        return int(short.llama_model_n_swa(short.llama_get_model(self._open().handle)))

    @cached_property
    def _forgets(self) -> bool:
        """Whether the memory cannot go back by removing cells, but to a copy of a part of it."""
        window = self._n_swa and not self._library.short.llama_memory_can_shift(self._kv)
        forgets = bool(window) or self._is_stateful
        return forgets and self._library.has("llama_state_seq_get_data_ext")

    @cached_property
    def _n_ctx_of_seq(self) -> int:
        """The cells that one sequence can have."""
        if self._library.has("llama_n_ctx_seq"):
            return int(self._library.short.llama_n_ctx_seq(self._open().handle))
        return self._n_ctx if self._kv_unified else self._n_ctx // self._n_seq_max

    @cached_property
    def _copies_parts(self) -> bool:
        """Whether a part of a sequence can be copied alone."""
        whole = self._model.metadata.get("general.architecture") == "deepseek4"
        return self._kv_unified and not self._is_stateful and not whole

    @cached_property
    def _shares_cells(self) -> bool:
        """Whether a copy shares the cells. Not where recurrent states can be rolled back
        (``n_rs_seq``): that is noted for one sequence, and a copy would go on from another state.
        """
        rolls_back = (
            self._is_stateful
            and self._library.has("llama_n_rs_seq")
            and self._library.short.llama_n_rs_seq(self._open().handle)
        )
        return not rolls_back and (self._kv_unified or self._is_recurrent)

    def _model_is(self, kind: str) -> bool:
        library = self._library
        name = f"llama_model_is_{kind}"
        if not library.has(name):
            return False
        return bool(
            getattr(library.short, name)(library.short.llama_get_model(self._open().handle))
        )

    def _clone(self, src: int, dst: int) -> None:
        """Copy the cells of a whole sequence. ``llama_memory_seq_cp`` would copy between streams
        all that the cache has room for, and only at the next decode."""
        self._apply()
        handle = self._open().handle
        size = self._library.llama_state_seq_get_size(handle, src)
        data = (ctypes.c_uint8 * size)()
        self._library.llama_state_seq_get_data(handle, data, size, src)
        with log.heard() as said:
            done = self._library.llama_state_seq_set_data(handle, data, size, dst)
        if not done:
            self._seq_rm(self._kv, dst, -1, -1)
            reason = log.reason(said, "the library does not say why")
            raise LlamaContextError(f"sequence {src} was not copied: {reason}")

    def _apply(self) -> None:
        """Have the library turn the keys of what was shifted, with the lock held.

        It does so at the start of a decode, whatever becomes of that, and in place: being
        cancelled half way would spoil the cache, and a state that is saved before has the wrong
        keys. So this decodes one token, which nothing can cancel, and takes it back.
        """
        if not self._unapplied:
            return
        handle = self._open().handle
        ends = [self._pos_max(self._kv, seq_id) for seq_id in range(self._n_seq_max)]
        self._unapplied = False
        if max(ends) < 0:
            return
        seq_id = ends.index(min(ends))  # one that is free, if there is one
        start = ends[seq_id] + 1
        partial = _raw.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        state = None
        if start and self._is_stateful:
            size = self._library.llama_state_seq_get_size_ext(handle, seq_id, partial)
            state = (ctypes.c_uint8 * size)()
            self._library.llama_state_seq_get_data_ext(handle, state, size, seq_id, partial)
        self._outputs = None
        batch = LlamaBatch([0], pos=start, seq_id=seq_id, logits=False)
        self._decode(handle, batch.struct)
        if state is not None:
            self._library.llama_state_seq_set_data_ext(handle, state, len(state), seq_id, partial)
        self._seq_rm(self._kv, seq_id, start if start else -1, -1)


def _range(p0: int, p1: int) -> tuple[int, int]:
    return c_number(_raw.llama_pos, p0, "p0"), c_number(_raw.llama_pos, p1, "p1")


def _seq_id(seq_id: int) -> int:
    """A plain int: what is checked is what the library gets."""
    return int(c_number(_raw.llama_seq_id, seq_id, "seq_id"))
