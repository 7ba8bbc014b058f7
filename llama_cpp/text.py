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
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is unfinished."""
        return self._decode(self._piece(token, self._special))

    def finish(self) -> str:
        """What is left at the end: empty, or U+FFFD for an unfinished character."""
        return self._decode(b"", True)
