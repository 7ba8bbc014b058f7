"""Tiny projectors with random weights, for the tiny models of tiny.py.

``vision`` is in Gemma 3's form: an image becomes `N_TOKENS` tokens, whatever its size. ``audio`` is
in Ultravox's: every 30 seconds, filled up with silence, become `N_TOKENS_AUDIO`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.support import tiny

N_TOKENS = 4
N_TOKENS_AUDIO = 30
SAMPLE_RATE = 16_000
_IMAGE, _PATCH, _MERGE = 32, 8, 2
_MELS, _FRAMES, _STACK, _N_HIDDEN = 80, 3000, 50, 32
_N_EMBD, _N_FF, _N_HEAD = 32, 48, 2

_Shapes = dict[str, tuple[int, ...]]


def make(folder: Path, kind: str = "vision", *, n_embd: int = tiny.N_EMBD) -> Path:
    """Write one for a model of ``n_embd``, and return its file."""
    path = folder / f"mmproj-{kind}-{n_embd}.gguf"
    form, facts, tensors = (_vision if kind == "vision" else _audio)(n_embd)
    letter = kind[0]
    tensors |= _layer(f"{letter}.blk.0", biases="qv" if kind == "audio" else "qkv")
    for part in ("weight", "bias"):
        tensors[f"{letter}.post_ln.{part}"] = (_N_EMBD,)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool(f"clip.has_{kind}_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", form)
    common = {
        "embedding_length": _N_EMBD,
        "feed_forward_length": _N_FF,
        "block_count": 1,
        "attention.head_count": _N_HEAD,
        "projection_dim": n_embd,
    }
    for key, value in {**common, **facts}.items():
        if isinstance(value, int):
            writer.add_uint32(f"clip.{kind}.{key}", value)
        else:
            writer.add_array(f"clip.{kind}.{key}", value)
    writer.add_float32(f"clip.{kind}.attention.layer_norm_epsilon", 1e-6)
    random = np.random.default_rng(0)
    for name, shape in tensors.items():
        weights = random.standard_normal(shape[::-1])
        if name.endswith("weight") and ("norm" in name or "ln" in name):
            weights = 1 + 0.1 * weights
        else:
            weights /= np.sqrt(shape[0])
        # The library's convolution in one dimension takes no other type.
        half = "conv1d" in name and name.endswith("weight")
        writer.add_tensor(name, weights.astype(np.float16 if half else np.float32))
    tiny.finish(writer)
    return path


# Shapes as llama.cpp writes them: the fastest dimension first.


def _layer(at: str, biases: str) -> _Shapes:
    tensors: _Shapes = {
        f"{at}.ffn_up.weight": (_N_EMBD, _N_FF),
        f"{at}.ffn_down.weight": (_N_FF, _N_EMBD),
    }
    for name in ("q", "k", "v", "out"):
        tensors[f"{at}.attn_{name}.weight"] = (_N_EMBD, _N_EMBD)
        if name in biases or name == "out":
            tensors[f"{at}.attn_{name}.bias"] = (_N_EMBD,)
    for name in ("ln1", "ln2"):
        tensors[f"{at}.{name}.weight"] = tensors[f"{at}.{name}.bias"] = (_N_EMBD,)
    return tensors


def _vision(n_embd: int) -> tuple[str, dict[str, Any], _Shapes]:
    facts = {
        "image_size": _IMAGE,
        "patch_size": _PATCH,
        "projector.scale_factor": _MERGE,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    tensors: _Shapes = {
        "v.patch_embd.weight": (_PATCH, _PATCH, 3, _N_EMBD),
        "v.patch_embd.bias": (_N_EMBD,),
        "v.position_embd.weight": (_N_EMBD, (_IMAGE // _PATCH) ** 2),
        "mm.input_projection.weight": (n_embd, _N_EMBD),
        "mm.soft_emb_norm.weight": (_N_EMBD,),
    }
    return "gemma3", facts, tensors


def _audio(n_embd: int) -> tuple[str, dict[str, Any], _Shapes]:
    facts = {"num_mel_bins": _MELS, "projector.stack_factor": _STACK}
    tensors: _Shapes = {
        "a.conv1d.1.weight": (3, _MELS, _N_EMBD),
        "a.conv1d.1.bias": (1, _N_EMBD),
        "a.conv1d.2.weight": (3, _N_EMBD, _N_EMBD),
        "a.conv1d.2.bias": (1, _N_EMBD),
        "a.position_embd.weight": (_N_EMBD, _FRAMES // 2),
        "mm.a.norm_pre.weight": (_N_EMBD * _STACK,),
        "mm.a.mlp.1.weight": (_N_EMBD * _STACK, 2 * _N_HIDDEN),
        "mm.a.norm_mid.weight": (_N_HIDDEN,),
        "mm.a.mlp.2.weight": (_N_HIDDEN, n_embd),
    }
    return "ultravox", facts, tensors
