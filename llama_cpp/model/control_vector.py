"""Control vectors: a direction that is added to the output of each layer."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from .. import _raw
from .. import _std as std
from ..errors import LlamaAdapterError
from ..native.arguments import check_type, integer
from ..native.library import LlamaLibrary
from .gguf import GGUFFile

_MAX_LAYERS = 1 << 16


class LlamaControlVector:
    """Numbers to add to the hidden state after some layers; for `LlamaContext.set_control_vector`.

    ``layers`` is layer -> its numbers, as many in each. Layers count from 0, and the first cannot
    have any. Vectors can be scaled, ``vector * 0.5``, and added, ``vector + other``; they do not
    change. Raises ValueError for layers below 1, different lengths, and infinite numbers or NaN.
    """

    def __init__(self, layers: Mapping[int, Sequence[float]]) -> None:
        check_type(layers, Mapping)
        self._layers: dict[int, array[float]] = {}
        for layer in sorted(layers):
            if not isinstance(layer, int) or layer < 1:
                raise ValueError(f"the layers of a control vector start at 1, not {layer!r}")
            try:
                numbers = array("f", iter(layers[layer]))
            except OverflowError:
                raise ValueError(f"layer {layer} has numbers that are no 32-bit floats") from None
            if not all(map(math.isfinite, numbers)):
                raise ValueError(f"layer {layer} has numbers that are not finite")
            self._layers[layer] = numbers
        lengths = {len(numbers) for numbers in self._layers.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"each layer has to have as many numbers, and some: {sorted(lengths)}")
        self.n_embd: Final = lengths.pop()
        """The count of numbers in a layer: the width of its model."""

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, library: LlamaLibrary | None = None
    ) -> LlamaControlVector:
        """The vector in a GGUF file from ``llama-cvector-generator``: tensors of floats named
        ``direction.1`` and so on.

        Raises FileNotFoundError, and LlamaAdapterError if it is not a control vector.
        """
        file = GGUFFile(LlamaLibrary.chosen(library), std.Path(path), LlamaAdapterError)
        file.check_whole()
        layers: dict[int, array[float]] = {}
        with file.path.open("rb") as stream:
            for name, tensor in file.tensors().items():
                head, _, number = name.rpartition(".")
                if head != "direction" or not number.isdecimal():
                    continue
                one = tensor.shape[1:] == (1, 1, 1)
                if tensor.type != _raw.ggml_type.GGML_TYPE_F32 or not one:
                    raise LlamaAdapterError(f"{path}: {name} is not a row of 32-bit floats")
                stream.seek(tensor.offset)
                layers[int(number)] = array("f", stream.read(tensor.size))
        if not layers:
            raise LlamaAdapterError(f"{path} is not a control vector: it has no tensor direction.1")
        try:
            return cls(layers)
        except ValueError as error:
            raise LlamaAdapterError(f"{path}: {error}") from None

    @property
    def layers(self) -> Mapping[int, Sequence[float]]:
        """Layer -> its numbers."""
        return {layer: list(numbers) for layer, numbers in self._layers.items()}

    def __mul__(self, factor: float) -> LlamaControlVector:
        if not isinstance(factor, int | float):
            return NotImplemented
        return LlamaControlVector(
            {layer: [n * factor for n in numbers] for layer, numbers in self._layers.items()}
        )

    __rmul__ = __mul__

    def __neg__(self) -> LlamaControlVector:
        return self * -1

    def __add__(self, other: LlamaControlVector) -> LlamaControlVector:
        if not isinstance(other, LlamaControlVector):
            return NotImplemented
        if other.n_embd != self.n_embd:
            raise ValueError(f"a vector of width {other.n_embd} added to one of {self.n_embd}")
        sums: dict[int, Sequence[float]] = {**self._layers, **other._layers}
        for layer in self._layers.keys() & other._layers.keys():
            pairs = zip(self._layers[layer], other._layers[layer], strict=True)
            sums[layer] = [a + b for a, b in pairs]
        return LlamaControlVector(sums)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LlamaControlVector):
            return NotImplemented
        return self._layers == other._layers

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        first, last = min(self._layers), max(self._layers)
        return f"<LlamaControlVector, layers {first} to {last}, n_embd={self.n_embd}>"

    def rows(self, n_layer: int) -> array[float]:
        """The numbers in C's form: a row for each layer from 1 on, zeros for absent layers. Raises
        ValueError if ``n_layer`` is too small for its layers."""
        n_layer = integer(n_layer, "n_layer")
        if not max(self._layers) < n_layer <= _MAX_LAYERS:
            raise ValueError(f"n_layer={n_layer} is not {max(self._layers) + 1} to {_MAX_LAYERS}")
        rows = array("f", bytes(4 * self.n_embd * (n_layer - 1)))
        for layer, numbers in self._layers.items():
            at = self.n_embd * (layer - 1)
            rows[at : at + self.n_embd] = numbers
        return rows
