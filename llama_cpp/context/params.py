"""The parameters of a context: checks, and the memory that they need."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from .. import _raw
from .._params import LlamaContextParams as LlamaContextParams
from ..engine.machine import memory_limit, usable_cores
from ..errors import LlamaContextError
from ..model.device import devices
from ..model.model import LlamaModel
from ..model.params import set_params

# Limits outside which the library aborts, fills the memory, hangs or computes NaN: keyword
# -> least and greatest value. NaN logits are not harmless: sorting them reads out of bounds.
_RANGES: dict[str, tuple[float, float]] = {
    "n_ctx": (0, (1 << 31) - (1 << 16)),  # it rounds up in 32 bits, and positions have 31
    "n_batch": (1, 1 << 20),
    "n_ubatch": (1, 1 << 20),
    "n_seq_max": (1, 1 << 20),
    "rope_freq_base": (0, 1e15),
    "rope_freq_scale": (0, 1e6),
    "yarn_ext_factor": (-1e6, 1e6),
    "yarn_attn_factor": (-1e6, 1e6),
    "yarn_beta_fast": (-1e6, 1e6),
    "yarn_beta_slow": (-1e6, 1e6),
    "yarn_orig_ctx": (0, (1 << 31) - 1),
}
# The types that the CPU can write to, with their bytes for 32 values. It cannot write to ggml's
# other types, or the library makes views of the wrong size.
_CACHE_TYPES: dict[int, int] = {
    _raw.ggml_type.GGML_TYPE_F32: 128,
    _raw.ggml_type.GGML_TYPE_F16: 64,
    _raw.ggml_type.GGML_TYPE_BF16: 64,
    _raw.ggml_type.GGML_TYPE_Q8_0: 34,
    _raw.ggml_type.GGML_TYPE_Q5_0: 22,
    _raw.ggml_type.GGML_TYPE_Q5_1: 24,
    _raw.ggml_type.GGML_TYPE_Q4_0: 18,
    _raw.ggml_type.GGML_TYPE_Q4_1: 20,
    _raw.ggml_type.GGML_TYPE_IQ4_NL: 18,
}
# Architectures that the library computes wrongly with several sequences in a batch, up to an abort
# in `llama_decode` (b11549: src/models/plamo2.cpp, build_plamo2_mamba_layer).
_ONE_SEQUENCE = ("plamo2",)
_GPUS = (_raw.GGML_BACKEND_DEVICE_TYPE_GPU, _raw.GGML_BACKEND_DEVICE_TYPE_IGPU)
# The library's bookkeeping for each token in the KV cache, in bytes.
_CELL = 128


def context_params(model: LlamaModel, given: Mapping[str, Any]) -> _raw.llama_context_params:
    """The C struct for the keywords ``given``. Raises TypeError or ValueError for values that make
    the library abort or read out of bounds, LlamaContextError for what the model cannot."""
    if model._vocab_only:
        raise LlamaContextError(
            f"{model.path.name} was loaded with vocab_only: it has no weights to run"
        )
    raw = model.library.short.llama_context_default_params()
    raw.n_threads = raw.n_threads_batch = usable_cores()
    raw.no_perf = False  # reads the clock twice for each decode
    set_params(raw, given, "LlamaContext")
    _check(model, raw)
    return raw


def _check(model: LlamaModel, raw: _raw.llama_context_params) -> None:
    for name, (low, high) in _RANGES.items():
        value = getattr(raw, name, low)
        if not low <= value <= high:
            raise ValueError(f"{name}={value} is outside {low} to {high}")
    for name in ("type_k", "type_v"):
        if getattr(raw, name) not in _CACHE_TYPES:
            given = _raw.ggml_type(getattr(raw, name)).name
            known = ", ".join(_raw.ggml_type(t).name for t in _CACHE_TYPES)
            raise ValueError(f"{name}={given} is not a KV cache type; use one of {known}")
    for name in ("n_threads", "n_threads_batch"):
        check_threads(name, getattr(raw, name))
    # An engine that was linked without it refuses too many sequences itself.
    if model.library.has("llama_max_parallel_sequences"):
        most = int(model.library.short.llama_max_parallel_sequences())
        if raw.n_seq_max > most:
            raise ValueError(f"n_seq_max={raw.n_seq_max} is more than the library's {most}")
    if raw.n_seq_max > most_sequences(model):
        kind = model.metadata["general.architecture"]
        raise LlamaContextError(
            f"n_seq_max={raw.n_seq_max}: the library can compute one sequence of {kind} only"
        )
    # The library makes n_batch no larger than n_ctx, which it rounds up only later.
    if raw.n_seq_max > min(raw.n_batch, raw.n_ctx or model.n_ctx_train):
        raise ValueError(
            f"n_seq_max={raw.n_seq_max} is more than the smaller of n_batch={raw.n_batch} and "
            f"n_ctx={raw.n_ctx}: each sequence needs room in a batch"
        )
    limit = getattr(raw, "n_outputs_max", 0)  # older llama.cpp has no such field
    if 0 < limit < raw.n_seq_max:
        raise ValueError(
            f"n_seq_max={raw.n_seq_max} is more than n_outputs_max={limit}: "
            "each sequence needs room for an output"
        )

    if raw.embeddings:
        facts, arch = model.metadata, model.metadata.get("general.architecture")
        pooling = raw.pooling_type
        if pooling == _raw.LLAMA_POOLING_TYPE_UNSPECIFIED:
            pooling = int(facts.get(f"{arch}.pooling_type", pooling))
        n_ctx = raw.n_ctx or model.n_ctx_train
        n_batch = min(n_ctx, raw.n_batch) if is_causal(model, raw) else raw.n_batch
        n_ubatch = min(n_batch, raw.n_ubatch, (n_ctx + 255) // 256 * 256)
        check_pooling(pooling, n_ubatch, raw.n_seq_max, limit or n_ubatch)


def most_sequences(model: LlamaModel) -> int:
    """The greatest ``n_seq_max`` that the architecture of ``model`` allows."""
    return 1 if model.metadata.get("general.architecture") in _ONE_SEQUENCE else sys.maxsize


def is_causal(model: LlamaModel, raw: _raw.llama_context_params) -> bool:
    """Whether a context begins with causal attention, by the library's own rule."""
    if raw.attention_type != _raw.LLAMA_ATTENTION_TYPE_UNSPECIFIED:
        return bool(raw.attention_type == _raw.LLAMA_ATTENTION_TYPE_CAUSAL)
    arch = model.metadata.get("general.architecture")
    return model.metadata.get(f"{arch}.attention.causal") != "false"


