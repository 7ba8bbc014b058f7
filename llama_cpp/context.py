"""A context: the KV cache, and the computation over it."""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from . import _log, _raw
from ._adapters import ContextAdapters
from ._arguments import set_params, unknown_keyword
from ._cpu import usable_cores
from ._interrupt import stops_on_ctrl_c
from ._memory import ContextMemory
from ._params import KEYWORDS, POINTERS
from ._resource import Resource
from .batch import LlamaBatch
from .errors import (
    LlamaBusyError,
    LlamaCancelled,
    LlamaContextError,
    LlamaDecodeError,
    LlamaOutputError,
)
from .model import LlamaModel

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._params import LlamaContextParams


# What the library aborts for, fills the memory with or hangs over, or computes NaN from: keyword
# -> least and greatest value. NaN logits are not harmless, sorting them reads out of bounds.
_RANGES: dict[str, tuple[float, float]] = {
    "n_batch": (1, 1 << 20),
    "n_ubatch": (1, 1 << 20),
    "n_seq_max": (1, 1 << 20),
    "rope_freq_base": (0, 1e15),
    "rope_freq_scale": (0, 1e6),
    "yarn_ext_factor": (-1e6, 1e6),
    "yarn_attn_factor": (-1e6, 1e6),
    "yarn_beta_fast": (-1e6, 1e6),
    "yarn_beta_slow": (-1e6, 1e6),
    "yarn_orig_ctx": (0, (1 << 31) - 1),
}
# The rest of ggml's types the CPU cannot write to, or the library makes views of the wrong size.
_CACHE_TYPES = (
    _raw.ggml_type.GGML_TYPE_F32,
    _raw.ggml_type.GGML_TYPE_F16,
    _raw.ggml_type.GGML_TYPE_BF16,
    _raw.ggml_type.GGML_TYPE_Q8_0,
    _raw.ggml_type.GGML_TYPE_Q5_0,
    _raw.ggml_type.GGML_TYPE_Q5_1,
    _raw.ggml_type.GGML_TYPE_Q4_0,
    _raw.ggml_type.GGML_TYPE_Q4_1,
    _raw.ggml_type.GGML_TYPE_IQ4_NL,
)

# A decode of more tokens than this is worth stopping at once; a shorter one is over soon.
_LONG = 32


