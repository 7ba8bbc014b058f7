"""Speculative decoding: something cheap drafts tokens, and the model checks several at once.

A model reads many tokens in little more time than one. So what comes next is guessed, decoded
together with the last token, and each guess is kept that the sampler chooses as well: the text is
the one that it would have been without. The more of the draft is right, the faster it gets; where
drafts do not pay, they stop (`llama_cpp.generate.batching.pace`), unless ``adapt=False``.

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
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Final

from ..context.context import LlamaContext
from ..errors import LlamaCancelled, LlamaModelError
from ..model.model import LlamaModel
from ..native.arguments import c_number, check_count, check_type
from ..native.resource import ClosedByWith
from ..sampling.chain import LlamaSampler
from .batching.pace import MOST
from .logprobs import log_probs

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._params import LlamaContextParams

_N_CTX = 4096
# Vocabularies of the same family differ in padding at the end, and in what the first tokens,
# which are special ones, are called.
_PADDING = 128
_SPECIAL = 5


class PromptLookup:
    """Drafts what followed the last time that the text had the same last tokens.

    It costs next to nothing, and pays where the answer repeats the prompt: summaries, corrections,
    code that is edited. ``ngram`` is how many tokens have to be the same, at best; with fewer, down
    to ``ngram_min``, it is content when there is no place with more. ``n_draft`` is the most tokens
    to draft at once. With ``adapt=False`` each draft is checked, whether that pays or not.
    """

    def __init__(
        self, ngram: int = 3, n_draft: int = 8, *, ngram_min: int = 2, adapt: bool = True
    ) -> None:
        check_count(ngram, "ngram")
        check_count(ngram_min, "ngram_min")
        if not 1 <= ngram_min <= ngram:
            raise ValueError(f"ngram_min={ngram_min} must be 1 to ngram={ngram}")
        self.n_draft = check_n_draft(n_draft)
        self.adapt = c_number(ctypes.c_bool, adapt, "adapt")
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
    ``p_min`` the probability below which a token is not worth checking, nor what would follow it;
    with ``adapt=False`` each draft is checked, whether that pays or not.
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
        adapt: bool = True,
        **params: Unpack[LlamaContextParams],
    ) -> None:
        self.n_draft = check_n_draft(n_draft)
        if not isinstance(p_min, int | float):
            raise TypeError(f"p_min must be a number, not {p_min!r}")
        if not 0 <= p_min <= 1:
            raise ValueError(f"p_min={p_min} is no probability: 0 to 1")
        self.p_min = p_min
        self.adapt = c_number(ctypes.c_bool, adapt, "adapt")
        self.cost = 0.0
        """The time that a token of it is expected to take, in tokens of the model; see `Draft`."""
        self._owned = not isinstance(model, LlamaModel)
        self.model: Final = model if isinstance(model, LlamaModel) else LlamaModel.from_file(model)
        """Its model."""
        params.setdefault("n_ctx", min(self.model.n_ctx_train, _N_CTX))
        self.ctx: Final = LlamaContext(self.model, **params)
        """Its context."""
        self._sequence = self.ctx.sequence()
        self._n_vocab = self.model.vocab.n_tokens
        self._checked: LlamaModel | None = None
        self._cancelled = False
        self._greedy = LlamaSampler.chain(self.model.library).greedy()

    def close(self) -> None:
        """Free the context, and the model if it was loaded here."""
        self.ctx.close()
        if self._owned:
            self.model.close()

    def __repr__(self) -> str:
        return f"<DraftModel {self.model!r}, n_draft={self.n_draft}>"

    def begin(self, model: LlamaModel) -> None:
        """Raise LlamaModelError unless the vocabularies agree, and LlamaClosedError after
        `close`."""
        self.ctx.core.opened()
        check_type(model, LlamaModel)
        if self._checked is not model:
            _check_vocabularies(model, self.model)
            self._checked = model
            self._n_vocab = min(model.vocab.n_tokens, self.model.vocab.n_tokens)
            self.cost = self.model.size / max(1, model.size)
        self._cancelled = False

    def cancel(self) -> None:
        """Stop drafting, from any thread: it raises LlamaCancelled."""
        self._cancelled = True
        self.ctx.cancel()

    def draft(self, tokens: Sequence[int], n: int, /) -> list[int]:
        """See `Draft.draft`."""
        ctx = self.ctx
        n = min(index(n), self.n_draft, ctx.n_ctx - len(tokens))
        drafted: list[int] = []
        if n < 1 or not tokens or max(map(index, tokens)) >= self._n_vocab:
            return drafted
        self._sequence.set(list(tokens), between=self._check_cancelled)
        is_eog = self.model.vocab.is_eog
        while True:
            token, p = self._likeliest()
            if p < self.p_min or token >= self._n_vocab or is_eog(token):
                return drafted
            drafted.append(token)
            if len(drafted) == n:
                return drafted
            self._check_cancelled()
            self._sequence.append(token)

    def _likeliest(self) -> tuple[int, float]:
        if not self.p_min:
            return self._greedy.sample(self.ctx), 1.0
        best = log_probs(self.ctx, top=0)
        return best.token, math.exp(best.logprob)

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise LlamaCancelled("drafting was cancelled")


def check_n_draft(n: int) -> int:
    """``n`` as the most tokens of a draft, or ValueError."""
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
