"""A sequence in a context's KV cache, with its tokens."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from .. import _raw
from ..errors import LlamaClosedError, LlamaContextError, LlamaOutputError, LlamaStateError
from ..native import log
from ..native.arguments import check_type
from ..native.resource import ClosedByWith
from . import state as _state
from .batch import LlamaBatch

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from ..sampling.chain import LlamaSampler
    from .context import LlamaContext

_N_CHECKPOINTS = 8
# A prompt that is changed is changed at its end, mostly: so many tokens before it is a checkpoint.
_BEFORE_END = 4


class _Checkpoint(NamedTuple):
    """What a memory that forgets had after ``n`` tokens: its sliding window, or its state."""

    n: int
    data: ctypes.Array[ctypes.c_uint8]


class LlamaSequence(ClosedByWith):
    """One sequence in the KV cache of a context: it has an id of its own, and knows its tokens.

    `LlamaContext.sequence` makes it. Its tokens and the cache agree whatever happens, a decode that
    is cancelled or finds no room too: what could not be decoded is in neither. Tokens that a
    `LlamaBatch` with this id decodes are added as well, so that several sequences can go on in one
    batch. But a change by the context's own methods (`LlamaContext.shift` and the like) can leave
    the tokens unknown; then all but `set` and `close` raise LlamaContextError.

    Some models forget: those with a sliding window what lies before it, recurrent and hybrid ones
    all but the last state. To go back there, copies of that part are kept in main memory, at most
    ``checkpoints``, spread over the sequence; what lies behind the nearest is computed again.

    Closes by `close`, by ``with``, or when it is forgotten: its cells are free then, and its id.
    """

    def __init__(
        self,
        ctx: LlamaContext,
        *,
        checkpoints: int = _N_CHECKPOINTS,
        _seq_id: int | None = None,
    ) -> None:
        from .context import LlamaContext

        check_type(ctx, LlamaContext)
        if not isinstance(checkpoints, int):
            raise TypeError(f"checkpoints must be an integer, not {checkpoints!r}")
        self._ctx = ctx
        self._n_checkpoints = checkpoints
        self._tokens: list[int] = []
        self._exact = 0  # so many are in the cache as if computed from the beginning
        self._checkpoints: list[_Checkpoint] = []
        self._output: int | None = None  # where the last decode has this sequence's last output
        self._shared = False  # cells with another sequence
        self._unknown = False
        with ctx._memory():
            self._id = ctx._take_id(self, _seq_id)
        self._finalizer = weakref.finalize(self, _give_back, ctx, self._id)
        self._finalizer.atexit = False
        self._one = LlamaBatch((0,), seq_id=self._id)  # used for every single token

    # -- lifetime

    @property
    def closed(self) -> bool:
        """Whether it, or its context, was closed."""
        return not self._finalizer.alive or self._ctx.closed

    def close(self) -> None:
        """Give its id back, and free its cells."""
        self._finalizer()
        self._tokens = []
        self._checkpoints = []

    @classmethod
    @contextmanager
    def _over(
        cls, ctx: LlamaContext, seq_id: int, tokens: list[int], known: list[_Checkpoint]
    ) -> Iterator[LlamaSequence]:
        """A sequence for the block, over what is in the cache already: ``tokens``, a list that is
        kept right, and of which ``known`` are checkpoints."""
        self = cls(ctx, _seq_id=seq_id)
        self._tokens, self._exact, self._checkpoints = tokens, len(tokens), known
        try:
            yield self
        finally:
            self._finalizer.detach()
            ctx._sequences.pop(seq_id, None)

    def __enter__(self) -> Self:
        self._open()
        return self

    def __repr__(self) -> str:
        if self.closed:
            return "<LlamaSequence, closed>"
        return f"<LlamaSequence {self._id} of {len(self._tokens)} tokens>"

    # -- facts

    @property
    def id(self) -> int:
        """Its ``seq_id``, for `LlamaBatch`."""
        self._open()
        return self._id

    @property
    def tokens(self) -> list[int]:
        """Its tokens: a copy. The position of each is its index."""
        self._check()
        return self._tokens.copy()

    def __len__(self) -> int:
        self._check()
        return len(self._tokens)

    # -- computation

    def extend(self, tokens: Iterable[int]) -> None:
        """Decode ``tokens``, any number of them, behind those that are there.

        The output of the last one is then the context's last output, index -1, and `sample` takes
        it. Raises what `LlamaContext.decode` does; the tokens that were decoded before that stay.
        """
        self._extend(tokens)

    def set(self, tokens: Iterable[int]) -> int:
        """Make ``tokens`` its tokens, and return how many of them were there already.

        The longest common beginning is kept, the rest removed, and what is missing decoded: always
        the last one, for its output. What a `shift` has moved is not kept, it is not what
        ``tokens`` alone would give; nor what was computed with other adapters
        (`LlamaContext.set_loras`). No tokens empty it.
        """
        self._open()
        ids = self._ctx.model.vocab.check_tokens(tokens).tolist()
        return self._set(ids)

    def sample(self, sampler: LlamaSampler) -> int:
        """Choose the next token by its last output, wherever in the last batch that is.

        It is not decoded: `extend` does that. Raises LlamaOutputError when the last decode of the
        context was not for this sequence, and what `LlamaSampler.sample` does.
        """
        from ..sampling.chain import LlamaSampler

        self._check()
        check_type(sampler, LlamaSampler)
        return sampler._choose(self._ctx, -1, self)

    def truncate(self, n: int) -> None:
        """Keep its first ``n`` tokens. There is no output until something is decoded.

        Where the model has forgotten what that needs, the tokens behind the nearest checkpoint are
        decoded again, and it raises what `extend` does.
        """
        self._check()
        if not isinstance(n, int):
            raise TypeError(f"n must be an integer, not {n!r}")
        if not 0 <= n <= len(self._tokens):
            raise ValueError(f"n={n} is not 0 to {len(self._tokens)}")
        if n < len(self._tokens):
            kept = self._tokens[:n]
            with self._ctx._held():
                self._rewind(n)
            if len(self._tokens) < n:
                self._extend(kept[len(self._tokens) :])
                self._output = None  # the same as where nothing had to be decoded

    def shift(self, keep: int, discard: int) -> None:
        """Make room: remove ``discard`` tokens behind the first ``keep``, and move up the rest
        ("context shift").

        What moves keeps what it has taken in of the tokens that go: it is not what the tokens alone
        would give, but near to it. Raises LlamaContextError where positions cannot move
        (`LlamaContext.can_shift`), and when cells that it shares with a fork must be copied first
        and there is no room for that.
        """
        self._check()
        n = len(self._tokens)
        for name, value in (("keep", keep), ("discard", discard)):
            if not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, not {value!r}")
        if keep < 0 or discard < 1 or keep + discard >= n:
            raise ValueError(
                f"keep={keep} and discard={discard} must leave some of {n} tokens to move"
            )
        ctx = self._ctx
        with ctx._movable(self._id) as (short, memory):
            if self._shared:
                self._unshare()
            if not ctx._seq_rm(memory, self._id, keep, keep + discard):
                raise LlamaContextError("this model's memory cannot forget a part of a sequence")
            short.llama_memory_seq_add(memory, self._id, keep + discard, -1, -discard)
            ctx._unapplied = not ctx._is_recurrent
            del self._tokens[keep : keep + discard]
            self._drop_after(keep)

    def fork(self) -> LlamaSequence:
        """Another sequence with the same tokens, under an id of its own.

        With ``kv_unified=True`` they share the cells of those tokens: a long prompt takes its room
        once, however many go on from it. Otherwise the cells are copied. Its first output is this
        one's last. Raises LlamaContextError when no id is left, and when there is no room.
        """
        self._check()
        other = LlamaSequence(self._ctx, checkpoints=self._n_checkpoints)
        try:
            with self._ctx._held():
                self._ctx._copy(self._id, other._id, -1, -1)
        except BaseException:
            other.close()
            raise
        other._tokens = self._tokens.copy()
        other._exact = self._exact
        other._checkpoints = self._checkpoints.copy()
        other._output = self._output
        other._shared = self._shared = self._ctx._shares_cells
        return other

    # -- state

    def to_bytes(self) -> bytes:
        """Its tokens and its part of the cache, for ``ctx.sequence.from_bytes``.

        C: ``llama_state_seq_get_data``, llama.h, in a container that says what it belongs to.
        """
        return bytes(self._saved())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_bytes` to a file, for ``ctx.sequence.load``. Until all is written, what was
        there stays. Raises OSError when it cannot be written."""
        _state.write_file(path, self._saved())

    def _saved(self) -> bytearray:
        self._check()
        with self._ctx._held():
            return _state.save(self._ctx, self._tokens, self._id, exact=self._exact)

    def _last_output(self) -> int:
        """Where the last decode has its output. The context's lock must be held."""
        if self._output is None:
            raise LlamaOutputError(
                "the context's last decode had no output for this sequence: extend it first"
            )
        return self._output

    # -- inside

    def _open(self) -> None:
        if not self._finalizer.alive:
            raise LlamaClosedError("the sequence is closed")
        self._ctx._open()

    def _check(self) -> None:
        self._open()
        if self._unknown:
            raise LlamaContextError(
                "the context's cache was changed by other means: give the sequence its tokens anew "
                "(set), or close it"
            )

    def _extend(self, tokens: Iterable[int], between: Callable[[], None] | None = None) -> None:
        """`extend`; ``between`` is called before each decode, and may raise."""
        self._check()
        ctx = self._ctx
        ids = ctx.model.vocab.check_tokens(tokens)
        n = len(ids)
        if not n:
            raise ValueError("there are no tokens to decode")
        if n == 1:
            if between is not None:
                between()
            self._one.set_token(ids[0])
            ctx.decode(self._one)
            return
        marks = set()
        if self._n_checkpoints > 0 and ctx._forgets:
            marks = {0, n - _BEFORE_END, n - _BEFORE_END - ctx._n_ubatch}
        start = 0
        while start < n:
            if start in marks:
                with ctx._held():
                    self._add_checkpoint()
            if between is not None:
                between()
            end = min([start + ctx._n_batch, n, *(mark for mark in marks if mark > start)])
            last = None if end == n else False
            ctx.decode(LlamaBatch(ids[start:end], seq_id=self._id, logits=last))
            start = end

    def _set(self, ids: Sequence[int], between: Callable[[], None] | None = None) -> int:
        common = 0
        if not self._unknown:
            # The last one is decoded for its output.
            common = min(n_common(self._tokens, ids[:-1]), self._exact)
        with self._ctx._held():
            self._rewind(common)
            self._unknown = False
        reused = len(self._tokens)
        if len(ids) > reused:
            self._extend(ids[reused:], between)
        return reused

    # What follows is called with the context's lock held.

    def _rewind(self, n: int) -> None:
        """Go back to ``n`` tokens, or to the last place before where that is possible."""
        ctx = self._ctx
        held = 0
        if n and ctx._seq_rm(ctx._kv, self._id, n, -1) and ctx._goes_on(self._id, n):
            held = n
        elif n:
            held = self._restore(n)
        if not held:
            ctx._seq_rm(ctx._kv, self._id, -1, -1)
        del self._tokens[held:]
        self._drop_after(held)

    def _drop_after(self, n: int) -> None:
        """What is known of the tokens behind the first ``n`` is out of date."""
        self._checkpoints[:] = [point for point in self._checkpoints if point.n <= n]
        self._exact = min(self._exact, n)
        self._output = None

    def _restore(self, n: int) -> int:
        """Go back to the last checkpoint up to ``n``: how many tokens that has, 0 without one."""
        ctx = self._ctx
        for point in reversed(self._checkpoints):
            if point.n <= n:
                size = len(point.data)
                with log.heard():  # it may find no room: then all is computed again
                    read = ctx._library.llama_state_seq_set_data_ext(
                        ctx._open().handle, point.data, size, self._id, _PARTIAL
                    )
                if read == size and ctx._seq_rm(ctx._kv, self._id, point.n, -1):
                    return point.n
                break
        return 0

    def _add_checkpoint(self) -> None:
        n, points = len(self._tokens), self._checkpoints
        if not n or self._exact < n or (points and points[-1].n >= n):
            return
        ctx = self._ctx
        handle = ctx._open().handle
        size = ctx._library.llama_state_seq_get_size_ext(handle, self._id, _PARTIAL)
        data = (ctypes.c_uint8 * size)()
        got = ctx._library.llama_state_seq_get_data_ext(handle, data, size, self._id, _PARTIAL)
        if got != size:
            return
        points.append(_Checkpoint(n, data))
        if len(points) > self._n_checkpoints:
            # Without which the others still lie closest; the newest stays.
            ends = [0, *(point.n for point in points)]
            gaps = [ends[i + 2] - ends[i] for i in range(len(points) - 1)]
            del points[gaps.index(min(gaps)) if gaps else 0]

    def _unshare(self) -> None:
        """Give it cells of its own: they cannot move for one sequence alone."""
        ctx = self._ctx
        if ctx._kv_unified and not ctx._is_recurrent:
            # Shared cells are counted more than once: it may be said too early that there is none.
            used = sum(ctx._pos_max(ctx._kv, seq_id) + 1 for seq_id in range(ctx._n_seq_max))
            if used + len(self._tokens) > ctx._n_ctx:
                raise LlamaContextError(
                    "no room to move what is shared with a fork: close one, or make the context "
                    "with a larger n_ctx"
                )
        try:
            ctx._clone(self._id, self._id)
        except LlamaContextError:
            self._tokens.clear()
            self._drop_after(0)
            raise
        self._shared = False

    def _changed(self, *, tail: bool) -> None:
        """The context's own methods have changed it: ``tail`` when that was to cut its end."""
        ctx = self._ctx
        held = ctx._pos_max(ctx._kv, self._id) + 1
        if not tail or held > len(self._tokens):
            held = 0
            self._unknown = True
        elif held and not ctx._goes_on(self._id, held):
            self._unknown = True
        elif not held:
            self._unknown = False
        del self._tokens[held:]
        self._drop_after(held)

    def _decoded(self, token: int, pos: int | None) -> None:
        """A batch had ``token``."""
        n = len(self._tokens)
        if self._unknown or (pos is not None and pos != n):
            self._unknown = True
            return
        self._tokens.append(token)
        if self._exact == n:
            self._exact = n + 1


