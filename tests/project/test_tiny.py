"""Each tiny model loads, and computes as its kind does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llama_cpp import Llama, LlamaContext, LlamaModel
from tests.support import tiny

TEXT = "hello the cat sat on a mat, x9!"


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_it_is_small_and_always_the_same(tiny_path: Callable[..., Path], kind: str) -> None:
    path = tiny_path(kind)
    assert path.stat().st_size < 1_000_000
    again = path.parent / "again"
    again.mkdir(exist_ok=True)
    assert tiny.make(kind, again).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_it_reads_text(tiny_model: Callable[..., LlamaModel], kind: str) -> None:
    model = tiny_model(kind)
    tokens = model.tokenize(TEXT)
    assert 10 < len(tokens) < 20
    assert model.detokenize(tokens, special=False).strip() == TEXT


@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_it_writes_text(tiny_model: Callable[..., LlamaModel], kind: str) -> None:
    said = []
    llm = Llama(tiny_model(kind), n_ctx=128, n_threads=1)
    for prompt in ("hello", "the cat"):
        done = llm.complete(prompt, max_tokens=48, temperature=0, cache_prompt=False)
        assert done.finish_reason == "length"
        assert len(set(done.tokens)) > 10
        said.append(done.text)
    llm.ctx.close()  # the model belongs to the session
    assert said[0] != said[1]


def test_another_seed_is_another_model(tiny_model: Callable[..., LlamaModel]) -> None:
    logits = []
    for seed in (0, 1):
        with LlamaContext(tiny_model("llama", seed=seed), n_ctx=64) as ctx:
            ctx.decode([1, 2, 3])
            logits.append(np.array(ctx.logits()))
    assert not np.allclose(logits[0], logits[1])


def test_an_encoder_and_a_decoder(tiny_model: Callable[..., LlamaModel]) -> None:
    model = tiny_model("t5")
    assert model.has_encoder
    assert model.has_decoder
    start = model.decoder_start_token
    assert start is not None
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.encode(model.tokenize(TEXT))
        ctx.decode([start])
        assert np.isfinite(np.asarray(ctx.logits())).all()
