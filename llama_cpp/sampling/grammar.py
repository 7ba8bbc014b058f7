"""Grammars in a sampler chain, in a way that cannot end the process.

The library's own grammar sampler throws a C++ exception, which nothing can catch, when it is told
of a token that the grammar does not allow: when every candidate was rejected, and when the text
that triggers a lazy grammar is not how the grammar begins. So the chain gets a stand-in that only
rejects candidates, and the sampler itself is told of a token after it has been asked about it.
Waiting for a trigger happens here too; the library's regular expressions also throw.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from .. import _raw
from ..errors import LlamaSamplerError
from ..native import log
from ..native.resource import Resource

if TYPE_CHECKING:
    from ..model.model import LlamaModel
    from ..native.library import LlamaLibrary

# The parser recurses into parentheses, the check for left recursion into rules: deeper than this
# could overflow the stack of a thread.
_MAX_DEPTH = 256
_MAX_RULES = 10_000

_REJECTED = float("-inf")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*', re.S)
_TOKEN = re.compile(r"<\[(\d{1,10})\]>|<[^<>\s]*>")
_SYMBOL = re.compile(
    r"""
      (?P<comment> \#[^\n]* )
    | (?P<rule> [a-zA-Z0-9-]+ ) \s* ::=
    | (?P<name> [a-zA-Z0-9-]+ )
    | (?P<empty> "" )
    | (?P<text> "(?:\\.|[^"\\])+" | \[(?:\\.|[^\]\\])*\] | \. | <[^<>]*> )
    | (?P<group> [()|] )
    | (?P<often> [*+?] | \{ \s* (?P<least>\d+) \s* (?P<range> , \s* (?P<most>\d*) \s* )? \} )
    """,
    re.S | re.X,
)


class Grammar:
    """One grammar of a chain, and what it has seen."""

    def __init__(
        self,
        library: LlamaLibrary,
        model: LlamaModel,
        text: bytes,
        root: bytes,
        trigger: Trigger | None,
    ) -> None:
        """Raises LlamaSamplerError for text that is no grammar or has no rule ``root``."""
        plain = _QUOTED.sub(" ", text.decode())
        _check_text(plain)
        _check_recursion(text.decode())
        self._calls = calls = library.short
        self._vocab = model.vocab
        self._vocab_handle = vocab = model.vocab.handle
        self._n_tokens = model.vocab.n_tokens
        with log.heard() as said, _standard_error() as printed:
            handle = calls.llama_sampler_init_grammar(vocab, text, root)
        if not handle:
            # The parser prints what is wrong, and then the whole grammar; its log has no details.
            found = re.search(r"error parsing grammar: (.*?)\n\n", printed(), re.S)
            said = [found[1]] if found else said
            raise LlamaSamplerError(f"grammar: {log.reason(said, 'the library refuses it')}")
        self._model = model.opened()
        self._tokens = {_token(model, match) for match in _TOKEN.finditer(plain)}
        self._trigger = trigger
        self._waiting = trigger is not None
        self._pieces: dict[bytes, int] = {}
        self._own(handle)

    def _own(self, handle: Any) -> None:
        self._resource = Resource(handle, self._calls.llama_sampler_free, self._model)
        self._handle = handle
        self._one = _raw.llama_token_data()
        self._candidate = _raw.llama_token_data_array(
            data=ctypes.pointer(self._one), size=1, selected=-1
        )
        iface = handle.contents.iface.contents
        self._apply = iface.apply
        # Its state is ours to free and to advance, so the stand-in has no such functions.
        self._iface = _raw.llama_sampler_i.from_buffer_copy(iface)
        self._iface.accept = _raw.llama_sampler_i_accept()
        self._iface.reset = _raw.llama_sampler_i_reset()
        self._iface.free = _raw.llama_sampler_i_free()
        self._switch()

    def clone(self) -> Grammar:
        """Another one in the same state."""
        other = copy(self)
        other._own(self._calls.llama_sampler_clone(self._handle))
        if self._trigger is not None:
            other._trigger = copy(self._trigger)
            other._trigger.text = bytearray(self._trigger.text)
            other._trigger.seen = list(self._trigger.seen)
        return other

    def stand_in(self) -> Any:
        """A new sampler for the chain, which rejects what the grammar does not allow. It needs
        this object for as long as it exists."""
        return self._calls.llama_sampler_init(
            ctypes.pointer(self._iface), self._handle.contents.ctx
        )

    def _switch(self) -> None:
        # A chain passes over a sampler that has no apply.
        self._iface.apply = _raw.llama_sampler_i_apply() if self._waiting else self._apply

    def check(self, token: int) -> None:
        """LlamaSamplerError if the grammar does not allow ``token`` now."""
        if not self._waiting and not self._may_accept(self._handle, token):
            piece = self._piece(token).decode("utf-8", "replace")
            raise LlamaSamplerError(
                f"the grammar does not allow token {token} ({piece!r}) here, and none that it "
                "allows was left to choose: put the grammar first in the chain, before what "
                "removes or forbids candidates. The grammar stays where it was"
            )

    def accept(self, token: int) -> None:
        """Go on with ``token``, which `check` has let pass."""
        if self._trigger is None or not self._waiting:
            self._calls.llama_sampler_accept(self._handle, token)
            return
        start = self._trigger.find(token, self._piece(token))
        if start is None:
            return
        for replayed in self._overlap(self._trigger, start):
            if not self._may_accept(self._handle, replayed):
                self._calls.llama_sampler_reset(self._handle)
                text = bytes(self._trigger.text[start:]).decode("utf-8", "replace")
                self._trigger.clear()
                raise LlamaSamplerError(
                    f"the text that triggers the grammar, {text!r}, is not how the grammar begins"
                )
            self._calls.llama_sampler_accept(self._handle, replayed)
        self._trigger.clear()
        self._waiting = False
        self._switch()

    def reset(self) -> None:
        """Back to the beginning."""
        self._calls.llama_sampler_reset(self._handle)
        if self._trigger is not None:
            self._trigger.clear()
            self._waiting = True
            self._switch()

    def _allows(self, handle: Any, token: int) -> bool:
        self._one.id, self._one.logit = token, 0.0
        self._calls.llama_sampler_apply(handle, self._candidate)
        return bool(self._one.logit != _REJECTED)

    def _may_accept(self, handle: Any, token: int) -> bool:
        """Whether accepting ``token`` is allowed and cannot throw.

        For a token that the grammar names (``<...>``) the library can answer yes and throw all the
        same: if its text begins with characters that the grammar allows, and the name comes next.
        Then it must be possible to accept it as mere text.
        """
        if not self._allows(handle, token):
            return False
        if token not in self._tokens:
            return True
        characters = self._spell(self._piece(token))
        if len(characters) < 2 or not self._allows(handle, characters[0]):
            return True  # it does not begin as text, so it is the name that allows it
        walker = self._calls.llama_sampler_clone(handle)
        try:
            for character in characters:
                if character in self._tokens or not self._allows(walker, character):
                    return False
                self._calls.llama_sampler_accept(walker, character)
        finally:
            self._calls.llama_sampler_free(walker)
        return True

    def _overlap(self, trigger: Trigger, start: int) -> list[int]:
        """The tokens of the text from ``start`` on; a token cut in two becomes characters."""
        tokens = []
        for token, begin, end in trigger.seen:
            if begin >= start:
                tokens.append(token)
            elif end > start:
                tokens += self._spell(bytes(trigger.text[start:end]))
        return tokens

    def _spell(self, text: bytes) -> list[int]:
        """``text`` as tokens of one character each, or of one byte where there is none."""
        if not self._pieces:
            for token in range(self._n_tokens - 1, -1, -1):
                piece = self._piece(token, False)
                if len(piece) <= 4 and token not in self._tokens:
                    self._pieces[piece] = token
        tokens = []
        for character in re.findall(rb"[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]*|.", text, re.S):
            whole = [character] if character in self._pieces else [bytes([b]) for b in character]
            for piece in whole:
                if piece not in self._pieces:
                    raise LlamaSamplerError(f"no token stands for {piece!r} alone")
                tokens.append(self._pieces[piece])
        return tokens

    def _piece(self, token: int, special: bool = True) -> bytes:
        # Not by `piece`, which is for a model that is open.
        return self._vocab._read_piece(self._vocab_handle, token, special)


def _token(model: LlamaModel, match: re.Match[str]) -> int:
    """The token that a grammar names by its number or by its text."""
    if match[1]:
        return int(match[1])
    return model.tokenize(match[0], add_special=False, parse_special=True)[0]


class Trigger:
    """What a lazy grammar waits for, and the text since."""

    def __init__(self, patterns: Sequence[bytes], tokens: Sequence[int]) -> None:
        """Raises ValueError for a pattern that is no regular expression, and for no trigger."""
        self._patterns = [_compile(pattern) for pattern in patterns]
        self._tokens = frozenset(tokens)
        if not patterns and not tokens:
            raise ValueError("a lazy grammar needs something that triggers it")
        self.clear()

    def clear(self) -> None:
        """Forget the text."""
        self.text = bytearray()
        self.seen: list[tuple[int, int, int]] = []
        """The tokens of the text, each with its begin and end there."""

    def find(self, token: int, piece: bytes) -> int | None:
        """Add ``token``; where in the text the grammar begins, None if it does not yet."""
        begin = len(self.text)
        self.text += piece
        self.seen.append((token, begin, len(self.text)))
        if token in self._tokens:
            return begin
        for search in self._patterns:
            match = search(self.text)
            if match is not None:
                groups = (i for i in range(1, len(match.regs)) if match.end(i) > match.start(i))
                return match.start(next(groups, 0))
        return None


def _compile(pattern: bytes) -> Callable[[bytearray], re.Match[bytes] | None]:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        text = pattern.decode()
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    # The library takes a pattern in ^...$ for the whole text.
    whole = pattern.startswith(b"^") and pattern.endswith(b"$")
    return compiled.fullmatch if whole else compiled.search


def _check_text(plain: str) -> None:
    """LlamaSamplerError for a grammar that would crash the library. ``plain`` is without literals,
    character classes and comments."""
    if not plain.strip():
        raise LlamaSamplerError("grammar: there are no rules")
    if plain.count("::=") > _MAX_RULES:
        raise LlamaSamplerError(f"grammar: there are more than {_MAX_RULES} rules")
    depth = 0
    for parenthesis in re.findall(r"[()]", plain):
        depth += 1 if parenthesis == "(" else -1
        if depth > _MAX_DEPTH:
            raise LlamaSamplerError(
                f"grammar: more than {_MAX_DEPTH} parentheses inside each other"
            )
    if re.search(r"!\s*<", plain):
        raise LlamaSamplerError(
            "grammar: '!<...>' (any token but this one) is not supported: behind text, the "
            "library accepts such a token in part and then ends the process"
        )


def _check_recursion(text: str) -> None:
    """LlamaSamplerError for a rule that can begin with itself.

    The library looks for these, but does not see that a rule may be empty which is so only by way
    of another, or by one that comes later, and then it never comes back.
    """
    import graphlib

    rules = _rules(text)
    empty = _may_be_empty(rules)
    first: dict[str, list[str]] = {rule: [] for rule in rules}
    for rule, alternatives in rules.items():
        for symbols in alternatives:
            for symbol in symbols:
                if symbol not in rules:
                    break
                first[rule].append(symbol)
                if symbol not in empty:
                    break
    try:
        graphlib.TopologicalSorter(first).prepare()
    except graphlib.CycleError as error:
        named = [rule for rule in reversed(error.args[1]) if not rule.endswith(_MADE)]
        which = " -> ".join(named) or "what is repeated may be empty"
        raise LlamaSamplerError(
            f"grammar: left recursion, which has no end: {which}. Let something come before the "
            'rule itself, or write a repetition: item ("," item)*'
        ) from None


_MADE = "_"  # no name in a grammar ends so
_TERMINAL = ""


def _rules(text: str) -> dict[str, list[list[str]]]:
    """The alternatives of each rule, as the library makes them: what is in parentheses and what is
    repeated becomes a rule of its own. What is no grammar is for the library to refuse."""
    rules: dict[str, list[list[str]]] = {}
    reading: list[str] = []

    def make(alternatives: list[list[str]]) -> str:
        name = f"{len(rules)}{_MADE}"
        rules[name] = alternatives
        return name

    for match in _SYMBOL.finditer(text):
        kind, what = match.lastgroup, match[0]
        if kind == "rule":
            reading = [match["rule"]]
            rules[match["rule"]] = [[]]
            continue
        if not reading:
            continue
        symbols = rules[reading[-1]][-1]
        if kind == "name":
            symbols.append(what)
        elif kind == "text":
            symbols.append(_TERMINAL)
        elif what == "|":
            rules[reading[-1]].append([])
        elif what == "(":
            group = make([[]])
            symbols.append(group)
            reading.append(group)
        elif what == ")":
            reading = reading[:-1] or reading
        elif kind == "often" and symbols:
            _repeat(symbols, match, make)
    return rules


def _repeat(
    symbols: list[str], match: re.Match[str], make: Callable[[list[list[str]]], str]
) -> None:
    least = int(match["least"] or match[0] == "+")
    endless = match[0] in "*+" or (match["range"] is not None and not match["most"])
    most = 1 if match[0] == "?" else int(match["most"] or least)
    item = symbols.pop()
    if least:
        symbols.append(item)
    if endless:
        again = [item]
        rest = make([again, []])
        again.append(rest)
        symbols.append(rest)
    elif not least and most:
        symbols.append(make([[item], []]))


def _may_be_empty(rules: dict[str, list[list[str]]]) -> set[str]:
    needed_by: dict[str, list[tuple[str, list[int]]]] = {}
    empty: set[str] = set()
    found: list[str] = []
    for rule, alternatives in rules.items():
        for symbols in alternatives:
            if not symbols:
                found.append(rule)
            elif all(symbol in rules for symbol in symbols):
                left = [len(symbols)]
                for symbol in symbols:
                    needed_by.setdefault(symbol, []).append((rule, left))
    while found:
        rule = found.pop()
        if rule in empty:
            continue
        empty.add(rule)
        for user, left in needed_by.get(rule, ()):
            left[0] -= 1
            if not left[0]:
                found.append(user)
    return empty


@contextmanager
def _standard_error() -> Iterator[Callable[[], str]]:
    """Keep what C prints to standard error in the block; the result is a function for the text."""
    import tempfile  # slow to import, and only grammars need it

    text = ""
    try:
        saved = os.dup(2)
    except OSError:  # a process without one
        yield lambda: text
        return
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield lambda: text
            finally:
                os.dup2(saved, 2)
                file.seek(0)
                text = file.read().decode("utf-8", "replace")
    finally:
        os.close(saved)
