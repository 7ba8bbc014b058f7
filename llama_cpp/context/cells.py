"""The owners of a context's KV cache cells: the only books about them.

A `Track` has the tokens of one sequence, and a context's `CellBooks` has the tracks. Every change
of the cache, by a decode or an operation of `LlamaMemory`, updates the books, and these the tracks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from ..errors import LlamaContextError, LlamaOutputError
from ..native.locks import take
from .batch import LlamaBatch
from .core import Core
from .snapshot import Snapshot

_NOTHING: tuple[LlamaBatch, Sequence[int]] = LlamaBatch(()), ()


class Track:
    """The tokens of one sequence, in step with its cells. The context's lock must be held."""

    def __init__(self, books: CellBooks, seq_id: int, n_checkpoints: int) -> None:
        self._books = books
        self._core = books.core
        self.id = seq_id
        self.n_checkpoints = n_checkpoints
        self.tokens: list[int] = []
        self.exact = sys.maxsize
        """The number of tokens whose values equal a fresh computation; all, if it is larger than
        the number of tokens."""
        self.checkpoints: list[Snapshot] = []
        self.set_output(None)
        self.shared = False
        """Whether it shares cells with another sequence."""
        self.unknown = False
        """Whether the cells were changed in a way that leaves the tokens unknown."""

    def set_output(self, output: int | None) -> None:
        """Set the index of its last output until the next decode; None for no output."""
        self._output = output
        self._decoded = self._books.decoded

    @property
    def output(self) -> int | None:
        """The index of this sequence's last output in the last decode."""
        batch, outputs = decoded = self._books.decoded
        if self._decoded is decoded:
            return self._output
        ids = batch.seq_ids
        return next((i for i in reversed(outputs) if self.id == (ids[i] if ids else 0)), None)

    def last_output(self) -> int:
        """`output`, or LlamaOutputError."""
        output = self.output
        if output is None:
            raise LlamaOutputError(
                "the context's last decode had no output for this sequence: extend it first"
            )
        return output

    def rewind(self, n: int) -> None:
        """Go back to ``n`` tokens, or to the nearest possible place before."""
        core = self._core
        held = 0
        if n and core.seq_rm(core.kv, self.id, n, -1) and self._books.goes_on(self.id, n):
            held = n
        elif n:
            held = self._restore(n)
        if not held:
            core.seq_rm(core.kv, self.id, -1, -1)
        del self.tokens[held:]
        self.drop_after(held)

    def reachable(self, n: int) -> int:
        """How many of the first ``n`` tokens `rewind` keeps, at the least."""
        core = self._core
        if not n or n == len(self.tokens) or len(self.tokens) - n <= core.n_rollback:
            return n
        if not core.is_stateful and (not core.n_swa or self._books.sees(self.id, n)):
            return n
        return max((point.n for point in self.checkpoints if point.n <= n), default=0)

    def drop_after(self, n: int) -> None:
        """Drop checkpoints and output after the first ``n`` tokens: they are out of date."""
        self.checkpoints[:] = [point for point in self.checkpoints if point.n <= n]
        self._set_exact(min(self.exact, n))
        self.set_output(None)

    def _set_exact(self, n: int) -> None:
        self.exact = n if n < len(self.tokens) else sys.maxsize

    def _restore(self, n: int) -> int:
        """Go back to the last checkpoint up to ``n``; returns its number of tokens, or 0."""
        core = self._core
        for point in reversed(self.checkpoints):
            if point.n <= n:
                # It may find no room: then everything is computed again.
                if not point.put(core, self.id) and core.seq_rm(core.kv, self.id, point.n, -1):
                    return point.n
                break
        return 0

    def add_checkpoint(self) -> None:
        """Keep a copy of the state here, if it is one to go back to."""
        n, points = len(self.tokens), self.checkpoints
        if not n or self.exact < n or (points and points[-1].n >= n):
            return
        point = Snapshot.take(self._core, self.id, n, partial=True)
        if point is None:
            return
        points.append(point)
        if len(points) > self.n_checkpoints:
            # The one whose removal leaves the smallest gap; the newest stays.
            ends = [0, *(point.n for point in points)]
            gaps = [ends[i + 2] - ends[i] for i in range(len(points) - 1)]
            del points[gaps.index(min(gaps)) if gaps else 0]

    def unshare(self) -> None:
        """Give it cells of its own: they cannot move for one sequence alone."""
        core = self._core
        if core.kv_unified and not core.is_recurrent:
            # Shared cells are counted more than once, so this may refuse a little too early.
            used = sum(core.pos_max(core.kv, seq_id) + 1 for seq_id in range(core.n_seq_max))
            if used + len(self.tokens) > core.n_ctx:
                raise LlamaContextError(
                    "no room to move cells that are shared with a fork: close one, or make the "
                    "context with a larger n_ctx"
                )
        try:
            self._books.clone(self.id, self.id)
        except LlamaContextError:
            self.tokens.clear()
            self.drop_after(0)
            raise
        self.shared = False

    def take(self, tokens: list[int], exact: int, *, shared: bool) -> None:
        """Note that the cells now hold ``tokens``."""
        self.tokens[:] = tokens
        self.shared, self.unknown = shared, False
        self._set_exact(exact)
        self.set_output(None)

    def changed(self, *, tail: bool) -> None:
        """Note a change by an operation of the memory: with ``tail`` it has cut off the end."""
        core = self._core
        held = core.pos_max(core.kv, self.id) + 1
        if not tail or held > len(self.tokens):
            held = 0
            self.unknown = True
        elif held and not self._books.goes_on(self.id, held):
            self.unknown = True
        elif not held:
            self.unknown = False
        del self.tokens[held:]
        self.drop_after(held)


