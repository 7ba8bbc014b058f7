"""Tiny models with random weights, one of each kind that llama.cpp treats in its own way.

They say nothing that makes sense, but they load in milliseconds, compute as large ones do, and the
most likely token differs from place to place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np

N_CTX = 512
"""The models' training length."""
N_EMBD = 64
WINDOW = 32
"""The sliding window of ``swa``."""
LABELS = ("bad", "good", "neutral")
"""The classes of ``classify``."""

_N_FF = 96
_N_HEAD = 2
_HEAD = N_EMBD // _N_HEAD
_N_LAYER = 2
_WORDS = "the cat sat on a mat and was once in time of hello world to be or not it is"
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<fim_pre>", "<fim_suf>", "<fim_mid>", "<sep>")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_NORMAL, _UNKNOWN, _BYTE = gguf.TokenType.NORMAL, gguf.TokenType.UNKNOWN, gguf.TokenType.BYTE
_CONTROL = gguf.TokenType.CONTROL


@dataclass
class _Model:
    """The contents of a file."""

    arch: str
    facts: dict[str, Any]
    """Metadata: a key without a dot in front is the architecture's own."""
    tokens: list[tuple[str, float, int]]
    """Text, score, type."""
    tensors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes as llama.cpp writes them: the fastest dimension first."""


def make(kind: str, folder: Path, *, seed: int = 0, facts: Mapping[str, Any] | None = None) -> Path:
    """Write the model ``kind`` (see `KINDS`) to ``folder``, and return its file.

    The same ``seed`` gives the same weights. ``facts`` are more metadata, in the form of
    `_Model.facts`: ``{".general.name": "mine", "pooling_type": 1}``.
    """
    model = KINDS[kind]()
    path = folder / f"{kind}-{seed}.gguf"
    writer = gguf.GGUFWriter(path, model.arch)
    for key, value in {".general.name": f"tiny {kind}", **model.facts, **(facts or {})}.items():
        name = key[1:] if key.startswith(".") else f"{model.arch}.{key}"
        type_ = gguf.GGUFValueType.get_type(value)
        if type_ == gguf.GGUFValueType.INT32:
            type_ = gguf.GGUFValueType.UINT32  # llama.cpp requires it everywhere
        writer.add_key_value(name, value, type_)
    texts, scores, types = zip(*model.tokens, strict=True)
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    random = np.random.default_rng(seed)
    quiet = [i for i, (text, _, of) in enumerate(model.tokens) if not _readable(text, of)]
    for name, shape in model.tensors.items():
        weights = _weights(name, shape, random)
        if name == "output.weight":
            weights[quiet] *= 0.1  # so that it generates text, mostly, and does not end at once
        writer.add_tensor(name, weights.astype(np.float32))
    finish(writer)
    return path


def split(path: Path, folder: Path, names: Sequence[str]) -> list[Path]:
    """The model at ``path`` in as many files as there are ``names``."""
    reader = gguf.GGUFReader(path)
    paths = [folder / name for name in names]
    each = -(-len(reader.tensors) // len(names))
    for i, part in enumerate(paths):
        writer = gguf.GGUFWriter(part, "llama")
        for key, value in reader.fields.items() if i == 0 else ():
            if not key.startswith(("GGUF.", "general.architecture")):
                sub = value.types[1] if len(value.types) > 1 else None
                writer.add_key_value(key, value.contents(), value.types[0], sub)
        writer.add_uint16("split.no", i)
        writer.add_uint16("split.count", len(names))
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in reader.tensors[i * each : (i + 1) * each]:
            writer.add_tensor(tensor.name, tensor.data)
        finish(writer)
    return paths


def finish(writer: gguf.GGUFWriter) -> None:
    """Write all of the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _readable(text: str, of: int) -> bool:
    if of == _BYTE:
        return text == "<0x0A>"
    return of == _NORMAL


def _weights(name: str, shape: tuple[int, ...], random: np.random.Generator) -> Any:
    shape = shape[::-1]
    normal = random.standard_normal(shape)
    if name.endswith("ssm_a"):
        return -np.abs(normal) - 0.1  # a decay
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.1 * normal
    if len(shape) == 1:
        return 0.1 * normal
    if "embd" in name or "token_types" in name:
        return normal
    # As much comes out of a layer as goes in; more out of the last, for a clear choice.
    return normal * (4 if name == "output.weight" else 1.5) / np.sqrt(shape[-1])


# -- vocabularies