def turns_keys(model: LlamaModel, raw: _raw.llama_context_params) -> bool:
    """Whether the library can turn the keys of moved cells. If it cannot (b11434), the next decode
    ends the process: its CPU code does not turn BF16, and its graph for quantized keys assumes a
    rotation matrix that not all models get (llama-kv-cache.cpp, build_rope_shift)."""
    if model.library.short.llama_model_rope_type(model.handle) == _raw.LLAMA_ROPE_TYPE_NONE:
        return True
    if raw.type_k in (_raw.ggml_type.GGML_TYPE_F32, _raw.ggml_type.GGML_TYPE_F16):
        return True
    if raw.type_k == _raw.ggml_type.GGML_TYPE_BF16 or os.environ.get("LLAMA_ATTN_ROT_DISABLE"):
        return False
    facts, at = model.metadata, f"{model.metadata.get('general.architecture')}.attention.key_length"
    size = int(facts.get(at, model.n_embd // (model.n_head or 1)))
    return size % 64 == 0 and int(facts.get(f"{at}_swa", size)) == size


def check_pooling(pooling: int, n_ubatch: int, n_seq_max: int, n_outputs_max: int) -> None:
    """Raise ValueError if the library would abort when it sets up the mean of embeddings: there it
    rounds the tokens up to a multiple of the sequences, and ignores the outputs."""
    if pooling not in (_raw.LLAMA_POOLING_TYPE_MEAN, _raw.LLAMA_POOLING_TYPE_RANK):
        return
    if n_ubatch % n_seq_max:
        raise ValueError(
            f"n_ubatch={n_ubatch} must be a multiple of n_seq_max={n_seq_max} for pooled embeddings"
        )
    if n_outputs_max < n_ubatch:
        raise ValueError(
            f"n_outputs_max={n_outputs_max} is less than n_ubatch={n_ubatch}: pooled embeddings "
            "need an output for each token"
        )


def check_threads(name: str, value: int) -> int:
    """``value`` if ggml accepts that number of threads. Raises ValueError otherwise."""
    if not 1 <= value <= _raw.GGML_MAX_N_THREADS:
        raise ValueError(f"{name} must be 1 to {_raw.GGML_MAX_N_THREADS}")
    return value


# -- memory


def check_memory(model: LlamaModel, raw: _raw.llama_context_params) -> None:
    """Raise LlamaContextError for a KV cache larger than the machine's memory. Linux would grant
    that memory, and kill the process when the library fills it."""
    n_ctx = raw.n_ctx or model.n_ctx_train
    size, total = n_ctx * bytes_per_token(model, raw), memory_limit(available=False)
    if total is not None and size > total:
        raise LlamaContextError(
            f"n_ctx={n_ctx}: the KV cache of {model.path.name} would take {size / 2**30:,.1f} GiB "
            f"or more, there are {total / 2**30:,.1f} GiB of memory; make n_ctx smaller, or let "
            "fit=True find one"
        )


def fitting(model: LlamaModel, raw: _raw.llama_context_params) -> int:
    """The largest n_ctx, up to that of ``raw``, whose cache fits into the available memory."""
    n_ctx = raw.n_ctx or model.n_ctx_train
    each, available = bytes_per_token(model, raw), memory_limit(available=True)
    if not each or available is None:
        return n_ctx
    # Besides the cache: the library's bookkeeping of each cell, and the attention mask. A fifth is
    # left for everything else, because Linux kills a process that takes the last memory.
    each += _CELL + 6 * raw.n_ubatch
    return max(1, min(n_ctx, available * 4 // 5 // each))


def bytes_per_token(model: LlamaModel, raw: _raw.llama_context_params) -> int:
    """The minimum of bytes for a token of the KV cache in main memory; 0 if unknown.

    The C API does not say which layers have a cache for the whole context. For models with a
    sliding window, and for those with recurrent layers, this takes it to be one in eight.
    """
    calls = model.library.short
    if raw.offload_kqv and any(device.type in _GPUS for device in devices(model.library)):
        return 0  # it may be in a GPU's memory, which is not promised without being there
    facts = model.metadata
    arch = facts.get("general.architecture", "")
    n_head = model.n_head
    head = model.n_embd // n_head if n_head else 0
    n_head_kv = int(calls.llama_model_n_head_kv(model.handle))
    key = int(facts.get(f"{arch}.attention.key_length", head))
    value = int(facts.get(f"{arch}.attention.value_length", head))
    if f"{arch}.attention.kv_lora_rank" in facts:
        value = 0  # the values are a part of the keys
    layers = model.n_layer
    some = ("llama_model_n_swa", "llama_model_is_hybrid", "llama_model_is_recurrent")
    if any(model.library.has(name) and getattr(calls, name)(model.handle) for name in some):
        layers //= 8
    row = key * _CACHE_TYPES[raw.type_k] + value * _CACHE_TYPES[raw.type_v]
    return layers * n_head_kv * row // 32
