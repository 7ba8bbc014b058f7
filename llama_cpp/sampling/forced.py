"""Drafts for texts without a choice: a constraint allows only one."""

from __future__ import annotations

from collections.abc import Sequence

from .chain import LlamaSampler


class Forced:
    """Drafts that text, for the model to compute it at once. The sampler still chooses each token,
    so that random numbers, penalties and log probabilities are the same as without."""

    def __init__(self, sampler: LlamaSampler) -> None:
        self._sampler = sampler
        self._rest: list[int] = []  # of a long one, behind the last draft

    def draft(self, tokens: Sequence[int], n: int, /) -> list[int]:
        """A `Draft`. It needs the last of ``tokens`` only."""
        follows = len(self._rest) > 1 and self._rest[0] == tokens[-1]
        forced = self._rest[1:] if follows else self._sampler.forced()
        self._rest = forced[n:]
        return forced[:n]

    def accept(self, drafted: int, accepted: int) -> None:
        """Note how much of the last draft was accepted."""
        if accepted < drafted:
            self._rest = []
