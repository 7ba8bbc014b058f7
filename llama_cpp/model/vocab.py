"""The vocabulary of a model: its tokens, and the special ones among them."""

from __future__ import annotations

import ctypes
import re
from array import array
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from .. import _raw
from ..errors import LlamaClosedError, LlamaModelError, LlamaTokenizeError
from ..native.arguments import c_number, check_type
from ..native.library import LlamaLibrary
from ..native.resource import Resource
from ._getters import VocabGetters

if TYPE_CHECKING:
    from pathlib import Path

_PART = 4096  # characters
_WHOLE = 1 << 15  # bytes
_FIRST = (
    _raw.LLAMA_TOKEN_ATTR_CONTROL
    | _raw.LLAMA_TOKEN_ATTR_USER_DEFINED
    | _raw.LLAMA_TOKEN_ATTR_UNKNOWN
)


def check_bytes(library: LlamaLibrary, handle: _raw.llama_vocab, file: Path) -> None:
    """Raise LlamaModelError for a SentencePiece vocabulary without a token for each byte: the
    library ends the process over a text that needs it."""
    calls = library.short
    if calls.llama_vocab_type(handle) != _raw.LLAMA_VOCAB_TYPE_SPM:
        return
    known = {text: i for i in range(256) for text in (bytes((i,)), b"<0x%02X>" % i)}
    left = set(range(256))
    for token in range(calls.llama_vocab_n_tokens(handle)):
        left.discard(known.get(calls.llama_vocab_get_text(handle, token) or b"", -1))
        if not left:
            return
    raise LlamaModelError(
        f"{file} is damaged: its vocabulary has no token for the byte {min(left):#04x}, and "
        f"{len(left) - 1} others, which texts need"
    )


