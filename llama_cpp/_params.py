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
    """C: ``ggml_init_params.mem_size``."""
    no_alloc: bool
    """C: ``ggml_init_params.no_alloc``."""


class GgmlThreadpoolParams(TypedDict, total=False):
    """Keywords of `ggml_threadpool_params` (ggml.h)."""

    n_threads: int
    """C: ``ggml_threadpool_params.n_threads``."""
    prio: int
    """A `ggml_sched_priority`. C: ``ggml_threadpool_params.prio``."""
    poll: int
    """C: ``ggml_threadpool_params.poll``."""
    strict_cpu: bool
    """C: ``ggml_threadpool_params.strict_cpu``."""
    paused: bool
    """C: ``ggml_threadpool_params.paused``."""


class GgmlOptOptimizerParams(TypedDict, total=False):
    """Keywords of `ggml_opt_optimizer_params` (ggml-opt.h)."""

    pass


class GgmlOptParams(TypedDict, total=False):
    """Keywords of `ggml_opt_params` (ggml-opt.h)."""

    loss_type: int
    """A `ggml_opt_loss_type`. C: ``ggml_opt_params.loss_type``."""
    build_type: int
    """A `ggml_opt_build_type`. C: ``ggml_opt_params.build_type``."""
    opt_period: int
    """C: ``ggml_opt_params.opt_period``."""
    optimizer: int
    """A `ggml_opt_optimizer_type`. C: ``ggml_opt_params.optimizer``."""


class GgufInitParams(TypedDict, total=False):
    """Keywords of `gguf_init_params` (gguf.h)."""

    no_alloc: bool
    """C: ``gguf_init_params.no_alloc``."""


class LlamaModelParams(TypedDict, total=False):
    """Keywords of `llama_model_params` (llama.h)."""

    n_gpu_layers: int
    """How many layers to store on graphics cards; negative for all. Default: -1. C:
    ``llama_model_params.n_gpu_layers``."""
    split_mode: int
    """How to split the model over several cards: by layers, by rows, or not at all. A
    `llama_split_mode`. Default: LLAMA_SPLIT_MODE_LAYER. C: ``llama_model_params.split_mode``."""
    load_mode: int
    """How to load the file: mapped, mapped and locked in memory, read, or read past the system's
    cache. A `llama_load_mode`. Default: LLAMA_LOAD_MODE_AUTO. C:
    ``llama_model_params.load_mode``."""
    lazy_mode: int
    """Whether to read tensors when they are first needed, for architectures that mark such
    tensors. A `llama_lazy_mode`. Default: LLAMA_LAZY_MODE_AUTO. C:
    ``llama_model_params.lazy_mode``."""
    main_gpu: int
    """The index of the card for the whole model, with ``split_mode=LLAMA_SPLIT_MODE_NONE``.
    Default: 0. C: ``llama_model_params.main_gpu``."""
    vocab_only: bool
    """Whether to load the vocabulary alone, without weights. Default: False. C:
    ``llama_model_params.vocab_only``."""
    check_tensors: bool
    """Whether to check the numbers in all tensors; it takes time. Default: False. C:
    ``llama_model_params.check_tensors``."""
    use_extra_bufts: bool
    """Whether weights may be repacked into a form that the CPU computes faster with. Default:
    True. C: ``llama_model_params.use_extra_bufts``."""
    no_host: bool
    """Whether to bypass the host's buffer, so that other buffers can be used. Default: False. C:
    ``llama_model_params.no_host``."""
    no_alloc: bool
    """Whether to load metadata alone and only simulate the memory; needs ``vocab_only``. Default:
    False. C: ``llama_model_params.no_alloc``."""
    load_mtp: bool
    """Whether to load layers for multi-token prediction. Default: False. C:
    ``llama_model_params.load_mtp``."""


