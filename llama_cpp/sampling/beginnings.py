"""The tokens of a vocabulary, grouped by their first bytes, so that a grammar checks few of them.

A grammar that refuses a text refuses every text that begins with it.
"""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model.vocab import LlamaVocab

Asked = Callable[[list[int]], list[int]]
"""Has a grammar say which of some tokens it allows."""
FEW = 4096
"""So many tokens are looked at one by one, more all at once."""
_WORTH = 8  # questions about the whole vocabulary, which take as long as to sort it
_found: weakref.WeakKeyDictionary[LlamaVocab, Beginnings | int] = weakref.WeakKeyDictionary()


class Beginnings:
    """Groups of tokens that have the first two bytes in common."""

    def __init__(self, pieces: Sequence[bytes], ends: list[int]) -> None:
        """The vocabulary of these ``pieces``; ``ends`` end a text, whatever they read as."""
        self._ends = ends
        self._groups: dict[bytes, array[int]] = {}
        self._starts: dict[bytes, list[bytes]] = {}  # the groups by their first byte
        self._short: dict[bytes, int] = {}  # the token of one or two bytes, where there is one
        others = set(ends)
        for token, piece in enumerate(pieces):
            if piece and token not in others:
                self._groups.setdefault(piece[:2], array("i")).append(token)
                if len(piece) <= 2:
                    self._short[piece] = token
        for start in self._groups:
            self._starts.setdefault(start[:1], []).append(start)

    @classmethod
    def of(cls, vocab: LlamaVocab, read: Callable[[], Beginnings]) -> Beginnings | None:
        """That of ``vocab``, which ``read`` makes; None until it was asked for often enough to be
        worth its time."""
        found = _found.get(vocab, 0)
        if isinstance(found, int):
            found = _found[vocab] = found + 1 if found < _WORTH else read()
        return None if isinstance(found, int) else found

    def allowed(self, asked: Asked, named: Iterable[int], sure: bool) -> list[int] | None:
        """The tokens that a grammar allows, in their order; None where they may be many.

        ``named`` are those that it names. Where it is not ``sure``, it may refuse the first bytes
        of a character and yet allow that.
        """
        firsts = self._not_refused(asked, self._starts, sure)
        longer = [start for first in firsts for start in self._starts[first]]
        starts = self._not_refused(asked, longer, sure)
        if sum(len(self._groups[start]) for start in starts) > FEW:
            return None
        possible = {*self._ends, *named, *(t for start in starts for t in self._groups[start])}
        return asked(sorted(possible))

    def _not_refused(self, asked: Asked, starts: Iterable[bytes], sure: bool) -> list[bytes]:
        tokens = {s: self._short[s] for s in starts if s in self._short and (sure or s.isascii())}
        allowed = set(asked([*tokens.values()]))
        return [start for start in starts if start not in tokens or tokens[start] in allowed]