def _spm() -> tuple[dict[str, Any], list[tuple[str, float, int]]]:
    """SentencePiece's BPE: all bytes, letters, some words, control tokens."""
    tokens = [("<unk>", 0.0, _UNKNOWN)]
    tokens += [(text, 0.0, _CONTROL) for text in ("<s>", "</s>")]
    tokens += [(f"<0x{byte:02X}>", 0.0, _BYTE) for byte in range(256)]
    tokens += [(text, 0.0, _CONTROL) for text in _SPECIAL]
    first = len(tokens) - len(_SPECIAL)
    pieces = _pieces()
    tokens += [(text, -float(i), _NORMAL) for i, text in enumerate(pieces)]
    facts = {
        ".tokenizer.ggml.model": "llama",
        ".tokenizer.ggml.bos_token_id": 1,
        ".tokenizer.ggml.eos_token_id": 2,
        ".tokenizer.ggml.unknown_token_id": 0,
        ".tokenizer.ggml.eot_token_id": first + 1,
        ".tokenizer.ggml.fim_pre_token_id": first + 2,
        ".tokenizer.ggml.fim_suf_token_id": first + 3,
        ".tokenizer.ggml.fim_mid_token_id": first + 4,
        ".tokenizer.chat_template": _TEMPLATE,
    }
    return facts, tokens


def _pieces() -> list[str]:
    """Letters, and words with all that they begin with: so they can be merged."""
    letters = ["\u2581", *map(chr, range(0x21, 0x7F))]
    starts = [f"\u2581{word[:end]}" for word in _WORDS.split() for end in range(1, len(word) + 1)]
    return list(dict.fromkeys([*starts, *letters]))


def _wpm() -> tuple[dict[str, Any], list[tuple[str, float, int]]]:
    """BERT's WordPiece, as llama.cpp stores it: the first piece of a word has a space mark."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokens = [(text, 0.0, _CONTROL) for text in special]
    letters = [chr(c) for c in range(0x21, 0x7F)]
    pieces = [*_pieces(), *(f"\u2581{letter}" for letter in letters)]
    tokens += [(text, 0.0, _NORMAL) for text in dict.fromkeys(pieces)]
    facts = {
        ".tokenizer.ggml.model": "bert",
        ".tokenizer.ggml.token_type_count": 2,
        ".tokenizer.ggml.padding_token_id": 0,
        ".tokenizer.ggml.unknown_token_id": 1,
        ".tokenizer.ggml.bos_token_id": 2,
        ".tokenizer.ggml.eos_token_id": 3,
        ".tokenizer.ggml.seperator_token_id": 3,  # llama.cpp's spelling
        ".tokenizer.ggml.mask_token_id": 4,
    }
    return facts, tokens


def _ugm() -> tuple[dict[str, Any], list[tuple[str, float, int]]]:
    """T5's unigrams."""
    tokens = [("<pad>", 0.0, _CONTROL), ("</s>", 0.0, _CONTROL)]
    tokens += [("<unk>", 0.0, _UNKNOWN)]
    tokens += [(text, -1.0 - i / 100, _NORMAL) for i, text in enumerate(_pieces())]
    facts = {
        ".tokenizer.ggml.model": "t5",
        ".tokenizer.ggml.eos_token_id": 1,
        ".tokenizer.ggml.unknown_token_id": 2,
        ".tokenizer.ggml.padding_token_id": 0,
        ".tokenizer.ggml.add_space_prefix": True,
    }
    return facts, tokens


# -- architectures


def _common(n_head_kv: Any = 1) -> dict[str, Any]:
    return {
        "context_length": N_CTX,
        "embedding_length": N_EMBD,
        "feed_forward_length": _N_FF,
        "block_count": _N_LAYER,
        "attention.head_count": _N_HEAD,
        "attention.head_count_kv": n_head_kv,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }


def _ends(n_vocab: int) -> dict[str, tuple[int, ...]]:
    return {
        "token_embd.weight": (N_EMBD, n_vocab),
        "output_norm.weight": (N_EMBD,),
        "output.weight": (N_EMBD, n_vocab),
    }


def _attention(
    at: str, n_head_kv: int = 1, name: str = "attn", out: str = "output"
) -> dict[str, tuple[int, ...]]:
    """Queries, keys, values and output of a layer."""
    return {
        f"{at}.{name}_q.weight": (N_EMBD, N_EMBD),
        f"{at}.{name}_k.weight": (N_EMBD, _HEAD * n_head_kv),
        f"{at}.{name}_v.weight": (N_EMBD, _HEAD * n_head_kv),
        f"{at}.{name}_{out}.weight": (N_EMBD, N_EMBD),
    }


