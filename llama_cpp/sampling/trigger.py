"""Triggers of a lazy grammar: tokens and regular expressions.

Python's `re` tries one way after another, and some patterns have more ways than can ever be tried,
with the interpreter's lock held. So it gets those with few ways only; the others are followed here
in all ways at once, byte by byte, which takes the same time for each byte.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

_FEW = 1000  # ways through a pattern that `re` may try at each place
_LONGEST = 10_000  # steps of a pattern
_NEVER = -1
# As Python itself has them, since 3.11 by other names.
_parser: Any = getattr(re, "_parser", None) or importlib.import_module("sre_parse")
_compiler: Any = getattr(re, "_compiler", None) or importlib.import_module("sre_compile")
_Thread = tuple[int, Mapping[int, int]]
"""A step of a pattern that is next, and where groups began (even numbers) and ended (odd ones)."""


class Trigger:
    """The triggers of a lazy grammar, and the text so far."""

    def __init__(self, patterns: Sequence[bytes], tokens: Sequence[int]) -> None:
        """Raises ValueError for a pattern that is not a regular expression, and for no trigger."""
        self._patterns = [_pattern(pattern) for pattern in patterns]
        self._tokens = frozenset(tokens)
        if not patterns and not tokens:
            raise ValueError("a lazy grammar needs something that triggers it")
        self.clear()

    def clear(self) -> None:
        """Forget the text."""
        self.text = bytearray()
        self.seen: list[tuple[int, int, int]] = []
        """The tokens of the text, each with its begin and end there."""
        for pattern in self._patterns:
            pattern.clear()

    def clone(self) -> Self:
        """Another one with the same text."""
        other = copy(self)
        other.text, other.seen = bytearray(self.text), list(self.seen)
        other._patterns = [copy(pattern) for pattern in self._patterns]
        return other

    def find(self, token: int, piece: bytes) -> int | None:
        """Add ``token``; where in the text the grammar begins, None if it does not yet."""
        begin = len(self.text)
        self.text += piece
        self.seen.append((token, begin, len(self.text)))
        if token in self._tokens:
            return begin
        for pattern in self._patterns:
            spans = pattern.find(self.text, begin)
            if spans is not None:  # the first group that is not empty, or all of it
                return next((start for start, end in spans[1:] if end > start), spans[0][0])
        return None


class _Tried:
    """A pattern for `re`."""

    def __init__(self, pattern: bytes, whole: bool) -> None:
        compiled = re.compile(pattern)
        self._search = compiled.fullmatch if whole else compiled.search

    def clear(self) -> None:
        pass

    def find(self, text: bytearray, _: int) -> Sequence[tuple[int, int]] | None:
        match = self._search(text)
        return None if match is None else match.regs


class _Followed:
    """A pattern that is followed in all ways at once, the preferred ones first (a Pike machine)."""

    def __init__(self, tree: Any, whole: bool) -> None:
        """Raises ValueError for a look-around or a back reference."""
        self._lines = bool(tree.state.flags & re.MULTILINE)
        self._n_groups = tree.state.groups
        # Bytes to read, the steps to go on with, a place to be at, or a number of `_Thread`.
        self._steps: list[frozenset[int] | tuple[int, ...] | str | int] = []
        self._known: dict[str, frozenset[int]] = {}
        if whole:
            self._steps.append("AT_BEGINNING_STRING")
        self._add_group(0, tree)
        if whole:
            self._steps.append("AT_END_STRING")
        self.clear()

    def clear(self) -> None:
        self._threads: list[_Thread] = []
        self._match: Mapping[int, int] | None = None

    def find(self, text: bytearray, begin: int) -> Sequence[tuple[int, int]] | None:
        """The groups in ``text``, of which the part from ``begin`` on is new."""
        for at in range(begin, len(text)):
            threads = []
            for place, groups in self._reached(text, at):
                if place == len(self._steps):
                    self._match = groups
                    break  # the ways after this one are less preferred
                if text[at] in self._steps[place]:  # type: ignore[operator]
                    threads.append((place + 1, groups))
            self._threads = threads
        ends = (g for place, g in self._reached(text, len(text)) if place == len(self._steps))
        found = next(ends, self._match)
        if found is None:
            return None
        return [
            (found.get(2 * i, _NEVER), found.get(2 * i + 1, _NEVER)) for i in range(self._n_groups)
        ]

    def _reached(self, text: bytearray, at: int) -> Iterator[_Thread]:
        """The threads that read a byte at ``at``, or are at the end."""
        reached = set[int]()
        begins: list[_Thread] = [(0, {})] if self._match is None else []
        for thread in [*self._threads, *begins]:
            waiting = [thread]
            while waiting:
                place, groups = waiting.pop()
                if place in reached:
                    continue
                reached.add(place)
                step = self._steps[place] if place < len(self._steps) else frozenset[int]()
                if isinstance(step, frozenset):
                    yield place, groups
                elif isinstance(step, tuple):
                    waiting += [(other, groups) for other in reversed(step)]
                elif isinstance(step, int):
                    waiting.append((place + 1, {**groups, step: at}))
                elif self._is_at(step, text, at):
                    waiting.append((place + 1, groups))

    def _is_at(self, name: str, text: bytearray, at: int) -> bool:
        before, after = bytes(text[max(0, at - 1) : at]), bytes(text[at : at + 1])
        if name.endswith("BOUNDARY"):
            word = [re.match(rb"\w", byte) is not None for byte in (before, after)]
            return (word[0] != word[1]) == (name == "AT_BOUNDARY")
        byte = before if name.startswith("AT_BEGINNING") else after
        return not byte or (self._lines and not name.endswith("STRING") and byte == b"\n")

    # -- from Python's tree of a pattern

    def _add_group(self, group: int | None, tree: Any) -> None:
        if group is not None:
            self._steps.append(2 * group)
        for node in tree:
            self._add(node, tree)
        if group is not None:
            self._steps.append(2 * group + 1)

    def _add(self, node: tuple[Any, Any], tree: Any) -> None:
        name, steps = str(node[0]), self._steps
        if name == "BRANCH":
            self._add_branches(node[1][1])
        elif name == "SUBPATTERN" and not any(node[1][1:3]):  # without flags of its own
            self._add_group(node[1][0], node[1][3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            self._add_repeat(*node[1], lazy=name == "MIN_REPEAT")
        elif name == "AT":
            steps.append(str(node[1]))
        elif name in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            key = repr(node)
            if key not in self._known:
                one = _compiler.compile(_parser.SubPattern(tree.state, [node]))
                self._known[key] = frozenset(b for b in range(256) if one.match(bytes([b])))
            steps.append(self._known[key])
        else:
            raise ValueError(f"{name} does not go together with repetitions or many alternatives")
        if len(steps) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} steps")

    def _add_branches(self, branches: Sequence[Any]) -> None:
        starts, ends, fork = [], [], self._place()
        for branch in branches:
            starts.append(len(self._steps))
            self._add_group(None, branch)
            ends.append(self._place())
        self._steps[fork] = tuple(starts)
        for end in ends:
            self._steps[end] = (len(self._steps),)

    def _add_repeat(self, least: int, most: int, tree: Any, *, lazy: bool) -> None:
        endless = most == _parser.MAXREPEAT
        forks = []
        for i in range(least + 1 if endless else most):
            fork = self._place()
            self._add_group(None, tree)
            self._steps[fork] = (fork + 1,)
            if i >= least:
                forks.append(fork)
        if endless:
            self._steps.append((forks[0],))
        for fork in forks:
            ways = (fork + 1, len(self._steps))
            self._steps[fork] = ways[::-1] if lazy else ways

    def _place(self) -> int:
        """A step to be set later."""
        if len(self._steps) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} steps")
        self._steps.append(())
        return len(self._steps) - 1


def _pattern(pattern: bytes) -> _Tried | _Followed:
    # The library takes a pattern in ^...$ for the whole text.
    whole = pattern.startswith(b"^") and pattern.endswith(b"$")
    try:
        tree = _parser.parse(pattern)
        return _Tried(pattern, whole) if _ways(tree) <= _FEW else _Followed(tree, whole)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        text = pattern.decode()
        raise ValueError(
            f"{text!r:.200} is not a regular expression that can trigger: {error}"
        ) from None


def _ways(tree: Any) -> float:
    """In how many ways `re` may go through a pattern, infinity where something is repeated."""
    ways = 1.0
    for op, of in tree:
        name = str(op)
        if name == "BRANCH":
            ways *= sum(map(_ways, of[1]))
        elif name == "SUBPATTERN":
            ways *= _ways(of[3])
        elif name.startswith("ASSERT"):
            ways *= _ways(of[1])
        elif name.endswith("REPEAT"):
            ways *= _ways(of[2]) + 1 if of[1] == 1 else math.inf
        elif name not in ("LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "GROUPREF"):
            return math.inf
    return ways
