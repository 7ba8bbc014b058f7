"""Prompts of many requests at a time, and what their tests share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from llama_cpp import LlamaBatch, LlamaContext
from tests.support.patience import patience

SYSTEM = "the cat sat on a mat and was once in time of hello world to be or not it is " * 2
ENDS = ("hello", "world", "once", "x", "not it is", "be be", "cat 9", "zz", "sat", "in in")
PROMPTS = [*(SYSTEM + end for end in ENDS), "of old", "hello world x"]
# Exact, so that a batch of another shape gives the same tokens.
EXACT: dict[str, Any] = {"type_k": 0, "type_v": 0, "flash_attn_type": 0}


@contextmanager
def decodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Counter[int]]]:
    """For each decode, how many tokens of each sequence it had."""
    seen: list[Counter[int]] = []
    decode = LlamaContext.decode

    def record(ctx: LlamaContext, batch: LlamaBatch) -> None:
        decode(ctx, batch)
        seen.append(Counter(batch.seq_ids))

    with monkeypatch.context() as patch:
        patch.setattr(LlamaContext, "decode", record)
        yield seen


class Angry:
    """A sampler that loses its temper at the third token."""

    def __init__(self) -> None:
        self.calls = 0

    def apply(self, candidates: object) -> None:
        self.calls += 1
        if self.calls == 3:
            raise ZeroDivisionError("enough")


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + patience(60)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
