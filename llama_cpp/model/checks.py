"""Checks of model, projector and adapter files that the library omits, and so crashes.

Only the header is read. The library itself checks counts, lengths, shapes and offsets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import _raw
from ..engine.machine import address_space
from ..errors import LlamaAdapterError, LlamaModelError
from ..native.calls import Beside
from ..native.library import LlamaLibrary
from .device import devices
from .gguf import GGUFFile, Tensor

if TYPE_CHECKING:
    from pathlib import Path

_Type = _raw.ggml_type
# Added and multiplied with what is computed, number by number and in its own type.
_PLAIN = (
    r"\.bias$|\.scales?$|norm.*\.weight$|\.ssm_(a|d|conv1d\.weight)$|shortconv\.conv\.weight$"
    r"|rope_(freqs|factors_long|factors_short)\.weight$|\.attn_sinks(\.weight)?$"
    r"|(time|channel)_mix_(lerp_\w+|first|decay|ln|w0|a0|v0|k_k|k_a|r_k)\.weight$"
    r"|\.(layer_output_scale|altup_correct_scale|gamma)\.weight$|^token_types\.weight$"
)
_HALF = (_Type.GGML_TYPE_F16, _Type.GGML_TYPE_BF16)
# Types of intermediate results: weights of these types cannot be multiplied.
_NO_WEIGHTS = (
    _Type.GGML_TYPE_Q8_1,
    _Type.GGML_TYPE_Q8_K,
    _Type.GGML_TYPE_F64,
    _Type.GGML_TYPE_I8,
    _Type.GGML_TYPE_I16,
)
_NUMBERS = (_Type.GGML_TYPE_I32, _Type.GGML_TYPE_I64)
_LAYER = r"\.\d+\."
# What may be such numbers: of tokens, experts and rows.
_INDEXES = r"tid2eid|d2t|masked_embd|selector"


def begin_check(library: LlamaLibrary, files: Sequence[Path]) -> Callable[[], None]:
    """Begin `check_model` in another thread, next to the loader, which takes longer. Returns a
    function that waits for it and raises its error. With a limit of the memory it only begins then:
    if memory is short, loading is the one to report it."""
    check = partial(check_model, library, files)
    limited = address_space(available=False)
    return check if limited else Beside(check, "llama_cpp model check").result


def check_model(library: LlamaLibrary, files: Sequence[Path]) -> None:
    """Raise LlamaModelError for tensors of types that make the library abort when it computes with
    them, and for an epsilon below 0."""
    # Others than the CPU compute with half precision throughout.
    halves = any(
        one.type != _raw.ggml_backend_dev_type_enum.GGML_BACKEND_DEVICE_TYPE_CPU
        for one in devices(library)
    )
    found: set[str] = set()
    for path in files:
        file = GGUFFile(library, path)
        types = file.types()
        found.update(types)
        for key, value in file.floats():
            if key.endswith("epsilon") and not value >= 0:
                raise LlamaModelError(f"{path} is damaged: {key} is {value}")
        # Layers are alike: one of them is looked at.
        alike = {(re.sub(_LAYER, ".", name), kind): name for name, kind in types.items()}
        for (_, kind), name in alike.items():
            if kind == _Type.GGML_TYPE_F32:
                continue
            if re.search(_PLAIN, name):
                good = halves and kind in _HALF
            elif re.search(_INDEXES, name):
                good = kind not in _NO_WEIGHTS
            else:
                good = kind not in (*_NO_WEIGHTS, *_NUMBERS)
            if not good:
                raise _wrong_type(path, name, kind)
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


_HEAD = r"^([av]\.blk\.\d+\.attn_)[qkv]\.weight$"


def check_projector(library: LlamaLibrary, path: Path) -> None:
    """Raise LlamaModelError for weights of types without multiplication, and for a layer with only
    a part of its attention. The library crashes with both, and with other missing tensors: these
    depend on the projector, so a trial finds them, see probe.py."""
    found = GGUFFile(library, path).tensors()
    for name, tensor in found.items():
        if name.endswith((".weight", ".bias")) and tensor.type in (*_NO_WEIGHTS, *_NUMBERS):
            raise _wrong_type(path, name, tensor.type)
    for match in filter(None, (re.match(_HEAD, name) for name in found)):
        for part in "qkv":
            name = f"{match[1]}{part}.weight"
            if name not in found:
                raise LlamaModelError(f"{path} is damaged: it lacks the tensor {name}")


# The types that the conversion scripts write for LoRA. With others the computation would abort.
_LORA = (_Type.GGML_TYPE_F32, _Type.GGML_TYPE_F16, _Type.GGML_TYPE_BF16, _Type.GGML_TYPE_Q8_0)


def check_lora(
    library: LlamaLibrary,
    path: Path,
    model: str,
    arch: str | None,
    weights: Callable[[], Mapping[str, Tensor]],
) -> None:
    """Raise LlamaAdapterError unless it is an adapter for ``model``, of the architecture ``arch``
    and with ``weights``, that the library can read and compute with without an abort."""
    file = GGUFFile(library, path, LlamaAdapterError)
    wanted = {"general.type": "adapter", "general.architecture": arch, "adapter.type": "lora"}
    for key, value in wanted.items():
        if file.string(key) != value:
            raise LlamaAdapterError(
                f"{path} is not a LoRA adapter for {model}: "
                f"{key} is {file.string(key)!r} and not {value!r}"
            )
    if file.has("adapter.lora.alpha") and file.float32("adapter.lora.alpha") is None:
        raise LlamaAdapterError(f"{path}: adapter.lora.alpha is not a 32-bit float")
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
            continue  # the library reports this fault itself
        problem = _problem(stem, a, b, base)
        if problem:
            raise LlamaAdapterError(f"{path} does not fit {model}: {stem} {problem}")


def _problem(name: str, a: Tensor, b: Tensor, base: Mapping[str, Tensor]) -> str | None:
    """The reason why a pair does not fit the tensor that it changes, or None."""
    weight = base[name]
    for tensor in (a, b):
        if tensor.type not in _LORA:
            return f"has type {_Type(tensor.type).name.removeprefix('GGML_TYPE_')}"
        if tensor.shape[2:] != weight.shape[2:]:
            return f"has shape {tensor.shape} where the model has {weight.shape}"
    if weight.type == _Type.GGML_TYPE_NVFP4:
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
