"""Speculative decoding: something cheap drafts tokens, and the model checks several at once.

A model reads many tokens in little more time than one. So what comes next is guessed, decoded
together with the last token, and each guess is kept that the sampler chooses as well: the text is
the one that it would have been without. The more of the draft is right, the faster it gets.

"Would have been" holds as far as the model's computation does not depend on how many tokens are
decoded at once. On the CPU, with quantized weights and flash attention, it gives the same bits for
up to 32 drafted tokens (`MOST`) while the KV cache is shorter than 512 cells, which is when the
library begins to divide the attention of a single token among its threads; a ``type_k`` and
``type_v`` of ``GGML_TYPE_Q8_0`` keep it from that. Elsewhere (weights of 16 or 32 bits, no flash
attention, a GPU) the logits differ in their last bits, and so, rarely, does the choice between two
tokens that are almost equally likely.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Protocol

from .. import _raw
from ..context.batch import LlamaBatch
from ..context.context import LlamaContext
from ..errors import LlamaCancelled, LlamaContextError, LlamaDecodeError, LlamaModelError
from ..model.model import LlamaModel
from ..native.arguments import check_count, check_type
from ..native.resource import ClosedByWith
from ..sampling.chain import LlamaSampler
from .logprobs import log_probs

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._params import LlamaContextParams
    from .generation import Request

MOST = 32
"""The most tokens that are drafted at once."""

_N_CTX = 4096
# Vocabularies of the same family differ in padding at the end, and in what the first tokens,
# which are special ones, are called.
_PADDING = 128
_SPECIAL = 5


class Draft(Protocol):
    """What guesses the next tokens of a text: for ``draft=`` of `Llama.generate`.

    Programs can bring their own. It may also have ``begin(model)``, called with the `LlamaModel`
    when a generation begins, ``accept(drafted, accepted)``, called after each draft that was
    checked with how many tokens it had and how many of them were right, and ``cancel()``, called
    from another thread when the generation is cancelled.
    """

    def draft(self, tokens: Sequence[int], n: int, /) -> Sequence[int]:
        """Up to ``n`` tokens that may follow ``tokens``, which are the prompt and all that was
        generated so far (after a ``context_shift`` what the context still has of them). None at
        all is fine: then there is one token the usual way."""
        ...


class PromptLookup:
    """Drafts what followed the last time that the text had the same last tokens.

    It costs next to nothing, and pays where the answer repeats the prompt: summaries, corrections,
    code that is edited. ``ngram`` is how many tokens have to be the same, at best; with fewer, down
    to ``ngram_min``, it is content when there is no place with more. ``n_draft`` is the most tokens
    to draft at once.
    """

    def __init__(self, ngram: int = 3, n_draft: int = 8, *, ngram_min: int = 2) -> None:
        check_count(ngram, "ngram")
        check_count(ngram_min, "ngram_min")
        if not 1 <= ngram_min <= ngram:
            raise ValueError(f"ngram_min={ngram_min} must be 1 to ngram={ngram}")
        self.n_draft = _n_draft(n_draft)
        self._sizes = range(ngram, ngram_min - 1, -1)
        self._seen: list[int] = []
        # n-gram -> where the text last went on behind it
        self._places: dict[tuple[int, ...], int] = {}

    def __repr__(self) -> str:
        return f"<PromptLookup ngram={self._sizes[0]}, n_draft={self.n_draft}>"

    def draft(self, tokens: Sequence[int], n: int, /) -> list[int]:
        """See `Draft.draft`."""
        text = list(tokens)
        known = len(self._seen)
        if text[:known] != self._seen:
            self._places.clear()
            known = 0
        # The n-gram at the very end is the one to look for: it goes in when something follows it.
        for end in range(max(known, 1), len(text)):
            for size in self._sizes:
                if size <= end:
                    self._places[tuple(text[end - size : end])] = end
        self._seen = text
        for size in self._sizes:
            place = self._places.get(tuple(text[-size:]))
            if place is not None:
                # What it drafts may itself be what comes next: a text that turns in circles.
                drafted = text[:]
                for i in range(place, place + min(n, self.n_draft)):
                    drafted.append(drafted[i])
                return drafted[len(text) :]
        return []


class DraftModel(ClosedByWith):
    """Drafts with a smaller model that has the same vocabulary.

    ``model`` is a GGUF file or a `LlamaModel`; ``n_draft`` the most tokens to draft at once;
    ``p_min`` the probability below which a token is not worth checking, nor what would follow it.
    The keywords are those of `LlamaContext`; its ``n_ctx`` is by default the model's own context
    length, but at most 4,096 tokens, and longer texts go on without drafts.

    It keeps a KV cache of its own, so it serves one generation at a time. A recurrent or hybrid
    model drafts slowly: it has to read a part of the text anew after a draft that was not right.
    """

    def __init__(
        self,
        model: LlamaModel | str | os.PathLike[str],
        n_draft: int = 8,
        *,
        p_min: float = 0.5,
        **params: Unpack[LlamaContextParams],
    ) -> None:
        self.n_draft = _n_draft(n_draft)
        if not isinstance(p_min, int | float):
            raise TypeError(f"p_min must be a number, not {p_min!r}")
        if not 0 <= p_min <= 1:
            raise ValueError(f"p_min={p_min} is no probability: 0 to 1")
        self.p_min = p_min
        self._owned = not isinstance(model, LlamaModel)
        self._model = model if isinstance(model, LlamaModel) else LlamaModel.from_file(model)
        params.setdefault("n_ctx", min(self._model.n_ctx_train, _N_CTX))
        self._ctx = LlamaContext(self._model, **params)
        self._sequence = self._ctx.sequence()
        self._n_vocab = self._model.vocab.n_tokens
        self._checked: LlamaModel | None = None
        self._cancelled = False
        self._greedy = LlamaSampler.chain(self._model.library).greedy()

    @property
    def model(self) -> LlamaModel:
        """Its model."""
        return self._model

    @property
    def ctx(self) -> LlamaContext:
        """Its context."""
        return self._ctx

    def close(self) -> None:
        """Free the context, and the model if it was loaded here."""
        self._ctx.close()
        if self._owned:
            self._model.close()

    def __repr__(self) -> str:
        return f"<DraftModel {self._model!r}, n_draft={self.n_draft}>"

    def begin(self, model: LlamaModel) -> None:
        """Raise LlamaModelError unless the vocabularies agree, and LlamaClosedError after
        `close`."""
        self._ctx._open()
        check_type(model, LlamaModel)
        if self._checked is not model:
            _check_vocabularies(model, self._model)
            self._checked = model
            self._n_vocab = min(model.vocab.n_tokens, self._model.vocab.n_tokens)
        self._cancelled = False

    def cancel(self) -> None:
        """Stop drafting, from any thread: it raises LlamaCancelled."""
        self._cancelled = True
        self._ctx.cancel()

    def draft(self, tokens: Sequence[int], n: int, /) -> list[int]:
        """See `Draft.draft`."""
        ctx = self._ctx
        n = min(index(n), self.n_draft, ctx.n_ctx - len(tokens))
        drafted: list[int] = []
        if n < 1 or not tokens or max(map(index, tokens)) >= self._n_vocab:
            return drafted
        self._sequence._set(list(tokens), self._check_cancelled)
        is_eog = self._model.vocab.is_eog
        while True:
            token, p = self._likeliest()
            if p < self.p_min or token >= self._n_vocab or is_eog(token):
                return drafted
            drafted.append(token)
            if len(drafted) == n:
                return drafted
            self._check_cancelled()
            self._sequence.extend((token,))

    def _likeliest(self) -> tuple[int, float]:
        if not self.p_min:
            return self._greedy.sample(self._ctx), 1.0
        best = log_probs(self._ctx, top=0)
        return best.token, math.exp(best.logprob)

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise LlamaCancelled("drafting was cancelled")


class Speculation:
    """The drafts of one generation: what they are checked with, and what becomes of them."""

    def __init__(
        self,
        ctx: LlamaContext,
        request: Request,
        cached: list[int],
        shift: Callable[[], None] | None,
    ) -> None:
        """``cached`` is what the KV cache of ``ctx`` holds, kept right here: drafts that were not
        checked yet are in it as well. ``shift`` makes room in it when it is full."""
        draft = request.draft
        if not callable(getattr(draft, "draft", None)):
            raise TypeError(
                f"draft must have a method draft(tokens, n), as PromptLookup has, not {draft!r}"
            )
        self._ctx = ctx
        self._draft = draft
        self._request = request
        self._shift = shift
        self._left = request.limit  # so many tokens may come
        self._call("begin", ctx.model)
        self._cached = cached
        self._end = len(cached)  # of what is in the text for sure
        self._ahead: list[int] = []  # decoded, and not yet sampled
        self._accepted = 0  # of these
        self._reach = MOST  # a wrong guess makes the next draft short, right ones long again
        self._i = -1
        self._most = min(MOST, ctx.n_batch - 1, ctx._n_ubatch - 1, ctx._n_outputs_max - 1)
        self._checkpoint: _Checkpoint | None = None
        if ctx._is_stateful:
            library = ctx._library
            kept = library.has("llama_n_rs_seq") and library.short.llama_n_rs_seq(ctx.handle)
            if kept:
                self._most = min(self._most, kept)
            else:
                self._checkpoint = _Checkpoint(ctx)

    def cancel(self) -> None:
        """Stop drafting, from any thread."""
        self._call("cancel")

    def step(self, token: int) -> int:
        """Decode ``token``, which was just sampled, unless that was done already, with a new draft
        behind it. Returns the index of the output to sample the next one from."""
        self._left -= 1
        if len(self._ahead) > self._accepted and self._ahead[self._accepted] == token:
            self._accepted += 1
            self._request.accepted += 1
            self._end += 1
            self._i += 1
            return self._i
        again = self._finish()
        if self._shift is not None and len(self._cached) + len(again) >= self._ctx.n_ctx_seq:
            self._shift()
        drafted = [] if again else self._guess(token)
        if drafted and self._checkpoint is not None:
            self._checkpoint.save()
        try:
            self._extend(again, [token, *drafted])
        except LlamaDecodeError as error:
            if error.code != 1 or not drafted:
                raise
            drafted = []  # the KV cache has no room for the draft
            self._extend(again, [token])
        self._end = len(self._cached) - len(drafted)
        self._ahead = drafted
        self._request.drafted += len(drafted)
        return self._i

    def _extend(self, again: list[int], tokens: list[int]) -> None:
        outputs = [False] * len(again) + [True] * len(tokens)
        _decode(self._ctx, LlamaBatch(again + tokens, logits=outputs), self._cached)
        self._i = len(again)

    def _guess(self, token: int) -> list[int]:
        ctx = self._ctx
        # No draft is needed of the last token.
        most = min(self._most, self._reach, self._left - 1, ctx.n_ctx_seq - len(self._cached) - 1)
        if self._draft is None or most < 1:
            return []
        answer = self._draft.draft([*self._cached, token], most)
        if isinstance(answer, str) or not isinstance(answer, Iterable):
            raise TypeError(f"{self._draft!r} must draft a list of tokens, not {answer!r}")
        drafted = list(answer)[:most]
        for guess in drafted:
            try:
                ctx.model.vocab.check_token(guess)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{self._draft!r} drafted what is no token: {error}") from None
        return drafted

    def _finish(self) -> list[int]:
        """Forget what is left of the last draft. Returns what has to be decoded again for it."""
        ctx, cached, ahead = self._ctx, self._cached, self._ahead
        if not ahead:
            return []
        self._ahead = []
        accepted, self._accepted = self._accepted, 0
        self._call("accept", len(ahead), accepted)
        if accepted == len(ahead):
            self._reach = min(MOST, 2 * self._reach)
            return []
        self._reach = accepted + 1
        if self._checkpoint is not None:
            text = cached[: self._end]
            cached.clear()  # until it is known again
            n = self._checkpoint.restore()
            cached += text[:n]
            return text[n:]
        if ctx.remove(self._end):
            del cached[self._end :]
            return []
        # A memory of another kind that forgets all or nothing: not a second time.
        self._draft = None
        text = cached[: self._end]
        cached.clear()
        ctx.remove()
        for start in range(0, len(text), ctx.n_batch):
            _decode(ctx, LlamaBatch(text[start : start + ctx.n_batch]), cached)
        return []

    def _call(self, name: str, *arguments: Any) -> None:
        method = getattr(self._draft, name, None)
        if method is not None:
            method(*arguments)


class _Checkpoint:
    """A copy of what a sequence's memory cannot undo: its recurrent states."""

    def __init__(self, ctx: LlamaContext) -> None:
        if not ctx._library.has("llama_state_seq_get_data_ext"):
            raise LlamaContextError(
                f"{ctx.model.path.name} is recurrent or hybrid, and this llama.cpp is too old to "
                "go back after a draft: generate without one"
            )
        self._ctx = ctx
        self._data = (ctypes.c_uint8 * 0)()
        self._size = 0
        self._n = 0

    def save(self) -> None:
        """Remember the present state."""
        library, handle = self._ctx._library, self._ctx.handle
        partial = _raw.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        with self._ctx._held():
            size = library.llama_state_seq_get_size_ext(handle, 0, partial)
            if size > len(self._data):
                self._data = (ctypes.c_uint8 * size)()
            self._size = library.llama_state_seq_get_data_ext(handle, self._data, size, 0, partial)
        self._n = self._ctx.pos_max() + 1
        if not self._size:
            raise LlamaContextError("the state before a draft could not be saved")

    def restore(self) -> int:
        """Go back to it. Returns how many tokens it has."""
        library, handle = self._ctx._library, self._ctx.handle
        partial = _raw.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        with self._ctx._held():
            read = library.llama_state_seq_set_data_ext(handle, self._data, self._size, 0, partial)
        # The rest of a hybrid model's memory is a KV cache, and forgets as one does.
        if not read or not self._ctx.remove(self._n):
            raise LlamaContextError("the state before a draft could not be restored")
        return self._n


