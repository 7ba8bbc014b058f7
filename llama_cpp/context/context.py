"""A context: the KV cache, and the computation over it."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _raw
from .._dataclasses import dataclass
from .._display import Displayed, Sheet, facts
from .._lazy import Later
from ..errors import LlamaContextError, LlamaSamplerError
from ..model._getters import ContextGetters
from ..model.model import LlamaLora, LlamaModel
from ..native import log
from ..native.arguments import c_number, check_type, integer
from ..native.calls import call
from ..native.remote import free_for, guard_for, note_user
from ..native.resource import ClosedByWith, Resource, owned
from ..sampling.chain import LlamaSampler
from . import state as states
from .adapters import ContextAdapters
from .batch import LlamaBatch
from .cells import CellBooks
from .computing import Computing
from .core import Core, abort_callback
from .memory import LlamaMemory
from .outputs import Outputs
from .params import check_memory, check_pooling, check_threads, context_params, fitting
from .sequence import Sequences
from .turns import Turns

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self, Unpack

    from .._params import LlamaContextParams
    from ..model.control_vector import LlamaControlVector
    from . import prompts
    from .prompts import PromptCache, StoredPrompts
else:  # most programs do without
    prompts = Later(__package__, ".prompts")

# The library rounds n_ctx up to a multiple of this.
_CTX_STEP = 256


@dataclass(frozen=True)
class ContextPerf:
    """A context's counts and times, since it was made or `reset_perf`."""

    load_seconds: float
    """From the start of loading the model to the end of the first decode."""
    prompt_seconds: float
    """Seconds in decodes of more than one token."""
    generation_seconds: float
    """Seconds in decodes of one token."""
    prompt_tokens: int
    """Tokens in decodes of more than one."""
    generated_tokens: int
    """Decodes of one token."""
    reused_graphs: int
    """Decodes that reused the graph of the previous one."""