class LlamaContextParams(TypedDict, total=False):
    """Keywords of `llama_context_params` (llama.h)."""

    n_ctx: int
    """The tokens that the KV cache has room for; 0 for the model's own context length. `Llama` has
    a default of its own, the model's length, but at most 4,096. Default: 512. C:
    ``llama_context_params.n_ctx``."""
    n_batch: int
    """The most tokens in one part of a decode. Default: 2048. C: ``llama_context_params.n_batch``."""
    n_ubatch: int
    """The most tokens that are computed at once. Default: 512. C:
    ``llama_context_params.n_ubatch``."""
    n_seq_max: int
    """The most sequences: texts that are in the KV cache side by side. Default: 1. C:
    ``llama_context_params.n_seq_max``."""
    n_rs_seq: int
    """For recurrent models: how many snapshots of the state to keep for each sequence, to go back
    to; 0 for none. Experimental. Default: 0. C: ``llama_context_params.n_rs_seq``."""
    n_outputs_max: int
    """The most outputs (logits or embeddings) of a decode; 0 for ``n_batch``. Default: 0. C:
    ``llama_context_params.n_outputs_max``."""
    n_outputs_max_per_seq: int
    """The most outputs of a sequence; 0 for ``n_outputs_max``. Default: 1. C:
    ``llama_context_params.n_outputs_max_per_seq``."""
    n_threads: int
    """Threads for generation. The classes of this package have another default, the cores that the
    process may use. Default: 4. C: ``llama_context_params.n_threads``."""
    n_threads_batch: int
    """Threads for prompts; its default is that of ``n_threads``. Default: 4. C:
    ``llama_context_params.n_threads_batch``."""
    ctx_type: int
    """The kind of context, such as one for multi-token prediction. A `llama_context_type`.
    Default: LLAMA_CONTEXT_TYPE_DEFAULT. C: ``llama_context_params.ctx_type``."""
    rope_scaling_type: int
    """How positions are scaled beyond the trained context. A `llama_rope_scaling_type`. Default:
    LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED. C: ``llama_context_params.rope_scaling_type``."""
    pooling_type: int
    """How the embeddings of a text's tokens become one. A `llama_pooling_type_enum`; by default
    the model's own. Default: LLAMA_POOLING_TYPE_UNSPECIFIED. C:
    ``llama_context_params.pooling_type``."""
    attention_type: int
    """Causal attention or not, for embeddings. A `llama_attention_type`; by default the model's
    own. Default: LLAMA_ATTENTION_TYPE_UNSPECIFIED. C: ``llama_context_params.attention_type``."""
    flash_attn_type: int
    """Whether to use flash attention. A `llama_flash_attn_type`; by default where it works.
    Default: LLAMA_FLASH_ATTN_TYPE_AUTO. C: ``llama_context_params.flash_attn_type``."""
    rope_freq_base: float
    """The base frequency of RoPE; 0 for the model's own. Default: 0.0. C:
    ``llama_context_params.rope_freq_base``."""
    rope_freq_scale: float
    """The factor of the frequencies of RoPE; 0 for the model's own. Default: 0.0. C:
    ``llama_context_params.rope_freq_scale``."""
    yarn_ext_factor: float
    """YaRN: how much to extrapolate; negative for the model's own. Default: -1.0. C:
    ``llama_context_params.yarn_ext_factor``."""
    yarn_attn_factor: float
    """YaRN: the factor of the magnitude. Default: -1.0. C:
    ``llama_context_params.yarn_attn_factor``."""
    yarn_beta_fast: float
    """YaRN: the low correction dimension. Default: -1.0. C:
    ``llama_context_params.yarn_beta_fast``."""
    yarn_beta_slow: float
    """YaRN: the high correction dimension. Default: -1.0. C:
    ``llama_context_params.yarn_beta_slow``."""
    yarn_orig_ctx: int
    """YaRN: the context length before scaling. Default: 0. C:
    ``llama_context_params.yarn_orig_ctx``."""
    defrag_thold: float
    """Deprecated: without effect. Default: -1.0. C: ``llama_context_params.defrag_thold``."""
    type_k: int
    """The type of the keys in the KV cache. A `ggml_type`; ``GGML_TYPE_Q8_0`` takes half the
    memory. Default: GGML_TYPE_F16. C: ``llama_context_params.type_k``."""
    type_v: int
    """The type of the values in the KV cache, as ``type_k``. Default: GGML_TYPE_F16. C:
    ``llama_context_params.type_v``."""
    moe_cache_size: int
    """Bytes on the devices for experts that are kept in main memory, divided as the layers are; 0
    for none. Experimental. Default: 0. C: ``llama_context_params.moe_cache_size``."""
    embeddings: bool
    """Whether decodes compute embeddings, next to logits. Default: False. C:
    ``llama_context_params.embeddings``."""
    offload_kqv: bool
    """Whether the KV cache, and the attention over it, are on the card. Default: True. C:
    ``llama_context_params.offload_kqv``."""
    no_perf: bool
    """Whether to leave out the measurement of time. The classes of this package measure by
    default. Default: True. C: ``llama_context_params.no_perf``."""
    op_offload: bool
    """Whether large operations on tensors in main memory are computed on the card. Default: True.
    C: ``llama_context_params.op_offload``."""
    swa_full: bool
    """For models with a sliding window: whether to keep all tokens in the cache, so that a
    sequence can go back. Default: True. C: ``llama_context_params.swa_full``."""
    kv_unified: bool
    """Whether the sequences share the cells of the KV cache. `Llama` sets it with ``n_seq_max``;
    without it each has an equal part. Default: False. C: ``llama_context_params.kv_unified``."""
    n_samplers: int
    """The length of a C array that ``samplers`` of `LlamaContext` takes the place of: leave it
    alone. Default: 0. C: ``llama_context_params.n_samplers``."""


