"""Whether drafts pay: the time of a decode by its number of tokens, and how many drafts are right.

Both are measured while a context generates. A draft is checked if it is expected to save time; a
cheap one that is not is compared to the tokens as they come, which costs no decode. Each generation
has an account of the time that its drafts have saved or lost, and they stop where it is empty.
"""

from __future__ import annotations

from collections import deque
from typing import Any

MOST = 32
"""The most tokens that are drafted at once."""

_ENOUGH = 3  # measures of a decode of one token, before the first draft
_RENEWED = 256  # tokens, after which an old measure is forgotten
_UNKNOWN = 1.25  # the cost of a decode of several, until one was measured
_MARGIN = 1.05  # the speed-up that is expected of a draft
_SHARE = 0.007  # of the time without drafts that they may lose, at the beginning and as it goes on
_TOKENS = 128  # whose share there is at the beginning
_SLACK = 0.7  # tokens, by which a draft may overdraw it
_RICH = 16.0  # the most on account, in tokens
_JUDGED = 64.0


class Curve:
    """The cost of a decode of n tokens in a context, where that of one token is 1."""

    def __init__(self) -> None:
        self.one = 0.0
        """The seconds of a decode of one token; 0 while that is not known."""
        self.records: dict[type, Record] = {}
        """What is known of the drafts of each class."""
        self._ones: deque[float] = deque(maxlen=9)
        self._costs: dict[int, deque[float]] = {}
        self._n = 0
        self._table: list[float] = []
        self._last = 1

    def note(self, n: int, seconds: float) -> None:
        """A decode of ``n`` tokens took so long."""
        if n > 1:
            self._costs.setdefault(n, deque(maxlen=5)).append(max(1.0, seconds / self.one))
            self._table = []
            return
        self._ones.append(seconds)
        if len(self._ones) >= _ENOUGH:
            self.one = _median(self._ones)
        self._n += 1
        if self._n % _RENEWED == 0:
            for size, costs in list(self._costs.items()):
                costs.popleft()
                if not costs:
                    del self._costs[size]
            self._table = []

    def cost(self, n: int) -> float:
        """The cost of ``n`` tokens, with the hope that more than were measured cost no more."""
        if not self._table:
            self._fill()
        return self._table[n]

    def risk(self, n: int) -> float:
        """As `cost`, with the fear that each token more than were measured costs as much as one."""
        return self.cost(min(n, self._last)) + max(0, n - self._last)

    def _fill(self) -> None:
        known = {1: 1.0} | {n: _median(costs) for n, costs in sorted(self._costs.items())}
        self._table = [0.0, 1.0]
        for (low, least), (high, most) in zip(
            list(known.items()), list(known.items())[1:], strict=False
        ):
            step = (most - least) / (high - low)
            self._table += [least + step * i for i in range(1, high - low + 1)]
        self._last = len(self._table) - 1
        rest = self._table[-1] if self._last > 1 else _UNKNOWN
        self._table += [rest] * (MOST + 2 - len(self._table))


class Record:
    """What is known of one class of drafts in a context."""

    def __init__(self, cost: float) -> None:
        self.cost = cost
        """The time to draft a token, where that of a decode of one token is 1."""
        self.reading: float | None = None
        """Seconds for each token of a prompt, before the first draft."""
        self.offered = 1.0
        """How often there is a draft."""
        self.gain = 0.0
        """Seconds that it saves a token."""
        # By the number of right tokens just before: how many were right, and how many there were.
        self._judged = [[1.0, 2.0] for _ in range(5)]

    def judge(self, streak: int, right: bool) -> None:
        """Note whether a token was right, after ``streak`` right ones."""
        judged = self._judged[min(streak.bit_length(), 4)]
        if judged[1] >= _JUDGED:
            judged[:] = [n / 2 for n in judged]
        judged[0] += right
        judged[1] += 1

    def probability(self, streak: int) -> float:
        """That a token is right, after ``streak`` right ones."""
        right, n = self._judged[min(streak.bit_length(), 4)]
        return right / n


