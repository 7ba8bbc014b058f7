"""GBNF as the library reads it, to refuse a grammar before the library sees it.

The library prints a grammar's faults to standard error, where they cannot be caught. It also
accepts some grammars and then never returns: rules that begin with themselves indirectly,
``x{3,1}``, and rules that can begin in more ways than it could ever compare.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import LlamaSamplerError

# The parser recurses into parentheses, its check for left recursion into rules: deeper than this
# could overflow the stack of a thread.
_MAX_DEPTH = 256
_MAX_RULES = 10_000
_MAX_REPEATS = 2000  # MAX_REPETITION_THRESHOLD, llama-grammar.cpp
_MAX_SYMBOLS = 1_000_000  # with repetitions written out
# It compares each way to go on with every other: that many take it seconds.
_MAX_WAYS = 20_000
_MAX_SEARCH = 10_000_000

_MADE = "_"  # no name in a grammar ends so
_TERMINAL = ""
_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[a-zA-Z0-9-]+")
_CHARACTER = re.compile(
    r'\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\"\[\]-])|[^\\]', re.S
)
_NUMBER = re.compile(r"[0-9]+")
_TOKEN = re.compile(r"<(?:\[([0-9]+)\]>|(?!\[)[^>]*>)")

Rules = dict[str, list[list[str]]]


def read(text: str, root: str, tokenize: Callable[[str], Sequence[int]]) -> set[int]:
    """The tokens that the grammar names. ``tokenize`` has the tokens of a special token's text.

    Raises LlamaSamplerError for a text that is not a grammar, with the place, for one without a
    rule ``root``, and for one that the library cannot cope with.
    """
    reader = _Reader(text, tokenize)
    if root not in reader.rules:
        raise LlamaSamplerError(f"grammar: there is no rule {root!r}")
    _check_rules(reader.rules, reader.chains, root)
    return reader.tokens


class _Reader:
    """Reads a grammar as the library does: a group in parentheses and a repetition become rules of
    their own."""

    def __init__(self, text: str, tokenize: Callable[[str], Sequence[int]]) -> None:
        self.rules: Rules = {}
        self.chains: dict[str, int] = {}
        """The rules made for ``{m,n}``, each with how many the library makes."""
        self.tokens: set[int] = set()
        self._text, self._at = text, 0
        self._tokenize = tokenize
        self._used: dict[str, int] = {}  # the names, each with its first place
        self._made = 0
        self._size = 0
        self._skip(_LINES)
        while self._at < len(text):
            self._rule()
        if not self.rules:
            raise LlamaSamplerError("grammar: there are no rules")
        for name, place in self._used.items():
            if name not in self.rules:
                self._at = place
                self._fail(f"Undefined rule identifier {name!r}")

    def _fail(self, problem: str) -> NoReturn:
        before = self._text[: self._at]
        line, column = before.count("\n") + 1, self._at - before.rfind("\n")
        raise LlamaSamplerError(f"grammar, line {line}, column {column}: {problem}")

    def _skip(self, space: re.Pattern[str]) -> None:
        found = space.match(self._text, self._at)
        assert found is not None
        self._at = found.end()

    def _take(self, pattern: re.Pattern[str], problem: str) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            self._fail(problem if self._at < len(self._text) else "unexpected end of input")
        self._at = found.end()
        return found

    def _next(self, text: str) -> bool:
        """Whether ``text`` comes next; then it is read."""
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _make(self, alternatives: list[list[str]]) -> str:
        self._made += 1
        name = f"{self._made}{_MADE}"
        self.rules[name] = alternatives
        return name

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > _MAX_SYMBOLS:
            self._fail(f"with what is repeated, the grammar has more than {_MAX_SYMBOLS} symbols")

    def _rule(self) -> None:
        name = self._take(_NAME, "expecting the name of a rule")[0]
        self._used.setdefault(name, self._at)
        self._skip(_SPACE)
        if not self._next("::="):
            self._fail("expecting ::=")
        self._skip(_LINES)
        if len(self._used) > _MAX_RULES:
            self._fail(f"there are more than {_MAX_RULES} rules")
        self.rules[name] = self._alternatives(0)
        if not (self._at == len(self._text) or self._next("\r") or self._next("\n")):
            self._fail("expecting newline or end")
        self._skip(_LINES)

    def _alternatives(self, depth: int) -> list[list[str]]:
        alternatives = [self._sequence(depth)]
        while self._next("|"):
            self._skip(_LINES)
            alternatives.append(self._sequence(depth))
        return alternatives

    def _sequence(self, depth: int) -> list[str]:
        symbols: list[str] = []
        item: list[str] = []  # the end of it, which a repetition repeats
        size, rules = 0, 1  # of the item
        while True:
            start = self._at
            repeated = self._repetition(depth)
            if repeated is not None:
                if not item:
                    self._at = start
                    self._fail("expecting something before the repetition")
                least, most = repeated
                times = most or least or 1
                rules *= times
                size *= times
                if rules > _MAX_REPEATS:
                    self._fail(
                        f"this makes {rules} repetitions, {_MAX_REPEATS} are the most: repeat "
                        "less, or something simpler"
                    )
                self._grow(size)
                del symbols[len(symbols) - len(item) :]
                item = self._repeated(item, least, most)
                symbols += item
                continue
            before = len(self._used) + self._made
            nested = self._text.startswith("(", self._at)
            found = self._item(depth)
            if found is None:
                return symbols
            item, size = found
            rules = len(self._used) + self._made - before if nested else 1
            self._grow(size)
            symbols += item

    def _item(self, depth: int) -> tuple[list[str], int] | None:
        """The next item as symbols, with its size; None where none follows."""
        text, at = self._text, self._at
        mark = text[at : at + 1]
        size = 1
        item = [_TERMINAL]
        if mark in ('"', "["):
            self._at += 1
            if mark == "[":
                self._next("^")
            size = 0
            while not self._next('"' if mark == '"' else "]"):
                self._take(_CHARACTER, "unknown escape")
                size += 1
            item = item if size else []
        elif mark == "<":
            self._token()
        elif mark == "!":
            self._fail(
                "'!<...>' (any token but this one) is not supported: behind text, the library "
                "accepts such a token in part and then ends the process"
            )
        elif mark == "(":
            if depth == _MAX_DEPTH:
                self._fail(f"more than {_MAX_DEPTH} parentheses inside each other")
            self._at += 1
            self._skip(_LINES)
            group = self._make([])
            self.rules[group] = self._alternatives(depth + 1)
            if not self._next(")"):
                self._fail("expecting ')'")
            item = [group]
        elif mark == ".":
            self._at += 1
        elif mark and _NAME.match(mark):
            name = self._take(_NAME, "")[0]
            self._used.setdefault(name, at)
            item = [name]
        else:
            return None
        self._skip(_LINES if depth else _SPACE)
        return item, size

    def _token(self) -> None:
        start = self._at
        found = self._take(_TOKEN, "expecting a token: <text> or <[number]>")
        if found[1]:
            number = int(found[1]) if len(found[1]) < 20 else 1 << 64
            if number >= 1 << 32:
                self._at = start
                self._fail("the number of the token is too big")
            self.tokens.add(number)
            return
        tokens = self._tokenize(found[0])
        if len(tokens) != 1:
            self._at = start
            self._fail(f"{found[0]!r} is not one token of the model, but {len(tokens)}")
        self.tokens.add(tokens[0])

    def _repetition(self, depth: int) -> tuple[int, int | None] | None:
        """How often at least and at most, without an end if None; None where there is none."""
        space = _LINES if depth else _SPACE
        for mark, times in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._next(mark):
                self._skip(space)
                return times
        if not self._next("{"):
            return None
        self._skip(space)
        least = self._count()
        most: int | None = least
        self._skip(space)
        if self._next(","):
            self._skip(space)
            most = None
            if _NUMBER.match(self._text, self._at):
                most = self._count()
                self._skip(space)
        if not self._next("}"):
            self._fail("expecting ',' or '}'")
        if least > _MAX_REPEATS:
            self._fail(f"{least} repetitions are too many: {_MAX_REPEATS} are the most")
        if most is not None and most < least:
            self._fail(f"at least {least} and at most {most} times: there is no such number")
        self._skip(space)
        return least, None if most is not None and most > _MAX_REPEATS else most

    def _count(self) -> int:
        digits = self._take(_NUMBER, "expecting an int")[0]
        return int(digits) if len(digits) < 20 else 1 << 64

    def _repeated(self, item: list[str], least: int, most: int | None) -> list[str]:
        symbols = item * least
        if most is None:
            again = [*item]
            rest = self._make([again, []])
            again.append(rest)
            symbols.append(rest)
        elif most > least:
            rest = self._make([item, []])
            self.chains[rest] = most - least
            self._made += most - least - 1
            symbols.append(rest)
        return symbols


def _check_rules(rules: Rules, chains: dict[str, int], root: str) -> None:
    """LlamaSamplerError for a rule that can begin with itself, and for more ways to begin than the
    library can try. It looks for the former itself, but does not see that a rule may be empty which
    is so only by way of another, or by one that comes later, and then never comes back."""
    empty = _may_be_empty(rules)
    first: dict[str, list[str]] = {rule: [] for rule in rules}
    for rule, alternatives in rules.items():
        for symbols in alternatives:
            for symbol in symbols:
                if symbol != _TERMINAL:
                    first[rule].append(symbol)
                if symbol not in empty:
                    break
    try:
        order = [*graphlib.TopologicalSorter(first).static_order()]
    except graphlib.CycleError as error:
        named = [rule for rule in reversed(error.args[1]) if not rule.endswith(_MADE)]
        which = " -> ".join(named) or "what is repeated may be empty"
        raise LlamaSamplerError(
            f"grammar: left recursion, which has no end: {which}. Let something come before the "
            'rule itself, or write a repetition: item ("," item)*'
        ) from None
    ways: dict[str, int] = {}
    depth: dict[str, int] = {}
    for rule in order:
        alternatives = rules[rule]
        again = chains.get(rule, 1) if all(s in empty for s in alternatives[0]) else 1
        ways[rule] = again * (len(alternatives) + sum(ways[symbol] for symbol in first[rule]))
        depth[rule] = again + max((depth[symbol] for symbol in first[rule]), default=0)
    if ways[root] > _MAX_WAYS or sum(ways.values()) > _MAX_SEARCH:
        raise LlamaSamplerError(
            f"grammar: {root!r} can begin in {ways[root]} ways, more than {_MAX_WAYS} are not "
            "tried: have fewer alternatives, and fewer in a row that may be empty"
        )
    if max(depth.values()) > _MAX_RULES:
        raise LlamaSamplerError(f"grammar: more than {_MAX_RULES} rules begin with each other")


def _may_be_empty(rules: Rules) -> set[str]:
    needed_by: dict[str, list[tuple[str, list[int]]]] = {}
    empty: set[str] = set()
    found: list[str] = []
    for rule, alternatives in rules.items():
        for symbols in alternatives:
            if not symbols:
                found.append(rule)
            elif _TERMINAL not in symbols:
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
