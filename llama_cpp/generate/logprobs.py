"""Log probabilities of tokens, by the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from operator import index
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..context.context import LlamaContext
from ..errors import LlamaOutputError
from ..native.arguments import check_type
from ..native.resource import Resource
from ..sampling.custom import Candidates

if TYPE_CHECKING:
    from ..native.library import LlamaLibrary


@dataclass(frozen=True)
class TokenLogprob:
    """How likely the model takes a token to be, and which ones are the likeliest."""

    token: int
    """The token."""
    piece: bytes
    """Its text in UTF-8, which may be a part of a character."""
    logprob: float
    """The natural logarithm of its probability: 0.0 is certain, minus infinity impossible."""
    top: list[TokenLogprob] = field(default_factory=list)
    """The likeliest tokens in its place, the best first, each without a ``top`` of its own."""

    @property
    def text(self) -> str:
        """Its text, with U+FFFD for parts of characters."""
        return self.piece.decode("utf-8", "replace")


def log_probs(
    ctx: LlamaContext, i: int = -1, *, token: int | None = None, top: int = 5
) -> TokenLogprob:
    """The log probability of ``token`` (by default of the likeliest) behind the token at index
    ``i`` of the last decode, and of the ``top`` likeliest.

    They are the model's own, of its logits, before any sampler changes them: what a token has by
    temperature 1 and nothing else.

    Raises LlamaOutputError when the last decode did not compute that output, and when its logits
    are not numbers; LlamaBusyError when another thread is in the context; ValueError for a token
    that is not in the vocabulary, and for a ``top`` that is negative or more than the vocabulary
    has. C: ``llama_get_logits_ith``, llama.h.
    """
    check_type(ctx, LlamaContext)
    vocab, n = ctx.model.vocab, ctx.core.n_vocab
    top = check_top(top, n)
    if token is not None:
        token = vocab.check_token(token)
    with ctx.outputs.reading(i) as logits:
        scorer = _scorers.get(ctx)
        if scorer is None:
            scorer = _scorers[ctx] = _Scorer(ctx.core.library, n)
        total, best = scorer.score(logits, max(top, 1))
        if token is None:
            token = best[0][0]
        logit = logits[token]
    found = [TokenLogprob(t, vocab.piece(t, True), x - total) for t, x in best[:top]]
    return TokenLogprob(token, vocab.piece(token, True), logit - total, found)


def check_top(top: int, n_vocab: int) -> int:
    """``top`` if a vocabulary of ``n_vocab`` has so many tokens, otherwise ValueError."""
    number = index(top)
    if not 0 <= number <= n_vocab:
        raise ValueError(f"{number} is no number of tokens: 0 to {n_vocab}")
    return number


class _Scorer:
    """Lets the library do it: its dist sampler computes all probabilities, top_k finds the best."""

    def __init__(self, library: LlamaLibrary, n: int) -> None:
        self._short = short = library.short
        self._candidates = Candidates(library, n)
        self._dist = Resource(short.llama_sampler_init_dist(0), short.llama_sampler_free)

    def score(self, logits: memoryview[float], k: int) -> tuple[float, list[tuple[int, float]]]:
        """The logarithm of the sum of all exponentials, and the ``k`` best tokens with their
        logits."""
        short, candidates = self._short, self._candidates
        top_k = Resource(short.llama_sampler_init_top_k(k), short.llama_sampler_free)
        candidates.fill(logits)
        candidates.apply(self._dist.handle)
        if math.isnan(candidates.p[0]):  # which is none of them then; and they cannot be sorted
            raise LlamaOutputError("the logits are not numbers: the model or its state is broken")
        candidates.apply(top_k.handle)
        best = list(zip(candidates.ids[:k], candidates.logits[:k], strict=True))
        # The best one has exp(0) as its share of the sum, so this loses nothing.
        return best[0][1] - math.log(candidates.p[0]), best


# What a context of this size needs, as long as it lives.
_scorers: WeakKeyDictionary[LlamaContext, _Scorer] = WeakKeyDictionary()