def _ffn(at: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{at}.ffn_norm.weight": (N_EMBD,),
        f"{at}.ffn_gate.weight": (N_EMBD, _N_FF),
        f"{at}.ffn_up.weight": (N_EMBD, _N_FF),
        f"{at}.ffn_down.weight": (_N_FF, N_EMBD),
    }


def _ssm(at: str) -> dict[str, tuple[int, ...]]:
    inner, state, rank = 2 * N_EMBD, 8, 4
    return {
        f"{at}.attn_norm.weight": (N_EMBD,),
        f"{at}.ssm_in.weight": (N_EMBD, 2 * inner),
        f"{at}.ssm_conv1d.weight": (4, inner),
        f"{at}.ssm_conv1d.bias": (inner,),
        f"{at}.ssm_x.weight": (inner, rank + 2 * state),
        f"{at}.ssm_dt.weight": (rank, inner),
        f"{at}.ssm_dt.bias": (inner,),
        f"{at}.ssm_a": (state, inner),
        f"{at}.ssm_d": (inner,),
        f"{at}.ssm_out.weight": (inner, N_EMBD),
    }


_SSM_FACTS = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 2 * N_EMBD,
    "ssm.state_size": 8,
    "ssm.time_step_rank": 4,
}


def _llama() -> _Model:
    """A plain transformer."""
    facts, tokens = _spm()
    tensors = _ends(len(tokens))
    for at in ("blk.0", "blk.1"):
        tensors |= {f"{at}.attn_norm.weight": (N_EMBD,), **_attention(at), **_ffn(at)}
    return _Model("llama", {**facts, **_common()}, tokens, tensors)


def _swa() -> _Model:
    """Gemma 3: every second layer sees the last `WINDOW` tokens only."""
    facts, tokens = _spm()
    own = {"attention.sliding_window": WINDOW, "attention.sliding_window_pattern": 2}
    tensors = _ends(len(tokens))
    for at in ("blk.0", "blk.1"):
        tensors |= {
            f"{at}.attn_norm.weight": (N_EMBD,),
            **_attention(at),
            f"{at}.attn_q_norm.weight": (_HEAD,),
            f"{at}.attn_k_norm.weight": (_HEAD,),
            f"{at}.post_attention_norm.weight": (N_EMBD,),
            **_ffn(at),
            f"{at}.post_ffw_norm.weight": (N_EMBD,),
        }
    return _Model("gemma3", {**facts, **_common(), **own}, tokens, tensors)


def _mamba() -> _Model:
    """A recurrent one: a state in place of the KV cache."""
    facts, tokens = _spm()
    own = {**_common(), **_SSM_FACTS, "attention.head_count": 0, "attention.head_count_kv": 0}
    tensors = {**_ends(len(tokens)), **_ssm("blk.0"), **_ssm("blk.1")}
    return _Model("mamba", {**facts, **own}, tokens, tensors)


def _hybrid() -> _Model:
    """Jamba: a recurrent layer, and one with attention."""
    facts, tokens = _spm()
    tensors = {**_ends(len(tokens)), **_ssm("blk.0"), **_ffn("blk.0")}
    norms = {"dt": 4, "b": 8, "c": 8}
    tensors |= {f"blk.0.ssm_{name}_norm.weight": (size,) for name, size in norms.items()}
    tensors |= {"blk.1.attn_norm.weight": (N_EMBD,), **_attention("blk.1"), **_ffn("blk.1")}
    return _Model("jamba", {**facts, **_common([0, 1]), **_SSM_FACTS}, tokens, tensors)


