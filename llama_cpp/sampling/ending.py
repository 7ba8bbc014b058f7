"""No end token before a minimum of tokens."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from .grammar import Constraint, Stopped, never

if TYPE_CHECKING:
    from ..model.model import LlamaModel
    from .custom import Candidates

_REJECTED = float("-inf")


class Unended(Constraint):
    """Forbids end tokens among the first ``n``, unless grammars allow nothing else: then their text
    is complete."""

    def __init__(self, model: LlamaModel, n: int) -> None:
        self._ends = model.vocab.eog_tokens
        self._n_tokens = model.vocab.n_tokens
        self._short = model.library.short
        self._n = self._left = n

    def allows(self, token: int, stopped: Stopped = never) -> bool:
        return self._left <= 0 or token not in self._ends

    def restrict(self, candidates: Candidates, stopped: Stopped = never) -> None:
        if self._left <= 0:
            return
        n = int(candidates.array.size)
        ids, logits = candidates.ids[:n], candidates.logits[:n]
        places = [token for token in self._ends if token < n and ids[token] == token]
        if n < self._n_tokens or len(places) < len(self._ends):  # a custom sampler has moved some
            places = [place for place, token in enumerate(ids) if token in self._ends]
        before = [logits[place] for place in places]
        for place in places:
            logits[place] = _REJECTED
        if max(logits, default=_REJECTED) == _REJECTED:
            for place, logit in zip(places, before, strict=True):
                logits[place] = logit

    def check(self, token: int, stopped: Stopped = never) -> None:
        """Nothing: a grammar may have left no other."""

    def accept(self, token: int, stopped: Stopped = never) -> None:
        self._left -= 1

    def reset(self) -> None:
        self._left = self._n

    def clone(self) -> Unended:
        return copy(self)

    def stand_in(self) -> Any:
        return self._short.llama_sampler_init_logit_bias(self._n_tokens, 0, None)