class Sequences:
    """``ctx.sequence``: makes sequences of that context."""

    def __init__(self, ctx: LlamaContext) -> None:
        self._ctx = ctx

    def __call__(self, *, checkpoints: int = _N_CHECKPOINTS) -> LlamaSequence:
        """An empty sequence, under an id that nothing uses. See `LlamaSequence`.

        Raises LlamaContextError when no id is left: ``n_seq_max`` says how many there are.
        """
        return LlamaSequence(self._ctx, checkpoints=checkpoints)

    def load(
        self, path: str | os.PathLike[str], *, checkpoints: int = _N_CHECKPOINTS
    ) -> LlamaSequence:
        """The sequence that `LlamaSequence.save` wrote.

        Raises LlamaStateError when the file is damaged, or belongs to another model or a context of
        another shape, or does not fit into the cache; OSError when it cannot be read.
        """
        return self.from_bytes(_state.read_file(path), checkpoints=checkpoints)

    def from_bytes(self, data: Buffer, *, checkpoints: int = _N_CHECKPOINTS) -> LlamaSequence:
        """The sequence that `LlamaSequence.to_bytes` gave. Raises as `load`.

        C: ``llama_state_seq_set_data``, llama.h.
        """
        ctx = self._ctx
        sequence = LlamaSequence(ctx, checkpoints=checkpoints)
        try:
            with ctx._held():
                state = _state.check(ctx, data, sequence._id)
                _state.restore(ctx, state, sequence._id)
                sequence._tokens = state.tokens
                sequence._exact = int(state.facts["exact"])
                if ctx._pos_max(ctx._kv, sequence._id) + 1 != len(state.tokens):
                    raise LlamaStateError("the state has more or fewer positions than tokens")
        except BaseException:
            sequence.close()
            raise
        return sequence


def n_common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    n = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        n += 1
    return n


def _give_back(ctx: LlamaContext, seq_id: int) -> None:
    if ctx.closed:
        return
    ctx._orphans.append(seq_id)
    # When it is in use, as Python may let go of a sequence anywhere, the next decode does it.
    if ctx._lock.acquire(blocking=False):
        try:
            ctx._reclaim()
        finally:
            ctx._lock.release()


_PARTIAL = _raw.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
