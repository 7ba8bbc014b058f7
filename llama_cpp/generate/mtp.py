"""Drafts by a model's own prediction heads. Unstable: over functions that upstream may change."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, Final

from .. import _raw
from ..context.context import LlamaContext
from ..errors import LlamaContextError, LlamaModelError
from ..model.model import LlamaModel
from ..native.arguments import c_number, check_type
from ..native.resource import ClosedByWith
from ..sampling.chain import LlamaSampler
from .drafts import check_n_draft


class MtpDraft(ClosedByWith):
    """Drafts with the model's own multi-token prediction head (also called NextN), which reads the
    hidden states of the model's last decode. Unstable, as upstream's functions for it are.

    ``ctx`` is the context that generates, as ``llm.ctx``; its model must have one such head, and be
    loaded with ``load_mtp=True``. ``n_draft`` is the most tokens to draft at once; with
    ``adapt=False`` each draft is checked, whether that pays or not.

    The head knows the text from the last part of a prompt on that was computed at once, not what
    was in the KV cache before: its drafts are worse then, and the text is the same.

    Raises LlamaModelError for a model without such a head, or with several. C: ``llama_process``,
    llama.h; ``llama_set_embeddings_nextn``, ``llama_get_embeddings_nextn_ith``, llama-ext.h.
    """

    def __init__(self, ctx: LlamaContext, n_draft: int = 3, *, adapt: bool = True) -> None:
        check_type(ctx, LlamaContext)
        self.n_draft = check_n_draft(n_draft)
        self.adapt = c_number(ctypes.c_bool, adapt, "adapt")
        ctx.core.opened()
        model = ctx.model
        library: Any = model.library
        self._library = library
        heads = 0
        if library.has("llama_model_n_layer_nextn"):
            heads = int(library.llama_model_n_layer_nextn(model.handle))
        if heads != 1:
            raise LlamaModelError(
                f"{model.path.name} has {heads} prediction heads: MtpDraft needs a model with one"
            )
        self.cost = 1 / max(1, model.n_layer)
        """The time that a token of it is expected to take, in tokens of the model; see `Draft`."""
        try:
            self.ctx: Final = LlamaContext(
                model,
                ctx_type=_raw.LLAMA_CONTEXT_TYPE_MTP,
                n_ctx=ctx.n_ctx_seq,
                n_batch=ctx.n_batch,
                n_ubatch=ctx.n_ubatch,
                n_threads=ctx.n_threads,
                n_threads_batch=ctx.n_threads_batch,
            )
            """The head's context."""
        except LlamaContextError as error:
            raise LlamaModelError(
                f"the prediction head of {model.path.name} cannot be used; load the model with "
                f"load_mtp=True ({error})"
            ) from error
        self._target = ctx
        self._n_embd = int(self._library.llama_model_n_embd_out(model.handle))
        self._greedy = LlamaSampler.chain(model.library).greedy()
        self._batch = self._library.llama_batch_ext_init(self.ctx.handle)
        self._finalizer = weakref.finalize(self, self._library.llama_batch_ext_free, self._batch)
        self._finalizer.atexit = False
        self._last = -1
        self._checked: tuple[object, int] = (None, 0)  # a decode, and how many drafts were right
        library.llama_set_embeddings_nextn(self.ctx.handle, True, True)
        with ctx.core.held():
            library.llama_set_embeddings_nextn(ctx.handle, True, False)

    def close(self) -> None:
        """Free the head's context; the generating one computes no hidden states any more."""
        if self.ctx.closed:
            return
        self._finalizer()
        self.ctx.close()
        if not self._target.closed:
            with self._target.core.held():
                self._library.llama_set_embeddings_nextn(self._target.handle, False, False)

    def __repr__(self) -> str:
        return f"<MtpDraft {self._target.model!r}, n_draft={self.n_draft}>"

    def begin(self, model: LlamaModel) -> None:
        """Raise LlamaModelError for another model, and LlamaClosedError after `close`."""
        self.ctx.core.opened()
        if model is not self._target.model:
            raise LlamaModelError(f"{self!r} drafts for its own model alone, not for {model!r}")

    def accept(self, drafted: int, accepted: int) -> None:
        """See `Draft`."""
        self._checked = (self._target.books.decoded, accepted)

    def draft(self, tokens: Sequence[int], n: int, /) -> list[int]:
        """See `Draft.draft`."""
        ctx, n = self.ctx, min(index(n), self.n_draft)
        ctx.core.opened()
        text = ctx.model.vocab.check_tokens(tokens).tolist()
        states = self._states(text)
        if n < 1 or not states or len(text) + n > ctx.n_ctx:
            return []
        start = len(text) - len(states)
        memory = self._library.llama_get_memory(ctx.handle)
        with ctx.core.held():
            self._library.llama_memory_seq_rm(memory, 0, start, -1)
            if self._library.llama_memory_seq_pos_max(memory, 0) != start - 1:
                self._library.llama_memory_clear(memory, False)  # it has missed some
            drafted: list[int] = []
            entries: Iterable[tuple[int, Any]] = zip(text[start:], states, strict=True)
            while self._process(start, entries):
                token = self._library.llama_sampler_sample(
                    self._greedy.handle, ctx.handle, self._last
                )
                drafted.append(token)
                if len(drafted) == n:
                    break
                row = self._library.llama_get_embeddings_nextn_ith(ctx.handle, self._last)
                state = (ctypes.c_float * self._n_embd)()
                ctypes.memmove(state, row, ctypes.sizeof(state))
                start, entries = len(text) + len(drafted) - 1, [(token, state)]
            return drafted

    def _states(self, text: list[int]) -> list[Any]:
        """The hidden states of the last decode that belong to the tokens before the last ones of
        ``text``, as many as there are."""
        decoded = self._target.books.decoded
        batch, _ = decoded
        ids = batch.seq_ids
        last = self._checked[1] if self._checked[0] is decoded else len(batch.tokens) - 1
        first = self._target.core.offset
        known = list(batch.tokens[first : last + 1])
        if not known or known != text[-1 - len(known) : -1] or (ids and len(set(ids)) > 1):
            return []  # something else was decoded
        get = self._library.llama_get_embeddings_nextn_ith
        rows = [get(self._target.handle, i) for i in range(len(known))]
        return rows if all(rows) else []

    def _process(self, start: int, entries: Iterable[tuple[int, Any]]) -> bool:
        """Have the head read tokens with the states before them, from position ``start`` on."""
        library, batch = self._library, self._batch
        library.llama_batch_ext_clear(batch)
        for pos, (token, state) in enumerate(entries, start):
            self._last = library.llama_batch_ext_add_token(batch, 0, token)
            library.llama_batch_ext_set_pos(batch, self._last, _raw.llama_pos(pos))
            row = _raw.llama_embd(state, 1, self._n_embd)
            if not library.llama_batch_ext_set_embd_state(batch, self._last, row):
                return False
        library.llama_batch_ext_set_output_logits(batch, self._last, True)
        code = library.llama_process(self.ctx.handle, _raw.LLAMA_PROCESS_TYPE_DECODE, batch)
        return bool(code == 0)
