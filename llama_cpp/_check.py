"""What the library does not check in a model's file, and crashes over when it computes.

Only the header is read. The library itself checks counts, lengths, shapes and offsets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from . import _raw
from ._gguf import GGUFFile
from .device import devices
from .errors import LlamaModelError
from .library import LlamaLibrary

_Type = _raw.ggml_type
# Added and multiplied with what is computed, in its own type.
_PLAIN = re.compile(r"\.bias$|norm.*\.weight$|\.ssm_(a|d|conv1d\.weight)$|shortconv\.conv\.weight$")
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
# Other tensors may hold numbers of tokens or experts.
_WEIGHTS = re.compile(
    r"(attn_\w+|ffn_(up|down|gate)(_exps|_shexp|_inp)?|ssm_(in|out|x|dt)|output|token_embd"
    r"|token_types|position_embd|cls(\.output)?)\.weight$"
)


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
            elif _WEIGHTS.search(name):
                good = tensor.type not in _NO_WEIGHTS and tensor.type not in _NUMBERS
            else:
                good = tensor.type not in _NO_WEIGHTS
            if not good:
                type_ = _Type(tensor.type).name.removeprefix("GGML_TYPE_")
                raise LlamaModelError(
                    f"{path} is damaged: {name} has the type {type_}, which the library cannot "
                    "compute with there"
                )
    # Optional to the loader, and not to the computation.
    for side in ("enc", "dec"):
        name = f"{side}.blk.0.attn_rel_b.weight"
        if f"{side}.blk.0.attn_q.weight" in found and name not in found:
            raise LlamaModelError(f"{files[0]} is damaged: it lacks the tensor {name}")


_HEAD = re.compile(r"^([av]\.blk\.\d+\.attn_)[qkv]\.weight$")


def check_projector(library: LlamaLibrary, path: Path) -> None:
    """LlamaModelError for a layer with a part of its attention, which the library crashes over.
    It does so over other tensors that are missing, too: which it needs is up to the projector."""
    found = GGUFFile(library, path).tensors()
    for match in filter(None, map(_HEAD.match, found)):
        for part in "qkv":
            name = f"{match[1]}{part}.weight"
            if name not in found:
                raise LlamaModelError(f"{path} is damaged: it lacks the tensor {name}")
