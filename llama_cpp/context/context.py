"""A context: the KV cache, and the computation over it."""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from .. import _raw
from ..errors import LlamaCancelled, LlamaContextError, LlamaDecodeError
from ..model.model import LlamaModel
from ..native import log
from ..native.arguments import check_type
from ..native.interrupt import stops_on_ctrl_c
from ..native.remote import calls_for, free_for, guarded_for, note_user
from ..native.resource import Resource
from ..sampling.greedy import Likeliest
from ..sampling.in_graph import give_samplers, note_samplers
from .adapters import ContextAdapters
from .batch import LlamaBatch
from .memory import ContextMemory
from .outputs import Outputs
from .params import check_memory, context_params, fitting, is_causal
from .settings import ContextSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._params import LlamaContextParams
    from ..sampling.chain import LlamaSampler

# A decode of more tokens than this is worth stopping at once; a shorter one is over soon.
_LONG = 32
# The library rounds n_ctx up to a multiple of this.
_CTX_STEP = 256
# The rest takes the last token of a sequence.
_POOLED_AT_ONCE = (
    _raw.LLAMA_POOLING_TYPE_MEAN,
    _raw.LLAMA_POOLING_TYPE_CLS,
    _raw.LLAMA_POOLING_TYPE_RANK,
)


# Architectures with a table of positions, as long as the context that they were trained with: the
# library aborts for a position after its end.
_POSITION_TABLES = ("bert", "gpt2", "starcoder", "mpt")