class LlamaContext(ContextMemory, ContextAdapters):
    """Generates with a model: it has the KV cache, and the outputs of the last decode.

    Keywords are the fields of ``llama_context_params`` under their C names; what is not given
    keeps the library's default, but for ``n_threads`` and ``n_threads_batch``, which are the cores
    that the process may use. ``n_ctx=0`` takes the model's own context length.

    One thread at a time may use a context; several contexts run side by side.

    Raises TypeError and ValueError for wrong keywords, and LlamaContextError when the library
    cannot make the context, as for want of memory. C: ``llama_init_from_model``, llama.h.
    """

    def __init__(self, model: LlamaModel, **params: Unpack[LlamaContextParams]) -> None:
        self._resource: Resource | None = None
        self._lock = threading.Lock()
        if not isinstance(model, LlamaModel):
            raise TypeError(f"expected a LlamaModel, not {type(model).__name__}: {model!r}")
        library = model.library
        self._model = model
        self._library = library
        raw = library.short.llama_context_default_params()
        raw.n_threads = raw.n_threads_batch = usable_cores()
        keywords = KEYWORDS["llama_context_params"]
        for name in params:
            if name in POINTERS["llama_context_params"]:
                raise TypeError(f"LlamaContext: {name!r} is a C pointer, not a plain value")
            if name not in keywords:
                raise unknown_keyword(name, keywords, "LlamaContext")
        set_params(raw, keywords, params, "LlamaContext")
        self._check(raw)
        # The library asks many times a decode whether to stop. A Python function would be slow and
        # need the GIL; strlen of this buffer says 0, go on, until its first byte is set.
        self._stop = ctypes.create_string_buffer(2)
        raw.abort_callback = _strlen()
        raw.abort_callback_data = ctypes.addressof(self._stop)
        parent = model._open()
        self._kept = []
        with _log.heard() as said, _log.interruptible(), model._adapters:
            handle = library.llama_init_from_model(model.handle, raw)
            # At once: what is raised at the end of the block must not leave it behind.
            resource = None
            if handle is not None:
                keep = (parent, self._stop, self._kept)
                resource = Resource(handle, library.llama_free, *keep, lock=self._lock)
        if resource is None:
            raise LlamaContextError(
                f"no context for {model.path.name}: "
                + _log.reason(said, "the library does not say why")
            )
        self._resource = resource
        # Older llama.cpp cannot be asked whether attention is causal; this is how it decides.
        self._was_causal = raw.attention_type == _raw.LLAMA_ATTENTION_TYPE_CAUSAL
        if raw.attention_type == _raw.LLAMA_ATTENTION_TYPE_UNSPECIFIED:
            key = f"{model.metadata.get('general.architecture')}.attention.causal"
            self._was_causal = model.metadata.get(key) != "false"
        short = library.short
        self._decode = library.llama_decode
        self._encode = library.llama_encode
        self._get_logits = short.llama_get_logits_ith
        self._pos_max = short.llama_memory_seq_pos_max
        self._seq_rm = short.llama_memory_seq_rm
        self._stopping = threading.Lock()
        self._running = False
        self._params = raw
        self._kv_unified = bool(raw.kv_unified)
        self._sequences = {}
        self._orphans = []
        self._n_vocab = model.vocab.n_tokens
        # Read, not assumed: the library may round or limit them.
        self._n_batch = int(short.llama_n_batch(handle))
        self._n_outputs_max = self._n_batch
        if not model.has_encoder:
            self._n_outputs_max = getattr(raw, "n_outputs_max", 0) or self._n_batch
        self._n_ubatch = int(short.llama_n_ubatch(handle))
        self._n_ctx = int(short.llama_n_ctx(handle))
        self._n_seq_max = int(short.llama_n_seq_max(handle))
        self._kv = short.llama_get_memory(handle)  # as long as the context lives
        self._has_memory = bool(self._kv)
        self._all_outputs = bool(raw.embeddings)
        self._encoded = False
        self._has_encoder: bool | None = None  # asked for when needed
        self._spare: list[LlamaBatch] = []  # of one token, to be used again
        self._outputs: Sequence[int] | None = None
        # The library has room for this many outputs and moves them when it needs more.
        self._room = self._n_seq_max
        self._lease: Callable[[], _Lease | None] = lambda: None  # alive while there are views
        self._view_type = ctypes.c_float * self._n_vocab
        _contexts.add(self)

    def _check(self, raw: _raw.llama_context_params) -> None:
        """What the library would abort for, or read out of bounds."""
        if self._model._vocab_only:
            raise LlamaContextError(
                f"{self._model.path.name} was loaded with vocab_only: it has no weights to run"
            )
        for name, (low, high) in _RANGES.items():
            value = getattr(raw, name, low)
            if not low <= value <= high:
                raise ValueError(f"{name}={value} is outside {low} to {high}")
        for name in ("type_k", "type_v"):
            if getattr(raw, name) not in _CACHE_TYPES:
                given = _raw.ggml_type(getattr(raw, name)).name
                known = ", ".join(t.name for t in _CACHE_TYPES)
                raise ValueError(f"{name}={given} is no type for a KV cache, which are {known}")
        for name in ("n_threads", "n_threads_batch"):
            if not 1 <= getattr(raw, name) <= _raw.GGML_MAX_N_THREADS:
                raise ValueError(f"{name} must be 1 to {_raw.GGML_MAX_N_THREADS}")
        # An engine that was linked without it refuses too many sequences itself.
        if self._library.has("llama_max_parallel_sequences"):
            most = int(self._library.short.llama_max_parallel_sequences())
            if raw.n_seq_max > most:
                raise ValueError(f"n_seq_max={raw.n_seq_max} is more than the library's {most}")
        # The library makes n_batch no larger than n_ctx, which it rounds up only later.
        if raw.n_seq_max > min(raw.n_batch, raw.n_ctx or self._model.n_ctx_train):
            raise ValueError(
                f"n_seq_max={raw.n_seq_max} is more than the smaller of n_batch={raw.n_batch} and "
                f"n_ctx={raw.n_ctx}: each sequence needs room in a batch"
            )
        limit = getattr(raw, "n_outputs_max", 0)  # older llama.cpp has no such field
        if 0 < limit < raw.n_seq_max:
            raise ValueError(
                f"n_seq_max={raw.n_seq_max} is more than n_outputs_max={limit}: "
                "each sequence needs room for an output"
            )

    # -- lifetime

    @property
    def handle(self) -> _raw.llama_context:
        """The C object, for `llama_cpp._raw` and the functions of the library."""
        handle: _raw.llama_context = self._open().handle
        return handle

    @property
    def model(self) -> LlamaModel:
        """The model that it was made for."""
        return self._model

    def close(self) -> None:
        """Free it, as soon as no view of its outputs is left."""
        super().close()
        self._outputs = None

    def _name(self) -> str:
        return "the context"

    def __repr__(self) -> str:
        if self.closed:
            return "<LlamaContext, closed>"
        return f"<LlamaContext for {self._model.path.name!r}, n_ctx={self._n_ctx}>"

    # -- facts

    @property
    def n_ctx(self) -> int:
        """The size of the KV cache, in tokens; may be rounded up from what was asked for."""
        self._open()
        return self._n_ctx

    @property
    def n_batch(self) -> int:
        """The most tokens that one decode takes."""
        self._open()
        return self._n_batch

    @property
    def n_seq_max(self) -> int:
        """The number of sequences that it can hold."""
        self._open()
        return self._n_seq_max

    @property
    def n_threads(self) -> int:
        """The threads that generate. C: ``llama_n_threads``."""
        return int(self._library.short.llama_n_threads(self.handle))

    # -- computation

    def decode(self, batch: LlamaBatch | Iterable[int]) -> None:
        """Run ``batch`` (or plain tokens, for the first sequence) through the model.

        Afterwards `logits` has the outputs that the batch asked for. Other Python threads run
        meanwhile. Raises LlamaDecodeError, with the library's code, when the KV cache is full (1)
        or the batch does not fit its sequence (-1); ValueError for tokens and sequences that do
        not exist and for more than ``n_batch`` tokens; LlamaBusyError when another thread is in
        this context; LlamaCancelled after `cancel`. Whatever it raises, the KV cache is as it was
        before. C: ``llama_decode``, llama.h.
        """
        resource = self._open()
        if not self._encoded and self._model_has_encoder():
            raise LlamaContextError("this model has an encoder: call encode before decode")
        if isinstance(batch, LlamaBatch):
            self._run(self._decode, resource, batch, "decode")
        elif type(batch) is tuple and len(batch) == 1:
            # What generation does for each token: with a batch that is there already.
            spare = self._spare
            one = spare.pop() if spare else LlamaBatch((0,))
            one.set_token(batch[0])
            self._run(self._decode, resource, one, "decode")
            spare.append(one)
        else:
            self._run(self._decode, resource, LlamaBatch(batch), "decode")

    def encode(self, batch: LlamaBatch | Iterable[int]) -> None:
        """Run ``batch`` through the model's encoder, for `decode` to look at.

        Raises LlamaContextError for a model without an encoder, and otherwise as `decode` does.
        C: ``llama_encode``, llama.h.
        """
        resource = self._open()
        if not isinstance(batch, LlamaBatch):
            batch = LlamaBatch(batch)
        if self._has_memory and not self._model_has_encoder():
            raise LlamaContextError(f"{self._model.path.name} has no encoder: use decode")
        if len(batch) > self._n_ubatch:
            raise ValueError(
                f"{len(batch)} tokens: an encoder takes them at once, n_ubatch={self._n_ubatch}"
            )
        self._run(self._encode, resource, batch, "encode")
        self._encoded = True

    def _model_has_encoder(self) -> bool:
        if self._has_encoder is None:
            raw_model = self._library.short.llama_get_model(self.handle)
            self._has_encoder = bool(self._library.short.llama_model_has_encoder(raw_model))
        return self._has_encoder

    def _run(self, function: Any, resource: Resource, batch: LlamaBatch, what: str) -> None:
        n = len(batch)
        self._check_batch(batch, n, what)
        if not self._lock.acquire(blocking=False):
            raise LlamaBusyError("another thread is using this context")
        starts: dict[int, int] = {}  # sequence -> where the batch begins in it
        code: int | None = None
        try:
            n_outputs = n if self._all_outputs else len(batch.outputs)
            if n_outputs > self._n_outputs_max:
                raise ValueError(
                    f"{n_outputs} outputs are more than n_outputs_max={self._n_outputs_max}"
                )
            if n_outputs > self._room:
                self._make_room(n_outputs)
            self._outputs = None  # whatever happens, the old ones are gone
            if self._has_memory:
                if self._unapplied:
                    self._apply()
                if self._orphans:
                    self._reclaim()
                for seq_id in (0,) if batch.seq_ids is None else set(batch.seq_ids):
                    starts[seq_id] = self._pos_max(self._kv, seq_id) + 1
            self._running = True
            with _log.heard() as said:
                if n > _LONG:
                    with _log.interruptible(), stops_on_ctrl_c(self._stop):
                        code = function(resource.handle, batch.struct)
                else:
                    code = function(resource.handle, batch.struct)
            if code == 0 and self._sequences and function is self._decode:
                self._record(batch)
        except BaseException:
            code = None  # whatever it was: the caller will not know of it
            raise
        finally:
            with self._stopping:
                self._running = False
                if not _exiting:
                    self._stop[0] = b"\0"
            if code not in (0, 1, -1):
                # Stopped or failed half way, or Ctrl-C: what it has stored is of no use. After the
                # other codes the library itself has left all as it was.
                self._forget(starts)
            self._lock.release()
        if code:
            if _exiting and threading.current_thread().daemon:
                threading.Event().wait()  # for the end of the process, and of this thread with it
            raise _decode_error(code, what, n, said, self._n_ctx)
        self._outputs = range(n) if self._all_outputs else batch.outputs

    def _forget(self, starts: dict[int, int]) -> None:
        """Remove what a batch put into the KV cache, or all of a sequence where no part can go
        (recurrent models), or what it needs is gone (sliding windows). ``starts`` is empty when
        nothing had been begun."""
        for seq_id, start in starts.items():
            sequence = self._live(seq_id)
            if sequence is not None:
                sequence._rewind(start)
            elif not self._seq_rm(self._kv, seq_id, start, -1) or not self._goes_on(seq_id, start):
                self._seq_rm(self._kv, seq_id, -1, -1)

    def cancel(self) -> None:
        """Stop the decode or encode that another thread runs in this context.

        There it raises LlamaCancelled within some milliseconds, and the context is as it was
        before that call. Without one it does nothing. From a signal handler, for Ctrl-C, it is not
        needed: that stops a long decode by itself. C: ``llama_set_abort_callback``; as it says
        there, only work on the CPU can be stopped.
        """
        with self._stopping:
            if self._running:
                self._stop[0] = b"\x01"

    def _check_batch(self, batch: LlamaBatch, n: int, what: str) -> None:
        plain = n == 1 and batch.pos is None and batch.seq_ids is None
        if plain and 0 <= batch.tokens[0] < self._n_vocab:
            return  # one token more, as in generation, needs none of the rest
        if n == 0:
            raise ValueError(f"there are no tokens to {what}")
        if n > self._n_batch:
            raise ValueError(
                f"{n} tokens are more than n_batch={self._n_batch}: {what} them in parts, or make "
                "the context with a larger n_batch"
            )
        tokens = batch.tokens
        if min(tokens) < 0 or max(tokens) >= self._n_vocab:
            wrong = next(t for t in tokens if not 0 <= t < self._n_vocab)
            raise ValueError(f"token {wrong} is not in the vocabulary: 0 to {self._n_vocab - 1}")
        if batch.pos is not None and min(batch.pos) < 0:
            raise ValueError(f"position {min(batch.pos)} is negative")
        ids = batch.seq_ids
        if ids is not None and (min(ids) < 0 or max(ids) >= self._n_seq_max):
            wrong = next(i for i in ids if not 0 <= i < self._n_seq_max)
            raise ValueError(f"seq_id {wrong} is not 0 to {self._n_seq_max - 1} (see n_seq_max)")
        if n > self._n_ubatch and not self._causal():
            raise ValueError(
                f"{n} tokens: this model attends to all at once, n_ubatch={self._n_ubatch}"
            )

    def _causal(self) -> bool:
        if self._library.has("llama_get_causal_attn"):
            return bool(self._library.short.llama_get_causal_attn(self.handle))
        return self._was_causal

    def _make_room(self, n_outputs: int) -> None:
        """The library moves its outputs when it needs room for more: not under a view."""
        if self._lease() is not None:
            raise BufferError(
                f"{n_outputs} outputs need more room than {self._room} did, and views of the old "
                "ones exist; delete them, or copy what is still needed"
            )
        self._room = n_outputs

    # -- outputs

    def logits(self, i: int = -1) -> memoryview[float]:
        """The logits of the token at index ``i`` of the last batch, one float for each token of
        the vocabulary. Negative counts from the end of the outputs: -1 is the last.

        It is a view (shape ``(n_vocab,)``, format ``f``), not a copy: the next decode overwrites
        it. ``np.asarray`` takes it as it is. Raises LlamaOutputError when the last decode did not
        compute that output. C: ``llama_get_logits_ith``, llama.h.
        """
        resource = self._open()
        pointer = self._get_logits(resource.handle, self._check_output(i))
        if not pointer:
            raise LlamaOutputError(f"the library has no logits at index {i}")
        floats = self._view_type.from_address(ctypes.addressof(pointer.contents))
        lease = self._lease()
        if lease is None:
            lease = _Lease(resource)
            self._lease = weakref.ref(lease)
        floats.lease = lease  # type: ignore[attr-defined]
        # ctypes calls its format "<f", which memoryview itself cannot read.
        return memoryview(floats).cast("B").cast("f")

    def _check_output(self, i: int) -> int:
        """``i`` if the last decode has computed it; LlamaOutputError otherwise."""
        outputs = self._outputs
        if self._lock.locked():
            raise LlamaBusyError("another thread is using this context")
        if outputs is None:
            raise LlamaOutputError("there are no outputs: nothing was decoded, or it failed")
        if not isinstance(i, int):
            raise TypeError(f"an index must be an integer, not {i!r}")
        if i not in outputs and not -len(outputs) <= i < 0:
            raise LlamaOutputError(
                f"index {i} has no output: the last batch has them for {list(outputs)[:20]}"
            )
        return i


