"""A sequence in a context's KV cache, with its tokens."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import TYPE_CHECKING

from ..errors import LlamaClosedError, LlamaContextError, LlamaStateError
from ..native.arguments import check_type, integer
from ..native.resource import ClosedByWith
from ..sampling.chain import LlamaSampler
from . import state as states
from .batch import LlamaBatch
from .cells import Track
from .computing import Computing
from .memory import check_movable
from .snapshot import Snapshot

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

_N_CHECKPOINTS = 8
# A prompt that is changed is changed at its end, mostly: so many tokens before it is a checkpoint.
_BEFORE_END = 4


class LlamaSequence(ClosedByWith):
    """One sequence in the KV cache of a context: it has an id of its own, and knows its tokens.

    `LlamaContext.sequence` makes it. Its tokens and the cache agree whatever happens, also after a
    decode that was cancelled or found no room: tokens that could not be decoded are in neither.
    Tokens that a `LlamaBatch` with this id decodes are added as well, so that several sequences
    can go on in one batch. But an operation of `LlamaMemory`, as ``ctx.memory.seq_add``, can leave
    the tokens unknown; then all but `set`, `clear` and `close` raise LlamaContextError.

    Some models forget: those with a sliding window the tokens before it, recurrent and hybrid ones
    all but the last state. To go back there, copies of that part are kept in main memory, at most
    ``checkpoints``, spread over the sequence; tokens behind the nearest are computed again.

    Closes by `close`, by ``with``, or when it is forgotten: its cells are free then, and its id.
    """

    def __init__(
        self, computing: Computing, *, checkpoints: int = _N_CHECKPOINTS, seq_id: int | None = None
    ) -> None:
        """Programs call `LlamaContext.sequence`. ``seq_id`` asks for that very id."""
        if not isinstance(computing, Computing):
            raise TypeError(f"make a sequence by ctx.sequence(), not of {computing!r}")
        checkpoints = integer(checkpoints, "checkpoints")
        self._computing = computing
        self._core = computing.core
        self._core.opened()
        self._core.check_memory()
        assert computing.books is not None
        self._books = books = computing.books
        with self._core.held():
            if seq_id is not None:
                self._core.check_seq_id(seq_id)
            self._track: Track = books.new_track(checkpoints, seq_id)
        self._id = self._track.id
        self._finalizer = weakref.finalize(self, books.give_back, self._id)
        self._finalizer.atexit = False
        self._one = LlamaBatch((0,), seq_id=self._id)  # used for every single token

    # -- lifetime

    @property
    def closed(self) -> bool:
        """Whether it, or its context, was closed."""
        return not self._finalizer.alive or self._core.closed

    def close(self) -> None:
        """Free its id and its cells."""
        self._finalizer()
        track = self._track
        track.tokens, track.checkpoints = [], []
        track.unknown = True  # all that it refuses to go on with, a closed one refuses too

    def __enter__(self) -> Self:
        self._open()
        return self

    def __repr__(self) -> str:
        if self.closed:
            return "<LlamaSequence, closed>"
        return f"<LlamaSequence {self._id} of {len(self._track.tokens)} tokens>"

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
        return self._track.tokens.copy()

    def __len__(self) -> int:
        if self._track.unknown:
            self._check()
        return len(self._track.tokens)

    @property
    def unknown(self) -> bool:
        """Whether its cells were changed by other means, so that its tokens are unknown."""
        return self._track.unknown

    @property
    def writes(self) -> int:
        """The number of changes to its part of the cache, by any means: an equal number means that
        nothing has changed since."""
        return self._books.writes[self._id]

    def check_writes(self, writes: int) -> None:
        """Raise LlamaContextError if something has changed since there were ``writes`` changes."""
        if self._books.writes[self._id] != writes:
            raise LlamaContextError(
                "the context was used otherwise since this generation's last step"
            )

    def reusable(self, tokens: Sequence[int]) -> int:
        """The number of tokens at the beginning of ``tokens`` that the cache has, with the values
        that they would have on their own: not tokens that a `shift` has moved, nor tokens computed
        with other adapters."""
        track = self._track
        return 0 if track.unknown else min(n_common(track.tokens, tokens), track.exact)

    def reachable(self, tokens: Sequence[int]) -> int:
        """How many of those it can go back to: less than `reusable` where the model forgets."""
        return self._track.reachable(self.reusable(tokens))

    # -- computation

    def extend(self, tokens: Iterable[int], *, between: Callable[[], object] | None = None) -> None:
        """Decode ``tokens``, any number of them, and append them.

        The output of the last one is then the context's last output, index -1, and `sample` takes
        it. ``between`` is called before the decode of each part, and may raise to stop. Raises like
        `LlamaContext.decode`; the tokens that were decoded before that stay.
        """
        self._extend(tokens, between)

    def append(self, token: int) -> None:
        """`extend` by one token, for loops that generate."""
        if self._track.unknown:
            self._check()
        self._one.set_token(token)
        self._computing.decode(self._one)

    def set(self, tokens: Iterable[int], *, between: Callable[[], object] | None = None) -> int:
        """Make ``tokens`` its tokens, and return the number of tokens that were there already.

        The longest common beginning is kept, the rest removed, and the missing tokens decoded,
        always including the last one, for its output. Tokens that a `shift` has moved are not kept,
        because ``tokens`` alone give other values; nor those computed with other adapters
        (`LlamaContext.set_loras`). An empty list empties it. ``between`` is called before the
        decode of each part, and may raise to stop.
        """
        self._open()
        ids = self._core.model.vocab.check_tokens(tokens).tolist()
        # The last one is decoded for its output.
        common = self.reusable(ids[:-1])
        track = self._track
        with self._core.held():
            track.rewind(common)
            track.unknown = False
        reused = len(track.tokens)
        if len(ids) > reused:
            self._extend(ids[reused:], between)
        return reused

    def clear(self) -> None:
        """Remove all its tokens, even unknown ones."""
        self._open()
        with self._core.held():
            self._track.rewind(0)
            self._track.unknown = False

    def sample(self, sampler: LlamaSampler) -> int:
        """Choose the next token by its last output, at any index of the last batch.

        It is not decoded: `extend` does that. Raises LlamaOutputError when the last decode of the
        context was not for this sequence, and like `LlamaSampler.sample`.
        """
        self._check()
        check_type(sampler, LlamaSampler)
        return sampler.choose(self._computing.outputs, -1, self._track.last_output)

    def truncate(self, n: int) -> None:
        """Keep its first ``n`` tokens. There is no output until something is decoded.

        If the model has forgotten that part, the tokens after the nearest checkpoint are decoded
        again, and it raises like `extend`.
        """
        self._check()
        n = integer(n, "n")
        if n != len(self._track.tokens):
            missing = self.rewind(n)
            if missing:
                self._extend(missing)
                self._track.set_output(None)  # the same as where nothing had to be decoded

    def rewind(self, n: int) -> list[int]:
        """Like `truncate`, but without a decode: returns those of the first ``n`` tokens that the
        model has forgotten, to be decoded again."""
        self._check()
        n = index(n)
        if not 0 <= n <= len(self._track.tokens):
            raise ValueError(f"n={n} is not 0 to {len(self._track.tokens)}")
        kept = self._track.tokens[:n]
        with self._core.held():
            self._track.rewind(n)
        return kept[len(self._track.tokens) :] if len(self._track.tokens) < n else []

    def checkpoint(self) -> None:
        """Keep a copy of the state that the model may forget, to return here; see the class."""
        self._check()
        if self._core.forgets:
            with self._core.held():
                self._track.add_checkpoint()

    def marks(self, n: int) -> tuple[int, ...]:
        """Where a text of ``n`` tokens is to have its checkpoints, before its end; none where the
        model does not forget."""
        if self._track.n_checkpoints <= 0 or not self._core.forgets:
            return ()
        return 0, n - _BEFORE_END, n - _BEFORE_END - self._core.n_ubatch

    def shift(self, keep: int, discard: int) -> None:
        """Make room: remove ``discard`` tokens after the first ``keep``, and move up the rest
        ("context shift").

        The moved tokens were computed with the removed ones: the result is close to a fresh
        computation, but not equal. Raises LlamaContextError where positions cannot move
        (`LlamaMemory.can_shift`), and when cells that it shares with a fork must be copied first
        and there is no room for that.
        """
        self._check()
        track, core = self._track, self._core
        n = len(track.tokens)
        keep, discard = integer(keep, "keep"), integer(discard, "discard")
        if keep < 0 or discard < 1 or keep + discard >= n:
            raise ValueError(
                f"keep={keep} and discard={discard} must leave some of {n} tokens to move"
            )
        with core.held():
            check_movable(core)
            if track.shared:
                track.unshare()
            if not core.seq_rm(core.kv, self._id, keep, keep + discard):
                raise LlamaContextError("this model's memory cannot forget a part of a sequence")
            core.short.llama_memory_seq_add(core.kv, self._id, keep + discard, -1, -discard)
            self._books.note_move()
            del track.tokens[keep : keep + discard]
            track.drop_after(keep)

    def fork(self) -> LlamaSequence:
        """Another sequence with the same tokens, under an id of its own.

        With ``kv_unified=True`` they share the cells of those tokens: a long prompt is stored once
        for any number of forks. Otherwise the cells are copied. Its first output is this one's
        last. Raises LlamaContextError when no id is left, and when there is no room.
        """
        self._check()
        other = LlamaSequence(self._computing, checkpoints=self._track.n_checkpoints)
        try:
            other.copy_from(self)
        except BaseException:
            other.close()
            raise
        other._track.set_output(self._track.output)
        return other

    def copy_from(self, source: LlamaSequence, n: int | None = None) -> int:
        """Replace its tokens by the first ``n`` tokens of ``source``, a sequence of the same
        context; by default all of them. Returns their number: 0 if the model's memory cannot copy
        a part. Raises LlamaContextError when there is no room; it is empty then.
        """
        self._open()
        check_type(source, LlamaSequence)
        source._check()
        if source._books is not self._books:
            raise LlamaContextError("the sequences belong to different contexts")
        mine, its, core = self._track, source._track, self._core
        whole = len(its.tokens)
        n = whole if n is None else min(index(n), whole)
        if n < 0:
            raise ValueError(f"n={n} is negative")
        with core.held():
            part = n < whole and core.copies_parts
            part = part and (not core.n_swa or self._books.sees(its.id, n))
            mine.take([], 0, shared=False)
            mine.checkpoints.clear()
            core.seq_rm(core.kv, self._id, -1, -1)
            self._books.copy(its.id, self._id, 0, n if part else -1)
            mine.take(its.tokens, its.exact, shared=core.shares_cells)
            its.shared = its.shared or core.shares_cells
            mine.checkpoints += its.checkpoints
            if part:
                del mine.tokens[n:]
                mine.drop_after(n)
            elif n < whole:
                mine.rewind(n)
            return len(mine.tokens)

    # -- state

    def snapshot(self, most: float = math.inf) -> Snapshot | None:
        """A copy of its part of the cache in memory, for `restore`. None if the library cannot
        copy it, or if it has more than ``most`` bytes."""
        self._check()
        with self._core.held():
            self._books.turn()
            copy = Snapshot.take(self._core, self._id, len(self._track.tokens), most=most)
            if copy is not None:
                copy.earlier = tuple(self._track.checkpoints)
            return copy

    def restore(self, snapshot: Snapshot, tokens: Sequence[int]) -> int:
        """Continue from ``snapshot``, taken from a sequence of this context with ``tokens``.
        Returns their number; 0 if there was no room, and it is empty."""
        self._open()
        check_type(snapshot, Snapshot)
        ids = self._core.model.vocab.check_tokens(tokens).tolist()
        if len(ids) != snapshot.n:
            raise ValueError(f"the snapshot is of {snapshot.n} tokens, not of {len(ids)}")
        with self._core.held():
            self._track.rewind(0)
            if snapshot.put(self._core, self._id):
                return 0
            self._track.take(ids, len(ids), shared=False)
            self._track.checkpoints[:] = snapshot.earlier
        return len(ids)

    def to_bytes(self) -> bytes:
        """Its tokens and its part of the cache, for ``ctx.sequence.from_bytes``.

        C: ``llama_state_seq_get_data``, llama.h, in a container that names its model and context.
        """
        return bytes(self._saved())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_bytes` to a file, for ``ctx.sequence.load``. An old file stays until the new
        one is complete. Raises OSError when it cannot be written."""
        states.write_file(path, self._saved())

    def replace(self, data: Buffer) -> None:
        """Replace its tokens by those of a sequence that `to_bytes` gave. Raises LlamaStateError if
        the data does not fit, and it stays as it is, or if there is no room, and it is empty.
        """
        self._open()
        core, track = self._core, self._track
        with core.held():
            state = states.check(core, data, self._id)
            track.rewind(0)
            track.unknown = False
            states.restore(self._books, state, self._id)
            track.take(state.tokens, int(state.facts["exact"]), shared=False)
            if core.pos_max(core.kv, self._id) + 1 != len(state.tokens):
                track.rewind(0)
                raise LlamaStateError("the state has more or fewer positions than tokens")

    def _saved(self) -> bytearray:
        self._check()
        tokens = self._track.tokens
        with self._core.held():
            exact = min(self._track.exact, len(tokens))
            return states.save(self._books, tokens, self._id, exact=exact)

    # -- inside

    def _open(self) -> None:
        if not self._finalizer.alive:
            raise LlamaClosedError("the sequence is closed")
        self._core.opened()

    def _check(self) -> None:
        if self._track.unknown or self._core.closed:
            self._open()
            raise LlamaContextError(
                "the context's cache was changed by other means: give the sequence its tokens anew "
                "(set), or close it"
            )

    def _extend(self, tokens: Iterable[int], between: Callable[[], object] | None = None) -> None:
        self._check()
        computing, core, track = self._computing, self._core, self._track
        ids = core.model.vocab.check_tokens(tokens)
        n = len(ids)
        if not n:
            raise ValueError("there are no tokens to decode")
        if n == 1:
            if between is not None:
                between()
            self._one.set_token(ids[0])
            computing.decode(self._one)
            return
        marks = set(self.marks(n))
        start = 0
        while start < n:
            if start in marks:
                with core.held():
                    track.add_checkpoint()
            if between is not None:
                between()
            end = min([start + core.n_batch, n, *(mark for mark in marks if mark > start)])
            last = None if end == n else False
            computing.decode(LlamaBatch(ids[start:end], seq_id=self._id, logits=last))
            start = end