class LlamaContext(Displayed, ContextGetters, ClosedByWith):
    """Generates with a model: it has the KV cache, and the outputs of the last decode.

    Keywords are the fields of ``llama_context_params`` under their C names. They default to the
    library's defaults, except ``n_threads`` and ``n_threads_batch``, which default to the cores
    that the process may use, and ``no_perf``, which is False. ``n_ctx=0`` takes the model's own
    context length. With ``fit``, that or the given ``n_ctx`` is made smaller until the context can
    be allocated; `n_ctx` is the result.

    ``samplers`` are chains by sequence, which it runs in its graph: on the device that computes the
    logits, so that these need not be copied. `LlamaSampler.sample` then takes their result. Such
    a chain belongs to the context (make another with `LlamaSampler.clone`), and the outputs of its
    sequence have no logits; see `LlamaSampler.in_graph`.

    One thread at a time may use a context; several contexts run side by side.

    Raises TypeError and ValueError for wrong keywords, and LlamaContextError when the library
    cannot make the context, as for want of memory. C: ``llama_init_from_model``, llama.h.
    """

    def __init__(
        self,
        model: LlamaModel,
        *,
        fit: bool = False,
        samplers: Mapping[int, LlamaSampler] | None = None,
        **params: Unpack[LlamaContextParams],
    ) -> None:
        check_type(model, LlamaModel)
        self.model = model
        """The context's model."""
        self.core = core = Core(model)
        """The C object with its lock and sizes, for the parts of this class."""
        self._library = core.library
        raw = context_params(model, params)
        raw.abort_callback = abort_callback()
        raw.abort_callback_data = ctypes.addressof(core.stop)
        if fit and samplers:
            raise ValueError("fit tries several contexts, and samplers can be given to one only")
        self._chains = _give_samplers(model, raw, samplers)
        if fit:
            resource = self._make_fitting(raw)
        else:
            check_memory(model, raw)
            resource = self._make(raw)
        core.set_up(resource, raw)
        if samplers and not core.has_memory:
            raise LlamaContextError("samplers run in the graph only with a KV cache")
        self.outputs = Outputs(core, samplers or {})
        """The outputs of the last decode, for samplers; see `logits` and `embeddings`."""
        self.books = CellBooks(core)
        """The owners of the KV cache's cells, for the parts of this class."""
        self.turns = Turns()
        """The turns of generations in this context."""
        self.memory = LlamaMemory(core, self.books)
        """The KV cache, with C's operations. C: ``llama_get_memory``."""
        books = self.books if core.has_memory else None
        self.computing = Computing(core, books, self.outputs)
        """Runs its batches, for the parts of this class."""
        self._spare: list[LlamaBatch] = []  # of one token, to be used again
        self._adapters = ContextAdapters(core, books, self._kept)
        self.outputs.embed(bool(raw.embeddings))
        for chain in (samplers or {}).values():
            chain.note_graph(self.outputs)

    def _make(self, raw: _raw.llama_context_params) -> Resource:
        model, library = self.model, self.model.library
        parent = model.opened()
        note_user(self.core, parent)
        self._kept: list[Resource] = []
        # For this attempt alone: the lock of a freed context stays held.
        self.core.lock, self.core.freed = threading.Lock(), []
        keep = (parent, self.core.stop, self._kept, *self._chains)
        free = partial(_free, free_for(library, "llama_free", parent), self.core.freed)

        def make() -> Resource | None:
            handle = library.llama_init_from_model(parent.handle, raw)
            return owned(handle, free, *keep, lock=self.core.lock)

        # It plans a decode: metadata that do not fit the tensors run into assertions.
        what = f"no context for {model.path.name}"
        with model.adapters_lock:
            return call(library, make, what, error=LlamaContextError, guard=guard_for(parent))

    def _make_fitting(self, raw: _raw.llama_context_params) -> Resource:
        """Make it with the largest n_ctx that can be allocated, to about a sixteenth."""
        n_ctx = fitting(self.model, raw)
        fits, refused = 0, n_ctx + 1
        while True:
            resource = None  # the one before is freed first
            raw.n_ctx = n_ctx
            try:
                resource = self._make(raw)
            except LlamaContextError:
                if n_ctx <= max(_CTX_STEP, raw.n_seq_max):
                    raise
                # A size that fitted before may not fit any more.
                fits, refused = (0 if n_ctx == fits else fits), n_ctx
            else:
                fits = n_ctx
            close = refused - fits <= max(_CTX_STEP, fits // 16)
            if close and resource is not None:
                return resource
            if fits:
                n_ctx = fits if close else (fits + refused) // 2
            else:
                n_ctx = max(n_ctx // 2, raw.n_seq_max)

    # -- lifetime

    @property
    def handle(self) -> _raw.llama_context:
        """The C object, for `llama_cpp._raw` and the functions of the library."""
        return self.core.handle

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.core.closed

    def close(self) -> None:
        """Free it as soon as no view of its outputs is left."""
        self.core.close()
        self.core.outputs = None
        self._adapters.close()

    def __enter__(self) -> Self:
        self.core.opened()
        return self

    def __repr__(self) -> str:
        if self.closed:
            return "<LlamaContext, closed>"
        return f"<LlamaContext for {self.model.path.name!r}, n_ctx={self.core.n_ctx}>"

    def _display(self) -> Sheet:
        if self.closed:
            return Sheet()
        names = ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_threads", "n_threads_batch")
        rows = {name: getattr(self, name) for name in names}
        return facts({"model": self.model.path.name, **rows, "pooling": self.pooling_type.name})

    # -- facts

    @property
    def n_ctx_seq(self) -> int:
        """The maximum of tokens in one sequence. C: ``llama_n_ctx_seq``."""
        self.core.opened()
        return self.core.n_ctx_seq

    @property
    def is_recurrent(self) -> bool:
        """Whether its memory has only recurrent states, and so is never full."""
        self.core.opened()
        return self.core.is_recurrent

    # -- computation

    def decode(self, batch: LlamaBatch | Iterable[int]) -> None:
        """Run ``batch`` (or plain tokens, for the first sequence) through the model.

        More than ``n_batch`` tokens are computed in parts of that many. Afterwards `logits` has the
        outputs that the batch asked for; they must be in the last part. Other Python threads run
        meanwhile.

        Raises LlamaDecodeError, with the library's code, when the KV cache is full (1) or the batch
        does not fit its sequence (-1); ValueError for tokens and sequences that do not exist and
        for batches that cannot be split; LlamaBusyError when another thread is in this
        context; LlamaCancelled after `cancel`. After an error the KV cache is unchanged; but if
        the model's memory cannot drop a part of a sequence (recurrent models, and sliding windows
        that have moved on), the sequence is empty. C: ``llama_decode``, llama.h.
        """
        if type(batch) is tuple and len(batch) == 1:
            # A generating loop does this for each token: reuse a batch.
            one = self._spare.pop() if self._spare else LlamaBatch((0,))
            one.set_token(batch[0])
            self.computing.decode(one)
            self._spare.append(one)
        else:
            self.computing.decode(batch if isinstance(batch, LlamaBatch) else LlamaBatch(batch))

    def encode(self, batch: LlamaBatch | Iterable[int]) -> None:
        """Run ``batch`` through the model's encoder; `decode` then attends to the result.

        It takes all tokens at once, ``n_ubatch`` at most. `embeddings` has the result. Raises
        LlamaContextError for a model without an encoder, and otherwise like `decode`.
        C: ``llama_encode``, llama.h.
        """
        self.computing.encode(batch if isinstance(batch, LlamaBatch) else LlamaBatch(batch))

    def warm_up(self) -> None:
        """Compute one token and drop it, so that weights and buffers are in memory before the
        first measured decode.

        It needs an empty sequence, and drops the last outputs; `perf` begins anew. Raises
        LlamaContextError when no sequence is empty, or for a model with an encoder when it is
        already in use.
        """
        self.core.opened()
        vocab = self.model.vocab
        token = vocab.bos if vocab.bos is not None else 0
        if self.core.has_encoder:
            if self.computing.ready_to_decode:
                raise LlamaContextError("encode was called: warm_up comes before it")
            self.encode([token])
            start = self.model.decoder_start_token
            token = token if start is None else start
        free = 0
        if self.core.has_memory:
            ids = range(self.core.n_seq_max)
            found = next((i for i in ids if self.core.pos_max(self.core.kv, i) < 0), None)
            if found is None:
                raise LlamaContextError("every sequence has tokens: warm_up needs an empty one")
            free = found
        if self.computing.ready_to_decode:
            self.decode(LlamaBatch([token], seq_id=free))
            if self.core.has_memory:
                self.memory.seq_rm(free)
        self.computing.ready_to_decode = not self.core.has_encoder
        self.core.outputs = None
        self.reset_perf()

    def cancel(self) -> None:
        """Stop the decode or encode that another thread runs in this context.

        That call raises LlamaCancelled within some milliseconds, and leaves the context unchanged.
        Without a running call it does nothing. Ctrl-C needs no handler that calls it: it stops a
        long decode itself. C: ``llama_set_abort_callback``; only work on the CPU can be stopped.
        """
        self.core.cancel()

    # -- outputs

    def logits(self, i: int = -1) -> memoryview[float]:
        """The logits of the token at index ``i`` of the last batch, one float for each token of
        the vocabulary. Negative counts from the end of the outputs: -1 is the last.

        It is a view (shape ``(n_vocab,)``, format ``f``), not a copy: the next decode overwrites
        it. ``np.asarray`` takes it without a copy. Raises LlamaOutputError when the last decode did
        not compute that output, and when it went through a sampler in the graph.
        C: ``llama_get_logits_ith``, llama.h.
        """
        return self.outputs.logits(i)

    def embeddings(self, i: int = -1) -> memoryview[float]:
        """The embedding of the token at index ``i`` of the last batch. Negative counts from the
        end: -1 is the last.

        It is a view like that of `logits`, of shape ``(n_embd_out,)``. Embeddings are computed for
        every token when the context was made with ``embeddings=True`` or `embeddings_enabled` is
        set, without pooling; and by a model's encoder. Otherwise it raises LlamaOutputError.
        C: ``llama_get_embeddings_ith``, llama.h.
        """
        return self.outputs.embeddings(i)

    def embeddings_seq(self, seq_id: int = 0) -> memoryview[float]:
        """The embedding of a sequence of the last batch, of shape ``(n_embd_out,)``. With
        ``LLAMA_POOLING_TYPE_RANK`` it is the scores of the model's classifier, as many as it has
        labels, at least one.

        It is a copy, because the library frees its own with the next decode. Raises
        LlamaOutputError without pooling, for a sequence that was not in that batch, and where
        `embeddings_enabled` is not set. C: ``llama_get_embeddings_seq``, llama.h.
        """
        return self.outputs.embeddings_seq(seq_id)

    # -- sequences and states

    @property
    def sequence(self) -> Sequences:
        """Makes sequences: ``ctx.sequence()`` an empty one, ``ctx.sequence.load(path)`` and
        ``ctx.sequence.from_bytes(data)`` one that was saved. See `LlamaSequence`."""
        return Sequences(self.computing)

    def to_bytes(self, tokens: Iterable[int] = ()) -> bytes:
        """All sequences of the cache as bytes for `restore`. ``tokens`` are saved with them for
        your own use: a context does not know its tokens, a `LlamaSequence` does.

        C: ``llama_state_get_data``, llama.h, in a container that names its model and context.
        """
        return bytes(self._saved(tokens))

    def restore(self, data: Buffer) -> list[int]:
        """Replace the whole cache by a result of `to_bytes`; returns its tokens.

        Raises LlamaStateError for data that is damaged, or belongs to another model or a context of
        another shape, and changes nothing. If the library itself refuses the data, for example for
        lack of cells, the same error says so and the cache is empty. There are no outputs until the
        next decode, and each `LlamaSequence` must set its tokens anew.
        C: ``llama_state_set_data``, llama.h.
        """
        core = self.core
        core.opened()
        core.check_memory()
        with core.held():
            state = states.check(core, data)
            core.outputs = None
            try:
                states.restore(self.books, state)
            finally:
                for seq_id in range(core.n_seq_max):
                    self.books.changed(seq_id)
            return state.tokens

    def save(self, path: str | os.PathLike[str], tokens: Iterable[int] = ()) -> None:
        """Write `to_bytes` to a file, for `load`. An old file stays until the new one is complete.
        Raises OSError when it cannot be written."""
        states.write_file(path, self._saved(tokens))

    def load(self, path: str | os.PathLike[str]) -> list[int]:
        """`restore` from a file. Raises OSError when it cannot be read."""
        return self.restore(states.read_file(path))

    def _saved(self, tokens: Iterable[int]) -> bytearray:
        self.core.opened()
        self.core.check_memory()
        with self.core.held():
            return states.save(self.books, tokens)

    # -- settings, adapters

    @property
    def n_threads(self) -> int:
        """The threads that compute one token. It can be set. C: ``llama_set_n_threads``."""
        return int(self.core.short.llama_n_threads(self.handle))

    @n_threads.setter
    def n_threads(self, value: int) -> None:
        self._set_threads("n_threads", value, self.n_threads_batch)

    @property
    def n_threads_batch(self) -> int:
        """The threads that compute several tokens. It can be set. C: ``llama_set_n_threads``."""
        return int(self.core.short.llama_n_threads_batch(self.handle))

    @n_threads_batch.setter
    def n_threads_batch(self, value: int) -> None:
        self._set_threads("n_threads_batch", self.n_threads, value)

    def _set_threads(self, name: str, one: int, several: int) -> None:
        for value in (one, several):
            check_threads(name, c_number(ctypes.c_int32, value, name))
        with self.core.held(), log.heard():
            self.core.short.llama_set_n_threads(self.handle, one, several)

    @property
    def causal_attn(self) -> bool:
        """Whether a token sees only those before it. It can be set; without it, a decode takes at
        most ``n_ubatch`` tokens. C: ``llama_set_causal_attn``."""
        self.core.opened()
        return self.core.causal()

    @causal_attn.setter
    def causal_attn(self, value: bool) -> None:
        causal = c_number(ctypes.c_bool, value, "causal_attn")
        with self.core.held(), log.heard():
            self.core.short.llama_set_causal_attn(self.handle, causal)
            self.core.was_causal = causal

    @property
    def embeddings_enabled(self) -> bool:
        """Whether decodes compute embeddings: of every token, or with pooling of every sequence.
        It can be set, which drops the last outputs. C: ``llama_set_embeddings``."""
        self.core.opened()
        return self.outputs.embedding

    @embeddings_enabled.setter
    def embeddings_enabled(self, value: bool) -> None:
        core, outputs = self.core, self.outputs
        enabled = c_number(ctypes.c_bool, value, "embeddings_enabled")
        if enabled:
            if outputs.samplers:
                raise LlamaContextError(
                    "this context runs samplers in its graph: make another one for embeddings"
                )
            n_ubatch = min(core.n_ubatch, core.n_ctx)
            check_pooling(outputs.pooling, n_ubatch, core.n_seq_max, core.n_outputs_max)
        with core.held(), log.heard():
            core.short.llama_set_embeddings(self.handle, enabled)
            outputs.embed(enabled)

    @property
    def perf(self) -> ContextPerf:
        """The work so far, in seconds and tokens. With ``no_perf=True`` the seconds are 0,
        and the library counts at least one of each. C: ``llama_perf_context``."""
        core = self.core
        with core.held():
            core.library.llama_synchronize(self.handle)  # it counts then
            raw = core.short.llama_perf_context(self.handle)
        return ContextPerf(
            load_seconds=raw.t_load_ms / 1e3,
            prompt_seconds=raw.t_p_eval_ms / 1e3,
            generation_seconds=raw.t_eval_ms / 1e3,
            # It counts 1 for none at all.
            prompt_tokens=raw.n_p_eval if raw.t_p_eval_ms or core.no_perf else 0,
            generated_tokens=raw.n_eval if raw.t_eval_ms or core.no_perf else 0,
            reused_graphs=raw.n_reused,
        )

    def reset_perf(self) -> None:
        """Count and measure from now on. C: ``llama_perf_context_reset``."""
        with self.core.held():
            self.core.library.llama_synchronize(self.handle)
            self.core.short.llama_perf_context_reset(self.handle)

    def stored_prompts(self, cache: PromptCache) -> StoredPrompts | None:
        """The prompts in ``cache`` that this context can continue. None without a KV cache."""
        if not self.core.has_memory:
            return None
        return prompts.StoredPrompts(cache, self.books, self._adapters)

    @property
    def adapter_facts(self) -> tuple[object, ...]:
        """What tells the adapters in use here from others: their weights and scales."""
        return self._adapters.facts

    @property
    def loras(self) -> dict[LlamaLora, float]:
        """The adapters that are in use here, and their scales."""
        return self._adapters.loras

    def set_loras(self, loras: Mapping[LlamaLora, float] | Iterable[LlamaLora] = ()) -> None:
        """Use only these adapters from the next decode on: adapter -> scale, or several with a
        scale of 1. Without arguments it removes all.

        A scale of 0 has no effect; it may be negative. Changing adapters is quick, because the
        model's weights stay unchanged. Tokens that were decoded before keep their cells in the KV
        cache. Raises LlamaAdapterError for an adapter of another model, TypeError and ValueError
        for scales that are not finite numbers, LlamaBusyError when another thread is in this
        context.
        C: ``llama_set_adapters_lora``.
        """
        self._adapters.set_loras(loras)

    def set_control_vector(
        self, vector: LlamaControlVector | None, *, layers: tuple[int, int] | None = None
    ) -> None:
        """Add ``vector`` to the outputs of its layers from the next decode on; None removes it.

        ``layers`` limits it to those from the first to the last, both included. The KV cache is
        unchanged, see `set_loras`. Raises LlamaAdapterError for a vector of another width or with
        more layers than the model, ValueError for ``layers`` that do not exist, LlamaBusyError
        when another thread is in this context. C: ``llama_set_adapter_cvec``.
        """
        self._adapters.set_control_vector(vector, layers=layers)

    def adapt_as(self, other: LlamaContext) -> None:
        """Use the current adapters and control vector of ``other``, a context on the same model."""
        check_type(other, LlamaContext)
        self._adapters.copy(other._adapters)


def _free(free: Callable[[Any], object], freed: list[bool], handle: Any) -> None:
    free(handle)
    freed.append(True)


def _give_samplers(
    model: LlamaModel, raw: _raw.llama_context_params, samplers: Mapping[int, LlamaSampler] | None
) -> list[object]:
    """Put the chains, by sequence, into the parameters of a context. The returned objects must
    live as long as it does. Raises for mistakes that would make llama.cpp abort."""
    if samplers is None:
        return []
    if not isinstance(samplers, Mapping):
        raise TypeError(f"samplers must map sequences to chains, not {samplers!r}")
    if model.has_encoder or raw.embeddings:
        raise LlamaContextError(
            "samplers run only in the graph of generating contexts, not of encoders and embeddings"
        )
    if raw.n_outputs_max_per_seq != 1:
        raise ValueError("with samplers in the graph, n_outputs_max_per_seq must be 1")
    for seq_id, chain in samplers.items():
        if not 0 <= integer(seq_id, "samplers: a sequence") < raw.n_seq_max:
            raise ValueError(f"samplers: seq_id {seq_id} is not 0 to {raw.n_seq_max - 1}")
        if not isinstance(chain, LlamaSampler):
            raise TypeError(f"samplers: expected a LlamaSampler, not {chain!r}")
        chain.check_in_graph(model.library, model.vocab.n_tokens)
    if len({id(chain) for chain in samplers.values()}) < len(samplers):
        raise LlamaSamplerError("a chain is for one sequence: pass a clone() of it for each")
    configs = (_raw.llama_sampler_seq_config * len(samplers))()
    kept: list[object] = [configs]
    for config, (seq_id, chain) in zip(configs, samplers.items(), strict=True):
        config.seq_id, config.sampler = seq_id, chain.handle
        kept.append(chain.give_to_graph())
    raw.samplers, raw.n_samplers = configs, len(samplers)
    return kept
