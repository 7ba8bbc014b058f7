"""Stack for long texts that become tokens, and text from tokens that come one by one."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from ..engine.machine import give_back, memory_limit
from ..errors import LlamaTokenizeError
from ..native.arguments import check_type
from ..native.stack import deep, stack_size
from .vocab import LlamaVocab

T = TypeVar("T")

# A tokenizer's maximum of bytes for each character: of stack, for the longest part of a text that a
# regular expression can match at once; and of other memory, for the whole text.
_STACK, _HEAP = 384, 160
_LARGE_TEXT = 1 << 18
_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


def with_stack(tokenize: Callable[[], T], text: bytes) -> T:
    """The result of ``tokenize``, which passes ``text`` to the library, on a large enough stack.
    Raises LlamaTokenizeError if the machine lacks the memory for it."""
    most, longest = stack_size() // (2 * _STACK), len(text)
    if longest <= min(most, _LARGE_TEXT):
        return tokenize()
    if longest > most:
        # After a line's end, a pre-tokenizer's match continues only with white space.
        ends = [0, *(found.end() for found in re.finditer(rb"\n(?=\S)", text)), len(text)]
        longest = max(end - start for start, end in pairwise(ends))
    large = len(text) > _LARGE_TEXT
    need = _STACK * longest + _HEAP * len(text)
    if large and need > (room := memory_limit(available=True) or need):
        raise LlamaTokenizeError(
            f"a text of {len(text)} bytes, {longest} of them in one line, may take {need} bytes of "
            f"memory to tokenize, {room} are available: split it"
        )
    try:
        return tokenize() if longest <= most else deep(tokenize, _STACK * longest)
    except OSError as error:
        raise LlamaTokenizeError(f"a text of {len(text)} bytes: {error}") from error
    finally:
        if large:
            give_back()


class StreamDecoder:
    """Turns arriving tokens into text, and holds incomplete characters back.

    A token can end in the middle of a character: the bytes wait for the next one. Bytes that
    cannot become a character are given as U+FFFD.
    """

    def __init__(self, vocab: LlamaVocab, *, special: bool = False) -> None:
        check_type(vocab, LlamaVocab)
        self._piece = vocab.piece
        self._special = special
        # Tokens of whole characters, which most are. Filled on first use, for all decoders.
        self._known = vocab.texts(special)
        # Empty while it waits for the rest of a character.
        self._texts: Sequence[str | None] = self._known
        self._decoder = _Utf8Decoder("replace")

    def feed(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is unfinished."""
        try:
            if token >= 0 and (text := self._texts[token]) is not None:
                return text
        except (IndexError, TypeError):
            pass  # not a token, which the code below reports, or the table is empty
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
        """The rest at the end: empty, or U+FFFD for an unfinished character."""
        self._texts = self._known
        return self._decoder.decode(b"", True)
