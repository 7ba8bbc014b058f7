"""The likeliest token straight from the logits.

The library's greedy sampler first copies the logits of the whole vocabulary into a list of
candidates. For a small model this is a large part of a token's time.
"""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any

from .. import _raw
from ..native.resource import Resource

if TYPE_CHECKING:
    from ..native.library import LlamaLibrary

_FIELDS = 3  # of a candidate, of four bytes each: its token, its logit, its probability
_SIZE = ctypes.sizeof(ctypes.c_float)


class Likeliest:
    """Chooses from the outputs of one context, as ``llama_sampler_greedy`` does."""

    def __init__(self, library: LlamaLibrary, n_vocab: int) -> None:
        short = library.short
        self._short = short
        self._length = short.llama_sampler_chain_n
        self._get_logits = short.llama_get_logits_ith
        self._apply = short.llama_sampler_apply
        self._row_type = ctypes.c_float * n_vocab
        self._address = 0
        self._row: Any = None
        self._sampler: Resource | None = None
        self._scans = [_Scan(place, n_vocab) for place in range(min(_FIELDS, n_vocab))]
        # Outputs of samplers inside the graph come first.
        self._get_sampled: list[Any] = []
        for name in ("llama_get_sampled_logits_ith", "llama_get_sampled_probs_ith"):
            if library.has(name):
                self._get_sampled.append(getattr(short, name))
        self._get_token: Any = None
        if library.has("llama_get_sampled_token_ith"):
            self._get_token = short.llama_get_sampled_token_ith

    def choose(self, handle: Any, i: int, chain: Any, n: int) -> int | None:
        """The token with the greatest logit of the output ``i``, the first of equals. None if the
        library must choose: with more than our ``n`` samplers in ``chain``, with samplers inside
        the graph, with NaN."""
        return None if self._length(chain) != n else self._find(handle, i)

    def always(self, handle: Any, i: int) -> int:
        """As `choose`, without a chain; by the library's own sampler where that must choose."""
        token = self._find(handle, i)
        if token is None:
            token = int(self._short.llama_sampler_sample(self._greedy(), handle, i))
        return token

    def _find(self, handle: Any, i: int) -> int | None:
        if self._get_token is not None and self._get_token(handle, i) != _raw.LLAMA_TOKEN_NULL:
            return None
        for get in self._get_sampled:
            if get(handle, i):
                return None
        logits = self._get_logits(handle, i)
        if not logits:
            return None
        address = ctypes.addressof(logits.contents)
        numpy = sys.modules.get("numpy")
        if numpy is None or not hasattr(numpy, "frombuffer"):  # or half imported
            return self._scanned(logits, address)
        row = self._row
        if row is None or address != self._address:
            # Of memory that the library may move or free: only for the row that it just gave.
            row = self._row = numpy.frombuffer(self._row_type.from_address(address), numpy.float32)
            self._address = address
        token = int(row.argmax())  # NaN, if there is one
        likeliest = row[token]
        return token if likeliest == likeliest else None

    def _scanned(self, logits: Any, address: int) -> int | None:
        """The token without numpy, by the library's greedy sampler. It reads nothing but the logits
        of its candidates, every third number in memory: so the logits themselves can stand for
        candidates, beginning at each of three places."""
        sampler, found = self._greedy(), []
        for scan in self._scans:
            scan.data.value = address + (scan.place - 1) * _SIZE
            self._apply(sampler, scan.pointer)
            selected = scan.array.selected
            token = scan.place + selected * _FIELDS
            if selected < 0 or (logit := logits[token]) != logit:
                return None
            found.append((logit, -token))
        return -max(found)[1]

    def _greedy(self) -> Any:
        """The library's greedy sampler."""
        if self._sampler is None:
            short = self._short
            self._sampler = Resource(short.llama_sampler_init_greedy(), short.llama_sampler_free)
        return self._sampler.handle


class _Scan:
    """Every third logit from ``place`` on, as the candidates of the library's samplers."""

    def __init__(self, place: int, n_vocab: int) -> None:
        self.place = place
        size = (n_vocab - place + _FIELDS - 1) // _FIELDS
        self.array = _raw.llama_token_data_array(size=size, selected=-1)
        self.pointer = ctypes.byref(self.array)
        self.data = ctypes.c_void_p.from_buffer(self.array)
        """Its first field, where the candidates are."""