class CellBooks:
    """The sequences of a context, and the changes in them. The context's lock must be held."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.writes = [0] * core.n_seq_max
        """The number of changes, by sequence."""
        self.orphans: list[int] = []
        """Ids of closed sequences whose cells are still in the cache."""
        self.turned = True
        """Whether the keys are turned to their positions: `moved` only notes positions down."""
        self.tracks: dict[int, Track] = {}
        self.decoded = _NOTHING
        """The last decoded batch, and the indexes of its outputs."""

    # -- sequences

    def new_track(self, n_checkpoints: int, seq_id: int | None) -> Track:
        """A track under an unused id, or under ``seq_id``. Raises LlamaContextError if no id is
        left."""
        self.reclaim()
        core = self.core
        if seq_id is None:
            for free in range(core.n_seq_max):
                if free not in self.tracks and core.pos_max(core.kv, free) < 0:
                    seq_id = free
                    break
            else:
                raise LlamaContextError(
                    f"no sequence is left: {len(self.tracks)} are in use, and tokens decoded "
                    "without a LlamaSequence may be in others; close or remove one, or make the "
                    f"context with a larger n_seq_max than {core.n_seq_max}"
                )
        elif seq_id in self.tracks:
            raise LlamaContextError(
                f"sequence {seq_id} belongs to a LlamaSequence: close it, or use another context"
            )
        track = Track(self, seq_id, n_checkpoints)
        self.tracks[seq_id] = track
        return track

    def give_back(self, seq_id: int) -> None:
        """Take back a closed sequence. If the context is in use (Python may free a sequence at
        any time), its cells wait for the next decode. Needs no lock."""
        core = self.core
        if core.closed:
            self.tracks.pop(seq_id, None)
            return
        self.orphans.append(seq_id)
        if take(core.lock):
            try:
                self.reclaim()
            finally:
                core.lock.release()

    def reclaim(self) -> None:
        """Free the cells and ids of closed sequences."""
        while self.orphans:
            seq_id = self.orphans.pop()
            self.core.seq_rm(self.core.kv, seq_id, -1, -1)
            del self.tracks[seq_id]

    # -- decodes

    def prepare(self, seq_ids: Iterable[int]) -> dict[int, int]:
        """Before a decode: sequence -> the position where its new tokens begin."""
        if not self.turned:
            self.turn()
        if self.orphans:
            self.reclaim()
        self.decoded = _NOTHING
        starts = {}
        core, writes = self.core, self.writes
        for seq_id in seq_ids:
            starts[seq_id] = core.pos_max(core.kv, seq_id) + 1
            writes[seq_id] += 1
        return starts

    def forget(self, starts: dict[int, int]) -> None:
        """Remove a decode's cells after ``starts`` from the KV cache; or all of a sequence, if a
        part cannot be removed (recurrent models) or has lost its context (sliding windows)."""
        core = self.core
        for seq_id, start in starts.items():
            track = self.tracks.get(seq_id)
            if track is not None:
                track.rewind(start)
            elif not core.seq_rm(core.kv, seq_id, start, -1) or not self.goes_on(seq_id, start):
                core.seq_rm(core.kv, seq_id, -1, -1)

    def record(self, batch: LlamaBatch, outputs: Sequence[int]) -> None:
        """Record the decoded batch in the tracks, and the indexes of its ``outputs``."""
        self.decoded = batch, outputs
        ids, positions, find = batch.seq_ids, batch.pos, self.tracks.get
        for i, token in enumerate(batch.tokens):
            track = find(0 if ids is None else ids[i])
            if track is None or track.unknown:
                continue
            if positions is None or positions[i] == len(track.tokens):
                track.tokens.append(token)
            else:
                track.unknown = True

    # -- changes

    def changed(self, seq_id: int, *, tail: bool = False) -> None:
        """An operation has changed the cells of a sequence; with ``tail`` it has cut off its
        end."""
        self.writes[seq_id] += 1
        track = self.tracks.get(seq_id)
        if track is not None:
            track.changed(tail=tail)

    def moved(self, seq_id: int) -> None:
        """Positions of a sequence were moved; the next decode turns the keys to match."""
        self.note_move()
        for other in range(self.core.n_seq_max) if self.core.kv_unified else (seq_id,):
            self.changed(other)

    def note_move(self) -> None:
        """Positions were moved by the sequence itself."""
        self.turned = self.core.is_recurrent

    def reweigh(self) -> None:
        """Note that the model's results change from now on: no cells may be reused."""
        for track in self.tracks.values():
            track.drop_after(0)

    def copy(self, src: int, dst: int, p0: int, p1: int) -> None:
        """Give sequence ``dst`` a range of sequence ``src``; see `LlamaMemory.seq_cp`."""
        if src == dst:
            return
        core = self.core
        last = core.pos_max(core.kv, src)
        if p0 <= 0 and (p1 < 0 or p1 > last):
            p0 = p1 = -1  # the whole
        elif not core.copies_parts:
            raise LlamaContextError(
                f"positions {p0} to {p1} of sequence {src} cannot be copied alone: copy the "
                "whole and remove the rest, or make the context with kv_unified=True (but "
                "recurrent and hybrid models only copy whole sequences)"
            )
        core.seq_rm(core.kv, dst, p0, p1)
        if last < 0:
            return
        if core.shares_cells:
            core.short.llama_memory_seq_cp(core.kv, src, dst, p0, p1)
        else:
            self.clone(src, dst)

    def clone(self, src: int, dst: int) -> None:
        """Copy the cells of a whole sequence. ``llama_memory_seq_cp`` would copy whole streams,
        even unused cells, and only at the next decode."""
        self.turn()
        copy = Snapshot.take(self.core, src, 0)
        failure = (
            "the library does not give its state" if copy is None else copy.put(self.core, dst)
        )
        if failure:
            self.core.seq_rm(self.core.kv, dst, -1, -1)
            raise LlamaContextError(f"sequence {src} was not copied: {failure}")

    def goes_on(self, seq_id: int, n: int) -> bool:
        """Whether the cache has all the cells that the token at position ``n`` attends to."""
        core = self.core
        if core.pos_max(core.kv, seq_id) != n - 1:
            return False
        return not core.n_swa or core.is_stateful or self.sees(seq_id, n)

    def sees(self, seq_id: int, n: int) -> bool:
        """Whether a sliding window has left behind nothing that the token at position ``n`` of a
        sequence looks at."""
        core = self.core
        first = core.short.llama_memory_seq_pos_min(core.kv, seq_id)
        return bool(first <= max(0, n - core.n_swa + 1))

    def first(self, seq_id: int) -> int:
        """The first position of a sequence, or 0 when that cannot be known."""
        core = self.core
        if core.is_stateful and not core.is_recurrent:
            return 0  # of a hybrid memory, pos_min is that of the recurrent state
        return max(0, int(core.short.llama_memory_seq_pos_min(core.kv, seq_id)))

    def turn(self) -> None:
        """Have the library turn the keys of cells that were moved.

        It does so at the start of a decode, even a failing one, and in place: a cancelled decode
        would leave a spoiled cache, and a state saved before it would have the wrong keys. So this
        decodes one token, which cannot be cancelled, and removes it. The outputs of the last
        decode are lost.
        """
        if self.turned:
            return
        core = self.core
        ends = [core.pos_max(core.kv, seq_id) for seq_id in range(core.n_seq_max)]
        self.turned = True
        if max(ends) < 0:
            return
        seq_id = ends.index(min(ends))  # one that is free, if there is one
        start = ends[seq_id] + 1
        state = None
        if start and core.is_stateful:
            state = Snapshot.take(core, seq_id, start, partial=True)
        core.outputs = None
        batch = LlamaBatch([0], pos=start, seq_id=seq_id, logits=False)
        core.decode(core.handle, batch.struct)
        if state is not None:
            state.put(core, seq_id)
        core.seq_rm(core.kv, seq_id, start if start else -1, -1)
