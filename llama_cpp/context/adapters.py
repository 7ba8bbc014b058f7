"""A context's changes to its model: LoRA adapters and a control vector."""

from __future__ import annotations

import ctypes
import math
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import _raw
from ..errors import LlamaAdapterError
from ..model.control_vector import LlamaControlVector
from ..model.model import LlamaLora
from ..native import log
from ..native.arguments import c_number
from ..native.resource import Resource
from .cells import CellBooks
from .core import Core
from .state import digest


class ContextAdapters:
    """Sets LoRA adapters and a control vector; `LlamaContext` shows it as its own.

    Earlier tokens stay in the KV cache as they were computed. For the same outputs as with the
    new setting from the start, remove them and decode them again.
    """

    def __init__(self, core: Core, books: CellBooks | None, kept: list[Resource]) -> None:
        """``kept`` holds the adapters in use, as long as the context lives in the library."""
        self._core = core
        self._books = books
        self._kept = kept
        self._loras: Mapping[LlamaLora, float] = {}
        self._vector: tuple[LlamaControlVector | None, tuple[int, int] | None] = (None, None)
        self._facts: tuple[object, ...] | None = ()

    @property
    def loras(self) -> dict[LlamaLora, float]:
        """The adapters that are in use here, and their scales."""
        self._core.opened()
        return dict(self._loras)

    @property
    def facts(self) -> tuple[object, ...]:
        """What tells other adapters apart: their weights and scales, as JSON can have them."""
        if self._facts is None:
            facts: list[object] = [(lora.weights, by) for lora, by in self._loras.items()]
            vector, layers = self._vector
            if vector is not None:
                rows = vector.rows(max(vector.layers) + 1)
                facts += [digest(bytes(rows)), layers]
            self._facts = tuple(facts)
        return self._facts

    def copy(self, other: ContextAdapters) -> None:
        """Use the current adapters of ``other``, from a context on the same model."""
        if self._loras != other._loras:
            self.set_loras(other._loras)
        if self._vector != other._vector:
            vector, layers = other._vector
            self.set_control_vector(vector, layers=layers)

    def close(self) -> None:
        """Release the adapters."""
        self._loras = {}

    def set_loras(self, loras: Mapping[LlamaLora, float] | Iterable[LlamaLora] = ()) -> None:
        """See `LlamaContext.set_loras`."""
        resource = self._core.opened()
        pairs = list(
            loras.items() if isinstance(loras, Mapping) else ((lora, 1.0) for lora in loras)
        )
        attached = []
        for lora, scale in pairs:
            if not isinstance(lora, LlamaLora):
                raise TypeError(f"expected a LlamaLora, not {lora!r}")
            if lora.model is not self._core.model:
                raise LlamaAdapterError(
                    f"{lora!r} was loaded for another model than this context's: {lora.model!r}"
                )
            number = float(c_number(ctypes.c_float, scale, "scale"))
            if not math.isfinite(number):
                raise ValueError(f"scale must be finite, not {scale!r}")
            attached.append((lora, number, lora.opened()))
        if len({id(lora) for lora, _, _ in attached}) < len(attached):
            raise ValueError("an adapter is in the list twice: pass each once")
        count = len(attached)
        handles = (_raw.llama_adapter_lora * count)(*(kept.handle for _, _, kept in attached))
        scales = (ctypes.c_float * count)(*(scale for _, scale, _ in attached))
        with self._changing(), log.heard():
            code = self._core.library.llama_set_adapters_lora(
                resource.handle, handles, count, scales
            )
            if code:
                raise LlamaAdapterError(f"the library refuses the adapters: code {code}")
            for lora in self._loras:
                lora.users.contexts.discard(self._core)
            for lora, _, _ in attached:
                lora.users.contexts.add(self._core)
            self._loras = {lora: scale for lora, scale, _ in attached}
            self._kept[:] = [kept for _, _, kept in attached]

    def set_control_vector(
        self, vector: LlamaControlVector | None, *, layers: tuple[int, int] | None = None
    ) -> None:
        """See `LlamaContext.set_control_vector`."""
        resource = self._core.opened()
        short = self._core.short
        raw_model = short.llama_get_model(resource.handle)
        n_embd = int(short.llama_model_n_embd(raw_model))
        n_layer = int(short.llama_model_n_layer(raw_model))
        rows, first, last = None, -1, -1
        if vector is not None:
            if not isinstance(vector, LlamaControlVector):
                raise TypeError(f"expected a LlamaControlVector, not {vector!r}")
            if vector.n_embd != n_embd:
                raise LlamaAdapterError(f"{vector!r} is for n_embd={vector.n_embd}, not {n_embd}")
            if max(vector.layers) >= n_layer:
                raise LlamaAdapterError(f"{vector!r}: the model has the layers 1 to {n_layer - 1}")
            first, last = layers or (1, n_layer - 1)
            for layer in (first, last):
                if not 1 <= c_number(ctypes.c_int32, layer, "layers") < n_layer:
                    raise ValueError(f"layers={layers}: the model has 1 to {n_layer - 1}")
            if first > last:
                raise ValueError(f"layers={layers}: the first is greater than the last")
            rows = vector.rows(n_layer)
        elif layers is not None:
            raise ValueError("layers without a vector")
        data = None if rows is None else (ctypes.c_float * len(rows)).from_buffer(rows)
        with self._changing(), log.heard() as said:
            short.llama_synchronize(resource.handle)  # a running decode may still read the old one
            code = self._core.library.llama_set_adapter_cvec(
                resource.handle, data, 0 if rows is None else len(rows), n_embd, first, last
            )
            if code:
                raise LlamaAdapterError(
                    "the control vector was not set: " + log.reason(said, "out of memory")
                )
            self._vector = (vector, layers)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Reserve the context for this thread. The next decode builds the new setting in, and
        iterates over the model's adapters for it: no thread may load or free one meanwhile."""
        core, lock = self._core, self._core.model.adapters_lock
        with core.held():
            core.opened()
            yield
            self._facts = None
            if self._books is not None:
                self._books.reweigh()
            if not isinstance(core.decode, _Rebuilding):
                restore = {"decode": core.decode, "encode": core.encode}
                core.decode = _Rebuilding(core.decode, lock, core, restore)
                core.encode = _Rebuilding(core.encode, lock, core, restore)


class _Rebuilding:
    """A decode or encode under a lock, once; then ``owner`` gets its own function back."""

    def __init__(
        self, function: Any, lock: threading.RLock, owner: object, restore: Mapping[str, Any]
    ) -> None:
        self._function = function
        self._lock = lock
        self._owner = weakref.ref(owner)
        self._restore = restore

    def __call__(self, *arguments: Any) -> Any:
        with self._lock:
            vars(self._owner()).update(self._restore)
            return self._function(*arguments)
