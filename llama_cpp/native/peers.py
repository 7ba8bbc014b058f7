"""Names that programs for other packages use, and ours for the same."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

# A keyword of llama-cpp-python, transformers, Ollama, vLLM or OpenAI -> ours, the first that the
# callee has. Empty where a name that looks alike would mislead.
_OF_PEERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("max_new_tokens", "n_predict", "num_predict", "max_completion_tokens", "max_length",
         "max_gen_len", "n_tokens"), ("max_tokens",)),
    **dict.fromkeys(
        ("repetition_penalty", "penalty_repeat", "repeat_pen"), ("repeat_penalty",)),
    **dict.fromkeys(("repeat_last_n", "no_repeat_last_n"), ("penalty_last_n",)),
    **dict.fromkeys(("penalty_freq", "freq_penalty"), ("frequency_penalty",)),
    **dict.fromkeys(("penalty_present", "pres_penalty"), ("presence_penalty",)),
    **dict.fromkeys(("temp",), ("temperature",)),
    **dict.fromkeys(("typical", "typ_p"), ("typical_p",)),
    **dict.fromkeys(("min_new_tokens", "min_length"), ("min_tokens",)),
    **dict.fromkeys(("mirostat_mode",), ("mirostat",)),
    **dict.fromkeys(("mirostat_ent",), ("mirostat_tau",)),
    **dict.fromkeys(("mirostat_lr",), ("mirostat_eta",)),
    **dict.fromkeys(
        ("stop_strings", "stop_sequences", "stop_words", "stops", "antiprompt"), ("stop",)),
    **dict.fromkeys(("random_seed", "rng_seed"), ("seed",)),
    **dict.fromkeys(
        ("num_ctx", "max_model_len", "ctx_size", "context_length", "max_seq_len", "n_context"),
        ("n_ctx",)),
    **dict.fromkeys(
        ("num_gpu", "gpu_layers", "n_gpu_layer", "ngl", "num_gpu_layers"), ("n_gpu_layers",)),
    **dict.fromkeys(("num_thread", "threads", "num_threads"), ("n_threads",)),
    **dict.fromkeys(("threads_batch",), ("n_threads_batch",)),
    **dict.fromkeys(("num_batch", "batch_size"), ("n_batch",)),
    **dict.fromkeys(("ubatch_size",), ("n_ubatch",)),
    **dict.fromkeys(("use_mmap", "mmap", "no_mmap", "use_direct_io"), ("load_mode",)),
    **dict.fromkeys(("mlock",), ("use_mlock", "load_mode")),
    **dict.fromkeys(("flash_attn", "flash_attention"), ("flash_attn_type",)),
    **dict.fromkeys(("embedding", "embed"), ("embeddings",)),
    **dict.fromkeys(("offload_kv",), ("offload_kqv",)),
    **dict.fromkeys(("cache_type_k", "type_k_cache"), ("type_k",)),
    **dict.fromkeys(("cache_type_v",), ("type_v",)),
    **dict.fromkeys(("n_parallel", "max_num_seqs", "parallel"), ("n_seq_max",)),
    **dict.fromkeys(("main_gpu_index",), ("main_gpu",)),
    **dict.fromkeys(("logits_processor", "logits_processors"), ("sampler",)),
    **dict.fromkeys(("draft_model", "assistant_model", "speculative_model"), ("draft",)),
    **dict.fromkeys(("top_logprobs", "n_probs"), ("logprobs",)),
    **dict.fromkeys(("rope_scaling",), ("rope_scaling_type",)),
    **dict.fromkeys(("chat_template",), ("template",)),
    **dict.fromkeys(("prompt_cache", "use_cache"), ("cache_prompt",)),
    **dict.fromkeys(
        ("lora_path", "lora_base", "lora_scale", "response_format", "logits_all", "do_sample",
         "num_return_sequences", "n", "stream", "echo", "suffix", "best_of", "num_beams",
         "verbose", "chat_format", "chat_handler", "last_n_tokens_size", "device_map", "dtype",
         "quantization", "tensor_parallel_size", "gpu_memory_utilization", "user", "model_path",
         "tools", "tool_choice", "functions", "keep_alive"), ()),
}  # fmt: skip

# An attribute of llama-cpp-python's Llama -> ours.
_ATTRIBUTES = {
    "create_completion": "complete",
    "create_chat_completion": "chat",
    "create_chat_completion_openai_v1": "chat",
    "create_embedding": "embed",
    "n_ctx": "ctx.n_ctx",
    "n_batch": "ctx.n_batch",
    "n_tokens": "ctx.sequence",
    "n_vocab": "model.vocab.n_tokens",
    "n_embd": "model.n_embd",
    "token_bos": "model.vocab.bos",
    "token_eos": "model.vocab.eos",
    "token_nl": "model.vocab.nl",
    "metadata": "model.metadata",
    "tokenizer": "model.vocab",
    "eval": "ctx.decode",
    "sample": "generate",
    "reset": "ctx.memory.clear",
    "save_state": "ctx.to_bytes",
    "load_state": "ctx.restore",
    "set_cache": "generate",
    "set_seed": "generate",
}
_PAGE = "see 'From llama-cpp-python' in the documentation"


def unknown_keyword(name: str, known: Iterable[str], owner: str) -> TypeError:
    """The error for a keyword that ``owner`` does not have."""
    import difflib  # which only an error needs

    known = list(known)
    near = [ours for ours in _OF_PEERS.get(name, ()) if ours in known]
    if name not in _OF_PEERS:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return TypeError(f"{owner} has no keyword argument {name!r}{hint}")


def unknown_attribute(name: str, owner: str) -> AttributeError:
    """The error for an attribute that an object of the class ``owner`` does not have."""
    ours = _ATTRIBUTES.get(name)
    hint = f"; llama-cpp-python's {name} is {owner}.{ours} here: {_PAGE}" if ours else ""
    return AttributeError(f"{owner!r} object has no attribute {name!r}{hint}", name=name)


def needs_model(init: Callable[_P, _R]) -> Callable[_P, _R]:
    """``init`` of a class whose first argument is the model, with a TypeError where it is missing
    that also helps a caller who gives it as llama-cpp-python's ``model_path``."""

    @functools.wraps(init)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if len(args) < 2 and "model" not in kwargs:
            owner = type(args[0]).__name__
            found = "model_path=... is the first argument here" if "model_path" in kwargs else ""
            text = f"{owner}() needs a model: the path of a GGUF file, or a LlamaModel"
            raise TypeError(f"{text}; {found}: {_PAGE}" if found else text)
        return init(*args, **kwargs)

    return checked
