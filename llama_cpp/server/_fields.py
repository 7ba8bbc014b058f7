"""The fields of requests to llama-server.

Generated from tools/server/server-schema.cpp and the functions that read requests,
by ``python -m codegen regen``. Do not edit: change llama.cpp's sources, codegen/server/server.toml
or the generator.

A field that is left out, or None, has the default that the server was started with.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from .values import Value

Json = dict[str, Any]


class LoraScale(TypedDict):
    """The scale of one LoRA adapter, by its `id` of the server."""

    id: int
    """Default: -1. Source: server-common.cpp"""
    scale: float
    """Default: 0.0. Source: server-common.cpp"""


class SamplingParams(TypedDict, total=False):
    """The fields of every generation."""

    verbose: bool | None
    """Default: False. Source: server-schema.cpp"""
    timings_per_token: bool | None
    """Default: False. Source: server-schema.cpp"""
    cache_prompt: bool | None
    """Default: True. Source: server-schema.cpp"""
    return_tokens: bool | None
    """Default: False. Source: server-schema.cpp"""
    return_progress: bool | None
    """Default: False. Source: server-schema.cpp"""
    sse_ping_interval: int | None
    """Limits: at least -1; default: 30. Source: server-schema.cpp"""
    n_predict: int | None
    """Limits: at least -1; default: -1. Source: server-schema.cpp"""
    max_completion_tokens: int | None
    """Limits: at least -1; another name of `n_predict`; default: -1. Source: server-schema.cpp"""
    max_tokens: int | None
    """Limits: at least -1; another name of `n_predict`; default: -1. Source: server-schema.cpp"""
    n_indent: int | None
    """Limits: at least 0; default: 0. Source: server-schema.cpp"""
    n_keep: int | None
    """Limits: at least -1; default: 0. Source: server-schema.cpp"""
    n_discard: int | None
    """Limits: at least 0; default: 0. Source: server-schema.cpp"""
    n_cmpl: int | None
    """Limits: 1 to the server's n_parallel; default: 1. Source: server-schema.cpp"""
    n: int | None
    """Limits: 1 to the server's n_parallel; another name of `n_cmpl`; default: 1. Source: server-schema.cpp"""
    n_cache_reuse: int | None
    """Limits: at least 0; default: 0. Source: server-schema.cpp"""
    t_max_predict_ms: int | None
    """Limits: at least -1; default: -1. Source: server-schema.cpp"""
    response_fields: Sequence[str] | None
    """Source: server-schema.cpp"""
    top_k: int | None
    """Cut to: at least 0; default: 40. Source: server-schema.cpp"""
    top_p: float | None
    """Cut to: 0.0 to 1.0; default: 0.95. Source: server-schema.cpp"""
    min_p: float | None
    """Cut to: 0.0 to 1.0; default: 0.05. Source: server-schema.cpp"""
    top_n_sigma: float | None
    """Default: -1.0. Source: server-schema.cpp"""
    xtc_probability: float | None
    """Cut to: 0.0 to 1.0; default: 0.0. Source: server-schema.cpp"""
    xtc_threshold: float | None
    """Cut to: 0.0 to 1.0; default: 0.1. Source: server-schema.cpp"""
    typical_p: float | None
    """Default: 1.0. Source: server-schema.cpp"""
    temperature: float | None
    """Cut to: at least 0.0; default: 0.8. Source: server-schema.cpp"""
    dynatemp_range: float | None
    """Default: 0.0. Source: server-schema.cpp"""
    dynatemp_exponent: float | None
    """Default: 1.0. Source: server-schema.cpp"""
    repeat_last_n: int | None
    """Limits: at least 0; default: 64. Source: server-schema.cpp"""
    repeat_penalty: float | None
    """Default: 1.0. Source: server-schema.cpp"""
    frequency_penalty: float | None
    """Default: 0.0. Source: server-schema.cpp"""
    presence_penalty: float | None
    """Default: 0.0. Source: server-schema.cpp"""
    dry_multiplier: float | None
    """Default: 0.0. Source: server-schema.cpp"""
    dry_base: float | None
    """Default: 1.75. Source: server-schema.cpp"""
    dry_allowed_length: int | None
    """Limits: at least 0; default: 2. Source: server-schema.cpp"""
    dry_penalty_last_n: int | None
    """Limits: at least 0; default: 64. Source: server-schema.cpp"""
    mirostat: int | None
    """Cut to: 0 to 2; default: 0. Source: server-schema.cpp"""
    mirostat_tau: float | None
    """Default: 5.0. Source: server-schema.cpp"""
    mirostat_eta: float | None
    """Default: 0.1. Source: server-schema.cpp"""
    adaptive_target: float | None
    """Cut to: at most 1.0; default: -1.0. Source: server-schema.cpp"""
    adaptive_decay: float | None
    """Limits: 0.0 to 0.99; default: 0.9. Source: server-schema.cpp"""
    seed: int | None
    """Source: server-schema.cpp"""
    n_probs: int | None
    """Default: 0. Source: server-schema.cpp"""
    min_keep: int | None
    """Limits: at least 0; default: 0. Source: server-schema.cpp"""
    backend_sampling: bool | None
    """Default: False. Source: server-schema.cpp"""
    post_sampling_probs: bool | None
    """Default: False. Source: server-schema.cpp"""
    lora: Sequence[LoraScale] | None
    """Source: server-schema.cpp"""
    dry_sequence_breakers: Sequence[str] | None
    """Source: server-schema.cpp"""
    json_schema: Mapping[str, Any] | None
    """Source: server-schema.cpp"""
    grammar: str | None
    """Another name of `json_schema`. Source: server-schema.cpp"""
    grammar_lazy: bool | None
    """Default: False. Source: server-schema.cpp"""
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None
    """Source: server-schema.cpp"""
    continue_final_message: bool | str | None
    """Source: server-schema.cpp"""
    echo: bool | None
    """Source: server-schema.cpp"""
    preserved_tokens: Sequence[str] | None
    """Source: server-schema.cpp"""
    grammar_triggers: Sequence[Any] | None
    """Source: server-schema.cpp"""
    reasoning_control: bool | None
    """Default: False. Source: server-schema.cpp"""
    reasoning_budget_tokens: int | None
    """Limits: at least -1; default: -1. Source: server-schema.cpp"""
    reasoning_budget_start_tag: str | None
    """Source: server-schema.cpp"""
    reasoning_budget_end_tags: Sequence[str] | None
    """Source: server-schema.cpp"""
    reasoning_budget_end_tag: str | None
    """Another name of `reasoning_budget_end_tags`. Source: server-schema.cpp"""
    reasoning_budget_message: str | None
    """Source: server-schema.cpp"""
    logit_bias: Sequence[Any] | Mapping[str, Any] | None
    """Source: server-schema.cpp"""
    ignore_eos: bool | None
    """Default: False. Source: server-schema.cpp"""
    stop: Sequence[Any] | str | None
    """Source: server-schema.cpp"""
    samplers: Sequence[str] | str | None
    """Source: server-schema.cpp"""
    id_slot: int | None
    """Default: -1. Source: server-context.cpp"""


