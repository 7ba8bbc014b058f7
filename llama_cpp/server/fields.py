"""The fields of requests to llama-server, typed.

Names, meanings and defaults are the server's own (tools/server/server-schema.cpp and README.md). A
field that is left out, or None, has the default that the server was started with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

Json = dict[str, Any]


class LoraScale(TypedDict):
    """The scale of one LoRA adapter; `id` counts from 0 in the order of the server's options."""

    id: int
    scale: float


class SamplingParams(TypedDict, total=False):
    """The fields of every generation."""

    # length
    max_tokens: int | None
    n_predict: int | None
    stop: str | Sequence[str] | None
    ignore_eos: bool | None
    t_max_predict_ms: int | None
    n_indent: int | None
    n_keep: int | None
    n_discard: int | None
    # choice of tokens
    seed: int | None
    samplers: Sequence[str] | str | None
    temperature: float | None
    dynatemp_range: float | None
    dynatemp_exponent: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    top_n_sigma: float | None
    typical_p: float | None
    xtc_probability: float | None
    xtc_threshold: float | None
    repeat_last_n: int | None
    repeat_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    dry_multiplier: float | None
    dry_base: float | None
    dry_allowed_length: int | None
    dry_penalty_last_n: int | None
    dry_sequence_breakers: Sequence[str] | None
    mirostat: Literal[0, 1, 2] | None
    mirostat_tau: float | None
    mirostat_eta: float | None
    adaptive_target: float | None
    adaptive_decay: float | None
    min_keep: int | None
    backend_sampling: bool | None
    logit_bias: Mapping[str, float | Literal[False]] | Sequence[Sequence[Any]] | None
    # constraints
    grammar: str | None
    json_schema: Mapping[str, Any] | None
    # cache, slots and adapters
    cache_prompt: bool | None
    n_cache_reuse: int | None
    id_slot: int | None
    lora: Sequence[LoraScale] | None
    # contents of the answer
    n_probs: int | None
    post_sampling_probs: bool | None
    return_tokens: bool | None
    return_progress: bool | None
    timings_per_token: bool | None
    response_fields: Sequence[str] | None
    sse_ping_interval: int | None
    verbose: bool | None


class ChatParams(SamplingParams, total=False):
    """The fields of a chat."""

    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | None
    chat_template_kwargs: Mapping[str, Any] | None
    add_generation_prompt: bool | None
    continue_final_message: bool | str | None
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None
    reasoning_effort: str | None
    reasoning_budget_tokens: int | None
    reasoning_budget_message: str | None
    max_completion_tokens: int | None
    logprobs: bool | None
    top_logprobs: int | None
    n: int | None


SAMPLING_FIELDS = frozenset(SamplingParams.__annotations__)
CHAT_FIELDS = frozenset(ChatParams.__annotations__)
