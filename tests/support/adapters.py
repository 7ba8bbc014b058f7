"""Adapters with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.support import tiny

Shapes = Mapping[str, tuple[int, ...]]
Q = "blk.0.attn_q.weight"
Q_SHAPES = {f"{Q}.lora_a": (4, tiny.N_EMBD), f"{Q}.lora_b": (tiny.N_EMBD, 4)}


def write_lora(
    path: Path,
    shapes: Shapes = Q_SHAPES,
    *,
    seed: int = 0,
    arch: str = "llama",
    facts: Mapping[str, Any] | None = None,
    type_: type = np.float32,
) -> Path:
    """An adapter with random weights; shapes as numpy has them, the fastest dimension last."""
    writer = gguf.GGUFWriter(path, arch)
    given = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 8.0}
    for key, value in {**given, **(facts or {})}.items():
        type__ = gguf.GGUFValueType.get_type(value)
        sub = gguf.GGUFValueType.UINT32 if type__ is gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, value, type__, sub)
    random = np.random.default_rng(seed)
    for name, shape in shapes.items():
        writer.add_tensor(name, random.standard_normal(shape).astype(type_))
    tiny.finish(writer)
    return path
