"""Log probabilities of tokens, by the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from operator import index
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .._dataclasses import dataclass, field
from ..context.batch import LlamaBatch
from ..context.context import LlamaContext
from ..context.sequence import LlamaSequence, n_common
from ..errors import LlamaOutputError
from ..native.arguments import check_type
from ..native.resource import Resource
from ..sampling.custom import Candidates

if TYPE_CHECKING:
    from ..model.model import LlamaModel
    from ..native.library import LlamaLibrary

# The library makes room for the logits of all tokens that are asked for: so many at a time.
_LOGITS = 1 << 23


@dataclass(frozen=True)
class TokenLogprob:
    """How likely the model takes a token to be, and which ones are the likeliest."""

    token: int
    """The token."""
    text: str
    """Its text, with U+FFFD for parts of characters."""
    bytes: list[int]
    """Its text in UTF-8, as numbers so that `dataclasses.asdict` gives what JSON can have."""
    logprob: float
    """The natural logarithm of its probability: 0.0 is certain, minus infinity impossible."""
    top: list[TokenLogprob] = field(default_factory=list)
    """The likeliest tokens in its place, the best first, each without a ``top`` of its own."""


@dataclass(frozen=True)
class Score:
    """How likely a model takes an answer to be; made by `Llama.score`."""

    logprob: float
    """The natural logarithm of the probability of the whole answer: the sum of its tokens'."""
    greedy: bool
    """Whether each token is the likeliest in its place, so that a ``temperature`` of 0 gives it."""
    tokens: list[TokenLogprob] = field(repr=False)
    """The answer's tokens, each with the likeliest in its place as ``top``."""


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
    vocab, top = ctx.model.vocab, check_top(top, ctx.core.n_vocab)
    if token is not None:
        token = vocab.check_token(token)
    with ctx.outputs.reading(i) as logits:
        return _entry(ctx, logits, token, top)


def _entry(
    ctx: LlamaContext, logits: memoryview[float], token: int | None, top: int
) -> TokenLogprob:
    vocab = ctx.model.vocab
    scorer = _scorers.get(ctx)
    if scorer is None:
        scorer = _scorers[ctx] = _Scorer(ctx.core.library, ctx.core.n_vocab)
    total, best = scorer.score(logits, max(top, 1))

    def entry(token: int, logit: float, top: list[TokenLogprob]) -> TokenLogprob:
        piece = vocab.piece(token, True)
        return TokenLogprob(
            token, piece.decode("utf-8", "replace"), list(piece), logit - total, top
        )

    if token is None:
        token = best[0][0]
    return entry(token, logits[token], [entry(t, logit, []) for t, logit in best[:top]])


def answer_tokens(
    model: LlamaModel,
    prompt: str | Sequence[int],
    answer: str | Sequence[int],
    n_ctx: int,
    parse_special: bool,
) -> tuple[tuple[int, ...], list[int]]:
    """The tokens before an answer, and its own. Raises as `Llama.score`."""
    special: Any = {"parse_special": parse_special}
    start, own = (
        model.vocab.check_tokens(text).tolist()
        if not isinstance(text, str)
        else model.tokenize_prompt(text, **special)
        if text is prompt
        else model.tokenize(text, add_special=False, **special)
        for text in (prompt, answer)
    )
    if not start or not own:
        raise ValueError(f"the {'answer' if start else 'prompt'} is empty: it has no tokens")
    if isinstance(prompt, str) and isinstance(answer, str):
        whole = model.tokenize_prompt(prompt + answer, **special)
        n = n_common(whole[:-1], start)
        if n:
            start, own = whole[:n], whole[n:]
    if len(start) + len(own) - 1 > n_ctx:
        raise ValueError(
            f"prompt and answer have {len(start) + len(own)} tokens, the context only {n_ctx}: "
            "make it with a larger n_ctx"
        )
    return tuple(start), own


def portions(ctx: LlamaContext, start: int, end: int) -> Iterator[tuple[int, int]]:
    """``start`` to ``end`` in parts whose logits, of all tokens, take little memory."""
    size = portion(ctx)
    return ((at, min(at + size, end)) for at in range(start, end, size))


def portion(ctx: LlamaContext) -> int:
    """How many tokens such a part has."""
    return max(1, min(ctx.n_batch, _LOGITS // ctx.core.n_vocab))


def scores(
    ctx: LlamaContext,
    sequence: LlamaSequence,
    prompt: Sequence[int],
    answers: Sequence[Sequence[int]],
    between: Callable[[], object],
) -> list[Score]:
    """See `Llama.score`: ``answers`` to one ``prompt``, which ``sequence`` computes once."""
    sequence.set(prompt, between=between)
    sequence.checkpoint()
    first = _copy(ctx)
    found = []
    for answer in answers:
        tokens = [_entry(ctx, first, answer[0], 1)]
        if len(sequence) > len(prompt):
            sequence.truncate(len(prompt))
        for start, end in portions(ctx, 0, len(answer) - 1):
            between()
            ctx.decode(LlamaBatch(answer[start:end], seq_id=sequence.id, logits=True))
            for i in range(end - start):
                tokens.append(log_probs(ctx, i, token=answer[start + i + 1], top=1))
        total = math.fsum(entry.logprob for entry in tokens)
        found.append(Score(total, all(t.token == t.top[0].token for t in tokens), tokens))
    return found


def _copy(ctx: LlamaContext) -> memoryview[float]:
    """The last logits: under a view of them there is no room for more outputs."""
    with ctx.outputs.reading(-1) as logits:
        return memoryview(bytes(logits)).cast("f")


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
