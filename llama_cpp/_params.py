"""Keyword arguments of every params struct of llama.cpp.

Generated from ggml.h, ggml-alloc.h, ggml-backend.h, ggml-cpu.h, ggml-opt.h, gguf.h, llama.h
by ``python -m codegen regen``. Do not edit: change the header, the templates or the generator.

For each struct there is a TypedDict, for hints, and an entry in `KEYWORDS`, for the checks when a
program runs: keyword -> ctypes type, or name of an enumeration. Only plain values are here. What a struct
points to (`POINTERS`) has a lifetime and a length that C does not check, so the classes that take
such an argument have one of their own for it.
"""

from ctypes import (
    c_bool,
    c_byte,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int16,
    c_int32,
    c_int64,
    c_int8,
    c_longlong,
    c_short,
    c_size_t,
    c_ssize_t,
    c_ubyte,
    c_uint,
    c_uint16,
    c_uint32,
    c_uint64,
    c_uint8,
    c_ulonglong,
    c_ushort,
    c_void_p,
)
from typing import Any, TypedDict


class GgmlInitParams(TypedDict, total=False):
    """Keywords of `ggml_init_params` (ggml.h)."""

    mem_size: int
    no_alloc: bool


class GgmlThreadpoolParams(TypedDict, total=False):
    """Keywords of `ggml_threadpool_params` (ggml.h)."""

    n_threads: int
    prio: int  # ggml_sched_priority
    poll: int
    strict_cpu: bool
    paused: bool


class GgmlOptOptimizerParams(TypedDict, total=False):
    """Keywords of `ggml_opt_optimizer_params` (ggml-opt.h)."""

    pass


class GgmlOptParams(TypedDict, total=False):
    """Keywords of `ggml_opt_params` (ggml-opt.h)."""

    loss_type: int  # ggml_opt_loss_type
    build_type: int  # ggml_opt_build_type
    opt_period: int
    optimizer: int  # ggml_opt_optimizer_type


class GgufInitParams(TypedDict, total=False):
    """Keywords of `gguf_init_params` (gguf.h)."""

    no_alloc: bool


class LlamaModelParams(TypedDict, total=False):
    """Keywords of `llama_model_params` (llama.h)."""

    n_gpu_layers: int  # default: -1
    split_mode: int  # llama_split_mode, default: LLAMA_SPLIT_MODE_LAYER
    load_mode: int  # llama_load_mode, default: LLAMA_LOAD_MODE_AUTO
    lazy_mode: int  # llama_lazy_mode, default: LLAMA_LAZY_MODE_AUTO
    main_gpu: int  # default: 0
    vocab_only: bool  # default: False
    check_tensors: bool  # default: False
    use_extra_bufts: bool  # default: True
    no_host: bool  # default: False
    no_alloc: bool  # default: False
    load_mtp: bool  # default: False


class LlamaContextParams(TypedDict, total=False):
    """Keywords of `llama_context_params` (llama.h)."""

    n_ctx: int  # default: 512
    n_batch: int  # default: 2048
    n_ubatch: int  # default: 512
    n_seq_max: int  # default: 1
    n_rs_seq: int  # default: 0
    n_outputs_max: int  # default: 0
    n_outputs_max_per_seq: int  # default: 1
    n_threads: int  # default: 4
    n_threads_batch: int  # default: 4
    ctx_type: int  # llama_context_type, default: LLAMA_CONTEXT_TYPE_DEFAULT
    rope_scaling_type: int  # llama_rope_scaling_type, default: LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED
    pooling_type: int  # llama_pooling_type_enum, default: LLAMA_POOLING_TYPE_UNSPECIFIED
    attention_type: int  # llama_attention_type, default: LLAMA_ATTENTION_TYPE_UNSPECIFIED
    flash_attn_type: int  # llama_flash_attn_type, default: LLAMA_FLASH_ATTN_TYPE_AUTO
    rope_freq_base: float  # default: 0.0
    rope_freq_scale: float  # default: 0.0
    yarn_ext_factor: float  # default: -1.0
    yarn_attn_factor: float  # default: -1.0
    yarn_beta_fast: float  # default: -1.0
    yarn_beta_slow: float  # default: -1.0
    yarn_orig_ctx: int  # default: 0
    defrag_thold: float  # default: -1.0
    type_k: int  # ggml_type, default: GGML_TYPE_F16
    type_v: int  # ggml_type, default: GGML_TYPE_F16
    moe_cache_size: int  # default: 0
    embeddings: bool  # default: False
    offload_kqv: bool  # default: True
    no_perf: bool  # default: True
    op_offload: bool  # default: True
    swa_full: bool  # default: True
    kv_unified: bool  # default: False
    n_samplers: int  # default: 0


class LlamaModelQuantizeParams(TypedDict, total=False):
    """Keywords of `llama_model_quantize_params` (llama.h)."""

    nthread: int  # default: 0
    ftype: int  # llama_ftype, default: LLAMA_FTYPE_MOSTLY_Q8_0
    output_tensor_type: int  # ggml_type, default: GGML_TYPE_COUNT
    token_embedding_type: int  # ggml_type, default: GGML_TYPE_COUNT
    allow_requantize: bool  # default: False
    quantize_output_tensor: bool  # default: True
    only_copy: bool  # default: False
    pure: bool  # default: False
    keep_split: bool  # default: False
    dry_run: bool  # default: False
    max_buf_size: int  # default: 8589934592


