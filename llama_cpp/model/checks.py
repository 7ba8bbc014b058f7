"""What the library does not check in a model's file, and crashes over when it computes.

Only the header is read. The library itself checks counts, lengths, shapes and offsets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .. import _raw
from ..errors import LlamaModelError
from ..native.library import LlamaLibrary
from .device import devices
from .gguf import GGUFFile

_Type = _raw.ggml_type
# Added and multiplied with what is computed, number by number and in its own type.
_PLAIN = re.compile(
    r"\.bias$|\.scales?$|norm.*\.weight$|\.ssm_(a|d|conv1d\.weight)$|shortconv\.conv\.weight$"
    r"|rope_(freqs|factors_long|factors_short)\.weight$|\.attn_sinks(\.weight)?$"
    r"|(time|channel)_mix_(lerp_\w+|first|decay|ln|w0|a0|v0|k_k|k_a|r_k)\.weight$"
    r"|\.(layer_output_scale|altup_correct_scale|gamma)\.weight$|^token_types\.weight$"
)
_HALF = (_Type.GGML_TYPE_F16, _Type.GGML_TYPE_BF16)
# Types of what is computed on the way: weights of them cannot be multiplied with.
_NO_WEIGHTS = (
    _Type.GGML_TYPE_Q8_1,
    _Type.GGML_TYPE_Q8_K,
    _Type.GGML_TYPE_F64,
    _Type.GGML_TYPE_I8,
    _Type.GGML_TYPE_I16,
)
_NUMBERS = (_Type.GGML_TYPE_I32, _Type.GGML_TYPE_I64)
# What may be such numbers: of tokens, experts and rows.
_INDEXES = re.compile(r"tid2eid|d2t|masked_embd|selector")


def check_model(library: LlamaLibrary, files: Sequence[Path]) -> None:
    """LlamaModelError for tensors of types that the library aborts over when it computes with them,
    and for an epsilon below 0."""
    # Others than the CPU compute with half precision throughout.
    halves = any(
        one.type != _raw.ggml_backend_dev_type_enum.GGML_BACKEND_DEVICE_TYPE_CPU
        for one in devices(library)
    )
    found: set[str] = set()
    for path in files:
        file = GGUFFile(library, path)
        found.update(file.tensors())
        for key, value in file.floats():
            if key.endswith("epsilon") and not value >= 0:
                raise LlamaModelError(f"{path} is damaged: {key} is {value}")
        for name, tensor in file.tensors().items():
            if tensor.type == _Type.GGML_TYPE_F32:
                continue
            if _PLAIN.search(name):
                good = halves and tensor.type in _HALF
            elif _INDEXES.search(name):
                good = tensor.type not in _NO_WEIGHTS
            else:
                good = tensor.type not in (*_NO_WEIGHTS, *_NUMBERS)
            if not good:
                raise _wrong_type(path, name, tensor.type)
    # Optional to the loader, and not to the computation.
    for side in ("enc", "dec"):
        name = f"{side}.blk.0.attn_rel_b.weight"
        if f"{side}.blk.0.attn_q.weight" in found and name not in found:
            raise LlamaModelError(f"{files[0]} is damaged: it lacks the tensor {name}")


def _wrong_type(path: Path, name: str, number: int) -> LlamaModelError:
    type_ = _Type(number).name.removeprefix("GGML_TYPE_")
    return LlamaModelError(
        f"{path} is damaged: {name} has the type {type_}, which the library cannot compute with "
        "there"
    )


_HEAD = re.compile(r"^([av]\.blk\.\d+\.attn_)[qkv]\.weight$")


def check_projector(library: LlamaLibrary, path: Path) -> None:
    """LlamaModelError for weights of types that nothing can be multiplied with, and for a layer
    with a part of its attention. The library crashes over both, and over other tensors that are
    missing, too: which it needs is up to the projector, and is tried, see _probe.py."""
    found = GGUFFile(library, path).tensors()
    for name, tensor in found.items():
        if name.endswith((".weight", ".bias")) and tensor.type in (*_NO_WEIGHTS, *_NUMBERS):
            raise _wrong_type(path, name, tensor.type)
    for match in filter(None, map(_HEAD.match, found)):
        for part in "qkv":
            name = f"{match[1]}{part}.weight"
            if name not in found:
                raise LlamaModelError(f"{path} is damaged: it lacks the tensor {name}")
