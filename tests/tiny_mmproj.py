"""A tiny vision encoder with random weights, in Gemma 3's form, for the tiny models of tiny.py.

An image becomes four tokens, whatever its size.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import tiny

N_TOKENS = 4
_IMAGE, _PATCH, _MERGE = 32, 8, 2
_N_EMBD, _N_FF, _N_HEAD = 32, 48, 2


def make(folder: Path, *, n_embd: int = tiny.N_EMBD, seed: int = 0) -> Path:
    """Write it for a model of ``n_embd``, and return its file."""
    path = folder / f"mmproj-{n_embd}.gguf"
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", "gemma3")
    facts = {
        "embedding_length": _N_EMBD,
        "feed_forward_length": _N_FF,
        "block_count": 1,
        "attention.head_count": _N_HEAD,
        "projection_dim": n_embd,
        "image_size": _IMAGE,
        "patch_size": _PATCH,
        "projector.scale_factor": _MERGE,
    }
    for key, value in facts.items():
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    for key in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{key}", [0.5, 0.5, 0.5])
    # Shapes as llama.cpp writes them: the fastest dimension first.
    tensors: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (_PATCH, _PATCH, 3, _N_EMBD),
        "v.patch_embd.bias": (_N_EMBD,),
        "v.position_embd.weight": (_N_EMBD, (_IMAGE // _PATCH) ** 2),
        "v.blk.0.ffn_up.weight": (_N_EMBD, _N_FF),
        "v.blk.0.ffn_down.weight": (_N_FF, _N_EMBD),
        "mm.input_projection.weight": (n_embd, _N_EMBD),
        "mm.soft_emb_norm.weight": (_N_EMBD,),
    }
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        tensors[f"v.blk.0.{name}.weight"] = (_N_EMBD, _N_EMBD)
        tensors[f"v.blk.0.{name}.bias"] = (_N_EMBD,)
    for name in ("v.blk.0.ln1", "v.blk.0.ln2", "v.post_ln"):
        tensors[f"{name}.weight"] = tensors[f"{name}.bias"] = (_N_EMBD,)
    random = np.random.default_rng(seed)
    for name, shape in tensors.items():
        weights = random.standard_normal(shape[::-1])
        if "norm" in name or ((".ln" in name or "post_ln" in name) and name.endswith("weight")):
            weights = 1 + 0.1 * weights
        else:
            weights = weights / np.sqrt(shape[0])
        writer.add_tensor(name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