class LlamaSamplerChainParams(TypedDict, total=False):
    """Keywords of `llama_sampler_chain_params` (llama.h)."""

    no_perf: bool  # default: True


class LlamaOptParams(TypedDict, total=False):
    """Keywords of `llama_opt_params` (llama.h)."""

    n_ctx_train: int
    optimizer_type: int  # ggml_opt_optimizer_type


KEYWORDS: dict[str, dict[str, Any]] = {
    "ggml_init_params": {
        "mem_size": c_size_t,
        "no_alloc": c_bool,
    },
    "ggml_threadpool_params": {
        "n_threads": c_int,
        "prio": "ggml_sched_priority",
        "poll": c_uint32,
        "strict_cpu": c_bool,
        "paused": c_bool,
    },
    "ggml_opt_optimizer_params": {},
    "ggml_opt_params": {
        "loss_type": "ggml_opt_loss_type",
        "build_type": "ggml_opt_build_type",
        "opt_period": c_int32,
        "optimizer": "ggml_opt_optimizer_type",
    },
    "gguf_init_params": {
        "no_alloc": c_bool,
    },
    "llama_model_params": {
        "n_gpu_layers": c_int32,
        "split_mode": "llama_split_mode",
        "load_mode": "llama_load_mode",
        "lazy_mode": "llama_lazy_mode",
        "main_gpu": c_int32,
        "vocab_only": c_bool,
        "check_tensors": c_bool,
        "use_extra_bufts": c_bool,
        "no_host": c_bool,
        "no_alloc": c_bool,
        "load_mtp": c_bool,
    },
    "llama_context_params": {
        "n_ctx": c_uint32,
        "n_batch": c_uint32,
        "n_ubatch": c_uint32,
        "n_seq_max": c_uint32,
        "n_rs_seq": c_uint32,
        "n_outputs_max": c_uint32,
        "n_outputs_max_per_seq": c_uint32,
        "n_threads": c_int32,
        "n_threads_batch": c_int32,
        "ctx_type": "llama_context_type",
        "rope_scaling_type": "llama_rope_scaling_type",
        "pooling_type": "llama_pooling_type_enum",
        "attention_type": "llama_attention_type",
        "flash_attn_type": "llama_flash_attn_type",
        "rope_freq_base": c_float,
        "rope_freq_scale": c_float,
        "yarn_ext_factor": c_float,
        "yarn_attn_factor": c_float,
        "yarn_beta_fast": c_float,
        "yarn_beta_slow": c_float,
        "yarn_orig_ctx": c_uint32,
        "defrag_thold": c_float,
        "type_k": "ggml_type",
        "type_v": "ggml_type",
        "moe_cache_size": c_size_t,
        "embeddings": c_bool,
        "offload_kqv": c_bool,
        "no_perf": c_bool,
        "op_offload": c_bool,
        "swa_full": c_bool,
        "kv_unified": c_bool,
        "n_samplers": c_size_t,
    },
    "llama_model_quantize_params": {
        "nthread": c_int32,
        "ftype": "llama_ftype",
        "output_tensor_type": "ggml_type",
        "token_embedding_type": "ggml_type",
        "allow_requantize": c_bool,
        "quantize_output_tensor": c_bool,
        "only_copy": c_bool,
        "pure": c_bool,
        "keep_split": c_bool,
        "dry_run": c_bool,
        "max_buf_size": c_size_t,
    },
    "llama_sampler_chain_params": {
        "no_perf": c_bool,
    },
    "llama_opt_params": {
        "n_ctx_train": c_uint32,
        "optimizer_type": "ggml_opt_optimizer_type",
    },
}
POINTERS: dict[str, tuple[str, ...]] = {
    "ggml_init_params": ("mem_buffer",),
    "ggml_threadpool_params": ("cpumask",),
    "ggml_opt_optimizer_params": ("adamw", "sgd"),
    "ggml_opt_params": (
        "backend_sched",
        "ctx_compute",
        "inputs",
        "outputs",
        "get_opt_pars",
        "get_opt_pars_ud",
    ),
    "gguf_init_params": ("ctx",),
    "llama_model_params": (
        "devices",
        "tensor_buft_overrides",
        "tensor_split",
        "progress_callback",
        "progress_callback_user_data",
        "kv_overrides",
    ),
    "llama_context_params": (
        "cb_eval",
        "cb_eval_user_data",
        "abort_callback",
        "abort_callback_data",
        "samplers",
        "ctx_other",
    ),
    "llama_model_quantize_params": ("imatrix", "kv_overrides", "tt_overrides", "prune_layers"),
    "llama_sampler_chain_params": (),
    "llama_opt_params": ("param_filter", "param_filter_ud", "get_opt_pars", "get_opt_pars_ud"),
}
# seal: b11549 sha256:871cc58745acedac9acff2c67f3af61d61f84110dd540c35224cfd2dc06e6c6d
