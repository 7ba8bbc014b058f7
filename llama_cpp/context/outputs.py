"""What a context computed last: logits and embeddings, as views of the library's memory."""

from __future__ import annotations

import ctypes
import threading
import weakref
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from .. import _raw
from ..errors import LlamaBusyError, LlamaOutputError
from ..model.model import LlamaModel
from ..native.resource import Closable, Resource
from ..sampling.in_graph import is_sampled

# Models with a KV cache that make no logits.
_EMBEDDERS = ("llama-embed",)


class Outputs(Closable):
    """The outputs of a context's last decode; a part of `LlamaContext`."""

    _lock: threading.Lock
    _samplers: dict[int, Any]
    _outputs: Sequence[int] | None

    def _set_up_outputs(self, model: LlamaModel, handle: _raw.llama_context) -> None:
        calls, library = model.library.short, model.library
        self._calls = calls
        self._get_logits = calls.llama_get_logits_ith
        self._n_vocab = model.vocab.n_tokens
        self._n_seq_max = int(calls.llama_n_seq_max(handle))
        self._has_memory = bool(calls.llama_get_memory(handle))
        self._has_encoder = model.has_encoder
        self._pooling = int(calls.llama_pooling_type(handle))
        wide = library.has("llama_model_n_embd_out")
        self._n_embd = int(calls.llama_model_n_embd_out(model.handle)) if wide else model.n_embd
        # What it writes per sequence: with a classifier, a score for each of its labels.
        self._n_pooled = self._n_embd
        if self._pooling == _raw.LLAMA_POOLING_TYPE_RANK:
            self._n_pooled = int(calls.llama_model_n_cls_out(model.handle))
        diffusion = library.has("llama_model_is_diffusion") and calls.llama_model_is_diffusion(
            model.handle
        )
        arch = model.metadata.get("general.architecture")
        self._makes_logits = (self._has_memory or bool(diffusion)) and arch not in _EMBEDDERS
        self._embedding = False
        # With embeddings, and without a KV cache, the library gives an output for each token,
        # whatever the batch says.
        self._all_outputs = not self._has_memory
        self._encoded = False  # whether the last thing done was encode
        self._outputs = None
        # The batch was computed in parts: where its last one begins.
        self._offset = 0
        # The library has room for this many outputs and moves them when it needs more. They are
        # logits, and embeddings where they are enabled, or where an encoder makes them always.
        self._row = self._n_vocab + (self._n_embd if self._has_encoder else 0)
        self._room = self._n_seq_max
        self._lease: Callable[[], _Lease | None] = lambda: None  # alive while there are views
        self._view_type = ctypes.c_float * self._n_vocab
        self._embedding_type = ctypes.c_float * self._n_embd

    def _embed(self, enabled: bool) -> None:
        """Embeddings are computed from now on, or not any more."""
        if enabled == self._embedding:
            return
        self._embedding = enabled
        self._all_outputs = enabled or not self._has_memory
        self._outputs = None
        if not self._has_encoder:
            before, self._row = self._row, self._n_vocab + (self._n_embd if enabled else 0)
            self._room = self._room * before // self._row

    def _make_room(self, n_outputs: int) -> None:
        """The library moves its outputs when it needs room for more: not under a view."""
        if self._lease() is not None:
            raise BufferError(
                f"{n_outputs} outputs need more room than {self._room} did, and views of the old "
                "ones exist; delete them, or copy what is still needed"
            )
        self._room = max(n_outputs, self._n_seq_max)

    def logits(self, i: int = -1) -> memoryview[float]:
        """The logits of the token at index ``i`` of the last batch, one float for each token of
        the vocabulary. Negative counts from the end of the outputs: -1 is the last.

        It is a view (shape ``(n_vocab,)``, format ``f``), not a copy: the next decode overwrites
        it. ``np.asarray`` takes it as it is. Raises LlamaOutputError when the last decode did not
        compute that output, and when it went through a sampler in the graph.
        C: ``llama_get_logits_ith``, llama.h.
        """
        resource = self._open()
        self._enter()
        try:
            return self._logits(resource, i)
        finally:
            self._lock.release()

    def _logits(self, resource: Resource, i: int) -> memoryview[float]:
        i = self._check_output(i)
        if self._samplers and is_sampled(self._calls, resource.handle, i):
            raise LlamaOutputError(
                f"the output at index {i} went through a sampler in the graph: there are no logits "
                "of the model"
            )
        pointer = self._get_logits(resource.handle, i)
        if not pointer:
            raise LlamaOutputError(f"the library has no logits at index {i}")
        return self._view(resource, pointer, self._view_type)

    def embeddings(self, i: int = -1) -> memoryview[float]:
        """The embedding of the token at index ``i`` of the last batch. Negative counts from the
        end: -1 is the last.

        It is a view as `logits` gives it, of shape ``(n_embd_out,)``. They are computed when the
        context was made with ``embeddings=True`` or `embeddings_enabled` is set, without pooling,
        and for every token then; and by the encoder of a model that has one. LlamaOutputError
        otherwise. C: ``llama_get_embeddings_ith``, llama.h.
        """
        resource = self._open()
        if self._embedding and self._pooling != _raw.LLAMA_POOLING_TYPE_NONE:
            raise LlamaOutputError(
                f"this context pools the tokens of a sequence ({self._pooling_name()}): it has "
                "embeddings of sequences only, see embeddings_seq"
            )
        if not self._embedding and not self._encoded:
            raise LlamaOutputError(
                "no embeddings were computed: make the context with embeddings=True, or set "
                "embeddings_enabled"
            )
        self._enter()
        try:
            pointer = self._calls.llama_get_embeddings_ith(resource.handle, self._index(i))
            if not pointer:
                raise LlamaOutputError(f"the library has no embedding at index {i}")
            return self._view(resource, pointer, self._embedding_type)
        finally:
            self._lock.release()

    def embeddings_seq(self, seq_id: int = 0) -> memoryview[float]:
        """The embedding of a sequence of the last batch, of shape ``(n_embd_out,)``. With
        ``LLAMA_POOLING_TYPE_RANK`` it is the scores of the model's classifier, as many as it has
        labels, at least one.

        It is a copy, because the library frees its own with the next decode. Raises
        LlamaOutputError without pooling, for a sequence that was not in that batch, and where
        `embeddings_enabled` is not set. C: ``llama_get_embeddings_seq``, llama.h.
        """
        row = array("f", bytes(4 * self._n_pooled))
        self._copy_pooled(seq_id, row.buffer_info()[0])
        return memoryview(row)

    def _copy_pooled(self, seq_id: int, address: int) -> None:
        """Copy the embedding of a sequence, ``_n_pooled`` floats, to ``address``."""
        resource = self._open()
        self._enter()
        try:
            pointer = self._pooled(resource, seq_id)
            ctypes.memmove(address, pointer, 4 * self._n_pooled)
        finally:
            self._lock.release()

    def _pooled(self, resource: Resource, seq_id: int) -> Any:
        if self._outputs is None:
            raise LlamaOutputError("there are no outputs: nothing was decoded, or it failed")
        if not isinstance(seq_id, int):
            raise TypeError(f"a sequence must be an integer, not {seq_id!r}")
        pointer = None
        if 0 <= seq_id < self._n_seq_max:
            pointer = self._calls.llama_get_embeddings_seq(resource.handle, seq_id)
        if not pointer:
            if not self._embedding:
                why = "embeddings_enabled is not set"
            elif self._pooling == _raw.LLAMA_POOLING_TYPE_NONE:
                why = "this context does not pool (pooling_type), see embeddings"
            else:
                why = "it was not in the last batch"
            raise LlamaOutputError(f"sequence {seq_id} has no embedding: {why}")
        return pointer

    def _enter(self) -> None:
        """Take the lock. LlamaBusyError when another thread has it."""
        if not self._lock.acquire(blocking=False):
            raise LlamaBusyError("another thread is using this context")

    def _pooling_name(self) -> str:
        return _raw.llama_pooling_type_enum(self._pooling).name

    def _view(self, resource: Resource, pointer: Any, type_: Any) -> memoryview[float]:
        floats = type_.from_address(ctypes.addressof(pointer.contents))
        lease = self._lease()
        if lease is None:
            lease = _Lease(resource)
            self._lease = weakref.ref(lease)
        floats.lease = lease
        # ctypes calls its format "<f", which memoryview itself cannot read.
        return memoryview(floats).cast("B").cast("f")

    def _check_output(self, i: int) -> int:
        """The index, for the library, of the logits ``i``. LlamaOutputError if the last decode has
        not computed them."""
        if not self._makes_logits:
            raise LlamaOutputError("this model makes no logits, only embeddings")
        if self._encoded and self._has_encoder:
            raise LlamaOutputError("an encoder makes no logits: decode comes after it")
        return self._index(i)

    def _index(self, i: int) -> int:
        outputs = self._outputs
        if outputs is None:
            raise LlamaOutputError("there are no outputs: nothing was decoded, or it failed")
        if not isinstance(i, int):
            raise TypeError(f"an index must be an integer, not {i!r}")
        i = int(i)  # not a subclass, which may compare as it likes
        if i not in outputs and not -len(outputs) <= i < 0:
            raise LlamaOutputError(
                f"index {i} has no output: the last batch has them for {list(outputs)[:20]}"
            )
        return i if i < 0 else i - self._offset


class _Lease:
    """Held by the views of a context's outputs: keeps the context's memory, and says that they
    exist."""

    __slots__ = ("__weakref__", "resource")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