class LlamaModelQuantizeParams(TypedDict, total=False):
    """Keywords of `llama_model_quantize_params` (llama.h)."""

    nthread: int
    """Threads; 0 or less for all cores. Default: 0. C: ``llama_model_quantize_params.nthread``."""
    ftype: int
    """The mixture of types. `quantize` has an argument of its own for it. A `llama_ftype`.
    Default: LLAMA_FTYPE_MOSTLY_Q8_0. C: ``llama_model_quantize_params.ftype``."""
    output_tensor_type: int
    """The type of the output tensor; by default as ``ftype`` says. A `ggml_type`. Default:
    GGML_TYPE_COUNT. C: ``llama_model_quantize_params.output_tensor_type``."""
    token_embedding_type: int
    """The type of the token embeddings; by default as ``ftype`` says. A `ggml_type`. Default:
    GGML_TYPE_COUNT. C: ``llama_model_quantize_params.token_embedding_type``."""
    allow_requantize: bool
    """Whether to accept tensors that are quantized already; the result is worse than from the
    original. Default: False. C: ``llama_model_quantize_params.allow_requantize``."""
    quantize_output_tensor: bool
    """Whether to quantize the output tensor. Default: True. C:
    ``llama_model_quantize_params.quantize_output_tensor``."""
    only_copy: bool
    """Whether to copy the tensors as they are. Default: False. C:
    ``llama_model_quantize_params.only_copy``."""
    pure: bool
    """Whether all tensors get the same type. Default: False. C:
    ``llama_model_quantize_params.pure``."""
    keep_split: bool
    """Whether to write as many files as the model has. Default: False. C:
    ``llama_model_quantize_params.keep_split``."""
    dry_run: bool
    """Whether to compute the size alone, and write nothing. Default: False. C:
    ``llama_model_quantize_params.dry_run``."""
    max_buf_size: int
    """The most bytes of tensor rows in memory at once; 0 for 8 GiB. Default: 8589934592. C:
    ``llama_model_quantize_params.max_buf_size``."""


class LlamaSamplerChainParams(TypedDict, total=False):
    """Keywords of `llama_sampler_chain_params` (llama.h)."""

    no_perf: bool
    """Default: True. C: ``llama_sampler_chain_params.no_perf``."""


class LlamaOptParams(TypedDict, total=False):
    """Keywords of `llama_opt_params` (llama.h)."""

    n_ctx_train: int
    """C: ``llama_opt_params.n_ctx_train``."""
    optimizer_type: int
    """A `ggml_opt_optimizer_type`. C: ``llama_opt_params.optimizer_type``."""


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
# seal: b11549 sha256:dfbc690dcd49db33d8b67b558b0cc86528ac3d0922f2f08c61e7f4ee3bf81530