class CompletionParams(SamplingParams, total=False):
    """The fields of a completion."""

    logprobs: int | None
    """Another name of `n_probs`; default: 0. Source: server-schema.cpp"""


class ChatParams(SamplingParams, total=False):
    """The fields of a chat."""

    tool_choice: str | Mapping[str, Any] | None
    """Default: 'auto'. Source: server-common.cpp"""
    response_format: Mapping[str, Any] | None
    """Source: server-common.cpp"""
    parallel_tool_calls: bool | None
    """Source: server-common.cpp"""
    add_generation_prompt: bool | None
    """Default: True. Source: server-common.cpp"""
    chat_template_kwargs: Mapping[str, Any] | None
    """Source: server-common.cpp"""
    reasoning_effort: str | None
    """Default: ''. Source: server-common.cpp"""
    thinking_budget_tokens: int | None
    """Another name of `reasoning_budget_tokens`; default: -1. Source: server-common.cpp"""
    logprobs: bool | None
    """Default: False. Source: server-common.cpp"""
    top_logprobs: int | None
    """Default: 20. Source: server-common.cpp"""


class EmbeddingParams(TypedDict, total=False):
    """The fields of a request for embeddings."""

    embd_normalize: int | None
    """Source: server-context.cpp"""


class RerankParams(TypedDict, total=False):
    """The fields of a request to rank documents."""

    top_n: int | None
    """Source: server-context.cpp"""


class TokenizeParams(TypedDict, total=False):
    """The fields of a request for tokens."""

    add_special: bool | None
    """Default: False. Source: server-context.cpp"""
    parse_special: bool | None
    """Default: True. Source: server-context.cpp"""