class LlamaContext(Outputs, ContextMemory, ContextSettings, ContextAdapters):
    """Generates with a model: it has the KV cache, and the outputs of the last decode.

    Keywords are the fields of ``llama_context_params`` under their C names; what is not given
    keeps the library's default, but for ``n_threads`` and ``n_threads_batch``, which are the cores
    that the process may use, and ``no_perf``, which is False. ``n_ctx=0`` takes the model's own
    context length. With ``fit``, that or the given ``n_ctx`` is made smaller until the context can
    be allocated; see `n_ctx` for what it came to.

    ``samplers`` are chains by sequence, which it runs in its graph: on the device that computes the
    logits, so that these need not be copied. `LlamaSampler.sample` then takes what came of it. Such
    a chain belongs to the context (make another with `LlamaSampler.clone`), and the outputs of its
    sequence have no logits; see `llama_cpp.sampling.in_graph`.

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
        self._resource: Resource | None = None
        self._lock = threading.Lock()
        self._stepping = threading.Lock()  # by a step of a generation with images
        self._turn: object = None  # of the latest of them
        check_type(model, LlamaModel)
        library = model.library
        self._model = model
        # The library, but for a model over RPC: there it notices when a server is lost.
        self._library = library = calls_for(library, model._open())
        raw = context_params(model, params)
        # The library asks many times a decode whether to stop. A Python function would be slow and
        # need the GIL; strlen of this buffer says 0, go on, until its first byte is set.
        self._stop = ctypes.create_string_buffer(2)
        raw.abort_callback = _strlen()
        raw.abort_callback_data = ctypes.addressof(self._stop)
        if fit and samplers:
            raise ValueError("fit tries several contexts, and samplers can be given to one only")
        self._chains = give_samplers(model, raw, samplers)
        self._samplers = dict(samplers or {})
        if fit:
            resource = self._make_fitting(raw)
        else:
            check_memory(model, raw)
            resource = self._make(raw)
        self._resource = resource
        handle = resource.handle
        # Older llama.cpp cannot be asked whether attention is causal; this is how it decides.
        self._was_causal = is_causal(model, raw)
        arch = model.metadata.get("general.architecture")
        short = library.short
        self._decode = library.llama_decode
        self._encode = library.llama_encode
        self._pos_max = short.llama_memory_seq_pos_max
        self._seq_rm = short.llama_memory_seq_rm
        self._stopping = threading.Lock()
        self._running = False
        # Read, not assumed: the library may round or limit them.
        self._n_batch = int(short.llama_n_batch(handle))
        self._n_outputs_max = self._n_batch
        if not model.has_encoder:
            self._n_outputs_max = getattr(raw, "n_outputs_max", 0) or self._n_batch
        self._n_ubatch = int(short.llama_n_ubatch(handle))
        self._n_ctx = int(short.llama_n_ctx(handle))
        self._no_perf = bool(raw.no_perf)
        self._n_positions = model.n_ctx_train if arch in _POSITION_TABLES else None
        self._params = raw
        self._sequences = {}
        self._orphans = []
        self._ready_to_decode = not model.has_encoder
        self._kv_unified = bool(raw.kv_unified)
        self._kv = short.llama_get_memory(handle)  # as long as the context lives
        self._spare: list[LlamaBatch] = []  # of one token, to be used again
        self._likeliest = Likeliest(library, model.vocab.n_tokens)
        self._set_up_outputs(model, handle)
        self._writes = [0] * self._n_seq_max
        self._embed(bool(raw.embeddings))
        note_samplers(self, self._samplers)
        _contexts.add(self)

    def _make(self, raw: _raw.llama_context_params) -> Resource:
        model, library = self._model, self._model.library
        parent = model._open()
        note_user(self, parent)
        self._kept = []
        said: list[str] = []

        def make() -> Resource | None:
            with log.heard() as heard:
                handle = library.llama_init_from_model(parent.handle, raw)
                said.extend(heard)
                # At once: what is raised at the end of the block must not leave it behind.
                if handle is None:
                    return None
                keep = (parent, self._stop, self._kept, *self._chains)
                free = free_for(library, "llama_free", parent)
                return Resource(handle, free, *keep, lock=self._lock)

        # It plans a decode: metadata that do not fit the tensors run into assertions.
        what = f"no context for {model.path.name}"
        with log.interruptible(), model._adapters:
            resource = guarded_for(library, parent, make, what, LlamaContextError)
        if resource is None:
            raise LlamaContextError(
                f"no context for {model.path.name}: "
                + log.reason(said, "the library does not say why")
            )
        return resource

    def _make_fitting(self, raw: _raw.llama_context_params) -> Resource:
        """With the largest n_ctx that can be allocated, to about a sixteenth."""
        n_ctx = fitting(self._model, raw)
        fits, refused = 0, n_ctx + 1
        while True:
            resource = None  # the one before is freed first
            raw.n_ctx = n_ctx
            try:
                resource = self._make(raw)
            except LlamaContextError:
                if n_ctx <= max(_CTX_STEP, raw.n_seq_max):
                    raise
                # What fitted before may not fit any more.
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
    def n_ctx_seq(self) -> int:
        """The most tokens of one sequence. C: ``llama_n_ctx_seq``."""
        return int(self._library.short.llama_n_ctx_seq(self.handle))

    @property
    def n_batch(self) -> int:
        """The most tokens that the library takes at a time; `decode` takes more in parts."""
        self._open()
        return self._n_batch

    @property
    def n_ubatch(self) -> int:
        """The most tokens that are computed at a time, and so the longest text for a model without
        causal attention."""
        self._open()
        return self._n_ubatch

    @property
    def n_seq_max(self) -> int:
        """The number of sequences that it can hold."""
        self._open()
        return self._n_seq_max

    @property
    def pooling_type(self) -> _raw.llama_pooling_type_enum:
        """How the embeddings of a sequence's tokens become one. C: ``llama_pooling_type``."""
        self._open()
        return _raw.llama_pooling_type_enum(self._pooling)

    # -- computation

    def decode(self, batch: LlamaBatch | Iterable[int]) -> None:
        """Run ``batch`` (or plain tokens, for the first sequence) through the model.

        More than ``n_batch`` tokens are computed in parts of that many. Afterwards `logits` has the
        outputs that the batch asked for; they must be in the last part. Other Python threads run
        meanwhile.

        Raises LlamaDecodeError, with the library's code, when the KV cache is full (1) or the batch
        does not fit its sequence (-1); ValueError for tokens and sequences that do not exist and
        for what cannot be computed in parts; LlamaBusyError when another thread is in this
        context; LlamaCancelled after `cancel`. Whatever it raises, the KV cache is as it was
        before; only where the model's memory cannot forget a part of a sequence (recurrent models,
        and sliding windows that have moved on), the sequence is empty. C: ``llama_decode``,
        llama.h.
        """
        resource = self._open()
        if not self._ready_to_decode:
            if not self._model_has_decoder():
                raise LlamaContextError("this model has no decoder: use encode")
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

        It takes all tokens at once, ``n_ubatch`` at most. `embeddings` has the result. Raises
        LlamaContextError for a model without an encoder, and otherwise as `decode` does.
        C: ``llama_encode``, llama.h.
        """
        resource = self._open()
        if not isinstance(batch, LlamaBatch):
            batch = LlamaBatch(batch)
        if self._has_memory and not self._has_encoder:
            raise LlamaContextError(f"{self._model.path.name} has no encoder: use decode")
        n = len(batch.tokens)
        if n > self._n_ubatch:
            raise ValueError(
                f"{n} tokens: an encoder takes them at once, n_ubatch={self._n_ubatch}"
            )
        self._run(self._encode, resource, batch, "encode")
        self._encoded = self._has_encoder
        self._ready_to_decode = self._model_has_decoder()

    def _model_has_decoder(self) -> bool:
        raw_model = self._library.short.llama_get_model(self.handle)
        return bool(self._library.short.llama_model_has_decoder(raw_model))

    def _run(self, function: Any, resource: Resource, batch: LlamaBatch, what: str) -> None:
        n = len(batch.tokens)
        self._check_batch(batch, n, what)
        self._enter()
        starts: dict[int, int] = {}  # sequence -> where the batch begins in it
        code: int | None = None
        done = False  # a part of it
        try:
            every = self._all_outputs or function is self._encode
            outputs = range(n) if every else batch.outputs
            parts = (batch,) if n <= self._n_batch else self._parts(batch, outputs)
            n_outputs = len(outputs)
            if n_outputs > self._n_outputs_max:
                raise ValueError(
                    f"{n_outputs} outputs are more than n_outputs_max={self._n_outputs_max}"
                )
            if self._n_positions is not None:
                self._check_positions(batch)
            if n_outputs > self._room:
                self._make_room(n_outputs)
            self._outputs = None  # whatever happens, the old ones are gone
            self._encoded = False
            if self._has_memory:
                if self._unapplied:
                    self._apply()
                if self._orphans:
                    self._reclaim()
                for seq_id in (0,) if batch.seq_ids is None else set(batch.seq_ids):
                    starts[seq_id] = self._pos_max(self._kv, seq_id) + 1
                    self._writes[seq_id] += 1
            self._running = True
            with log.heard() as said:
                if n <= _LONG and n <= self._n_batch:
                    code = function(resource.handle, batch.struct)
                else:
                    with log.interruptible() as came, stops_on_ctrl_c(self._stop, came):
                        for part in parts:
                            code = function(resource.handle, part.struct)
                            if code:
                                break
                            done = True
            if code == 0 and self._sequences and what == "decode":
                self._record(batch)
        except BaseException:
            code = None  # whatever it was: the caller will not know of it
            raise
        finally:
            with self._stopping:
                self._running = False
                if not _exiting:
                    self._stop[0] = b"\0"
            if code not in (0, 1, -1) or (code and done):
                # Stopped or failed half way, or Ctrl-C: what it has stored is of no use. After the
                # other codes the library itself has left all as it was.
                self._forget(starts)
            self._lock.release()
        if code:
            if _exiting and threading.current_thread().daemon:
                threading.Event().wait()  # for the end of the process, and of this thread with it
            raise _decode_error(code, what, n, said, self._n_ctx)
        self._offset = 0 if n <= self._n_batch else (n - 1) // self._n_batch * self._n_batch
        self._outputs = outputs

    def _parts(self, batch: LlamaBatch, outputs: Sequence[int]) -> list[LlamaBatch]:
        """A batch of more than n_batch tokens in parts of so many."""
        n, step = len(batch.tokens), self._n_batch
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

    def _forget(self, starts: dict[int, int]) -> None:
        """Remove what a batch put into the KV cache, or all of a sequence where no part can go
        (recurrent models), or what it needs is gone (sliding windows). ``starts`` is empty when
        nothing had been begun."""
        if self._resource is None:
            return  # an RPC server was lost, and the context with it
        for seq_id, start in starts.items():
            sequence = self._live(seq_id)
            if sequence is not None:
                sequence._rewind(start)
            elif not self._seq_rm(self._kv, seq_id, start, -1) or not self._goes_on(seq_id, start):
                self._seq_rm(self._kv, seq_id, -1, -1)

    def warm_up(self) -> None:
        """Compute one token and forget it: so the weights are in memory and the buffers are there
        before the first decode that is measured.

        It needs a sequence that is empty, and lets go of the last outputs; `perf` begins anew.
        LlamaContextError when no sequence is empty, or for a model with an encoder when it is
        already in use.
        """
        self._open()
        vocab = self._model.vocab
        token = vocab.bos if vocab.bos is not None else 0
        if self._has_encoder:
            if self._ready_to_decode:
                raise LlamaContextError("encode was called: warm_up comes before it")
            self.encode([token])
            start = self._model.decoder_start_token
            token = token if start is None else start
        free = 0
        if self._has_memory:
            ids = range(self._n_seq_max)
            found = next((i for i in ids if self._pos_max(self._kv, i) < 0), None)
            if found is None:
                raise LlamaContextError("every sequence has tokens: warm_up needs an empty one")
            free = found
        if self._ready_to_decode:
            self.decode(LlamaBatch([token], seq_id=free))
            if self._has_memory:
                self.remove(seq_id=free)
        self._ready_to_decode = not self._has_encoder
        self._outputs = None
        self.reset_perf()

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
        if self._embedding and ids is not None and self._pooling in _POOLED_AT_ONCE:
            self._check_pooled(ids)
        if n > self._n_ubatch:
            if not self._causal():
                raise ValueError(
                    f"{n} tokens: this model attends to all at once, n_ubatch={self._n_ubatch}"
                )
            if self._embedding and self._pooling in _POOLED_AT_ONCE:
                raise ValueError(
                    f"{n} tokens: embeddings are pooled ({self._pooling_name()}) over those that "
                    f"are computed at once, n_ubatch={self._n_ubatch}"
                )

    def _check_pooled(self, ids: Sequence[int]) -> None:
        counts = Counter(ids)
        if self._kv_unified or not self._has_memory or self._is_stateful:
            return  # a sequence is computed at once
        if len(set(counts.values())) > 1:
            raise ValueError(
                "sequences of different lengths are not computed at once, as pooling "
                f"({self._pooling_name()}) needs it: make the context with kv_unified=True"
            )

    def _check_positions(self, batch: LlamaBatch) -> None:
        assert self._n_positions is not None
        if batch.pos is not None:
            last = max(batch.pos)
        else:
            counts = Counter(batch.seq_ids if batch.seq_ids is not None else {0: len(batch)})
            last = max(counts.values()) - 1
            if self._has_memory:
                last = max(self._pos_max(self._kv, i) + count for i, count in counts.items())
        if last >= self._n_positions:
            raise ValueError(
                f"position {last}: this model has a table of {self._n_positions} positions"
            )


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


def _decode_error(code: int, what: str, n: int, said: list[str], n_ctx: int) -> Exception:
    if code == 2:
        return LlamaCancelled(f"{what} was aborted")
    if code == 1:
        text = (
            f"no room in the KV cache for {n} more tokens (n_ctx={n_ctx}): remove some of a "
            "sequence, or make the context with a larger n_ctx"
        )
    else:
        text = f"{what} of {n} tokens failed: " + log.reason(said, f"code {code}")
    return LlamaDecodeError(text, code=code)