class Sequences:
    """``ctx.sequence``: makes sequences of that context."""

    def __init__(self, computing: Computing) -> None:
        self._computing = computing

    def __call__(self, *, checkpoints: int = _N_CHECKPOINTS) -> LlamaSequence:
        """An empty sequence, under an unused id. See `LlamaSequence`.

        Raises LlamaContextError when no id is left: ``n_seq_max`` says how many there are.
        """
        return LlamaSequence(self._computing, checkpoints=checkpoints)

    def load(
        self, path: str | os.PathLike[str], *, checkpoints: int = _N_CHECKPOINTS
    ) -> LlamaSequence:
        """The sequence that `LlamaSequence.save` wrote.

        Raises LlamaStateError when the file is damaged, or belongs to another model or a context of
        another shape, or does not fit into the cache; OSError when it cannot be read.
        """
        return self.from_bytes(states.read_file(path), checkpoints=checkpoints)

    def from_bytes(self, data: Buffer, *, checkpoints: int = _N_CHECKPOINTS) -> LlamaSequence:
        """The sequence that `LlamaSequence.to_bytes` gave. Raises as `load`.

        C: ``llama_state_seq_set_data``, llama.h.
        """
        sequence = LlamaSequence(self._computing, checkpoints=checkpoints)
        try:
            sequence.replace(data)
        except BaseException:
            sequence.close()
            raise
        return sequence


def n_common(a: Sequence[int], b: Sequence[int]) -> int:
    """The length of the common beginning."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next((i for i in range(n) if a[i] != b[i]), n)