@cache
def _strlen() -> _raw.ggml_abort_callback:
    """The C library's ``strlen`` as an abort callback."""
    libc = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    return ctypes.cast(libc.strlen, _raw.ggml_abort_callback)


_contexts: weakref.WeakSet[LlamaContext] = weakref.WeakSet()
_exiting = False


@atexit.register
def _stop_at_exit() -> None:
    """Stop what daemon threads compute: the process tears down the library under them."""
    global _exiting
    _exiting = True
    contexts = list(_contexts)
    for ctx in contexts:
        ctx._stop[0] = b"\x01"
    for ctx in contexts:
        if ctx._lock.acquire(timeout=2):
            ctx._lock.release()


class _Lease:
    """Held by the views of a context's outputs: keeps the context's memory, and says that they
    exist."""

    __slots__ = ("__weakref__", "resource")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource


def _decode_error(code: int, what: str, n: int, said: list[str], n_ctx: int) -> Exception:
    if code == 2:
        return LlamaCancelled(f"{what} was aborted")
    if code == 1:
        text = (
            f"no room in the KV cache for {n} more tokens (n_ctx={n_ctx}): remove some of a "
            "sequence, or make the context with a larger n_ctx"
        )
    else:
        text = f"{what} of {n} tokens failed: " + _log.reason(said, f"code {code}")
    return LlamaDecodeError(text, code=code)
