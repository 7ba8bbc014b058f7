"""Text from tokens that come one by one."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import LlamaModel


class StreamDecoder:
    """Turns tokens into text as they come, and keeps back what is not a whole character yet.

    A token can end in the middle of a character: the bytes wait for the next one. Bytes that
    cannot become a character are given as U+FFFD.
    """

    def __init__(self, model: LlamaModel, *, special: bool = False) -> None:
        self._piece = model.vocab.piece
        self._special = special
        # What most tokens are: whole characters. Filled on first use, for all decoders.
        self._texts = model.vocab.texts(special)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = False  # for the rest of a character

    def feed(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is unfinished."""
        if not self._waiting:
            text = self._texts.get(token)
            if text is not None:
                return text
        return self._feed(token)

    def _feed(self, token: int) -> str:
        waited = self._waiting
        text = self._decoder.decode(self._piece(token, self._special))
        self._waiting = self._decoder.getstate()[0] != b""
        if not waited and not self._waiting:
            self._texts[token] = text
        return text

    def finish(self) -> str:
        """What is left at the end: empty, or U+FFFD for an unfinished character."""
        self._waiting = False
        return self._decoder.decode(b"", True)