LORA: dict[str, Value] = {
    "id": Value("int", low=-2147483648, high=2147483647),
    "scale": Value("float"),
}
GENERATION: dict[str, Value] = {
    "verbose": Value("bool"),
    "timings_per_token": Value("bool"),
    "cache_prompt": Value("bool"),
    "return_tokens": Value("bool"),
    "return_progress": Value("bool"),
    "sse_ping_interval": Value("int", low=-1, high=2147483647),
    "n_predict": Value("int", low=-1, high=2147483647),
    "max_completion_tokens": Value("int", low=-1, high=2147483647),
    "max_tokens": Value("int", low=-1, high=2147483647),
    "n_indent": Value("int", low=0, high=2147483647),
    "n_keep": Value("int", low=-1, high=2147483647),
    "n_discard": Value("int", low=0, high=2147483647),
    "n_cmpl": Value("int", low=1, high=2147483647),
    "n": Value("int", low=1, high=2147483647),
    "n_cache_reuse": Value("int", low=0, high=2147483647),
    "t_max_predict_ms": Value("int", low=-1, high=9223372036854775807),
    "response_fields": Value("list[str]"),
    "top_k": Value("int", low=-2147483648, high=2147483647),
    "top_p": Value("float"),
    "min_p": Value("float"),
    "top_n_sigma": Value("float"),
    "xtc_probability": Value("float"),
    "xtc_threshold": Value("float"),
    "typical_p": Value("float"),
    "temperature": Value("float"),
    "dynatemp_range": Value("float"),
    "dynatemp_exponent": Value("float"),
    "repeat_last_n": Value("int", low=0, high=2147483647),
    "repeat_penalty": Value("float"),
    "frequency_penalty": Value("float"),
    "presence_penalty": Value("float"),
    "dry_multiplier": Value("float"),
    "dry_base": Value("float"),
    "dry_allowed_length": Value("int", low=0, high=2147483647),
    "dry_penalty_last_n": Value("int", low=0, high=2147483647),
    "mirostat": Value("int", low=-2147483648, high=2147483647),
    "mirostat_tau": Value("float"),
    "mirostat_eta": Value("float"),
    "adaptive_target": Value("float"),
    "adaptive_decay": Value("float", low=0.0, high=0.99),
    "seed": Value("int", low=-2147483648, high=4294967295),
    "n_probs": Value("int", low=-2147483648, high=2147483647),
    "min_keep": Value("int", low=0, high=2147483647),
    "backend_sampling": Value("bool"),
    "post_sampling_probs": Value("bool"),
    "lora": Value("list"),
    "dry_sequence_breakers": Value("list[str]"),
    "json_schema": Value("object"),
    "grammar": Value("str"),
    "grammar_lazy": Value("bool"),
    "reasoning_format": Value("str", choices=("none", "auto", "deepseek", "deepseek-legacy")),
    "continue_final_message": Value("bool|str"),
    "echo": Value("bool"),
    "preserved_tokens": Value("list[str]"),
    "grammar_triggers": Value("list"),
    "reasoning_control": Value("bool"),
    "reasoning_budget_tokens": Value("int", low=-1, high=2147483647),
    "reasoning_budget_start_tag": Value("str"),
    "reasoning_budget_end_tags": Value("list[str]"),
    "reasoning_budget_end_tag": Value("str"),
    "reasoning_budget_message": Value("str"),
    "logit_bias": Value("list|object"),
    "ignore_eos": Value("bool"),
    "stop": Value("list|str"),
    "samplers": Value("list[str]|str"),
    "id_slot": Value("int", low=-2147483648, high=2147483647),
}
COMPLETION: dict[str, Value] = {
    **GENERATION,
    "logprobs": Value("int", low=-2147483648, high=2147483647),
}
CHAT: dict[str, Value] = {
    **GENERATION,
    "tool_choice": Value("str|object"),
    "response_format": Value("object"),
    "parallel_tool_calls": Value("bool"),
    "add_generation_prompt": Value("bool"),
    "chat_template_kwargs": Value("object"),
    "reasoning_effort": Value("str"),
    "thinking_budget_tokens": Value("int", low=-2147483648, high=2147483647),
    "logprobs": Value("bool"),
    "top_logprobs": Value("int", low=-2147483648, high=2147483647),
}
EMBEDDING: dict[str, Value] = {
    "embd_normalize": Value("int", low=-2147483648, high=2147483647),
}
RERANK: dict[str, Value] = {
    "top_n": Value("int", low=-2147483648, high=2147483647),
}
TOKENIZE: dict[str, Value] = {
    "add_special": Value("bool"),
    "parse_special": Value("bool"),
}
# seal: b11549 sha256:26e71f00043cf8dd5fcfbe19f0b171425a9a4d6232a08bc9075c742982d60a8d