class LlamaVocab(VocabGetters):
    """The tokens of a model. An attribute of the model: `LlamaModel.vocab`."""

    def __init__(self, library: LlamaLibrary, model: Resource, path: Path) -> None:
        """The vocabulary of ``model``, which ``library`` has loaded from ``path``."""
        check_type(library, LlamaLibrary)
        check_type(model, Resource)
        check_type(model.handle, _raw.llama_model)
        # Not the `LlamaModel`: each would keep the other until a garbage collection.
        self._resource: Resource | None = model
        self._library = library
        self._path = path
        calls = library.short
        self._handle = calls.llama_model_get_vocab(model.handle)
        self._type = calls.llama_vocab_type(self._handle)
        self._n_tokens = int(calls.llama_vocab_n_tokens(self._handle))
        # Filled on first use: asking the library takes a hundred times as long.
        self._pieces: dict[int, bytes] = {}
        self._special_pieces: dict[int, bytes] = {}
        self._texts: list[str | None] = []
        self._special_texts: list[str | None] = []
        self._ends: dict[int, bool] = {}
        self._eog_tokens: frozenset[int] | None = None
        self._suppressed: list[int] | None = None

    @property
    def handle(self) -> _raw.llama_vocab:
        """The C object. Raises LlamaClosedError once the model is closed."""
        self.opened()
        assert self._handle is not None
        return self._handle

    @property
    def n_tokens(self) -> int:
        """The number of tokens. C: ``llama_vocab_n_tokens``."""
        self.opened()
        return self._n_tokens

    @property
    def type(self) -> _raw.llama_vocab_type_enum:
        """The kind of tokenizer."""
        self.opened()
        return _raw.llama_vocab_type_enum(self._type)

    def opened(self) -> Resource:
        """The model's C object, of which it is a part. Raises LlamaClosedError after `close`."""
        if self._resource is None:
            raise LlamaClosedError(f"the model {self._path} is closed")
        return self._resource

    def _close(self) -> None:
        self._resource = None

    def __len__(self) -> int:
        return self.n_tokens

    def __repr__(self) -> str:
        kind = "closed" if self._resource is None else f"{self._n_tokens} tokens, {self.type.name}"
        return f"<LlamaVocab, {kind}>"

    @cached_property
    def added(self) -> tuple[int | None, int | None]:
        """The tokens that `LlamaModel.tokenize` puts before and after a text, None for neither."""
        if self.type == _raw.LLAMA_VOCAB_TYPE_WPM:
            return self.bos, self.sep
        if self.type == _raw.LLAMA_VOCAB_TYPE_RWKV:
            return None, None
        return self.bos if self.add_bos else None, self.eos if self.add_eos else None

    @property
    def suppress_tokens(self) -> list[int]:
        """The tokens that the model's makers say it should never generate.

        C: ``llama_vocab_get_suppress_tokens``.
        """
        handle = self.handle
        if self._suppressed is None:
            found, count = None, ctypes.c_int32()
            name = "llama_vocab_get_suppress_tokens"  # older llama.cpp has not
            if name in _raw.FUNCTIONS and self._library.has(name):
                found = self._library.short.llama_vocab_get_suppress_tokens(handle, count)
            self._suppressed = [int(found[i]) for i in range(count.value)] if found else []
        return list(self._suppressed)

    def text(self, token: int) -> str:
        r"""``token`` as the vocabulary stores it, which differs from its text: a space may be
        ``\u2581`` or ``\u0120``. `LlamaModel.token_to_piece` gives the text.

        C: ``llama_vocab_get_text``.
        """
        calls = self._library.short
        found = calls.llama_vocab_get_text(self.with_tokens(), self.check_token(token))
        return (found or b"").decode("utf-8", "replace")

    def score(self, token: int) -> float:
        """The tokenizer's weight of ``token``; 0.0 in a vocabulary without such.

        C: ``llama_vocab_get_score``.
        """
        calls = self._library.short
        return float(calls.llama_vocab_get_score(self.with_tokens(), self.check_token(token)))

    def attr(self, token: int) -> _raw.llama_token_attr:
        """The kind of ``token``, as flags: normal text, a byte, a control token and so on.

        C: ``llama_vocab_get_attr``.
        """
        calls = self._library.short
        found = calls.llama_vocab_get_attr(self.with_tokens(), self.check_token(token))
        return _raw.llama_token_attr(found)

    def is_eog(self, token: int) -> bool:
        """Whether ``token`` ends a generation. C: ``llama_vocab_is_eog``."""
        if type(token) is not int or token not in self._ends:
            token = self.check_token(token)
            ends = self._library.short.llama_vocab_is_eog(self.handle, token)
            self._ends[token] = bool(ends)
        self.opened()
        return self._ends[token]

    @property
    def eog_tokens(self) -> frozenset[int]:
        """The tokens that end a generation, all for which `is_eog` is true."""
        self.opened()
        if self._eog_tokens is None:
            ends = self._library.short.llama_vocab_is_eog
            found = (token for token in range(self._n_tokens) if ends(self._handle, token))
            self._eog_tokens = frozenset(found)
        return self._eog_tokens

    def is_control(self, token: int) -> bool:
        """Whether ``token`` is a control token. C: ``llama_vocab_is_control``."""
        calls = self._library.short
        return bool(calls.llama_vocab_is_control(self.handle, self.check_token(token)))

    def check_token(self, token: int) -> int:
        """``token`` if it is in this vocabulary. Raises ValueError or TypeError otherwise."""
        number = c_number(_raw.llama_token, token, "token")
        if not 0 <= number < self._n_tokens:
            raise ValueError(f"token {number} is not in the vocabulary: 0 to {self._n_tokens - 1}")
        return int(number)

    def check_tokens(self, tokens: Iterable[int]) -> array[int]:
        """``tokens`` as a C array of 32 bits, each checked as by `check_token`."""
        try:
            # Unsigned: it refuses negative numbers, and "i" takes three times as long.
            if isinstance(tokens, list):
                ids = array("I")
                ids.fromlist(tokens)  # which makes no iterator
            else:
                ids = array("I", tokens)
        except (TypeError, OverflowError):
            # Find the token to name in the error. A one-time iterator is already used up.
            for token in tokens:
                self.check_token(token)
            raise TypeError(f"tokens must be integers, not {tokens!r}") from None
        objects = tokens if isinstance(tokens, list | tuple) else ids  # of an array, max makes them
        if ids and max(objects) >= self._n_tokens:
            for token in ids:
                self.check_token(token)
        return ids

    def piece(self, token: int, special: bool) -> bytes:
        """The bytes of ``token``; see `LlamaModel.token_to_bytes`."""
        pieces = self._special_pieces if special else self._pieces
        if type(token) is not int:
            token = self.check_token(token)
        found = pieces.get(token)
        if found is None:
            handle = self.with_tokens()
            token = self.check_token(token)
            found = pieces[token] = self._read_piece(handle, token, special)
        return found

    def texts(self, special: bool) -> list[str | None]:
        """The text of each token of whole characters, None until it is first needed. For
        `StreamDecoder`, which fills it."""
        texts = self._special_texts if special else self._texts
        if not texts:
            texts.extend([None] * self._n_tokens)
        return texts

    def read_pieces(self, handle: _raw.llama_vocab) -> list[bytes]:
        """The bytes of all tokens, including control tokens. The caller has ``handle`` and keeps
        the model's memory; the model may be closed."""
        check_type(handle, _raw.llama_vocab)
        room = 256
        buffer, call = ctypes.create_string_buffer(room), self._library.short.llama_token_to_piece
        pieces: list[bytes] = []
        for token in range(self._n_tokens):
            size = call(handle, token, buffer, room, 0, True)
            whole = size >= 0
            pieces.append(buffer.raw[:size] if whole else self._read_piece(handle, token, True))
        return pieces

    def _read_piece(self, handle: _raw.llama_vocab, token: int, special: bool) -> bytes:
        """The bytes of ``token`` from the library. The caller has ``handle`` and keeps the model's
        memory: the model may be closed, and the token is not checked."""
        calls = self._library.short
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = calls.llama_token_to_piece(handle, token, buffer, room, 0, special)
            if size >= 0:
                return buffer.raw[:size]
            if -size <= room:
                raise LlamaTokenizeError(f"token {token} has no text")
            room = -size

    def parts(self, data: bytes) -> list[str]:
        """A long text in parts that have the tokens of the whole; empty if it is not to be divided.

        For each character that no token has, llama.cpp's SentencePiece tokenizer copies all tokens
        so far: hours for a megabyte of them. Nothing spans such a character, so parts begin with
        one, but not after a control token: the text after that gets a space in front.
        """
        check_type(data, bytes)
        if self._type != _raw.LLAMA_VOCAB_TYPE_SPM or len(data) < _WHOLE:
            return []
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return []
        known, ends, strips = self._characters
        unknown = set(text) - known
        if not unknown:
            return []
        begin = re.compile(f"[{re.escape(''.join(unknown))}]")
        parts: list[str] = []
        start, at = 0, _PART
        while found := begin.search(text, at):
            at = found.start()
            before = text[start:at]
            if not (before.rstrip() if strips else before).endswith(ends):
                parts.append(before)
                start = at
            at += _PART
        return [*parts, text[start:]] if parts else []

    @cached_property
    def _characters(self) -> tuple[set[str], tuple[str, ...], bool]:
        """Those of all tokens; the tokens that are found in a text before all others, such as
        control tokens; and whether these take the white space after them away."""
        handle, calls = self.with_tokens(), self._library.short
        tokens = range(self._n_tokens)
        texts = [
            (calls.llama_vocab_get_text(handle, i) or b"").decode("utf-8", "replace")
            for i in tokens
        ]
        attrs = [calls.llama_vocab_get_attr(handle, i) for i in tokens]
        ends = tuple(
            text for text, attr in zip(texts, attrs, strict=True) if text and attr & _FIRST
        )
        strips = any(attr & _raw.LLAMA_TOKEN_ATTR_RSTRIP for attr in attrs)
        return set(" ").union(*texts), ends, strips

    def with_tokens(self) -> _raw.llama_vocab:
        """The handle, for calls that need tokens: without them the library aborts."""
        handle = self.handle
        if self._type == _raw.LLAMA_VOCAB_TYPE_NONE:
            raise LlamaTokenizeError(f"{self._path} has no vocabulary")
        return handle
