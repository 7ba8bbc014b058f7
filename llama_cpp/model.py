"""A model and its vocabulary: loading, facts, text to tokens and back."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _log, _raw
from ._arguments import c_number, c_string, set_params, unknown_keyword
from ._params import KEYWORDS, POINTERS
from ._resource import Closable, Resource
from .errors import (
    LlamaCancelled,
    LlamaClosedError,
    LlamaModelError,
    LlamaTokenizeError,
)
from .library import LlamaLibrary
from .text import StreamDecoder

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._params import LlamaModelParams

_MAGIC = b"GGUF"
# Text shorter than this is tokenized without letting go of the GIL.
_SHORT_TEXT = 4096


class LlamaModel(Closable):
    """A model in memory. Made by `from_file`; closed by `close`, by ``with``, or when forgotten.

    Contexts keep what they need of a model, so it may be closed before them.
    """

    vocab: LlamaVocab
    """Its vocabulary: special tokens, sizes, attributes."""

    def __init__(self, resource: Resource, library: LlamaLibrary, path: Path) -> None:
        """Take over a loaded model. Programs call `from_file`."""
        self._resource: Resource | None = resource
        self._library = library
        self._path = path
        self._vocab_only = False
        self.vocab = LlamaVocab(self)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        library: LlamaLibrary | None = None,
        progress: Callable[[float], object] | None = None,
        tensor_split: Sequence[float] | None = None,
        **params: Unpack[LlamaModelParams],
    ) -> Self:
        """Load a GGUF file.

        ``progress`` is called with the part that is done, 0.0 to 1.0; returning False stops the
        load. ``tensor_split`` says how much of the model each device gets, as proportions. The
        other keywords are the fields of ``llama_model_params`` under their C names; what is not
        given keeps the library's default.

        Raises FileNotFoundError, LlamaModelError for what is not a whole GGUF model that the
        library knows, LlamaCancelled when ``progress`` stopped it (what ``progress`` raises comes
        out as it is), TypeError and ValueError for wrong keywords.

        C: ``llama_model_load_from_file``, llama.h.
        """
        file = Path(path)
        if not isinstance(library, LlamaLibrary | None):
            raise TypeError(f"library must be a LlamaLibrary, not {library!r}")
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable with a number, not {progress!r}")
        library = library or LlamaLibrary.default()
        raw = library.short.llama_model_default_params()
        keywords = KEYWORDS["llama_model_params"]
        for name in params:
            if name in POINTERS["llama_model_params"]:
                raise TypeError(f"LlamaModel.from_file: {name!r} is a C pointer, not a plain value")
            if name not in keywords:
                known = [*keywords, "library", "progress", "tensor_split"]
                raise unknown_keyword(name, known, "LlamaModel.from_file")
        set_params(raw, keywords, params, "LlamaModel.from_file")
        keep = []
        if tensor_split is not None:
            split = _tensor_split(library, tensor_split)
            raw.tensor_split = split
            keep.append(split)
        if raw.no_alloc and not raw.vocab_only:
            raise ValueError("no_alloc is for a model without tensors: it needs vocab_only too")
        _check_file(file)
        with _log.heard() as said, _log.interruptible() as interrupted:
            reporter = _Progress(progress, interrupted)
            raw.progress_callback = reporter.callback
            handle = library.llama_model_load_from_file(_file_name(file), raw)
            # At once: what is raised at the end of the block must not leave it behind.
            resource = None if handle is None else Resource(handle, library.llama_model_free)
        reporter.raise_error()
        if resource is None:
            if reporter.stopped:
                raise LlamaCancelled(f"loading {file} was stopped by progress")
            raise LlamaModelError(
                f"{file} could not be loaded: {_log.reason(said, 'the library does not say why')}"
            )
        model = cls(resource, library, file)
        model._vocab_only = bool(raw.vocab_only)
        return model

    # -- lifetime

    @property
    def handle(self) -> _raw.llama_model:
        """The C object, for `llama_cpp._raw` and the functions of `library`."""
        handle: _raw.llama_model = self._open().handle
        return handle

    @property
    def library(self) -> LlamaLibrary:
        """The library that it was loaded by."""
        return self._library

    @property
    def path(self) -> Path:
        """The file that it was loaded from."""
        return self._path

    def close(self) -> None:
        """Free it, as soon as nothing that was made from it needs it any more."""
        super().close()
        self.vocab._close()

    def _name(self) -> str:
        return f"the model {self._path}"

    def __repr__(self) -> str:
        if self.closed:
            return f"<LlamaModel {self._path.name!r}, closed>"
        what = "vocabulary only" if self._vocab_only else self.description
        return f"<LlamaModel {self._path.name!r}, {what}>"

    # -- facts

    def _ask(self, name: str) -> Any:
        return getattr(self._library.short, name)(self.handle)

    @property
    def description(self) -> str:
        """Architecture, size and quantization in words. C: ``llama_model_desc``."""
        buffer = ctypes.create_string_buffer(256)
        self._library.short.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    @property
    def n_ctx_train(self) -> int:
        """The context length that it was trained with, in tokens."""
        return int(self._ask("llama_model_n_ctx_train"))

    @property
    def n_embd(self) -> int:
        """The width of its hidden state. C: ``llama_model_n_embd``."""
        return int(self._ask("llama_model_n_embd"))

    @property
    def n_layer(self) -> int:
        """The number of its layers."""
        return int(self._ask("llama_model_n_layer"))

    @property
    def n_head(self) -> int:
        """The number of its attention heads."""
        return int(self._ask("llama_model_n_head"))

    @property
    def n_params(self) -> int:
        """The number of its parameters."""
        return int(self._ask("llama_model_n_params"))

    @property
    def size(self) -> int:
        """The size of all its tensors, in bytes."""
        return int(self._ask("llama_model_size"))

    @property
    def has_encoder(self) -> bool:
        """Whether `LlamaContext.encode` has to come before `LlamaContext.decode`."""
        return bool(self._ask("llama_model_has_encoder"))

    @property
    def has_decoder(self) -> bool:
        """Whether it can generate with `LlamaContext.decode`."""
        return bool(self._ask("llama_model_has_decoder"))

    @property
    def decoder_start_token(self) -> int | None:
        """What an encoder-decoder model's decoder starts with; None where the model has none."""
        token = int(self._ask("llama_model_decoder_start_token"))
        return None if token == _raw.LLAMA_TOKEN_NULL else token

    @property
    def metadata(self) -> Mapping[str, str]:
        """The GGUF metadata that has a single value, as strings: key -> value.

        Arrays, such as the vocabulary, are not in it. C: ``llama_model_meta_val_str_by_index``.
        """
        return _Metadata(self)

    # -- text

    def is_eog(self, token: int) -> bool:
        """Whether ``token`` ends a generation. C: ``llama_vocab_is_eog``."""
        return self.vocab.is_eog(token)

    def tokenize(
        self, text: str | bytes, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """``text`` (a string, or UTF-8 bytes) as tokens.

        ``add_special`` puts the begin and end tokens there, if the model is made so.
        ``parse_special`` reads control tokens such as ``<|im_start|>`` out of the text; without it
        they are plain text, which is right for what a user typed.

        Raises LlamaTokenizeError for a model without a vocabulary. C: ``llama_tokenize``.
        """
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if not isinstance(data, bytes):
            raise TypeError(f"text must be a string or bytes, not {type(text).__name__}")
        vocab = self.vocab._with_tokens()
        if len(data) > 2**31 - 8:
            raise ValueError(f"text of {len(data)} bytes: the library takes 2 GiB at most")
        calls = self._library.short if len(data) < _SHORT_TEXT else self._library
        room = len(data) + 8  # a token is at least a byte, and a few are added
        while True:
            tokens = (_raw.llama_token * room)()
            count = calls.llama_tokenize(
                vocab, data, len(data), tokens, room, bool(add_special), bool(parse_special)
            )
            if count >= 0:
                return tokens[:count]
            if count == -(2**31) or -count <= room:
                raise LlamaTokenizeError(f"text of {len(data)} bytes gives too many tokens")
            room = -count

    def detokenize(
        self, tokens: Iterable[int], *, special: bool = True, remove_special: bool = False
    ) -> str:
        """``tokens`` as text. Bytes that are no UTF-8 become U+FFFD; see `detokenize_bytes`."""
        return self.detokenize_bytes(tokens, special=special, remove_special=remove_special).decode(
            "utf-8", "replace"
        )

    def detokenize_bytes(
        self, tokens: Iterable[int], *, special: bool = True, remove_special: bool = False
    ) -> bytes:
        """``tokens`` as the bytes that they stand for.

        ``special`` writes control tokens out; ``remove_special`` first removes the begin and end
        tokens that `tokenize` adds. Raises ValueError for what is no token of this model.
        C: ``llama_detokenize``.
        """
        vocab = self.vocab._with_tokens()
        ids = self.vocab.check_tokens(tokens)
        count = len(ids)
        given = (_raw.llama_token * count).from_buffer(ids) if count else None
        calls = self._library.short if count < _SHORT_TEXT else self._library
        room = 8 * count + 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = calls.llama_detokenize(
                vocab, given, count, buffer, room, bool(remove_special), bool(special)
            )
            if size >= 0:
                return buffer.raw[:size]
            if -size <= room:
                raise LlamaTokenizeError(f"{count} tokens could not be turned into text")
            room = -size

    def token_to_piece(self, token: int, *, special: bool = True) -> str:
        """The text of one token. It may be a part of a character, which reads as U+FFFD: use
        `decoder` for text that comes token by token."""
        return self.token_to_bytes(token, special=special).decode("utf-8", "replace")

    def token_to_bytes(self, token: int, *, special: bool = True) -> bytes:
        """The bytes of one token. ``special`` writes control tokens out. Raises ValueError for
        what is no token of this model. C: ``llama_token_to_piece``."""
        return self.vocab.piece(token, special)

    def decoder(self, *, special: bool = False) -> StreamDecoder:
        """A decoder for tokens that come one by one: text, never a broken character.

        ``special`` writes control tokens out; by default they give no text.
        """
        self.vocab._with_tokens()
        return StreamDecoder(self, special=special)


class LlamaVocab:
    """The tokens of a model. An attribute of the model: `LlamaModel.vocab`."""

    def __init__(self, model: LlamaModel) -> None:
        # Not the model itself: each would keep the other until the garbage collector comes.
        self._resource: Resource | None = model._open()
        self._library = model.library
        self._path = model.path
        self._handle = model.library.short.llama_model_get_vocab(model.handle)
        calls = model.library.short
        self._type = calls.llama_vocab_type(self._handle)
        self._n_tokens = int(calls.llama_vocab_n_tokens(self._handle))
        # Filled on first use: asking the library takes a hundred times as long as a list.
        self._pieces: list[bytes | None] = []
        self._special_pieces: list[bytes | None] = []
        self._ends: dict[int, bool] = {}

    @property
    def handle(self) -> _raw.llama_vocab:
        """The C object. LlamaClosedError once the model is closed."""
        self._open()
        assert self._handle is not None
        return self._handle

    @property
    def n_tokens(self) -> int:
        """The number of tokens. C: ``llama_vocab_n_tokens``."""
        self._open()
        return self._n_tokens

    @property
    def type(self) -> _raw.llama_vocab_type_enum:
        """The kind of tokenizer."""
        self._open()
        return _raw.llama_vocab_type_enum(self._type)

    def _open(self) -> None:
        if self._resource is None:
            raise LlamaClosedError(f"the model {self._path} is closed")

    def _close(self) -> None:
        self._resource = None

    def __len__(self) -> int:
        return self.n_tokens

    def __repr__(self) -> str:
        kind = "closed" if self._resource is None else f"{self._n_tokens} tokens, {self.type.name}"
        return f"<LlamaVocab, {kind}>"

    def _token(self, name: str) -> int | None:
        token = getattr(self._library.short, name)(self.handle)
        return None if token == _raw.LLAMA_TOKEN_NULL else int(token)

    @property
    def bos(self) -> int | None:
        """The token that begins a text; None where the model has none."""
        return self._token("llama_vocab_bos")

    @property
    def eos(self) -> int | None:
        """The token that ends a text; None where the model has none."""
        return self._token("llama_vocab_eos")

    @property
    def eot(self) -> int | None:
        """The token that ends a turn of a chat; None where the model has none."""
        return self._token("llama_vocab_eot")

    @property
    def nl(self) -> int | None:
        """The token of a line end; None where the model has none."""
        return self._token("llama_vocab_nl")

    @property
    def pad(self) -> int | None:
        """The token that fills up; None where the model has none."""
        return self._token("llama_vocab_pad")

    def is_eog(self, token: int) -> bool:
        """Whether ``token`` ends a generation. C: ``llama_vocab_is_eog``."""
        if type(token) is not int or token not in self._ends:
            token = self.check_token(token)
            ends = self._library.short.llama_vocab_is_eog(self.handle, token)
            self._ends[token] = bool(ends)
        self._open()
        return self._ends[token]

    def is_control(self, token: int) -> bool:
        """Whether ``token`` is a control token. C: ``llama_vocab_is_control``."""
        calls = self._library.short
        return bool(calls.llama_vocab_is_control(self.handle, self.check_token(token)))

    def check_token(self, token: int) -> int:
        """``token`` if it is one of this vocabulary, otherwise ValueError or TypeError."""
        number = c_number(_raw.llama_token, token, "token")
        if not 0 <= number < self._n_tokens:
            raise ValueError(f"token {number} is not in the vocabulary: 0 to {self._n_tokens - 1}")
        return int(number)

    def check_tokens(self, tokens: Iterable[int]) -> array[int]:
        """``tokens`` as a C array of int32, each checked as by `check_token`."""
        try:
            ids = array("i", tokens)
        except (TypeError, OverflowError):
            # Find the one to name. What can be gone through only once is gone.
            for token in tokens:
                self.check_token(token)
            raise TypeError(f"tokens must be integers, not {tokens!r}") from None
        if ids and (min(ids) < 0 or max(ids) >= self._n_tokens):
            for token in ids:
                self.check_token(token)
        return ids

    def piece(self, token: int, special: bool) -> bytes:
        """The bytes of ``token``; see `LlamaModel.token_to_bytes`."""
        pieces = self._special_pieces if special else self._pieces
        if not pieces:
            self._with_tokens()
            pieces.extend([None] * self._n_tokens)
        if type(token) is not int or not 0 <= token < self._n_tokens:
            token = self.check_token(token)
        found = pieces[token]
        if found is None:
            found = pieces[token] = self.read_piece(self.handle, token, special)
        return found

    def read_piece(self, handle: _raw.llama_vocab, token: int, special: bool) -> bytes:
        """The bytes of ``token``, asked of the library. For who has ``handle`` and keeps the model
        in memory: the model may be closed, and the token is not checked."""
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

    def _with_tokens(self) -> _raw.llama_vocab:
        """The handle, for what cannot be done without tokens: the library aborts then."""
        handle = self.handle
        if self._type == _raw.LLAMA_VOCAB_TYPE_NONE:
            raise LlamaTokenizeError(f"{self._path} has no vocabulary")
        return handle


class _Metadata(Mapping[str, str]):
    """The metadata of a model, read when asked for."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model

    def __getitem__(self, key: str) -> str:
        calls = self._model.library.short
        name = c_string(key)
        room = 256
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = calls.llama_model_meta_val_str(self._model.handle, name, buffer, room)
            if size < 0:
                raise KeyError(key)
            if size < room:
                return buffer.raw[:size].decode("utf-8", "replace")
            room = size + 1

    def __len__(self) -> int:
        return int(self._model.library.short.llama_model_meta_count(self._model.handle))

    def __iter__(self) -> Iterator[str]:
        calls = self._model.library.short
        for i in range(len(self)):
            room = 256
            while True:
                buffer = ctypes.create_string_buffer(room)
                size = calls.llama_model_meta_key_by_index(self._model.handle, i, buffer, room)
                if size < room:
                    break
                room = size + 1
            yield buffer.raw[: max(size, 0)].decode("utf-8", "replace")

    def __repr__(self) -> str:
        return repr(dict(self))


class _Progress:
    """The C callback for a Python function that reports progress."""

    def __init__(
        self, function: Callable[[float], object] | None, interrupted: Callable[[], bool]
    ) -> None:
        self.function = function
        self.interrupted = interrupted
        self.stopped = False
        self.error: BaseException | None = None
        self.callback = _raw.llama_progress_callback(self._call)

    def _call(self, done: float, _: int | None) -> bool:
        try:
            if self.interrupted():
                self.stopped = True
            elif self.function is not None:
                self.stopped = self.function(done) is False
        except BaseException as error:  # it must not reach C; raise_error has it
            self.error = error
            self.stopped = True
        return not self.stopped

    def raise_error(self) -> None:
        """Raise what the function raised."""
        error, self.error = self.error, None
        if error is not None:
            raise error


def _tensor_split(library: LlamaLibrary, values: Sequence[float]) -> ctypes.Array[ctypes.c_float]:
    """As C reads it: one number for each device that there could be."""
    most = int(library.short.llama_max_devices())
    if len(values) > most:
        raise ValueError(f"tensor_split has {len(values)} values for at most {most} devices")
    numbers = [c_number(ctypes.c_float, v, "tensor_split") for v in values]
    if any(not 0 <= n < math.inf for n in numbers):
        raise ValueError(f"tensor_split must be proportions, 0 or more: {list(values)!r}")
    return (ctypes.c_float * most)(*numbers)


def _check_file(path: Path) -> None:
    """Refuse what is no GGUF file, with a better message than the library's."""
    if path.is_dir():
        raise LlamaModelError(f"{path} is a folder, not a GGUF file")
    with path.open("rb") as file:  # FileNotFoundError, PermissionError
        start = file.read(len(_MAGIC))
    if start != _MAGIC:
        what = "empty" if not start else f"it starts with {start!r} instead of {_MAGIC!r}"
        raise LlamaModelError(
            f"{path} is not a GGUF file: {what}. Models for llama.cpp come as .gguf files"
        )


def _file_name(path: Path) -> bytes:
    """A path as the library wants it: UTF-8 on Windows, the file system's bytes elsewhere."""
    return str(path).encode() if sys.platform == "win32" else os.fsencode(path)
