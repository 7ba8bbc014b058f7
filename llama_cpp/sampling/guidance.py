"""JSON schemas, regular expressions and Lark grammars in a sampler chain, by llguidance.

Its Rust core checks the chosen token alone. Only if it refuses that token, it computes the allowed
tokens of the whole vocabulary.
"""

from __future__ import annotations

import ctypes
import re
import weakref
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _raw
from .. import _std as std
from .._needs import needs
from ..errors import LlamaSamplerError, LlamaTokenizeError
from ..model.text import with_stack
from ..native.arguments import c_string
from ..native.calls import abandonable
from ..native.stack import deep, stack_size
from .beginnings import FEW
from .grammar import PATIENCE, Constraint, Stopped, never

if TYPE_CHECKING:
    from ..model.model import LlamaModel
    from .custom import Candidates

_REJECTED = b"\x00\x00\x80\xff"  # minus infinity, as the least significant byte comes first
_FORBIDDEN = bytes(0 if allowed else 0xFF for allowed in range(256))
_ALLOWED = bytes(0xFF if allowed else 0 for allowed in range(256))
_SPECIAL = b"\xff"  # llguidance's mark of a token that is not text
# Between the parts of a JSON text. Small models would go on with it for ever.
_SPACE = r"[\x20\x0A\x0D\x09]{1,32}"
_STACK = 1024  # bytes that llguidance takes at most for each byte of a grammar
_PART = 2048
_TOKENIZE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32,
    ctypes.POINTER(_raw.llama_token), ctypes.c_int32, ctypes.c_bool, ctypes.c_bool,
)  # fmt: skip
# A vocabulary takes llguidance a part of a second, so it is kept as long as the model.
_tokenizers: weakref.WeakKeyDictionary[LlamaModel, tuple[Any, frozenset[int], Any]] = (
    weakref.WeakKeyDictionary()
)


class Guidance(Constraint):
    """What a text must be, and how far it is."""

    def __init__(
        self,
        model: LlamaModel,
        given: Mapping[str, Any],
        *,
        lenient: bool = False,
        stopped: Stopped = never,
    ) -> None:
        """``given`` has one of ``json_schema``, ``regex`` and ``lark``. ``lenient`` ignores
        keywords of a schema that llguidance does not support.

        Raises LlamaSamplerError if llguidance cannot parse it, and if no text can fit.
        """
        names = [name for name, value in given.items() if value is not None]
        if len(names) != 1:
            raise TypeError(f"give one of json_schema, regex and lark, not {names or 'none'}")
        self._name = names[0]
        llguidance = needs("llguidance", f"{self._name}=", extra="structured")
        try:
            grammar = _grammar(llguidance.LLMatcher, self._name, given[self._name], lenient)
        except ValueError as error:
            raise LlamaSamplerError(f"{self._name}: {error}") from None
        self._vocab = model.vocab
        self._short = model.library.short
        self._model = model.opened()
        self._ends: frozenset[int] = frozenset()
        self._function: Any = None
        size = _STACK * len(grammar)

        def make() -> Any:
            # The model and the function are kept until this returns, however long that takes.
            tokenizer, self._ends, self._function = _tokenizer(llguidance, model)
            new = partial(llguidance.LLMatcher, tokenizer, grammar, log_level=0)
            # It calls itself for each rule that stands in another one.
            return new() if size < stack_size() // 2 else deep(new, size)

        late = LlamaSamplerError(f"{self._name} takes over {PATIENCE:g} s to prepare: simplify it")
        try:
            self._matcher = abandonable(make, stopped, PATIENCE, late)
        except OSError as error:
            raise LlamaSamplerError(f"{self._name}: {error}") from error
        self._check_error()
        self._allowed = -1  # the token that it has just allowed

    def _check_error(self) -> None:
        error = self._matcher.get_error()
        if error:
            first = error.strip().partition("\n<state>")[0]
            raise LlamaSamplerError(f"{self._name}: {first[:2000]}")

    def clone(self) -> Guidance:
        other = object.__new__(type(self))
        other.__dict__ = {**self.__dict__, "_matcher": self._matcher.deep_copy()}
        return other

    def stand_in(self) -> Any:
        return self._short.llama_sampler_init_logit_bias(self._vocab.n_tokens, 0, None)

    def allows(self, token: int, stopped: Stopped = never) -> bool:
        if token in self._ends:
            return bool(self._matcher.is_accepting())
        if token != self._allowed:
            self._allowed = token if self._matcher.validate_tokens([token]) == 1 else -1
        return token == self._allowed

    def restrict(self, candidates: Candidates, stopped: Stopped = never) -> None:
        allowed = self._mask()
        # All at once, as long integers: (logit & allowed) | (minus infinity & forbidden).
        n = len(allowed)
        logits = candidates.logits[:n].tobytes()
        kept = int.from_bytes(_four_times(allowed.translate(_ALLOWED)), "little")
        gone = int.from_bytes(_four_times(allowed.translate(_FORBIDDEN)), "little")
        rejected = int.from_bytes(_REJECTED * n, "little")
        result = int.from_bytes(logits, "little") & kept | rejected & gone
        candidates.logits[:n] = memoryview(result.to_bytes(4 * n, "little")).cast("f")

    def few(self, stopped: Stopped = never) -> list[int] | None:
        allowed = self._mask()
        if len(allowed) - allowed.count(0) > FEW:
            return None
        return [found.start() for found in re.finditer(rb"[^\0]", allowed)]

    def forced(self) -> list[int]:
        return list(self._matcher.compute_ff_tokens())

    def _mask(self) -> bytearray:
        """A byte for each token, 0 where it is not allowed."""
        allowed = bytearray(self._matcher.compute_logit_bias())
        self._check_error()
        ends = 0xFF * self._matcher.is_accepting()
        for token in self._ends:
            allowed[token] = ends
        if not any(allowed):
            raise LlamaSamplerError(f"{self._name}: no token can come next")
        return allowed

    def check(self, token: int, stopped: Stopped = never) -> None:
        if not self.allows(token):
            self._check_error()
            piece = self._vocab.piece(token, True).decode("utf-8", "replace")
            raise LlamaSamplerError(
                f"{self._name} does not allow token {token} ({piece!r}) here, and none that it "
                "allows was left to choose: what else the chain forbids leaves nothing"
            )

    def accept(self, token: int, stopped: Stopped = never) -> None:
        self._allowed = -1
        if token not in self._ends and not self._matcher.consume_token(token):
            self._check_error()

    def reset(self) -> None:
        self._allowed = -1
        self._matcher.reset()


