"""The likeliest token straight from the logits, where numpy is loaded.

The library's greedy sampler first copies the logits of the whole vocabulary into a list of
candidates. For a small model this is a large part of a token's time.
"""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any

from .. import _raw

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..native.library import LlamaLibrary


class Likeliest:
    """Chooses from the outputs of one context, as ``llama_sampler_greedy`` does."""

    def __init__(self, library: LlamaLibrary, n_vocab: int) -> None:
        short = library.short
        self._length = short.llama_sampler_chain_n
        self._get_logits = short.llama_get_logits_ith
        self._row_type = ctypes.c_float * n_vocab
        self._address = 0
        self._row: npt.NDArray[np.float32] | None = None
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
        library must choose: without numpy, with more than our ``n`` samplers in ``chain``, with
        samplers inside the graph, with NaN."""
        numpy = sys.modules.get("numpy")
        if numpy is None or not hasattr(numpy, "frombuffer"):  # or half imported
            return None
        if self._length(chain) != n:
            return None
        if self._get_token is not None and self._get_token(handle, i) != _raw.LLAMA_TOKEN_NULL:
            return None
        if any(get(handle, i) for get in self._get_sampled):
            return None
        logits = self._get_logits(handle, i)
        if not logits:
            return None
        address = ctypes.addressof(logits.contents)
        row = self._row
        if row is None or address != self._address:
            # Of memory that the library may move or free: only for the row that it just gave.
            row = self._row = numpy.frombuffer(self._row_type.from_address(address), numpy.float32)
            self._address = address
        token = int(row.argmax())  # NaN, if there is one
        likeliest = row[token]
        return token if likeliest == likeliest else None
