"""Decoding and encoding of batches, checked first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .. import _raw
from ..errors import LlamaContextError
from .batch import LlamaBatch
from .cells import CellBooks
from .core import Core
from .outputs import Outputs

# Longer decodes can be stopped at once; a shorter one ends soon.
_LONG = 32
# The rest takes the last token of a sequence.
_POOLED_AT_ONCE = (
    _raw.LLAMA_POOLING_TYPE_MEAN,
    _raw.LLAMA_POOLING_TYPE_CLS,
    _raw.LLAMA_POOLING_TYPE_RANK,
)


class Computing:
    """Decodes and encodes batches in a context."""

    def __init__(self, core: Core, books: CellBooks | None, outputs: Outputs) -> None:
        """``books`` is None for a context without a KV cache."""
        self.core = core
        self.books = books
        self.outputs = outputs
        self.ready_to_decode = not core.has_encoder

    def decode(self, batch: LlamaBatch) -> None:
        """See `LlamaContext.decode`."""
        core = self.core
        if not self.ready_to_decode:
            core.opened()
            if not self._has_decoder():
                raise LlamaContextError("this model has no decoder: use encode")
            raise LlamaContextError("this model has an encoder: call encode before decode")
        self._run(core.decode, batch, "decode")

    def encode(self, batch: LlamaBatch) -> None:
        """See `LlamaContext.encode`."""
        core = self.core
        core.opened()
        if core.has_memory and not core.has_encoder:
            raise LlamaContextError(f"{core.model.path.name} has no encoder: use decode")
        n = len(batch.tokens)
        if n > core.n_ubatch:
            raise ValueError(f"{n} tokens: an encoder takes them at once, n_ubatch={core.n_ubatch}")
        self._run(core.encode, batch, "encode")
        core.encoded = core.has_encoder
        self.ready_to_decode = self._has_decoder()

    def _has_decoder(self) -> bool:
        short = self.core.short
        return bool(short.llama_model_has_decoder(short.llama_get_model(self.core.handle)))

    def _run(self, function: Any, batch: LlamaBatch, what: str) -> None:
        core, outputs, tokens, ids = self.core, self.outputs, batch.tokens, batch.seq_ids
        n = len(tokens)
        # One token more, as in generation, needs no more than this.
        if n != 1 or ids is not None or batch.pos is not None or not 0 <= tokens[0] < core.n_vocab:
            core.opened()
            self._check_batch(batch, n, what)
        core.enter()
        try:
            wanted = range(n) if outputs.all or what == "encode" else batch.outputs
            argument: Any = batch.struct
            offset, whole = 0, n <= core.n_batch
            if not whole:
                argument = self._parts(batch, wanted)
                offset = (n - 1) // core.n_batch * core.n_batch
                function = _in_parts(function)
            n_outputs = len(wanted)
            if n_outputs > core.n_outputs_max:
                raise ValueError(
                    f"{n_outputs} outputs are more than n_outputs_max={core.n_outputs_max}"
                )
            if core.n_positions is not None:
                self._check_positions(batch)
            if n_outputs > outputs.room:
                outputs.make_room(n_outputs)
            core.outputs = None  # whatever happens, the old ones are gone
            core.encoded = False
            core.run(
                self.books,
                (0,) if ids is None else ids if n == 1 else set(ids),
                n,
                what,
                function,
                argument,
                n > _LONG or not whole,
                not whole,
                batch if what == "decode" else None,
                wanted,
            )
            core.offset, core.outputs = offset, wanted
        finally:
            core.lock.release()

    def _parts(self, batch: LlamaBatch, outputs: Sequence[int]) -> list[LlamaBatch]:
        """A batch of more than n_batch tokens in parts of so many."""
        n, step = len(batch.tokens), self.core.n_batch
        last = (n - 1) // step * step
        if outputs and outputs[0] < last:
            raise ValueError(
                f"an output for index {outputs[0]}: {n} tokens are computed in parts of "
                f"n_batch={step}, only the last part, from index {last}, can have outputs"
            )
        wanted = set(outputs)
        return [
            LlamaBatch(
                batch.tokens[a : a + step],
                pos=None if batch.pos is None else batch.pos[a : a + step],
                seq_id=0 if batch.seq_ids is None else batch.seq_ids[a : a + step],
                logits=[i in wanted for i in range(a, min(a + step, n))],
            )
            for a in range(0, n, step)
        ]

    def _check_batch(self, batch: LlamaBatch, n: int, what: str) -> None:
        core, outputs = self.core, self.outputs
        if n == 0:
            raise ValueError(f"there are no tokens to {what}")
        tokens = batch.tokens
        if min(tokens) < 0 or max(tokens) >= core.n_vocab:
            wrong = next(t for t in tokens if not 0 <= t < core.n_vocab)
            raise ValueError(f"token {wrong} is not in the vocabulary: 0 to {core.n_vocab - 1}")
        if batch.pos is not None and min(batch.pos) < 0:
            raise ValueError(f"position {min(batch.pos)} is negative")
        ids = batch.seq_ids
        if ids is not None and (min(ids) < 0 or max(ids) >= core.n_seq_max):
            wrong = next(i for i in ids if not 0 <= i < core.n_seq_max)
            raise ValueError(f"seq_id {wrong} is not 0 to {core.n_seq_max - 1} (see n_seq_max)")
        if outputs.embedding and ids is not None and outputs.pooling in _POOLED_AT_ONCE:
            self._check_pooled(ids)
        if n > core.n_ubatch:
            if not core.causal():
                raise ValueError(
                    f"{n} tokens: this model attends to all at once, n_ubatch={core.n_ubatch}"
                )
            if outputs.embedding and outputs.pooling in _POOLED_AT_ONCE:
                raise ValueError(
                    f"{n} tokens: embeddings are pooled ({outputs.pooling_name()}) over those that "
                    f"are computed at once, n_ubatch={core.n_ubatch}"
                )

    def _check_pooled(self, ids: Sequence[int]) -> None:
        core, outputs = self.core, self.outputs
        counts = Counter(ids)
        if core.kv_unified or not core.has_memory or core.is_stateful:
            return  # a sequence is computed at once
        if len(set(counts.values())) > 1:
            raise ValueError(
                "sequences of different lengths are not computed at once, as pooling "
                f"({outputs.pooling_name()}) needs it: make the context with kv_unified=True"
            )

    def _check_positions(self, batch: LlamaBatch) -> None:
        core = self.core
        assert core.n_positions is not None
        if batch.pos is not None:
            last = max(batch.pos)
        else:
            counts = Counter(batch.seq_ids if batch.seq_ids is not None else {0: len(batch)})
            last = max(counts.values()) - 1
            if core.has_memory:
                last = max(core.pos_max(core.kv, i) + count for i, count in counts.items())
        if last >= core.n_positions:
            raise ValueError(
                f"position {last}: this model has a table of {core.n_positions} positions"
            )


def _in_parts(function: Any) -> Any:
    """``function`` for a list of batches, up to the first that fails."""

    def run(handle: Any, parts: list[LlamaBatch]) -> int:
        code = 0
        for part in parts:
            code = function(handle, part.struct)
            if code:
                break
        return code

    return run
