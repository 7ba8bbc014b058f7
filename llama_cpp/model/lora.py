"""What the library would abort over in the file of a LoRA adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .. import _raw
from ..errors import LlamaAdapterError
from ..native.library import LlamaLibrary
from .gguf import GGUFFile, Tensor

Weights = Callable[[], Mapping[str, Tensor]]

# What the conversion scripts write. Others the computation would abort over.
_TYPES = (
    _raw.ggml_type.GGML_TYPE_F32,
    _raw.ggml_type.GGML_TYPE_F16,
    _raw.ggml_type.GGML_TYPE_BF16,
    _raw.ggml_type.GGML_TYPE_Q8_0,
)


def check_lora(
    library: LlamaLibrary, path: Path, model: str, arch: str | None, weights: Weights
) -> None:
    """LlamaAdapterError for what is not an adapter for ``model``, of the architecture ``arch`` and
    with ``weights``, or what the library would abort for when it reads the file or computes."""
    file = GGUFFile(library, path, LlamaAdapterError)
    wanted = {"general.type": "adapter", "general.architecture": arch, "adapter.type": "lora"}
    for key, value in wanted.items():
        if file.string(key) != value:
            raise LlamaAdapterError(
                f"{path} is no LoRA adapter for {model}: "
                f"{key} is {file.string(key)!r} and not {value!r}"
            )
    if file.has("adapter.lora.alpha") and file.float32("adapter.lora.alpha") is None:
        raise LlamaAdapterError(f"{path}: adapter.lora.alpha is no 32-bit float")
    try:
        base = weights()
    except OSError as error:
        raise LlamaAdapterError(
            f"the adapter cannot be compared with its model, whose file is gone: {error}"
        ) from None
    tensors = file.tensors()
    for name, a in tensors.items():
        stem = name.removesuffix(".lora_a")
        b = tensors.get(f"{stem}.lora_b")
        if stem == name or b is None or stem not in base:
            continue  # the library says what is wrong
        problem = _problem(stem, a, b, base)
        if problem:
            raise LlamaAdapterError(f"{path} does not fit {model}: {stem} {problem}")


def _problem(name: str, a: Tensor, b: Tensor, base: Mapping[str, Tensor]) -> str | None:
    """Why a pair does not fit the tensor that it changes."""
    weight = base[name]
    for tensor in (a, b):
        if tensor.type not in _TYPES:
            return f"has type {_raw.ggml_type(tensor.type).name.removeprefix('GGML_TYPE_')}"
        if tensor.shape[2:] != weight.shape[2:]:
            return f"has shape {tensor.shape} where the model has {weight.shape}"
    if weight.type == _raw.ggml_type.GGML_TYPE_NVFP4:
        return "is quantized to NVFP4 in the model, for which there is no LoRA"
    if name.endswith("token_embd.weight"):
        rank = (a.shape[0], b.shape[0])
        if name == "token_embd.weight" and "output.weight" not in base:
            return "is the model's output, too, for which the library has no LoRA"
    else:
        rank = (a.shape[1], b.shape[0])
    if rank[0] != rank[1] or rank[0] < 1:
        return f"has the ranks {rank[0]} and {rank[1]}"
    return None
