"""The options of llama-server, as keywords of `LlamaServer`.

Generated from common/arg.cpp
by ``python -m codegen regen``. Do not edit: change llama.cpp's sources, codegen/server/server.toml
or the generator.
"""

import os
from collections.abc import Sequence
from typing import Literal, TypedDict

from .values import Option, Value


class ServerOptions(TypedDict, total=False):
    """The options of llama-server, without their dashes. None leaves one out."""

    threads: int | None
    """``-t``, ``--threads`` N. Source: arg.cpp"""
    threads_batch: int | None
    """``-tb``, ``--threads-batch`` N. Source: arg.cpp"""
    cpu_mask: str | None
    """``-C``, ``--cpu-mask`` M. Source: arg.cpp"""
    cpu_range: str | None
    """``-Cr``, ``--cpu-range`` lo-hi. Source: arg.cpp"""
    cpu_strict: int | None
    """``--cpu-strict`` <0|1>. Source: arg.cpp"""
    prio: int | None
    """``--prio`` N; -1 to 3. Source: arg.cpp"""
    poll: int | None
    """``--poll`` <0...100>. Source: arg.cpp"""
    cpu_mask_batch: str | None
    """``-Cb``, ``--cpu-mask-batch`` M. Source: arg.cpp"""
    cpu_range_batch: str | None
    """``-Crb``, ``--cpu-range-batch`` lo-hi. Source: arg.cpp"""
    cpu_strict_batch: int | None
    """``--cpu-strict-batch`` <0|1>. Source: arg.cpp"""
    prio_batch: int | None
    """``--prio-batch`` N; 0 to 3. Source: arg.cpp"""
    poll_batch: int | None
    """``--poll-batch`` <0|1>. Source: arg.cpp"""
    lookup_cache_static: str | os.PathLike[str] | None
    """``-lcs``, ``--lookup-cache-static`` FNAME. Source: arg.cpp"""
    lookup_cache_dynamic: str | os.PathLike[str] | None
    """``-lcd``, ``--lookup-cache-dynamic`` FNAME. Source: arg.cpp"""
    ctx_size: int | None
    """``-c``, ``--ctx-size`` N. Source: arg.cpp"""
    kv_unified_per_slot: int | None
    """``--kv-unified-per-slot`` N. Source: arg.cpp"""
    predict: int | None
    """``-n``, ``--predict``, ``--n-predict`` N. Source: arg.cpp"""
    n_predict: int | None
    """``-n``, ``--predict``, ``--n-predict`` N. Source: arg.cpp"""
    batch_size: int | None
    """``-b``, ``--batch-size`` N. Source: arg.cpp"""
    ubatch_size: int | None
    """``-ub``, ``--ubatch-size`` N. Source: arg.cpp"""
    keep: int | None
    """``--keep`` N. Source: arg.cpp"""
    swa_full: bool | None
    """``--swa-full``. Source: arg.cpp"""
    ctx_checkpoints: int | None
    """``-ctxcp``, ``--ctx-checkpoints``, ``--swa-checkpoints`` N. Source: arg.cpp"""
    swa_checkpoints: int | None
    """``-ctxcp``, ``--ctx-checkpoints``, ``--swa-checkpoints`` N. Source: arg.cpp"""
    checkpoint_min_step: int | None
    """``-cms``, ``--checkpoint-min-step`` N; at least 0. Source: arg.cpp"""
    cache_ram: int | None
    """``-cram``, ``--cache-ram`` N. Source: arg.cpp"""
    kv_unified: bool | None
    """``-kvu``, ``--kv-unified``, ``-no-kvu``, ``--no-kv-unified``. Source: arg.cpp"""
    no_kv_unified: bool | None
    """``-kvu``, ``--kv-unified``, ``-no-kvu``, ``--no-kv-unified``. Source: arg.cpp"""
    cache_idle_slots: bool | None
    """``--cache-idle-slots``, ``--no-cache-idle-slots``. Source: arg.cpp"""
    no_cache_idle_slots: bool | None
    """``--cache-idle-slots``, ``--no-cache-idle-slots``. Source: arg.cpp"""
    context_shift: bool | None
    """``--context-shift``, ``--no-context-shift``. Source: arg.cpp"""
    no_context_shift: bool | None
    """``--context-shift``, ``--no-context-shift``. Source: arg.cpp"""
    flash_attn: (
        Literal["on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto", "-1"]
        | bool
        | None
    )
    """``-fa``, ``--flash-attn`` [on|off|auto]. Source: arg.cpp"""
    perf: bool | None
    """``--perf``, ``--no-perf``. Source: arg.cpp"""
    no_perf: bool | None
    """``--perf``, ``--no-perf``. Source: arg.cpp"""
    escape: bool | None
    """``-e``, ``--escape``, ``--no-escape``. Source: arg.cpp"""
    no_escape: bool | None
    """``-e``, ``--escape``, ``--no-escape``. Source: arg.cpp"""
    reverse_prompt: str | Sequence[str] | None
    """``-r``, ``--reverse-prompt`` PROMPT. Source: arg.cpp"""
    special: bool | None
    """``-sp``, ``--special``. Source: arg.cpp"""
    warmup: bool | None
    """``--warmup``, ``--no-warmup``. Source: arg.cpp"""
    no_warmup: bool | None
    """``--warmup``, ``--no-warmup``. Source: arg.cpp"""
    spm_infill: bool | None
    """``--spm-infill``. Source: arg.cpp"""
    samplers: str | Sequence[str] | None
    """``--samplers`` SAMPLERS. Source: arg.cpp"""
    seed: int | None
    """``-s``, ``--seed`` SEED. Source: arg.cpp"""
    sampler_seq: str | None
    """``--sampler-seq``, ``--sampling-seq`` SEQUENCE. Source: arg.cpp"""
    sampling_seq: str | None
    """``--sampler-seq``, ``--sampling-seq`` SEQUENCE. Source: arg.cpp"""
    ignore_eos: bool | None
    """``--ignore-eos``. Source: arg.cpp"""
    temp: float | None
    """``--temp``, ``--temperature`` N. Source: arg.cpp"""
    temperature: float | None
    """``--temp``, ``--temperature`` N. Source: arg.cpp"""
    top_k: int | None
    """``--top-k`` N. Source: arg.cpp"""
    top_p: float | None
    """``--top-p`` N. Source: arg.cpp"""
    min_p: float | None
    """``--min-p`` N. Source: arg.cpp"""
    top_nsigma: float | None
    """``--top-nsigma``, ``--top-n-sigma`` N. Source: arg.cpp"""
    top_n_sigma: float | None
    """``--top-nsigma``, ``--top-n-sigma`` N. Source: arg.cpp"""
    xtc_probability: float | None
    """``--xtc-probability`` N. Source: arg.cpp"""
    xtc_threshold: float | None
    """``--xtc-threshold`` N. Source: arg.cpp"""
    typical: float | None
    """``--typical``, ``--typical-p`` N. Source: arg.cpp"""
    typical_p: float | None
    """``--typical``, ``--typical-p`` N. Source: arg.cpp"""
    repeat_last_n: int | None
    """``--repeat-last-n`` N; at least 0. Source: arg.cpp"""
    repeat_penalty: float | None
    """``--repeat-penalty`` N; at least 0.0; not 0.0. Source: arg.cpp"""
    presence_penalty: float | None
    """``--presence-penalty`` N. Source: arg.cpp"""
    frequency_penalty: float | None
    """``--frequency-penalty`` N. Source: arg.cpp"""
    dry_multiplier: float | None
    """``--dry-multiplier`` N. Source: arg.cpp"""
    dry_base: float | None
    """``--dry-base`` N. Source: arg.cpp"""
    dry_allowed_length: int | None
    """``--dry-allowed-length`` N. Source: arg.cpp"""
    dry_penalty_last_n: int | None
    """``--dry-penalty-last-n`` N; at least 0. Source: arg.cpp"""
    dry_sequence_breaker: str | Sequence[str] | None
    """``--dry-sequence-breaker`` STRING. Source: arg.cpp"""
    adaptive_target: float | None
    """``--adaptive-target`` N. Source: arg.cpp"""
    adaptive_decay: float | None
    """``--adaptive-decay`` N. Source: arg.cpp"""
    dynatemp_range: float | None
    """``--dynatemp-range`` N. Source: arg.cpp"""
    dynatemp_exp: float | None
    """``--dynatemp-exp`` N. Source: arg.cpp"""
    mirostat: int | None
    """``--mirostat`` N. Source: arg.cpp"""
    mirostat_lr: float | None
    """``--mirostat-lr`` N. Source: arg.cpp"""
    mirostat_ent: float | None
    """``--mirostat-ent`` N. Source: arg.cpp"""
    logit_bias: str | Sequence[str] | None
    """``-l``, ``--logit-bias`` TOKEN_ID(+/-)BIAS. Source: arg.cpp"""
    grammar: str | None
    """``--grammar`` GRAMMAR. Source: arg.cpp"""
    grammar_file: str | os.PathLike[str] | None
    """``--grammar-file`` FNAME. Source: arg.cpp"""
    json_schema: str | None
    """``-j``, ``--json-schema`` SCHEMA. Source: arg.cpp"""
    json_schema_file: str | os.PathLike[str] | None
    """``-jf``, ``--json-schema-file`` FILE. Source: arg.cpp"""
    backend_sampling: bool | None
    """``-bs``, ``--backend-sampling``. Source: arg.cpp"""
    pooling: Literal["none", "mean", "cls", "last", "rank"] | None
    """``--pooling`` {none,mean,cls,last,rank}. Source: arg.cpp"""
    rope_scaling: Literal["none", "linear", "yarn"] | None
    """``--rope-scaling`` {none,linear,yarn}. Source: arg.cpp"""
    rope_scale: float | None
    """``--rope-scale`` N. Source: arg.cpp"""
    rope_freq_base: float | None
    """``--rope-freq-base`` N. Source: arg.cpp"""
    rope_freq_scale: float | None
    """``--rope-freq-scale`` N. Source: arg.cpp"""
    yarn_orig_ctx: int | None
    """``--yarn-orig-ctx`` N. Source: arg.cpp"""
    yarn_ext_factor: float | None
    """``--yarn-ext-factor`` N. Source: arg.cpp"""
    yarn_attn_factor: float | None
    """``--yarn-attn-factor`` N. Source: arg.cpp"""
    yarn_beta_slow: float | None
    """``--yarn-beta-slow`` N. Source: arg.cpp"""
    yarn_beta_fast: float | None
    """``--yarn-beta-fast`` N. Source: arg.cpp"""
    kv_offload: bool | None
    """``-kvo``, ``--kv-offload``, ``-nkvo``, ``--no-kv-offload``. Source: arg.cpp"""
    no_kv_offload: bool | None
    """``-kvo``, ``--kv-offload``, ``-nkvo``, ``--no-kv-offload``. Source: arg.cpp"""
    repack: bool | None
    """``--repack``, ``-nr``, ``--no-repack``. Source: arg.cpp"""
    no_repack: bool | None
    """``--repack``, ``-nr``, ``--no-repack``. Source: arg.cpp"""
    no_host: bool | None
    """``--no-host``. Source: arg.cpp"""
    cache_type_k: (
        Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"] | None
    )
    """``-ctk``, ``--cache-type-k`` TYPE. Source: arg.cpp"""
    cache_type_v: (
        Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"] | None
    )
    """``-ctv``, ``--cache-type-v`` TYPE. Source: arg.cpp"""
    defrag_thold: str | None
    """``-dt``, ``--defrag-thold`` N. Source: arg.cpp"""
    parallel: int | None
    """``-np``, ``--parallel`` N; not 0. Source: arg.cpp"""
    cont_batching: bool | None
    """``-cb``, ``--cont-batching``, ``-nocb``, ``--no-cont-batching``. Source: arg.cpp"""
    no_cont_batching: bool | None
    """``-cb``, ``--cont-batching``, ``-nocb``, ``--no-cont-batching``. Source: arg.cpp"""
    mmproj: str | os.PathLike[str] | None
    """``-mm``, ``--mmproj`` FILE. Source: arg.cpp"""
    mmproj_url: str | None
    """``-mmu``, ``--mmproj-url`` URL. Source: arg.cpp"""
    mmproj_auto: bool | None
    """``--mmproj-auto``, ``--no-mmproj``, ``--no-mmproj-auto``. Source: arg.cpp"""
    no_mmproj: bool | None
    """``--mmproj-auto``, ``--no-mmproj``, ``--no-mmproj-auto``. Source: arg.cpp"""
    no_mmproj_auto: bool | None
    """``--mmproj-auto``, ``--no-mmproj``, ``--no-mmproj-auto``. Source: arg.cpp"""
    mmproj_offload: bool | None
    """``--mmproj-offload``, ``--no-mmproj-offload``. Source: arg.cpp"""
    no_mmproj_offload: bool | None
    """``--mmproj-offload``, ``--no-mmproj-offload``. Source: arg.cpp"""
    mmproj_device: str | Sequence[str] | None
    """``-mmdev``, ``--mmproj-device`` DEVICE. Source: arg.cpp"""
    image_min_tokens: int | None
    """``--image-min-tokens`` N. Source: arg.cpp"""
    image_max_tokens: int | None
    """``--image-max-tokens`` N. Source: arg.cpp"""
    mtmd_batch_max_tokens: int | None
    """``--mtmd-batch-max-tokens`` N. Source: arg.cpp"""
    video_fps: float | None
    """``--video-fps`` N. Source: arg.cpp"""
    video_timestamp_interval: int | None
    """``--video-timestamp-interval`` N. Source: arg.cpp"""
    video_ffmpeg_dir: str | os.PathLike[str] | None
    """``--video-ffmpeg-dir`` DIR. Source: arg.cpp"""
    rpc: str | Sequence[str] | None
    """``--rpc`` SERVERS. Source: arg.cpp"""
    load_mode: Literal["auto", "none", "mmap", "mlock", "mmap+mlock", "dio"] | None
    """``-lm``, ``--load-mode`` MODE. Source: arg.cpp"""
    lazy_mode: Literal["on", "auto", "off"] | bool | None
    """``-lzm``, ``--lazy-mode`` MODE. Source: arg.cpp"""
    numa: Literal["distribute", "isolate", "numactl"] | None
    """``--numa`` TYPE. Source: arg.cpp"""
    device: str | Sequence[str] | None
    """``-dev``, ``--device`` <dev1,dev2,..>. Source: arg.cpp"""
    override_tensor: str | None
    """``-ot``, ``--override-tensor`` <tensor name pattern>=<buffer type>,.... Source: arg.cpp"""
    cpu_moe: bool | None
    """``-cmoe``, ``--cpu-moe``. Source: arg.cpp"""
    n_cpu_moe: int | None
    """``-ncmoe``, ``--n-cpu-moe`` N; at least 0. Source: arg.cpp"""
    moe_cache_mib: int | None
    """``--moe-cache-mib`` N; at least 0. Source: arg.cpp"""
    n_cpu_ffn: int | None
    """``-ncffn``, ``--n-cpu-ffn`` N; at least 0. Source: arg.cpp"""
    gpu_layers: Literal["auto", "all"] | int | None
    """``-ngl``, ``--gpu-layers``, ``--n-gpu-layers`` N. Source: arg.cpp"""
    n_gpu_layers: Literal["auto", "all"] | int | None
    """``-ngl``, ``--gpu-layers``, ``--n-gpu-layers`` N. Source: arg.cpp"""
    split_mode: Literal["none", "layer", "row", "tensor"] | None
    """``-sm``, ``--split-mode`` {none,layer,row,tensor}. Source: arg.cpp"""
    tensor_split: str | Sequence[str] | None
    """``-ts``, ``--tensor-split`` N0,N1,N2,.... Source: arg.cpp"""
    main_gpu: int | None
    """``-mg``, ``--main-gpu`` INDEX. Source: arg.cpp"""
    fit: Literal["on", "enabled", "true", "1", "off", "disabled", "false", "0"] | bool | None
    """``-fit``, ``--fit`` [on|off]. Source: arg.cpp"""
    fit_target: str | Sequence[str] | None
    """``-fitt``, ``--fit-target`` MiB0,MiB1,MiB2,.... Source: arg.cpp"""
    fit_ctx: int | None
    """``-fitc``, ``--fit-ctx`` N. Source: arg.cpp"""
    check_tensors: bool | None
    """``--check-tensors``. Source: arg.cpp"""
    override_kv: str | Sequence[str] | None
    """``--override-kv`` KEY=TYPE:VALUE,.... Source: arg.cpp"""
    op_offload: bool | None
    """``--op-offload``, ``--no-op-offload``. Source: arg.cpp"""
    no_op_offload: bool | None
    """``--op-offload``, ``--no-op-offload``. Source: arg.cpp"""
    lora: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
    """``--lora`` FNAME. Source: arg.cpp"""
    lora_scaled: str | Sequence[str] | None
    """``--lora-scaled`` FNAME:SCALE,.... Source: arg.cpp"""
    control_vector: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
    """``--control-vector`` FNAME. Source: arg.cpp"""
    control_vector_scaled: str | Sequence[str] | None
    """``--control-vector-scaled`` FNAME:SCALE,.... Source: arg.cpp"""
    control_vector_layer_range: tuple[int, int] | None
    """``--control-vector-layer-range`` START END. Source: arg.cpp"""
    alias: str | Sequence[str] | None
    """``-a``, ``--alias`` STRING. Source: arg.cpp"""
    tags: str | Sequence[str] | None
    """``--tags`` STRING. Source: arg.cpp"""
    model_url: str | None
    """``-mu``, ``--model-url`` MODEL_URL. Source: arg.cpp"""
    docker_repo: str | None
    """``-dr``, ``--docker-repo`` [<repo>/]<model>[:quant]. Source: arg.cpp"""
    hf_repo: str | None
    """``-hf``, ``-hfr``, ``--hf-repo`` <user>/<model>[:quant]. Source: arg.cpp"""
    hf_file: str | os.PathLike[str] | None
    """``-hff``, ``--hf-file`` FILE. Source: arg.cpp"""
    hf_token: str | None
    """``-hft``, ``--hf-token`` TOKEN. Source: arg.cpp"""
    embd_normalize: int | None
    """``--embd-normalize`` N. Source: arg.cpp"""
    reuse_port: bool | None
    """``--reuse-port``. Source: arg.cpp"""
    path: str | os.PathLike[str] | None
    """``--path`` PATH. Source: arg.cpp"""
    cors_origins: str | None
    """``--cors-origins`` ORIGINS. Source: arg.cpp"""
    cors_methods: str | None
    """``--cors-methods`` METHODS. Source: arg.cpp"""
    cors_headers: str | None
    """``--cors-headers`` HEADERS. Source: arg.cpp"""
    cors_credentials: bool | None
    """``--cors-credentials``, ``--no-cors-credentials``. Source: arg.cpp"""
    no_cors_credentials: bool | None
    """``--cors-credentials``, ``--no-cors-credentials``. Source: arg.cpp"""
    api_prefix: str | None
    """``--api-prefix`` PREFIX. Source: arg.cpp"""
    ui_config: str | None
    """``--ui-config``, ``--webui-config`` JSON. Source: arg.cpp"""
    webui_config: str | None
    """``--ui-config``, ``--webui-config`` JSON. Source: arg.cpp"""
    ui_config_file: str | os.PathLike[str] | None
    """``--ui-config-file``, ``--webui-config-file`` PATH. Source: arg.cpp"""
    webui_config_file: str | os.PathLike[str] | None
    """``--ui-config-file``, ``--webui-config-file`` PATH. Source: arg.cpp"""
    ui_mcp_proxy: bool | None
    """``--ui-mcp-proxy``, ``--webui-mcp-proxy``, ``--no-ui-mcp-proxy``, ``--no-webui-mcp-proxy``. Source: arg.cpp"""
    webui_mcp_proxy: bool | None
    """``--ui-mcp-proxy``, ``--webui-mcp-proxy``, ``--no-ui-mcp-proxy``, ``--no-webui-mcp-proxy``. Source: arg.cpp"""
    no_ui_mcp_proxy: bool | None
    """``--ui-mcp-proxy``, ``--webui-mcp-proxy``, ``--no-ui-mcp-proxy``, ``--no-webui-mcp-proxy``. Source: arg.cpp"""
    no_webui_mcp_proxy: bool | None
    """``--ui-mcp-proxy``, ``--webui-mcp-proxy``, ``--no-ui-mcp-proxy``, ``--no-webui-mcp-proxy``. Source: arg.cpp"""
    tools: str | Sequence[str] | None
    """``--tools`` TOOL1,TOOL2,.... Source: arg.cpp"""
    tools_runtime: str | None
    """``--tools-runtime`` OPTION. Source: arg.cpp"""
    mcp_servers_config: str | os.PathLike[str] | None
    """``--mcp-servers-config`` PATH. Source: arg.cpp"""
    mcp_servers_json: str | None
    """``--mcp-servers-json`` JSON. Source: arg.cpp"""
    agent: bool | None
    """``-ag``, ``--agent``, ``-no-ag``, ``--no-agent``. Source: arg.cpp"""
    no_agent: bool | None
    """``-ag``, ``--agent``, ``-no-ag``, ``--no-agent``. Source: arg.cpp"""
    ui: bool | None
    """``--ui``, ``--webui``, ``--no-ui``, ``--no-webui``. Source: arg.cpp"""
    webui: bool | None
    """``--ui``, ``--webui``, ``--no-ui``, ``--no-webui``. Source: arg.cpp"""
    no_ui: bool | None
    """``--ui``, ``--webui``, ``--no-ui``, ``--no-webui``. Source: arg.cpp"""
    no_webui: bool | None
    """``--ui``, ``--webui``, ``--no-ui``, ``--no-webui``. Source: arg.cpp"""
    embedding: bool | None
    """``--embedding``, ``--embeddings``. Source: arg.cpp"""
    embeddings: bool | None
    """``--embedding``, ``--embeddings``. Source: arg.cpp"""
    rerank: bool | None
    """``--rerank``, ``--reranking``. Source: arg.cpp"""
    reranking: bool | None
    """``--rerank``, ``--reranking``. Source: arg.cpp"""
    ssl_key_file: str | os.PathLike[str] | None
    """``--ssl-key-file`` FNAME. Source: arg.cpp"""
    ssl_cert_file: str | os.PathLike[str] | None
    """``--ssl-cert-file`` FNAME. Source: arg.cpp"""
    chat_template_kwargs: str | None
    """``--chat-template-kwargs`` STRING. Source: arg.cpp"""
    sse_ping_interval: int | None
    """``--sse-ping-interval`` N. Source: arg.cpp"""
    threads_http: int | None
    """``--threads-http`` N. Source: arg.cpp"""
    cache_prompt: bool | None
    """``--cache-prompt``, ``--no-cache-prompt``. Source: arg.cpp"""
    no_cache_prompt: bool | None
    """``--cache-prompt``, ``--no-cache-prompt``. Source: arg.cpp"""
    cache_reuse: int | None
    """``--cache-reuse`` N. Source: arg.cpp"""
    metrics: bool | None
    """``--metrics``. Source: arg.cpp"""
    props: bool | None
    """``--props``. Source: arg.cpp"""
    slots: bool | None
    """``--slots``, ``--no-slots``. Source: arg.cpp"""
    no_slots: bool | None
    """``--slots``, ``--no-slots``. Source: arg.cpp"""
    slot_save_path: str | os.PathLike[str] | None
    """``--slot-save-path`` PATH. Source: arg.cpp"""
    media_path: str | os.PathLike[str] | None
    """``--media-path`` PATH. Source: arg.cpp"""
    models_dir: str | os.PathLike[str] | None
    """``--models-dir`` PATH. Source: arg.cpp"""
    models_max: int | None
    """``--models-max`` N. Source: arg.cpp"""
    models_autoload: bool | None
    """``--models-autoload``, ``--no-models-autoload``. Source: arg.cpp"""
    no_models_autoload: bool | None
    """``--models-autoload``, ``--no-models-autoload``. Source: arg.cpp"""
    jinja: bool | None
    """``--jinja``, ``--no-jinja``. Source: arg.cpp"""
    no_jinja: bool | None
    """``--jinja``, ``--no-jinja``. Source: arg.cpp"""
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None
    """``--reasoning-format`` FORMAT. Source: arg.cpp"""
    reasoning: (
        Literal["on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto", "-1"]
        | bool
        | None
    )
    """``-rea``, ``--reasoning`` [on|off|auto]. Source: arg.cpp"""
    reasoning_effort: str | None
    """``--reasoning-effort`` LEVEL. Source: arg.cpp"""
    reasoning_budget: int | None
    """``--reasoning-budget`` N; at least -1. Source: arg.cpp"""
    reasoning_budget_message: str | None
    """``--reasoning-budget-message`` MESSAGE. Source: arg.cpp"""
    reasoning_preserve: bool | None
    """``--reasoning-preserve``, ``--no-reasoning-preserve``. Source: arg.cpp"""
    no_reasoning_preserve: bool | None
    """``--reasoning-preserve``, ``--no-reasoning-preserve``. Source: arg.cpp"""
    chat_template: str | None
    """``--chat-template`` JINJA_TEMPLATE. Source: arg.cpp"""
    chat_template_file: str | os.PathLike[str] | None
    """``--chat-template-file`` JINJA_TEMPLATE_FILE. Source: arg.cpp"""
    skip_chat_parsing: bool | None
    """``--skip-chat-parsing``, ``--no-skip-chat-parsing``. Source: arg.cpp"""
    no_skip_chat_parsing: bool | None
    """``--skip-chat-parsing``, ``--no-skip-chat-parsing``. Source: arg.cpp"""
    prefill_assistant: bool | None
    """``--prefill-assistant``, ``--no-prefill-assistant``. Source: arg.cpp"""
    no_prefill_assistant: bool | None
    """``--prefill-assistant``, ``--no-prefill-assistant``. Source: arg.cpp"""
    slot_prompt_similarity: float | None
    """``-sps``, ``--slot-prompt-similarity`` SIMILARITY. Source: arg.cpp"""
    lora_init_without_apply: bool | None
    """``--lora-init-without-apply``. Source: arg.cpp"""
    sleep_idle_seconds: int | None
    """``--sleep-idle-seconds`` SECONDS; at least -1; not 0. Source: arg.cpp"""
    log_file: str | os.PathLike[str] | None
    """``--log-file`` FNAME. Source: arg.cpp"""
    log_jsonl: bool | None
    """``--log-jsonl``, ``--no-log-jsonl``. Source: arg.cpp"""
    no_log_jsonl: bool | None
    """``--log-jsonl``, ``--no-log-jsonl``. Source: arg.cpp"""
    log_prompts_dir: str | os.PathLike[str] | None
    """``--log-prompts-dir`` PATH. Source: arg.cpp"""
    log_colors: (
        Literal["on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto", "-1"]
        | bool
        | None
    )
    """``--log-colors`` [on|off|auto]. Source: arg.cpp"""
    verbose: bool | None
    """``-v``, ``--verbose``, ``--log-verbose``. Source: arg.cpp"""
    log_verbose: bool | None
    """``-v``, ``--verbose``, ``--log-verbose``. Source: arg.cpp"""
    offline: bool | None
    """``--offline``. Source: arg.cpp"""
    verbosity: int | None
    """``-lv``, ``--verbosity``, ``--log-verbosity`` N. Source: arg.cpp"""
    log_verbosity: int | None
    """``-lv``, ``--verbosity``, ``--log-verbosity`` N. Source: arg.cpp"""
    log_prefix: bool | None
    """``--log-prefix``, ``--no-log-prefix``. Source: arg.cpp"""
    no_log_prefix: bool | None
    """``--log-prefix``, ``--no-log-prefix``. Source: arg.cpp"""
    log_timestamps: bool | None
    """``--log-timestamps``, ``--no-log-timestamps``. Source: arg.cpp"""
    no_log_timestamps: bool | None
    """``--log-timestamps``, ``--no-log-timestamps``. Source: arg.cpp"""
    spec_draft_hf: str | None
    """``--spec-draft-hf``, ``-hfd``, ``-hfrd``, ``--hf-repo-draft`` <user>/<model>[:quant]. Source: arg.cpp"""
    hf_repo_draft: str | None
    """``--spec-draft-hf``, ``-hfd``, ``-hfrd``, ``--hf-repo-draft`` <user>/<model>[:quant]. Source: arg.cpp"""
    spec_draft_threads: int | None
    """``--spec-draft-threads``, ``-td``, ``--threads-draft`` N. Source: arg.cpp"""
    threads_draft: int | None
    """``--spec-draft-threads``, ``-td``, ``--threads-draft`` N. Source: arg.cpp"""
    spec_draft_threads_batch: int | None
    """``--spec-draft-threads-batch``, ``-tbd``, ``--threads-batch-draft`` N. Source: arg.cpp"""
    threads_batch_draft: int | None
    """``--spec-draft-threads-batch``, ``-tbd``, ``--threads-batch-draft`` N. Source: arg.cpp"""
    spec_draft_cpu_mask: str | None
    """``--spec-draft-cpu-mask``, ``-Cd``, ``--cpu-mask-draft`` M. Source: arg.cpp"""
    cpu_mask_draft: str | None
    """``--spec-draft-cpu-mask``, ``-Cd``, ``--cpu-mask-draft`` M. Source: arg.cpp"""
    spec_draft_cpu_range: str | None
    """``--spec-draft-cpu-range``, ``-Crd``, ``--cpu-range-draft`` lo-hi. Source: arg.cpp"""
    cpu_range_draft: str | None
    """``--spec-draft-cpu-range``, ``-Crd``, ``--cpu-range-draft`` lo-hi. Source: arg.cpp"""
    spec_draft_cpu_strict: int | None
    """``--spec-draft-cpu-strict``, ``--cpu-strict-draft`` <0|1>. Source: arg.cpp"""
    cpu_strict_draft: int | None
    """``--spec-draft-cpu-strict``, ``--cpu-strict-draft`` <0|1>. Source: arg.cpp"""
    spec_draft_prio: int | None
    """``--spec-draft-prio``, ``--prio-draft`` N; 0 to 3. Source: arg.cpp"""
    prio_draft: int | None
    """``--spec-draft-prio``, ``--prio-draft`` N; 0 to 3. Source: arg.cpp"""
    spec_draft_poll: int | None
    """``--spec-draft-poll``, ``--poll-draft`` <0|1>. Source: arg.cpp"""
    poll_draft: int | None
    """``--spec-draft-poll``, ``--poll-draft`` <0|1>. Source: arg.cpp"""
    spec_draft_cpu_mask_batch: str | None
    """``--spec-draft-cpu-mask-batch``, ``-Cbd``, ``--cpu-mask-batch-draft`` M. Source: arg.cpp"""
    cpu_mask_batch_draft: str | None
    """``--spec-draft-cpu-mask-batch``, ``-Cbd``, ``--cpu-mask-batch-draft`` M. Source: arg.cpp"""
    spec_draft_cpu_strict_batch: int | None
    """``--spec-draft-cpu-strict-batch``, ``--cpu-strict-batch-draft`` <0|1>. Source: arg.cpp"""
    cpu_strict_batch_draft: int | None
    """``--spec-draft-cpu-strict-batch``, ``--cpu-strict-batch-draft`` <0|1>. Source: arg.cpp"""
    spec_draft_prio_batch: int | None
    """``--spec-draft-prio-batch``, ``--prio-batch-draft`` N; 0 to 3. Source: arg.cpp"""
    prio_batch_draft: int | None
    """``--spec-draft-prio-batch``, ``--prio-batch-draft`` N; 0 to 3. Source: arg.cpp"""
    spec_draft_poll_batch: int | None
    """``--spec-draft-poll-batch``, ``--poll-batch-draft`` <0|1>. Source: arg.cpp"""
    poll_batch_draft: int | None
    """``--spec-draft-poll-batch``, ``--poll-batch-draft`` <0|1>. Source: arg.cpp"""
    spec_draft_type_k: (
        Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"] | None
    )
    """``--spec-draft-type-k``, ``-ctkd``, ``--cache-type-k-draft`` TYPE. Source: arg.cpp"""
    cache_type_k_draft: (
        Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"] | None
    )
    """``--spec-draft-type-k``, ``-ctkd``, ``--cache-type-k-draft`` TYPE. Source: arg.cpp"""
    spec_draft_type_v: (
        Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"] | None
    )
    """``--spec-draft-type-v``, ``-ctvd``, ``--cache-type-v-draft`` TYPE. Source: arg.cpp"""
    cache_type_v_draft: (
        Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"] | None
    )
    """``--spec-draft-type-v``, ``-ctvd``, ``--cache-type-v-draft`` TYPE. Source: arg.cpp"""
    spec_draft_override_tensor: str | None
    """``--spec-draft-override-tensor``, ``-otd``, ``--override-tensor-draft`` <tensor name pattern>=<buffer type>,.... Source: arg.cpp"""
    override_tensor_draft: str | None
    """``--spec-draft-override-tensor``, ``-otd``, ``--override-tensor-draft`` <tensor name pattern>=<buffer type>,.... Source: arg.cpp"""
    spec_draft_cpu_moe: bool | None
    """``--spec-draft-cpu-moe``, ``-cmoed``, ``--cpu-moe-draft``. Source: arg.cpp"""
    cpu_moe_draft: bool | None
    """``--spec-draft-cpu-moe``, ``-cmoed``, ``--cpu-moe-draft``. Source: arg.cpp"""
    spec_draft_n_cpu_moe: int | None
    """``--spec-draft-n-cpu-moe``, ``--spec-draft-ncmoe``, ``-ncmoed``, ``--n-cpu-moe-draft`` N; at least 0. Source: arg.cpp"""
    spec_draft_ncmoe: int | None
    """``--spec-draft-n-cpu-moe``, ``--spec-draft-ncmoe``, ``-ncmoed``, ``--n-cpu-moe-draft`` N; at least 0. Source: arg.cpp"""
    n_cpu_moe_draft: int | None
    """``--spec-draft-n-cpu-moe``, ``--spec-draft-ncmoe``, ``-ncmoed``, ``--n-cpu-moe-draft`` N; at least 0. Source: arg.cpp"""
    spec_draft_n_max: int | None
    """``--spec-draft-n-max`` N; at least 0. Source: arg.cpp"""
    spec_draft_n_min: int | None
    """``--spec-draft-n-min`` N. Source: arg.cpp"""
    spec_synth_len: float | None
    """``--spec-synth-len`` L. Source: arg.cpp"""
    spec_synth_rates: str | Sequence[str] | None
    """``--spec-synth-rates`` P0,P1,.... Source: arg.cpp"""
    spec_draft_p_split: float | None
    """``--spec-draft-p-split``, ``--draft-p-split`` P. Source: arg.cpp"""
    draft_p_split: float | None
    """``--spec-draft-p-split``, ``--draft-p-split`` P. Source: arg.cpp"""
    spec_draft_p_min: float | None
    """``--spec-draft-p-min``, ``--draft-p-min`` P. Source: arg.cpp"""
    draft_p_min: float | None
    """``--spec-draft-p-min``, ``--draft-p-min`` P. Source: arg.cpp"""
    spec_draft_backend_sampling: bool | None
    """``--spec-draft-backend-sampling``, ``--no-spec-draft-backend-sampling``. Source: arg.cpp"""
    no_spec_draft_backend_sampling: bool | None
    """``--spec-draft-backend-sampling``, ``--no-spec-draft-backend-sampling``. Source: arg.cpp"""
    spec_draft_sampling: Literal["greedy", "probabilistic"] | None
    """``--spec-draft-sampling`` {greedy,probabilistic}. Source: arg.cpp"""
    spec_draft_device: str | Sequence[str] | None
    """``--spec-draft-device``, ``-devd``, ``--device-draft`` <dev1,dev2,..>. Source: arg.cpp"""
    device_draft: str | Sequence[str] | None
    """``--spec-draft-device``, ``-devd``, ``--device-draft`` <dev1,dev2,..>. Source: arg.cpp"""
    spec_draft_ngl: Literal["auto", "all"] | int | None
    """``--spec-draft-ngl``, ``-ngld``, ``--gpu-layers-draft``, ``--n-gpu-layers-draft`` N. Source: arg.cpp"""
    gpu_layers_draft: Literal["auto", "all"] | int | None
    """``--spec-draft-ngl``, ``-ngld``, ``--gpu-layers-draft``, ``--n-gpu-layers-draft`` N. Source: arg.cpp"""
    n_gpu_layers_draft: Literal["auto", "all"] | int | None
    """``--spec-draft-ngl``, ``-ngld``, ``--gpu-layers-draft``, ``--n-gpu-layers-draft`` N. Source: arg.cpp"""
    spec_draft_model: str | os.PathLike[str] | None
    """``--spec-draft-model``, ``-md``, ``--model-draft`` FNAME. Source: arg.cpp"""
    model_draft: str | os.PathLike[str] | None
    """``--spec-draft-model``, ``-md``, ``--model-draft`` FNAME. Source: arg.cpp"""
    spec_type: str | Sequence[str] | None
    """``--spec-type`` common_speculative_all_types_str(). Source: arg.cpp"""
    spec_ngram_mod_n_min: int | None
    """``--spec-ngram-mod-n-min`` N; 0 to 1024. Source: arg.cpp"""
    spec_ngram_mod_n_max: int | None
    """``--spec-ngram-mod-n-max`` N; 0 to 1024. Source: arg.cpp"""
    spec_ngram_mod_n_match: int | None
    """``--spec-ngram-mod-n-match`` N; 1 to 1024. Source: arg.cpp"""
    spec_ngram_simple_size_n: int | None
    """``--spec-ngram-simple-size-n`` N; 1 to 1024. Source: arg.cpp"""
    spec_ngram_simple_size_m: int | None
    """``--spec-ngram-simple-size-m`` N; 1 to 1024. Source: arg.cpp"""
    spec_ngram_simple_min_hits: int | None
    """``--spec-ngram-simple-min-hits`` N; at least 1. Source: arg.cpp"""
    spec_ngram_map_k_size_n: int | None
    """``--spec-ngram-map-k-size-n`` N; 1 to 1024. Source: arg.cpp"""
    spec_ngram_map_k_size_m: int | None
    """``--spec-ngram-map-k-size-m`` N; 1 to 1024. Source: arg.cpp"""
    spec_ngram_map_k_min_hits: int | None
    """``--spec-ngram-map-k-min-hits`` N; at least 1. Source: arg.cpp"""
    spec_ngram_map_k4v_size_n: int | None
    """``--spec-ngram-map-k4v-size-n`` N; 1 to 1024. Source: arg.cpp"""
    spec_ngram_map_k4v_size_m: int | None
    """``--spec-ngram-map-k4v-size-m`` N; 1 to 1024. Source: arg.cpp"""
    spec_ngram_map_k4v_min_hits: int | None
    """``--spec-ngram-map-k4v-min-hits`` N; at least 1. Source: arg.cpp"""
    embd_gemma_default: bool | None
    """``--embd-gemma-default``. Source: arg.cpp"""
    fim_qwen_1_5b_default: bool | None
    """``--fim-qwen-1.5b-default``. Source: arg.cpp"""
    fim_qwen_3b_default: bool | None
    """``--fim-qwen-3b-default``. Source: arg.cpp"""
    fim_qwen_7b_default: bool | None
    """``--fim-qwen-7b-default``. Source: arg.cpp"""
    fim_qwen_7b_spec: bool | None
    """``--fim-qwen-7b-spec``. Source: arg.cpp"""
    fim_qwen_14b_spec: bool | None
    """``--fim-qwen-14b-spec``. Source: arg.cpp"""
    fim_qwen_30b_default: bool | None
    """``--fim-qwen-30b-default``. Source: arg.cpp"""
    gpt_oss_20b_default: bool | None
    """``--gpt-oss-20b-default``. Source: arg.cpp"""
    gpt_oss_120b_default: bool | None
    """``--gpt-oss-120b-default``. Source: arg.cpp"""
    vision_gemma_4b_default: bool | None
    """``--vision-gemma-4b-default``. Source: arg.cpp"""
    vision_gemma_12b_default: bool | None
    """``--vision-gemma-12b-default``. Source: arg.cpp"""
    spec_default: bool | None
    """``--spec-default``. Source: arg.cpp"""