def _decode(ctx: LlamaContext, batch: LlamaBatch, cached: list[int]) -> None:
    """Decode ``batch``, and keep ``cached`` what the KV cache holds."""
    try:
        ctx.decode(batch)
    except BaseException:
        # Where no part can be forgotten, all is.
        if ctx.pos_max() < 0:
            cached.clear()
        raise
    cached += batch.tokens


def _n_draft(n: int) -> int:
    check_count(n, "n_draft")
    if not 1 <= n <= MOST:
        raise ValueError(f"n_draft={n} must be 1 to {MOST}")
    return n


def _check_vocabularies(target: LlamaModel, draft: LlamaModel) -> None:
    """LlamaModelError unless the tokens of ``draft`` are those of ``target``."""
    if target is draft:
        return
    what = f"{draft.path.name} cannot draft for {target.path.name}: "
    ask, other = target.library.short, draft.library.short
    one = ask.llama_model_get_vocab(target.handle)
    two = other.llama_model_get_vocab(draft.handle)
    if target.vocab.type != draft.vocab.type:
        raise LlamaModelError(what + "their tokenizers are of different kinds")
    for name in ("bos", "eos"):
        adds = f"llama_vocab_get_add_{name}"
        added = getattr(ask, adds)(one), getattr(other, adds)(two)
        tokens = getattr(target.vocab, name), getattr(draft.vocab, name)
        if added[0] != added[1] or (added[0] and tokens[0] != tokens[1]):
            raise LlamaModelError(what + f"they have different {name} tokens")
    sizes = target.vocab.n_tokens, draft.vocab.n_tokens
    if abs(sizes[0] - sizes[1]) > _PADDING:
        raise LlamaModelError(what + f"it has {sizes[1]} tokens, not {sizes[0]}")
    text, its = ask.llama_vocab_get_text, other.llama_vocab_get_text
    for token in range(_SPECIAL, min(sizes)):
        if text(one, token) != its(two, token):
            raise LlamaModelError(
                what + f"token {token} is {its(two, token)!r} in it, not {text(one, token)!r}"
            )