def _four_times(flags: bytes | bytearray) -> bytearray:
    """Each byte four times."""
    result = bytearray(4 * len(flags))
    for i in range(4):
        result[i::4] = flags
    return result


def _grammar(matcher: Any, name: str, value: Any, lenient: bool) -> str:
    """``value`` in llguidance's own language."""
    if name != "json_schema":
        c_string(value)  # text, and without NUL
        make = matcher.grammar_from_regex if name == "regex" else matcher.grammar_from_lark
        return str(make(value))
    if not isinstance(value, Mapping | str | bool):
        raise TypeError(f"json_schema must be a mapping or JSON text, not {value!r}")
    try:
        schema = std.json.loads(value) if isinstance(value, str) else value
        schema = {} if schema is True else dict(schema) if isinstance(schema, Mapping) else schema
        # As text: a mapping that is nested too deep overflows llguidance's stack.
        text = std.json.dumps(schema, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError(f"no text fits {schema!r:.60}")
    defaults: dict[str, Any] = {"whitespace_pattern": _SPACE}
    if lenient:
        defaults = {**defaults, "lenient": True, "coerce_one_of": True}
    return str(matcher.grammar_from_json_schema(text, defaults=defaults))


def _tokenizer(llguidance: Any, model: LlamaModel) -> tuple[Any, frozenset[int], Any]:
    """The vocabulary of ``model`` for llguidance, the end tokens, and an object that must live as
    long as the vocabulary."""
    found = _tokenizers.get(model)
    if found is None:
        vocab, short = model.vocab, model.library.short
        handle = vocab.with_tokens()
        special = _raw.LLAMA_TOKEN_ATTR_CONTROL | _raw.LLAMA_TOKEN_ATTR_UNKNOWN
        tokens = []
        for token, piece in enumerate(vocab.read_pieces(handle)):
            named = piece.startswith(b"<") and piece.endswith(b">")
            attr = short.llama_vocab_get_attr(handle, token)
            if attr & special or (attr & _raw.LLAMA_TOKEN_ATTR_USER_DEFINED and named):
                piece = _SPECIAL + piece
            tokens.append(piece)
        function = _tokenize_function(model)
        ends = vocab.eog_tokens
        if not ends:
            raise LlamaSamplerError(f"{model.path.name} has no token that ends a text")
        try:
            tokenizer = llguidance.LLTokenizer.from_llamacpp(
                tokens=tokens,
                vocab_ptr=ctypes.cast(handle, ctypes.c_void_p).value,
                tokenize_fptr=ctypes.cast(function, ctypes.c_void_p).value,
                eos_token=sorted(ends),
            )
        except Exception as error:
            raise LlamaSamplerError(f"llguidance does not take this vocabulary: {error}") from error
        found = _tokenizers[model] = (tokenizer, ends, function)
    return found


def _tokenize_function(model: LlamaModel) -> Any:
    """``llama_tokenize`` for llguidance, which gives it all that a text must go on with: in parts,
    as a long run of one kind of character would overflow the stack. It keeps no model."""
    handle, call = model.vocab.handle, model.library.short.llama_tokenize

    def tokenize(
        _: int, text: int, size: int, tokens: Any, room: int, special: bool, parse: bool
    ) -> int:
        found: list[int] = []
        for part in _parts(ctypes.string_at(text, size)):
            into = (_raw.llama_token * (len(part) + 8))()
            given = (handle, part, len(part), into, len(into), special, parse)
            try:
                found += into[: max(0, with_stack(partial(call, *given), part))]
            except LlamaTokenizeError:  # no thread with a stack for it
                return 0
        if len(found) > room:
            return -len(found)
        for i, token in enumerate(found):
            tokens[i] = token
        return len(found)

    return _TOKENIZE(tokenize)


def _parts(text: bytes) -> Iterator[bytes]:
    """``text``, cut between characters."""
    start = 0
    while start < len(text):
        end = start + _PART
        # A character has four bytes at most; of what is none, any part will do.
        begins = (
            at for at in range(end, end - 4, -1) if not b"\x80" <= text[at : at + 1] < b"\xc0"
        )
        end = next(begins, end)
        yield text[start:end]
        start = end