class Pace:
    """How many tokens to draft, and to check, in one generation."""

    def __init__(
        self, curve: Curve, draft: Any, prompt: int, seconds: float, left: int, twice: bool
    ) -> None:
        """``draft`` guesses for a ``prompt`` of so many tokens, which took so many ``seconds``, and
        ``left`` tokens that may follow; ``twice`` says that wrong drafts are computed again."""
        hint = min(max(0.0, float(getattr(draft, "cost", 0.0))), 1e3)
        self._record = record = curve.records.setdefault(type(draft), Record(hint))
        record.cost += (hint - record.cost) / 4  # a bad moment is not to be the end
        self._curve = curve
        self._expected = min(left, _TOKENS)
        self._prompt = prompt
        self._twice = twice
        self._begun = False
        self._streak = 0
        self._account = _SHARE * seconds
        self._credited = False
        self._saved, self._tokens = 0.0, 0

    def wanted(self, most: int) -> int:
        """How many tokens to ask for, of at most ``most``; 0 to leave the draft alone."""
        one, record = self._curve.one, self._record
        if one and not self._credited:
            self._credited = True
            self._account += _SHARE * self._expected * one
        if not one or most < 1 or (most + 1) / (1 + most * record.cost) < _MARGIN:
            return 0
        if not self._begun:
            reading = (record.reading or 0.0) * self._prompt
            if reading > max(self._account, record.gain * self._expected / 2):
                return 0
        if record.cost <= _SHARE:
            return most
        if n := self.best(most, record.cost, record.offered):
            return n
        return int(record.cost * one <= self._account)

    def drafted(self, n: int, wanted: int, seconds: float) -> int:
        """``n`` tokens of ``wanted`` were drafted, in so many ``seconds``: how many to check."""
        record = self._record
        record.offered += (bool(n) - record.offered) / 16
        if not self._begun:  # it has read the prompt
            self._begun = True
            record.reading = seconds / self._prompt
            self._pay(min(seconds, max(0.0, self._account)))
        else:
            cost = seconds / self._curve.one / (n + (n < wanted))
            record.cost += (cost - record.cost) / 8
            self._pay(seconds)
        if not n:
            self._streak = 0
        return self.best(n)

    def decoded(self, n: int, seconds: float) -> None:
        """A decode of ``n`` tokens, all but one of them drafted, took so long."""
        self._curve.note(n, seconds)
        if n == 1:
            self._account += _SHARE * seconds
        else:
            self._pay(seconds - self._curve.one)
        self._tokens += 1
        self._record.gain += (self._saved / self._tokens - self._record.gain) / 32

    def repaired(self, seconds: float) -> None:
        """To decode tokens again took so long."""
        self._pay(seconds - self._curve.one)

    def judged(self, right: bool, *, checked: bool = True) -> None:
        """Whether the next drafted token was right, and whether its decode was saved by that."""
        self._record.judge(self._streak, right)
        self._streak = self._streak + 1 if right else 0
        if right and checked:
            self._tokens += 1
            self._pay(-self._curve.one)

    def best(self, most: int, price: float = 0.0, offered: float = 1.0) -> int:
        """How many of ``most`` tokens to check, for the greatest speed-up; 0 if it is too small, or
        the account. They are drafted at ``price`` each, so ``offered`` often."""
        curve, record, streak = self._curve, self._record, self._streak
        if self._account < 0 or not curve.one:
            return 0
        room = self._account / curve.one + _SLACK
        best, found = _MARGIN, 0
        right = expected = 1.0
        for n in range(1, most + 1):
            if (curve.risk(n + 1) - 1) * (1 + self._twice) > room:
                break
            right *= record.probability(streak)
            expected += right
            more = (curve.cost(n + 1) - 1) * (1 + self._twice * (1 - right))
            speed = (1 + offered * (expected - 1)) / (1 + offered * more + n * price)
            if speed > best:
                best, found = speed, n
            streak += 1
        return found

    def _pay(self, seconds: float) -> None:
        self._saved -= seconds
        self._account = min(self._account - seconds, _RICH * self._curve.one)


def _median(values: deque[float]) -> float:
    return sorted(values)[len(values) // 2]
