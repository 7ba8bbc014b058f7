"""A context's last outputs: logits and embeddings, as views of the library's memory."""

from __future__ import annotations

import ctypes
import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import index
from typing import Any

from .. import _raw
from ..errors import LlamaOutputError
from ..native.arguments import integer
from ..native.resource import Resource
from ..sampling.greedy import Likeliest
from ..sampling.source import Source, is_sampled
from .core import Core

# Models with a KV cache that make no logits.
_EMBEDDERS = ("llama-embed",)


class Outputs(Source):
    """The outputs of a context's last decode; `LlamaContext` shows its methods as its own."""

    def __init__(self, core: Core, samplers: Mapping[int, Any]) -> None:
        model, short, library = core.model, core.short, core.library
        super().__init__(
            model.library,
            core.n_vocab,
            core.opened,
            core.enter,
            core.lock.release,
            lambda: core.cancels,
        )
        self._core = core
        self.samplers = dict(samplers)
        self.likeliest = Likeliest(library, core.n_vocab)
        self._get_logits = short.llama_get_logits_ith
        self.pooling = int(short.llama_pooling_type(core.handle))
        wide = library.has("llama_model_n_embd_out")
        self.n_embd = int(short.llama_model_n_embd_out(model.handle)) if wide else model.n_embd
        self.n_pooled = self.n_embd
        """The floats of a sequence's embedding: with a classifier, a score for each label."""
        if self.pooling == _raw.LLAMA_POOLING_TYPE_RANK:
            self.n_pooled = int(short.llama_model_n_cls_out(model.handle))
        diffusion = library.has("llama_model_is_diffusion") and short.llama_model_is_diffusion(
            model.handle
        )
        arch = model.metadata.get("general.architecture")
        self._makes_logits = (core.has_memory or bool(diffusion)) and arch not in _EMBEDDERS
        self.embedding = False
        """Whether embeddings are computed."""
        self.all = not core.has_memory
        """Whether each token gets an output regardless of the batch: with embeddings, and without
        a KV cache."""
        # The library has room for this many outputs and moves them when it needs more. They are
        # logits, and embeddings where they are enabled, or where an encoder makes them always.
        self._row = core.n_vocab + (self.n_embd if core.has_encoder else 0)
        self.room = core.n_seq_max
        self._lease: Callable[[], _Lease | None] = lambda: None  # alive while there are views
        self._view_type = ctypes.c_float * core.n_vocab
        self._embedding_type = ctypes.c_float * self.n_embd

    def embed(self, enabled: bool) -> None:
        """Compute embeddings from now on, or stop it."""
        if enabled == self.embedding:
            return
        core = self._core
        self.embedding = core.untried = enabled
        self.all = enabled or not core.has_memory
        core.outputs = None
        if not core.has_encoder:
            before, self._row = self._row, core.n_vocab + (self.n_embd if enabled else 0)
            self.room = self.room * before // self._row

    def make_room(self, n_outputs: int) -> None:
        """Refuse a move of the library's outputs while there are views: it moves them to make room
        for more."""
        if self._lease() is not None:
            raise BufferError(
                f"{n_outputs} outputs need more room than {self.room} did, and views of the old "
                "ones exist; copy the values that you need, and delete the views"
            )
        self.room = max(n_outputs, self._core.n_seq_max)

    @contextmanager
    def reading(self, i: int) -> Iterator[memoryview[float]]:
        """The logits at index ``i``, with the context reserved for this thread."""
        self._core.opened()
        with self._core.held():
            yield self.logits_at(i)

    def logits(self, i: int) -> memoryview[float]:
        """See `LlamaContext.logits`."""
        with self.reading(i) as logits:
            return logits

    def logits_at(self, i: int) -> memoryview[float]:
        """Like `logits`, with the lock held."""
        resource = self._core.opened()
        i = self.check_output(i)
        if self.samplers and is_sampled(self._core.short, resource.handle, i):
            raise LlamaOutputError(
                f"the output at index {i} went through a sampler in the graph: there are no logits "
                "of the model"
            )
        pointer = self._get_logits(resource.handle, i)
        if not pointer:
            raise LlamaOutputError(f"the library has no logits at index {i}")
        return self._view(resource, pointer, self._view_type)

    def embeddings(self, i: int) -> memoryview[float]:
        """See `LlamaContext.embeddings`."""
        core = self._core
        resource = core.opened()
        if self.embedding and self.pooling != _raw.LLAMA_POOLING_TYPE_NONE:
            raise LlamaOutputError(
                f"this context pools the tokens of a sequence ({self.pooling_name()}): it has "
                "embeddings of sequences only, see embeddings_seq"
            )
        if not self.embedding and not core.encoded:
            raise LlamaOutputError(
                "no embeddings were computed: make the context with embeddings=True, or set "
                "embeddings_enabled"
            )
        with core.held():
            pointer = core.short.llama_get_embeddings_ith(resource.handle, self._index(i))
            if not pointer:
                raise LlamaOutputError(f"the library has no embedding at index {i}")
            return self._view(resource, pointer, self._embedding_type)

    def embeddings_seq(self, seq_id: int) -> memoryview[float]:
        """See `LlamaContext.embeddings_seq`."""
        row = array("f", bytes(4 * self.n_pooled))
        self.copy_pooled(seq_id, row.buffer_info()[0])
        return memoryview(row)

    def copy_pooled(self, seq_id: int, address: int) -> None:
        """Copy the embedding of a sequence, `n_pooled` floats, to ``address``."""
        resource = self._core.opened()
        with self._core.held():
            pointer = self._pooled(resource, seq_id)
            ctypes.memmove(address, pointer, 4 * self.n_pooled)

    def _pooled(self, resource: Resource, seq_id: int) -> Any:
        core = self._core
        if core.outputs is None:
            raise LlamaOutputError("there are no outputs: nothing was decoded, or it failed")
        seq_id = integer(seq_id, "a sequence")
        pointer = None
        if 0 <= seq_id < core.n_seq_max:
            pointer = core.short.llama_get_embeddings_seq(resource.handle, seq_id)
        if not pointer:
            if not self.embedding:
                why = "embeddings_enabled is not set"
            elif self.pooling == _raw.LLAMA_POOLING_TYPE_NONE:
                why = "this context does not pool (pooling_type), see embeddings"
            else:
                why = "it was not in the last batch"
            raise LlamaOutputError(f"sequence {seq_id} has no embedding: {why}")
        return pointer

    def pooling_name(self) -> str:
        """The C name of the pooling."""
        return _raw.llama_pooling_type_enum(self.pooling).name

    def _view(self, resource: Resource, pointer: Any, type_: Any) -> memoryview[float]:
        floats = type_.from_address(ctypes.addressof(pointer.contents))
        lease = self._lease()
        if lease is None:
            lease = _Lease(resource)
            self._lease = weakref.ref(lease)
        floats.lease = lease
        # ctypes calls its format "<f", which memoryview itself cannot read.
        return memoryview(floats).cast("B").cast("f")

    def check_output(self, i: int) -> int:
        """The library's index of the logits ``i``. Raises LlamaOutputError if the last decode has
        not computed them."""
        if not self._makes_logits:
            raise LlamaOutputError("this model makes no logits, only embeddings")
        if self._core.encoded and self._core.has_encoder:
            raise LlamaOutputError("an encoder makes no logits: decode comes after it")
        return self._index(i)

    def _index(self, i: int) -> int:
        outputs = self._core.outputs
        if outputs is None:
            raise LlamaOutputError("there are no outputs: nothing was decoded, or it failed")
        try:
            i = index(i)  # not a subclass, which may compare as it likes
        except TypeError:
            raise TypeError(f"an index must be an integer, not {i!r}") from None
        if i not in outputs and not -len(outputs) <= i < 0:
            raise LlamaOutputError(
                f"index {i} has no output: the last batch has them for {list(outputs)[:20]}"
            )
        return i if i < 0 else i - self._core.offset


class _Lease:
    """Held by the views of a context's outputs: shows that they exist, and keeps the context's
    memory."""

    __slots__ = ("__weakref__", "resource")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
