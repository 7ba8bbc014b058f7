"""Texts that lost their cells, in main memory: requests that begin like one continue from there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from ...context.context import LlamaContext
from ...context.sequence import LlamaSequence, n_common
from ...context.snapshot import Snapshot
from ...engine.machine import memory_limit
from ...errors import LlamaError

# To copy a token costs far less than a hundredth of computing it, so this share is worth a copy.
_SHARE = 16
_LEAST = 16  # tokens
_FREE = 0.5  # of the memory that is free, for one copy


def worth(n: int, size: int) -> bool:
    """Whether ``n`` tokens that need not be computed are worth the copy of a text of ``size``."""
    return n >= max(_LEAST, size // _SHARE)


class Parked(NamedTuple):
    """The state of a sequence with ``tokens``."""

    tokens: list[int]
    snapshot: Snapshot
    adapters: object
    """The adapters that were in use, and their scales."""


class ParkedTexts:
    """The texts of the sequences of ``ctx`` that other requests needed the cells of.

    They take at most ``most`` bytes; by default they have at most as many tokens as the context.
    """

    def __init__(self, ctx: LlamaContext, most: int | None) -> None:
        core = ctx.core
        self._ctx = ctx
        self._most = most
        self._texts: list[Parked] = []  # oldest use first
        # A copy of a sliding window has nothing before it, even where the cache has.
        self._whole = core.has_memory and (core.is_stateful or core.n_swa > 0)
        self.used = most != 0 and core.has_memory and not ctx.model.has_encoder
        """Whether any are kept."""

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[Parked]:
        return iter(self._texts)

    def park(self, sequence: LlamaSequence, kept: int = 0) -> bool:
        """Copy ``sequence``, which may lose all but ``kept`` of its tokens, if that pays. Returns
        whether there is a copy."""
        if not self.used or sequence.unknown or not worth(len(sequence) - kept, len(sequence)):
            return False
        tokens = sequence.tokens
        if sequence.reusable(tokens) < len(tokens) or not self._ctx.books.turned:
            return False  # moved, or computed with other adapters
        facts = self._ctx.adapter_facts
        if any(self.reach(text, tokens) == len(tokens) for text in self._current()):
            return True
        free = memory_limit(available=True)
        most = math.inf if free is None else free * _FREE
        snapshot = None
        with suppress(LlamaError, MemoryError):  # it is computed again
            snapshot = sequence.snapshot(most)
        if snapshot is None or self._too_much([new := Parked(tokens, snapshot, facts)]):
            return False
        for text in self._current():
            if self.reach(new, text.tokens) == len(text.tokens):
                self._texts.remove(text)
        self._texts.append(new)
        self._trim()
        return True

    def find(self, tokens: Sequence[int], n: int) -> Parked | None:
        """The text with the longest beginning of ``tokens`` that it can go back to, if that is
        enough more than the ``n`` of them that are there already."""
        found, most = None, n
        for text in self._current():
            reach = self.reach(text, tokens)
            if reach > most and worth(reach - n, len(text.tokens)):
                found, most = text, reach
        return found

    def reach(self, text: Parked, tokens: Sequence[int]) -> int:
        """How many of ``tokens`` are there after `restore`."""
        common = n_common(text.tokens, tokens)
        if common == len(text.tokens) or not self._whole:
            return common
        return max((point.n for point in text.snapshot.earlier if point.n <= common), default=0)

    def restore(self, text: Parked, sequence: LlamaSequence, tokens: Sequence[int]) -> bool:
        """Give ``sequence`` the beginning of ``text`` that ``tokens`` have too. Returns whether
        there was room for it."""
        reach = self.reach(text, tokens)
        if not sequence.restore(text.snapshot, text.tokens):
            return False
        with suppress(ValueError):  # it made room for another one
            self._texts.remove(text)
        if reach < len(text.tokens):
            sequence.rewind(reach)
            self._texts.append(text)  # it can still be continued
            self._trim()
        return True

    def clear(self) -> None:
        """Forget all."""
        self._texts.clear()

    def _current(self) -> list[Parked]:
        """Those that were computed with the adapters that are in use now."""
        if not self._texts:
            return []
        facts = self._ctx.adapter_facts
        return [text for text in self._texts if text.adapters == facts]

    def _trim(self) -> None:
        while self._too_much(self._texts):
            del self._texts[0]

    def _too_much(self, texts: list[Parked]) -> bool:
        if self._most is None:
            return sum(len(text.tokens) for text in texts) > self._ctx.n_ctx
        return sum(text.snapshot.size for text in texts) > self._most
