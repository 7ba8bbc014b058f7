"""Text from tokens that come one by one."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from ..native.arguments import check_type
from .vocab import LlamaVocab


class StreamDecoder:
    """Turns tokens into text as they come, and keeps back what is not a whole character yet.

    A token can end in the middle of a character: the bytes wait for the next one. Bytes that
    cannot become a character are given as U+FFFD.
    """

    def __init__(self, vocab: LlamaVocab, *, special: bool = False) -> None:
        check_type(vocab, LlamaVocab)
        self._piece = vocab.piece
        self._special = special
        # What most tokens are: whole characters. Filled on first use, for all decoders.
        self._known = vocab.texts(special)
        # Empty while it waits for the rest of a character.
        self._texts: Sequence[str | None] = self._known
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is unfinished."""
        try:
            if token >= 0 and (text := self._texts[token]) is not None:
                return text
        except (IndexError, TypeError):
            pass  # it is no token, which is said below, or the table is empty
        return self._feed(token)

    def _feed(self, token: int) -> str:
        waited = self._texts is not self._known
        text = self._decoder.decode(self._piece(token, self._special))
        waiting = self._decoder.getstate()[0] != b""
        if not waited and not waiting:
            self._known[token] = text
        self._texts = () if waiting else self._known
        return text

    def finish(self) -> str:
        """What is left at the end: empty, or U+FFFD for an unfinished character."""
        self._texts = self._known
        return self._decoder.decode(b"", True)