OPTIONS: dict[str, Option] = {
    "threads": Option("--threads", Value("int", low=-2147483648, high=2147483647)),
    "threads_batch": Option("--threads-batch", Value("int", low=-2147483648, high=2147483647)),
    "cpu_mask": Option("--cpu-mask", Value("str")),
    "cpu_range": Option("--cpu-range", Value("str")),
    "cpu_strict": Option("--cpu-strict", Value("int")),
    "prio": Option("--prio", Value("int", low=-1, high=3)),
    "poll": Option("--poll", Value("int")),
    "cpu_mask_batch": Option("--cpu-mask-batch", Value("str")),
    "cpu_range_batch": Option("--cpu-range-batch", Value("str")),
    "cpu_strict_batch": Option(
        "--cpu-strict-batch", Value("int", low=-2147483648, high=2147483647)
    ),
    "prio_batch": Option("--prio-batch", Value("int", low=0, high=3)),
    "poll_batch": Option("--poll-batch", Value("int", low=-2147483648, high=2147483647)),
    "lookup_cache_static": Option("--lookup-cache-static", Value("str")),
    "lookup_cache_dynamic": Option("--lookup-cache-dynamic", Value("str")),
    "ctx_size": Option("--ctx-size", Value("int", low=-2147483648, high=2147483647)),
    "kv_unified_per_slot": Option(
        "--kv-unified-per-slot", Value("int", low=-2147483648, high=2147483647)
    ),
    "predict": Option("--predict", Value("int", low=-2147483648, high=2147483647)),
    "n_predict": Option("--n-predict", Value("int", low=-2147483648, high=2147483647)),
    "batch_size": Option("--batch-size", Value("int", low=-2147483648, high=2147483647)),
    "ubatch_size": Option("--ubatch-size", Value("int", low=-2147483648, high=2147483647)),
    "keep": Option("--keep", Value("int", low=-2147483648, high=2147483647)),
    "swa_full": Option("--swa-full", Value("bool"), flags=("--swa-full", "")),
    "ctx_checkpoints": Option("--ctx-checkpoints", Value("int", low=-2147483648, high=2147483647)),
    "swa_checkpoints": Option("--swa-checkpoints", Value("int", low=-2147483648, high=2147483647)),
    "checkpoint_min_step": Option("--checkpoint-min-step", Value("int", low=0, high=2147483647)),
    "cache_ram": Option("--cache-ram", Value("int", low=-2147483648, high=2147483647)),
    "kv_unified": Option("--kv-unified", Value("bool"), flags=("--kv-unified", "--no-kv-unified")),
    "no_kv_unified": Option(
        "--no-kv-unified", Value("bool"), flags=("--no-kv-unified", "--kv-unified")
    ),
    "cache_idle_slots": Option(
        "--cache-idle-slots", Value("bool"), flags=("--cache-idle-slots", "--no-cache-idle-slots")
    ),
    "no_cache_idle_slots": Option(
        "--no-cache-idle-slots",
        Value("bool"),
        flags=("--no-cache-idle-slots", "--cache-idle-slots"),
    ),
    "context_shift": Option(
        "--context-shift", Value("bool"), flags=("--context-shift", "--no-context-shift")
    ),
    "no_context_shift": Option(
        "--no-context-shift", Value("bool"), flags=("--no-context-shift", "--context-shift")
    ),
    "flash_attn": Option(
        "--flash-attn",
        Value(
            "str",
            choices=("on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto", "-1"),
        ),
    ),
    "perf": Option("--perf", Value("bool"), flags=("--perf", "--no-perf")),
    "no_perf": Option("--no-perf", Value("bool"), flags=("--no-perf", "--perf")),
    "escape": Option("--escape", Value("bool"), flags=("--escape", "--no-escape")),
    "no_escape": Option("--no-escape", Value("bool"), flags=("--no-escape", "--escape")),
    "reverse_prompt": Option("--reverse-prompt", Value("str"), joined="repeat"),
    "special": Option("--special", Value("bool"), flags=("--special", "")),
    "warmup": Option("--warmup", Value("bool"), flags=("--warmup", "--no-warmup")),
    "no_warmup": Option("--no-warmup", Value("bool"), flags=("--no-warmup", "--warmup")),
    "spm_infill": Option("--spm-infill", Value("bool"), flags=("--spm-infill", "")),
    "samplers": Option("--samplers", Value("str"), joined=";"),
    "seed": Option("--seed", Value("int")),
    "sampler_seq": Option("--sampler-seq", Value("str")),
    "sampling_seq": Option("--sampling-seq", Value("str")),
    "ignore_eos": Option("--ignore-eos", Value("bool"), flags=("--ignore-eos", "")),
    "temp": Option("--temp", Value("float")),
    "temperature": Option("--temperature", Value("float")),
    "top_k": Option("--top-k", Value("int", low=-2147483648, high=2147483647)),
    "top_p": Option("--top-p", Value("float")),
    "min_p": Option("--min-p", Value("float")),
    "top_nsigma": Option("--top-nsigma", Value("float")),
    "top_n_sigma": Option("--top-n-sigma", Value("float")),
    "xtc_probability": Option("--xtc-probability", Value("float")),
    "xtc_threshold": Option("--xtc-threshold", Value("float")),
    "typical": Option("--typical", Value("float")),
    "typical_p": Option("--typical-p", Value("float")),
    "repeat_last_n": Option("--repeat-last-n", Value("int", low=0, high=2147483647)),
    "repeat_penalty": Option("--repeat-penalty", Value("float", low=0.0), excluded=(0.0,)),
    "presence_penalty": Option("--presence-penalty", Value("float")),
    "frequency_penalty": Option("--frequency-penalty", Value("float")),
    "dry_multiplier": Option("--dry-multiplier", Value("float")),
    "dry_base": Option("--dry-base", Value("float")),
    "dry_allowed_length": Option(
        "--dry-allowed-length", Value("int", low=-2147483648, high=2147483647)
    ),
    "dry_penalty_last_n": Option("--dry-penalty-last-n", Value("int", low=0, high=2147483647)),
    "dry_sequence_breaker": Option("--dry-sequence-breaker", Value("str"), joined="repeat"),
    "adaptive_target": Option("--adaptive-target", Value("float")),
    "adaptive_decay": Option("--adaptive-decay", Value("float")),
    "dynatemp_range": Option("--dynatemp-range", Value("float")),
    "dynatemp_exp": Option("--dynatemp-exp", Value("float")),
    "mirostat": Option("--mirostat", Value("int", low=-2147483648, high=2147483647)),
    "mirostat_lr": Option("--mirostat-lr", Value("float")),
    "mirostat_ent": Option("--mirostat-ent", Value("float")),
    "logit_bias": Option("--logit-bias", Value("str"), joined="repeat"),
    "grammar": Option("--grammar", Value("str")),
    "grammar_file": Option("--grammar-file", Value("str")),
    "json_schema": Option("--json-schema", Value("str")),
    "json_schema_file": Option("--json-schema-file", Value("str")),
    "backend_sampling": Option(
        "--backend-sampling", Value("bool"), flags=("--backend-sampling", "")
    ),
    "pooling": Option("--pooling", Value("str", choices=("none", "mean", "cls", "last", "rank"))),
    "rope_scaling": Option("--rope-scaling", Value("str", choices=("none", "linear", "yarn"))),
    "rope_scale": Option("--rope-scale", Value("float")),
    "rope_freq_base": Option("--rope-freq-base", Value("float")),
    "rope_freq_scale": Option("--rope-freq-scale", Value("float")),
    "yarn_orig_ctx": Option("--yarn-orig-ctx", Value("int", low=-2147483648, high=2147483647)),
    "yarn_ext_factor": Option("--yarn-ext-factor", Value("float")),
    "yarn_attn_factor": Option("--yarn-attn-factor", Value("float")),
    "yarn_beta_slow": Option("--yarn-beta-slow", Value("float")),
    "yarn_beta_fast": Option("--yarn-beta-fast", Value("float")),
    "kv_offload": Option("--kv-offload", Value("bool"), flags=("--kv-offload", "--no-kv-offload")),
    "no_kv_offload": Option(
        "--no-kv-offload", Value("bool"), flags=("--no-kv-offload", "--kv-offload")
    ),
    "repack": Option("--repack", Value("bool"), flags=("--repack", "--no-repack")),
    "no_repack": Option("--no-repack", Value("bool"), flags=("--no-repack", "--repack")),
    "no_host": Option("--no-host", Value("bool"), flags=("--no-host", "")),
    "cache_type_k": Option(
        "--cache-type-k",
        Value(
            "str", choices=("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
        ),
    ),
    "cache_type_v": Option(
        "--cache-type-v",
        Value(
            "str", choices=("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
        ),
    ),
    "defrag_thold": Option("--defrag-thold", Value("str")),
    "parallel": Option("--parallel", Value("int", low=-2147483648, high=2147483647), excluded=(0,)),
    "cont_batching": Option(
        "--cont-batching", Value("bool"), flags=("--cont-batching", "--no-cont-batching")
    ),
    "no_cont_batching": Option(
        "--no-cont-batching", Value("bool"), flags=("--no-cont-batching", "--cont-batching")
    ),
    "mmproj": Option("--mmproj", Value("str")),
    "mmproj_url": Option("--mmproj-url", Value("str")),
    "mmproj_auto": Option("--mmproj-auto", Value("bool"), flags=("--mmproj-auto", "--no-mmproj")),
    "no_mmproj": Option("--no-mmproj", Value("bool"), flags=("--no-mmproj", "--mmproj-auto")),
    "no_mmproj_auto": Option(
        "--no-mmproj-auto", Value("bool"), flags=("--no-mmproj-auto", "--mmproj-auto")
    ),
    "mmproj_offload": Option(
        "--mmproj-offload", Value("bool"), flags=("--mmproj-offload", "--no-mmproj-offload")
    ),
    "no_mmproj_offload": Option(
        "--no-mmproj-offload", Value("bool"), flags=("--no-mmproj-offload", "--mmproj-offload")
    ),
    "mmproj_device": Option("--mmproj-device", Value("str"), joined=","),
    "image_min_tokens": Option(
        "--image-min-tokens", Value("int", low=-2147483648, high=2147483647)
    ),
    "image_max_tokens": Option(
        "--image-max-tokens", Value("int", low=-2147483648, high=2147483647)
    ),
    "mtmd_batch_max_tokens": Option(
        "--mtmd-batch-max-tokens", Value("int", low=-2147483648, high=2147483647)
    ),
    "video_fps": Option("--video-fps", Value("float")),
    "video_timestamp_interval": Option(
        "--video-timestamp-interval", Value("int", low=-2147483648, high=2147483647)
    ),
    "video_ffmpeg_dir": Option("--video-ffmpeg-dir", Value("str")),
    "rpc": Option("--rpc", Value("str"), joined=","),
    "load_mode": Option(
        "--load-mode", Value("str", choices=("auto", "none", "mmap", "mlock", "mmap+mlock", "dio"))
    ),
    "lazy_mode": Option("--lazy-mode", Value("str", choices=("on", "auto", "off"))),
    "numa": Option("--numa", Value("str", choices=("distribute", "isolate", "numactl"))),
    "device": Option("--device", Value("str"), joined=","),
    "override_tensor": Option("--override-tensor", Value("str")),
    "cpu_moe": Option("--cpu-moe", Value("bool"), flags=("--cpu-moe", "")),
    "n_cpu_moe": Option("--n-cpu-moe", Value("int", low=0, high=2147483647)),
    "moe_cache_mib": Option("--moe-cache-mib", Value("int", low=0, high=2147483647)),
    "n_cpu_ffn": Option("--n-cpu-ffn", Value("int", low=0, high=2147483647)),
    "gpu_layers": Option("--gpu-layers", Value("int|str", choices=("auto", "all"))),
    "n_gpu_layers": Option("--n-gpu-layers", Value("int|str", choices=("auto", "all"))),
    "split_mode": Option("--split-mode", Value("str", choices=("none", "layer", "row", "tensor"))),
    "tensor_split": Option("--tensor-split", Value("str"), joined=","),
    "main_gpu": Option("--main-gpu", Value("int", low=-2147483648, high=2147483647)),
    "fit": Option(
        "--fit",
        Value("str", choices=("on", "enabled", "true", "1", "off", "disabled", "false", "0")),
    ),
    "fit_target": Option("--fit-target", Value("str"), joined=","),
    "fit_ctx": Option("--fit-ctx", Value("int", low=-2147483648, high=2147483647)),
    "check_tensors": Option("--check-tensors", Value("bool"), flags=("--check-tensors", "")),
    "override_kv": Option("--override-kv", Value("str"), joined="csv"),
    "op_offload": Option("--op-offload", Value("bool"), flags=("--op-offload", "--no-op-offload")),
    "no_op_offload": Option(
        "--no-op-offload", Value("bool"), flags=("--no-op-offload", "--op-offload")
    ),
    "lora": Option("--lora", Value("str"), joined="csv"),
    "lora_scaled": Option("--lora-scaled", Value("str"), joined="csv"),
    "control_vector": Option("--control-vector", Value("str"), joined="csv"),
    "control_vector_scaled": Option("--control-vector-scaled", Value("str"), joined="csv"),
    "control_vector_layer_range": Option("--control-vector-layer-range", Value("int"), pair=True),
    "alias": Option("--alias", Value("str"), joined=","),
    "tags": Option("--tags", Value("str"), joined=","),
    "model_url": Option("--model-url", Value("str")),
    "docker_repo": Option("--docker-repo", Value("str")),
    "hf_repo": Option("--hf-repo", Value("str")),
    "hf_file": Option("--hf-file", Value("str")),
    "hf_token": Option("--hf-token", Value("str")),
    "embd_normalize": Option("--embd-normalize", Value("int", low=-2147483648, high=2147483647)),
    "reuse_port": Option("--reuse-port", Value("bool"), flags=("--reuse-port", "")),
    "path": Option("--path", Value("str")),
    "cors_origins": Option("--cors-origins", Value("str")),
    "cors_methods": Option("--cors-methods", Value("str")),
    "cors_headers": Option("--cors-headers", Value("str")),
    "cors_credentials": Option(
        "--cors-credentials", Value("bool"), flags=("--cors-credentials", "--no-cors-credentials")
    ),
    "no_cors_credentials": Option(
        "--no-cors-credentials",
        Value("bool"),
        flags=("--no-cors-credentials", "--cors-credentials"),
    ),
    "api_prefix": Option("--api-prefix", Value("str")),
    "ui_config": Option("--ui-config", Value("str")),
    "webui_config": Option("--webui-config", Value("str")),
    "ui_config_file": Option("--ui-config-file", Value("str")),
    "webui_config_file": Option("--webui-config-file", Value("str")),
    "ui_mcp_proxy": Option(
        "--ui-mcp-proxy", Value("bool"), flags=("--ui-mcp-proxy", "--no-ui-mcp-proxy")
    ),
    "webui_mcp_proxy": Option(
        "--webui-mcp-proxy", Value("bool"), flags=("--webui-mcp-proxy", "--no-ui-mcp-proxy")
    ),
    "no_ui_mcp_proxy": Option(
        "--no-ui-mcp-proxy", Value("bool"), flags=("--no-ui-mcp-proxy", "--ui-mcp-proxy")
    ),
    "no_webui_mcp_proxy": Option(
        "--no-webui-mcp-proxy", Value("bool"), flags=("--no-webui-mcp-proxy", "--ui-mcp-proxy")
    ),
    "tools": Option("--tools", Value("str"), joined="csv"),
    "tools_runtime": Option("--tools-runtime", Value("str")),
    "mcp_servers_config": Option("--mcp-servers-config", Value("str")),
    "mcp_servers_json": Option("--mcp-servers-json", Value("str")),
    "agent": Option("--agent", Value("bool"), flags=("--agent", "--no-agent")),
    "no_agent": Option("--no-agent", Value("bool"), flags=("--no-agent", "--agent")),
    "ui": Option("--ui", Value("bool"), flags=("--ui", "--no-ui")),
    "webui": Option("--webui", Value("bool"), flags=("--webui", "--no-ui")),
    "no_ui": Option("--no-ui", Value("bool"), flags=("--no-ui", "--ui")),
    "no_webui": Option("--no-webui", Value("bool"), flags=("--no-webui", "--ui")),
    "embedding": Option("--embedding", Value("bool"), flags=("--embedding", "")),
    "embeddings": Option("--embeddings", Value("bool"), flags=("--embeddings", "")),
    "rerank": Option("--rerank", Value("bool"), flags=("--rerank", "")),
    "reranking": Option("--reranking", Value("bool"), flags=("--reranking", "")),
    "ssl_key_file": Option("--ssl-key-file", Value("str")),
    "ssl_cert_file": Option("--ssl-cert-file", Value("str")),
    "chat_template_kwargs": Option("--chat-template-kwargs", Value("str")),
    "sse_ping_interval": Option(
        "--sse-ping-interval", Value("int", low=-2147483648, high=2147483647)
    ),
    "threads_http": Option("--threads-http", Value("int", low=-2147483648, high=2147483647)),
    "cache_prompt": Option(
        "--cache-prompt", Value("bool"), flags=("--cache-prompt", "--no-cache-prompt")
    ),
    "no_cache_prompt": Option(
        "--no-cache-prompt", Value("bool"), flags=("--no-cache-prompt", "--cache-prompt")
    ),
    "cache_reuse": Option("--cache-reuse", Value("int", low=-2147483648, high=2147483647)),
    "metrics": Option("--metrics", Value("bool"), flags=("--metrics", "")),
    "props": Option("--props", Value("bool"), flags=("--props", "")),
    "slots": Option("--slots", Value("bool"), flags=("--slots", "--no-slots")),
    "no_slots": Option("--no-slots", Value("bool"), flags=("--no-slots", "--slots")),
    "slot_save_path": Option("--slot-save-path", Value("str")),
    "media_path": Option("--media-path", Value("str")),
    "models_dir": Option("--models-dir", Value("str")),
    "models_max": Option("--models-max", Value("int", low=-2147483648, high=2147483647)),
    "models_autoload": Option(
        "--models-autoload", Value("bool"), flags=("--models-autoload", "--no-models-autoload")
    ),
    "no_models_autoload": Option(
        "--no-models-autoload", Value("bool"), flags=("--no-models-autoload", "--models-autoload")
    ),
    "jinja": Option("--jinja", Value("bool"), flags=("--jinja", "--no-jinja")),
    "no_jinja": Option("--no-jinja", Value("bool"), flags=("--no-jinja", "--jinja")),
    "reasoning_format": Option(
        "--reasoning-format", Value("str", choices=("none", "auto", "deepseek", "deepseek-legacy"))
    ),
    "reasoning": Option(
        "--reasoning",
        Value(
            "str",
            choices=("on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto", "-1"),
        ),
    ),
    "reasoning_effort": Option("--reasoning-effort", Value("str")),
    "reasoning_budget": Option("--reasoning-budget", Value("int", low=-1, high=2147483647)),
    "reasoning_budget_message": Option("--reasoning-budget-message", Value("str")),
    "reasoning_preserve": Option(
        "--reasoning-preserve",
        Value("bool"),
        flags=("--reasoning-preserve", "--no-reasoning-preserve"),
    ),
    "no_reasoning_preserve": Option(
        "--no-reasoning-preserve",
        Value("bool"),
        flags=("--no-reasoning-preserve", "--reasoning-preserve"),
    ),
    "chat_template": Option("--chat-template", Value("str")),
    "chat_template_file": Option("--chat-template-file", Value("str")),
    "skip_chat_parsing": Option(
        "--skip-chat-parsing",
        Value("bool"),
        flags=("--skip-chat-parsing", "--no-skip-chat-parsing"),
    ),
    "no_skip_chat_parsing": Option(
        "--no-skip-chat-parsing",
        Value("bool"),
        flags=("--no-skip-chat-parsing", "--skip-chat-parsing"),
    ),
    "prefill_assistant": Option(
        "--prefill-assistant",
        Value("bool"),
        flags=("--prefill-assistant", "--no-prefill-assistant"),
    ),
    "no_prefill_assistant": Option(
        "--no-prefill-assistant",
        Value("bool"),
        flags=("--no-prefill-assistant", "--prefill-assistant"),
    ),
    "slot_prompt_similarity": Option("--slot-prompt-similarity", Value("float")),
    "lora_init_without_apply": Option(
        "--lora-init-without-apply", Value("bool"), flags=("--lora-init-without-apply", "")
    ),
    "sleep_idle_seconds": Option(
        "--sleep-idle-seconds", Value("int", low=-1, high=2147483647), excluded=(0,)
    ),
    "log_file": Option("--log-file", Value("str")),
    "log_jsonl": Option("--log-jsonl", Value("bool"), flags=("--log-jsonl", "--no-log-jsonl")),
    "no_log_jsonl": Option(
        "--no-log-jsonl", Value("bool"), flags=("--no-log-jsonl", "--log-jsonl")
    ),
    "log_prompts_dir": Option("--log-prompts-dir", Value("str")),
    "log_colors": Option(
        "--log-colors",
        Value(
            "str",
            choices=("on", "enabled", "true", "1", "off", "disabled", "false", "0", "auto", "-1"),
        ),
    ),
    "verbose": Option("--verbose", Value("bool"), flags=("--verbose", "")),
    "log_verbose": Option("--log-verbose", Value("bool"), flags=("--log-verbose", "")),
    "offline": Option("--offline", Value("bool"), flags=("--offline", "")),
    "verbosity": Option("--verbosity", Value("int", low=-2147483648, high=2147483647)),
    "log_verbosity": Option("--log-verbosity", Value("int", low=-2147483648, high=2147483647)),
    "log_prefix": Option("--log-prefix", Value("bool"), flags=("--log-prefix", "--no-log-prefix")),
    "no_log_prefix": Option(
        "--no-log-prefix", Value("bool"), flags=("--no-log-prefix", "--log-prefix")
    ),
    "log_timestamps": Option(
        "--log-timestamps", Value("bool"), flags=("--log-timestamps", "--no-log-timestamps")
    ),
    "no_log_timestamps": Option(
        "--no-log-timestamps", Value("bool"), flags=("--no-log-timestamps", "--log-timestamps")
    ),
    "spec_draft_hf": Option("--spec-draft-hf", Value("str")),
    "hf_repo_draft": Option("--hf-repo-draft", Value("str")),
    "spec_draft_threads": Option(
        "--spec-draft-threads", Value("int", low=-2147483648, high=2147483647)
    ),
    "threads_draft": Option("--threads-draft", Value("int", low=-2147483648, high=2147483647)),
    "spec_draft_threads_batch": Option(
        "--spec-draft-threads-batch", Value("int", low=-2147483648, high=2147483647)
    ),
    "threads_batch_draft": Option(
        "--threads-batch-draft", Value("int", low=-2147483648, high=2147483647)
    ),
    "spec_draft_cpu_mask": Option("--spec-draft-cpu-mask", Value("str")),
    "cpu_mask_draft": Option("--cpu-mask-draft", Value("str")),
    "spec_draft_cpu_range": Option("--spec-draft-cpu-range", Value("str")),
    "cpu_range_draft": Option("--cpu-range-draft", Value("str")),
    "spec_draft_cpu_strict": Option(
        "--spec-draft-cpu-strict", Value("int", low=-2147483648, high=2147483647)
    ),
    "cpu_strict_draft": Option(
        "--cpu-strict-draft", Value("int", low=-2147483648, high=2147483647)
    ),
    "spec_draft_prio": Option("--spec-draft-prio", Value("int", low=0, high=3)),
    "prio_draft": Option("--prio-draft", Value("int", low=0, high=3)),
    "spec_draft_poll": Option("--spec-draft-poll", Value("int", low=-2147483648, high=2147483647)),
    "poll_draft": Option("--poll-draft", Value("int", low=-2147483648, high=2147483647)),
    "spec_draft_cpu_mask_batch": Option("--spec-draft-cpu-mask-batch", Value("str")),
    "cpu_mask_batch_draft": Option("--cpu-mask-batch-draft", Value("str")),
    "spec_draft_cpu_strict_batch": Option(
        "--spec-draft-cpu-strict-batch", Value("int", low=-2147483648, high=2147483647)
    ),
    "cpu_strict_batch_draft": Option(
        "--cpu-strict-batch-draft", Value("int", low=-2147483648, high=2147483647)
    ),
    "spec_draft_prio_batch": Option("--spec-draft-prio-batch", Value("int", low=0, high=3)),
    "prio_batch_draft": Option("--prio-batch-draft", Value("int", low=0, high=3)),
    "spec_draft_poll_batch": Option(
        "--spec-draft-poll-batch", Value("int", low=-2147483648, high=2147483647)
    ),
    "poll_batch_draft": Option(
        "--poll-batch-draft", Value("int", low=-2147483648, high=2147483647)
    ),
    "spec_draft_type_k": Option(
        "--spec-draft-type-k",
        Value(
            "str", choices=("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
        ),
    ),
    "cache_type_k_draft": Option(
        "--cache-type-k-draft",
        Value(
            "str", choices=("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
        ),
    ),
    "spec_draft_type_v": Option(
        "--spec-draft-type-v",
        Value(
            "str", choices=("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
        ),
    ),
    "cache_type_v_draft": Option(
        "--cache-type-v-draft",
        Value(
            "str", choices=("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
        ),
    ),
    "spec_draft_override_tensor": Option("--spec-draft-override-tensor", Value("str")),
    "override_tensor_draft": Option("--override-tensor-draft", Value("str")),
    "spec_draft_cpu_moe": Option(
        "--spec-draft-cpu-moe", Value("bool"), flags=("--spec-draft-cpu-moe", "")
    ),
    "cpu_moe_draft": Option("--cpu-moe-draft", Value("bool"), flags=("--cpu-moe-draft", "")),
    "spec_draft_n_cpu_moe": Option("--spec-draft-n-cpu-moe", Value("int", low=0, high=2147483647)),
    "spec_draft_ncmoe": Option("--spec-draft-ncmoe", Value("int", low=0, high=2147483647)),
    "n_cpu_moe_draft": Option("--n-cpu-moe-draft", Value("int", low=0, high=2147483647)),
    "spec_draft_n_max": Option("--spec-draft-n-max", Value("int", low=0, high=2147483647)),
    "spec_draft_n_min": Option(
        "--spec-draft-n-min", Value("int", low=-2147483648, high=2147483647)
    ),
    "spec_synth_len": Option("--spec-synth-len", Value("float")),
    "spec_synth_rates": Option("--spec-synth-rates", Value("str"), joined=","),
    "spec_draft_p_split": Option("--spec-draft-p-split", Value("float")),
    "draft_p_split": Option("--draft-p-split", Value("float")),
    "spec_draft_p_min": Option("--spec-draft-p-min", Value("float")),
    "draft_p_min": Option("--draft-p-min", Value("float")),
    "spec_draft_backend_sampling": Option(
        "--spec-draft-backend-sampling",
        Value("bool"),
        flags=("--spec-draft-backend-sampling", "--no-spec-draft-backend-sampling"),
    ),
    "no_spec_draft_backend_sampling": Option(
        "--no-spec-draft-backend-sampling",
        Value("bool"),
        flags=("--no-spec-draft-backend-sampling", "--spec-draft-backend-sampling"),
    ),
    "spec_draft_sampling": Option(
        "--spec-draft-sampling", Value("str", choices=("greedy", "probabilistic"))
    ),
    "spec_draft_device": Option("--spec-draft-device", Value("str"), joined=","),
    "device_draft": Option("--device-draft", Value("str"), joined=","),
    "spec_draft_ngl": Option("--spec-draft-ngl", Value("int|str", choices=("auto", "all"))),
    "gpu_layers_draft": Option("--gpu-layers-draft", Value("int|str", choices=("auto", "all"))),
    "n_gpu_layers_draft": Option("--n-gpu-layers-draft", Value("int|str", choices=("auto", "all"))),
    "spec_draft_model": Option("--spec-draft-model", Value("str")),
    "model_draft": Option("--model-draft", Value("str")),
    "spec_type": Option("--spec-type", Value("str"), joined=","),
    "spec_ngram_mod_n_min": Option("--spec-ngram-mod-n-min", Value("int", low=0, high=1024)),
    "spec_ngram_mod_n_max": Option("--spec-ngram-mod-n-max", Value("int", low=0, high=1024)),
    "spec_ngram_mod_n_match": Option("--spec-ngram-mod-n-match", Value("int", low=1, high=1024)),
    "spec_ngram_simple_size_n": Option(
        "--spec-ngram-simple-size-n", Value("int", low=1, high=1024)
    ),
    "spec_ngram_simple_size_m": Option(
        "--spec-ngram-simple-size-m", Value("int", low=1, high=1024)
    ),
    "spec_ngram_simple_min_hits": Option(
        "--spec-ngram-simple-min-hits", Value("int", low=1, high=2147483647)
    ),
    "spec_ngram_map_k_size_n": Option("--spec-ngram-map-k-size-n", Value("int", low=1, high=1024)),
    "spec_ngram_map_k_size_m": Option("--spec-ngram-map-k-size-m", Value("int", low=1, high=1024)),
    "spec_ngram_map_k_min_hits": Option(
        "--spec-ngram-map-k-min-hits", Value("int", low=1, high=2147483647)
    ),
    "spec_ngram_map_k4v_size_n": Option(
        "--spec-ngram-map-k4v-size-n", Value("int", low=1, high=1024)
    ),
    "spec_ngram_map_k4v_size_m": Option(
        "--spec-ngram-map-k4v-size-m", Value("int", low=1, high=1024)
    ),
    "spec_ngram_map_k4v_min_hits": Option(
        "--spec-ngram-map-k4v-min-hits", Value("int", low=1, high=2147483647)
    ),
    "embd_gemma_default": Option(
        "--embd-gemma-default", Value("bool"), flags=("--embd-gemma-default", "")
    ),
    "fim_qwen_1_5b_default": Option(
        "--fim-qwen-1.5b-default", Value("bool"), flags=("--fim-qwen-1.5b-default", "")
    ),
    "fim_qwen_3b_default": Option(
        "--fim-qwen-3b-default", Value("bool"), flags=("--fim-qwen-3b-default", "")
    ),
    "fim_qwen_7b_default": Option(
        "--fim-qwen-7b-default", Value("bool"), flags=("--fim-qwen-7b-default", "")
    ),
    "fim_qwen_7b_spec": Option(
        "--fim-qwen-7b-spec", Value("bool"), flags=("--fim-qwen-7b-spec", "")
    ),
    "fim_qwen_14b_spec": Option(
        "--fim-qwen-14b-spec", Value("bool"), flags=("--fim-qwen-14b-spec", "")
    ),
    "fim_qwen_30b_default": Option(
        "--fim-qwen-30b-default", Value("bool"), flags=("--fim-qwen-30b-default", "")
    ),
    "gpt_oss_20b_default": Option(
        "--gpt-oss-20b-default", Value("bool"), flags=("--gpt-oss-20b-default", "")
    ),
    "gpt_oss_120b_default": Option(
        "--gpt-oss-120b-default", Value("bool"), flags=("--gpt-oss-120b-default", "")
    ),
    "vision_gemma_4b_default": Option(
        "--vision-gemma-4b-default", Value("bool"), flags=("--vision-gemma-4b-default", "")
    ),
    "vision_gemma_12b_default": Option(
        "--vision-gemma-12b-default", Value("bool"), flags=("--vision-gemma-12b-default", "")
    ),
    "spec_default": Option("--spec-default", Value("bool"), flags=("--spec-default", "")),
}

# What only the presets of a server with several models may have
PRESETS: dict[str, Option] = {
    "load_on_startup": Option("load-on-startup", Value("str")),
    "stop_timeout": Option("stop-timeout", Value("int", low=-2147483648, high=2147483647)),
    "dedup_cache_models": Option("dedup-cache-models", Value("str")),
}

# What is not a keyword, and why
LEFT_OUT: dict[str, str] = {
    "api_key": "an argument of LlamaServer, passed in the environment",
    "api_key_file": "LlamaServer has one key",
    "cache_list": "prints and ends",
    "completion_bash": "prints and ends",
    "draft": "llama-server has it no more",
    "draft_max": "llama-server has it no more",
    "draft_min": "llama-server has it no more",
    "draft_n": "llama-server has it no more",
    "draft_n_min": "llama-server has it no more",
    "help": "prints and ends",
    "host": "an argument of LlamaServer",
    "list_devices": "prints and ends",
    "log_disable": "LlamaServer reads the log",
    "model": "an argument of LlamaServer",
    "models_preset": "LlamaServer writes it, for a mapping of models",
    "port": "an argument of LlamaServer",
    "spec_ngram_min_hits": "llama-server has it no more",
    "spec_ngram_size_m": "llama-server has it no more",
    "spec_ngram_size_n": "llama-server has it no more",
    "timeout": "LlamaServer has a timeout of its own, for the start",
    "usage": "prints and ends",
    "version": "prints and ends",
}
# seal: b11549 sha256:b2bbc87b7e8456702e826e0807d9b7297c773757c77d7d4ada8f82674967c029
