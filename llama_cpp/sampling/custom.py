"""Samplers written in Python, and their candidates.

Python, not the library, runs a chain with such a sampler, step by step. So exceptions need not pass
through C, and the candidates are checked before C reads them.
"""

from __future__ import annotations

import ctypes
import math
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from operator import index
from typing import TYPE_CHECKING, Any, Protocol

from .. import _raw
from ..errors import LlamaSamplerError
from ..native.resource import Resource

if TYPE_CHECKING:
    from ..native.library import LlamaLibrary

_REJECTED = 1000
_FIELDS = 3  # of a candidate, each of four bytes


class CustomSampler(Protocol):
    """A sampler for `LlamaSampler.custom`.

    Optional members: ``accept(token)``, called with each token that the chain accepts; ``reset()``;
    ``clone()``, which returns a copy for a clone of the chain (without it, both chains share the
    sampler); ``selects = True`` if it sets ``candidates.selected`` and so ends the chain.
    """

    def apply(self, candidates: LlamaCandidates) -> object:
        """Change the logits, drop candidates, or select one."""


class LlamaCandidates:
    """The tokens that may come next: records of ``id``, ``logit`` and ``p``.

    ``np.asarray(candidates)`` is an array of these records, and not a copy:
    ``np.asarray(candidates)["logit"] += 1`` changes them. Without numpy, `ids` and `logits` are
    views, and ``candidates[i]`` is a record whose fields can be set. They are for use in ``apply``:
    afterwards they can be read, but nothing looks at them any more.
    """

    def __init__(self, n: int) -> None:
        self._records = (_raw.llama_token_data * n)()
        view = memoryview(self._records).cast("B")
        self._ids: memoryview[int] = view.cast("i")[0::_FIELDS]
        self._logits: memoryview[float] = view.cast("f")[1::_FIELDS]
        self._p: memoryview[float] = view.cast("f")[2::_FIELDS]
        self._size = n
        self._selected = -1
        self._sorted = False

    @property
    def size(self) -> int:
        """The number of candidates. Set it to drop the last ones."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        number = index(size)
        if not 0 <= number <= self._size:
            raise ValueError(f"size={number} is not 0 to {self._size}: candidates cannot be added")
        self._size = number

    @property
    def selected(self) -> int:
        """The index of the selected candidate, -1 if there is none yet. A sampler with ``selects``
        sets it."""
        return self._selected

    @selected.setter
    def selected(self, place: int) -> None:
        number = index(place)
        if not 0 <= number < self._size:
            raise ValueError(f"selected={number} is not 0 to {self._size - 1}")
        self._selected = number

    @property
    def sorted(self) -> bool:
        """Whether the greatest logit comes first, and so on, when ``apply`` is called."""
        return self._sorted

    @property
    def ids(self) -> memoryview[int]:
        """The tokens."""
        return self._ids[: self._size]

    @property
    def logits(self) -> memoryview[float]:
        """Their logits, to be changed: minus infinity forbids a token."""
        return self._logits[: self._size]

    @property
    def p(self) -> memoryview[float]:
        """Their probabilities, where a sampler before this one has computed them; otherwise 0."""
        return self._p[: self._size]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: int) -> _raw.llama_token_data:
        i = index(place)
        if not -self._size <= i < self._size:
            raise IndexError(f"candidate {place} of {self._size}")
        return self._records[i % self._size]

    def __iter__(self) -> Iterator[_raw.llama_token_data]:
        return iter(self._records[: self._size])

    def __repr__(self) -> str:
        return f"<LlamaCandidates, {self._size}>"

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "shape": (self._size,),
            "typestr": f"|V{ctypes.sizeof(_raw.llama_token_data)}",
            "descr": [("id", "=i4"), ("logit", "=f4"), ("p", "=f4")],
            "data": (ctypes.addressof(self._records), False),
        }


@lru_cache(maxsize=2)
def _fresh(n: int) -> bytes:
    """The records of ``n`` tokens, without logits. To count takes longer than to sample a token."""
    records = array("i", bytes(4 * _FIELDS * n))
    records[0::_FIELDS] = array("i", range(n))
    return records.tobytes()


class Candidates:
    """All tokens as candidates, for the library's own samplers to work on."""

    def __init__(self, library: LlamaLibrary, n: int) -> None:
        self.n = n
        self._library = library
        self._best: Resource | None = None
        self._apply = library.short.llama_sampler_apply
        self._fresh = _fresh(n)
        self._records = (_raw.llama_token_data * n).from_buffer_copy(self._fresh)
        view = memoryview(self._records).cast("B")
        self.ids: memoryview[int] = view.cast("i")[0::_FIELDS]
        self.logits: memoryview[float] = view.cast("f")[1::_FIELDS]
        self.p: memoryview[float] = view.cast("f")[2::_FIELDS]
        self.array = _raw.llama_token_data_array()
        self.array.data = self._records

    @cached_property
    def _copies(self) -> tuple[LlamaCandidates, LlamaCandidates]:
        return LlamaCandidates(self.n), LlamaCandidates(self.n)

    def fill(self, logits: memoryview[float]) -> None:
        """Begin anew, with these logits of all tokens."""
        ctypes.memmove(self._records, self._fresh, len(self._fresh))
        self.logits[:] = logits
        self.array.size, self.array.selected, self.array.sorted = len(logits), -1, False

    def keep(self, tokens: Sequence[int], logits: memoryview[float]) -> None:
        """Begin anew with these tokens, and with enough rejected ones that every sampler works
        although the others are missing."""
        kept = set(tokens)
        ids = [*tokens, *(t for t in range(min(self.n, len(tokens) + _REJECTED)) if t not in kept)]
        n = self.array.size = len(ids)
        self.array.selected, self.array.sorted = -1, False
        self.ids[:n] = memoryview(array("i", ids))
        padding = [-math.inf] * (n - len(tokens))
        self.logits[:n] = memoryview(array("f", [*(logits[token] for token in tokens), *padding]))

    def take_likeliest(self, n: int) -> float:
        """Drop all but the ``n`` greatest logits. Returns the least of these."""
        if self._best is None:
            short = self._library.short
            self._best = Resource(short.llama_sampler_init_top_k(n), short.llama_sampler_free)
        self.apply(self._best.handle)
        self.array.sorted = False  # as some will be rejected
        return self.logits[n - 1]

    def select_likeliest(self, logit: float) -> None:
        """Select the first in the vocabulary of those with this ``logit``."""
        n = self.array.size
        found = [(self.ids[i], i) for i in range(n) if self.logits[i] == logit]
        self.array.selected = min(found)[1]

    def apply(self, sampler: Any) -> None:
        """Run one of the library's samplers."""
        # A lazy grammar that waits has nothing to apply.
        if not sampler.contents.iface.contents.apply:
            return
        self._apply(sampler, self.array)
        start = ctypes.addressof(self.array.data.contents)
        if start != ctypes.addressof(self._records):  # xtc drops the first ones by going past them
            used = self.array.size * ctypes.sizeof(_raw.llama_token_data)
            ctypes.memmove(self._records, start, used)
            self.array.data = self._records

    def apply_custom(self, sampler: CustomSampler, name: str) -> None:
        """Run a sampler in Python. LlamaSamplerError if it leaves candidates that are useless, or
        that would make the library read invalid memory."""
        # It works on a copy, and what it leaves is copied before it is looked at: whatever is done
        # to the candidates later, and by whatever thread, is harmless.
        array, (shown, left) = self.array, self._copies
        used = array.size * ctypes.sizeof(_raw.llama_token_data)
        ctypes.memmove(shown._records, self._records, used)
        shown._size, shown._selected, shown._sorted = array.size, -1, array.sorted
        sampler.apply(shown)
        size = shown._size
        if not size:
            raise LlamaSamplerError(f"{name} left no candidate")
        ctypes.memmove(left._records, shown._records, used)
        ids, logits = left._ids[:size], left._logits[:size]
        if ids != self.ids[:size] and (min(ids) < 0 or max(ids) >= self.n):
            raise LlamaSamplerError(f"{name} left an id that is no token: 0 to {self.n - 1}")
        total = sum(logits)
        if math.isnan(total) or total == math.inf:
            raise LlamaSamplerError(f"{name} left a logit that is not a number, or is infinite")
        if total == -math.inf and max(logits) == -math.inf:
            raise LlamaSamplerError(f"no candidate is left after {name}: all are forbidden")
        ctypes.memmove(self._records, left._records, used)
        array.size, array.selected, array.sorted = size, -1, False
        if getattr(sampler, "selects", False):
            selected = shown._selected
            if not 0 <= selected < size:
                raise LlamaSamplerError(
                    f"{name} has selected no candidate: it must set candidates.selected"
                )
            array.selected = selected

    @property
    def selected(self) -> int:
        """The token that was selected."""
        place = self.array.selected
        if not 0 <= place < self.array.size:
            raise LlamaSamplerError("the chain has selected no token")
        return int(self._records[place].id)