def _mtp() -> _Model:
    """A plain transformer with a prediction head, which has experts."""
    facts, tokens = _spm()
    tensors = _ends(len(tokens))
    shapes = {"gate": (N_EMBD, _N_FF), "up": (N_EMBD, _N_FF), "down": (_N_FF, N_EMBD)}
    for at in ("blk.0", "blk.1", "blk.2"):
        tensors |= {f"{at}.attn_norm.weight": (N_EMBD,), **_attention(at)}
        tensors[f"{at}.post_attention_norm.weight"] = (N_EMBD,)
        if at != "blk.2":
            tensors |= {f"{at}.ffn_{name}.weight": shape for name, shape in shapes.items()}
            continue
        tensors |= {f"{at}.ffn_gate_inp.weight": (N_EMBD, 2), f"{at}.exp_probs_b.bias": (2,)}
        tensors |= {f"{at}.ffn_{name}_exps.weight": (*shape, 2) for name, shape in shapes.items()}
        tensors |= {f"{at}.ffn_{name}_shexp.weight": shape for name, shape in shapes.items()}
        tensors |= {f"{at}.nextn.{name}.weight": (N_EMBD,) for name in ("enorm", "hnorm")}
        tensors[f"{at}.nextn.eh_proj.weight"] = (2 * N_EMBD, N_EMBD)
    experts = {"count": 2, "used_count": 1, "shared_count": 1, "feed_forward_length": _N_FF}
    more = {f"expert_{name}": value for name, value in experts.items()}
    more |= {"block_count": 3, "nextn_predict_layers": 1, "leading_dense_block_count": 2}
    return _Model("glm4moe", {**facts, **_common(), **more}, tokens, tensors)


def _bert() -> _Model:
    """An embedding model: no KV cache, every token sees every other."""
    facts, tokens = _wpm()
    own = {
        **_common(_N_HEAD),
        "attention.layer_norm_epsilon": 1e-5,
        "attention.causal": False,
        "pooling_type": int(gguf.PoolingType.MEAN),
    }
    tensors: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (N_EMBD, len(tokens)),
        "token_types.weight": (N_EMBD, 2),
        "position_embd.weight": (N_EMBD, N_CTX),
    }
    norms = ["token_embd_norm"]
    for at in ("blk.0", "blk.1"):
        tensors |= _attention(at, _N_HEAD)
        tensors |= {
            f"{at}.ffn_up.weight": (N_EMBD, _N_FF),
            f"{at}.ffn_down.weight": (_N_FF, N_EMBD),
        }
        norms += [f"{at}.attn_output_norm", f"{at}.layer_output_norm"]
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
            tensors[f"{at}.{name}.bias"] = tensors[f"{at}.{name}.weight"][1:]
    tensors |= {f"{norm}.{part}": (N_EMBD,) for norm in norms for part in ("weight", "bias")}
    return _Model("bert", {**facts, **own}, tokens, tensors)


def _rerank() -> _Model:
    """BERT with a head that says how well a document answers a query: one number."""
    model = _bert()
    model.facts["pooling_type"] = int(gguf.PoolingType.RANK)
    model.tensors |= {"cls.weight": (N_EMBD, N_EMBD), "cls.bias": (N_EMBD,)}
    model.tensors |= {"cls.output.weight": (N_EMBD, 1), "cls.output.bias": (1,)}
    return model


def _classify() -> _Model:
    """BERT with a head for each of `LABELS`."""
    model = _rerank()
    model.facts["classifier.output_labels"] = list(LABELS)
    n = len(LABELS)
    model.tensors |= {"cls.output.weight": (N_EMBD, n), "cls.output.bias": (n,)}
    return model


def _t5() -> _Model:
    """An encoder and a decoder."""
    facts, tokens = _ugm()
    own = {
        **_common(_N_HEAD),
        "attention.key_length": _HEAD,
        "attention.value_length": _HEAD,
        "attention.relative_buckets_count": 8,
        "decoder_start_token_id": 0,
    }
    tensors: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (N_EMBD, len(tokens)),
        "enc.output_norm.weight": (N_EMBD,),
        "dec.output_norm.weight": (N_EMBD,),
        "output.weight": (N_EMBD, len(tokens)),
    }
    for side in ("enc", "dec"):
        for layer in range(_N_LAYER):
            at = f"{side}.blk.{layer}"
            tensors |= {f"{at}.attn_norm.weight": (N_EMBD,)}
            if layer == 0:
                tensors |= {f"{at}.attn_rel_b.weight": (_N_HEAD, 8)}
            tensors |= _attention(at, _N_HEAD, out="o")
            if side == "dec":
                tensors |= {f"{at}.cross_attn_norm.weight": (N_EMBD,)}
                tensors |= _attention(at, _N_HEAD, "cross_attn", "o")
            tensors |= _ffn(at)
    return _Model("t5", {**facts, **own}, tokens, tensors)


KINDS: dict[str, Callable[[], _Model]] = {
    "llama": _llama,
    "swa": _swa,
    "mamba": _mamba,
    "hybrid": _hybrid,
    "mtp": _mtp,
    "bert": _bert,
    "rerank": _rerank,
    "classify": _classify,
    "t5": _t5,
}
GENERATES = ("llama", "swa", "mamba", "hybrid")
"""Those that go on with a text."""
