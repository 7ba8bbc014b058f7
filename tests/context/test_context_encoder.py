"""Models with an encoder and a decoder: inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from llama_cpp import Llama, LlamaBatch, LlamaContext, LlamaModel
from llama_cpp.errors import LlamaContextError, LlamaOutputError

TEXT = "hello the cat sat on a mat"


def by_hand(model: LlamaModel, text: str, count: int) -> list[int]:
    """The likeliest tokens, one by one."""
    token = model.decoder_start_token
    assert token is not None
    tokens: list[int] = []
    with LlamaContext(model, n_ctx=256, n_threads=1) as ctx:
        ctx.encode(model.tokenize(text))
        while len(tokens) < count:
            ctx.decode([token])
            token = int(np.argmax(ctx.logits()))
            tokens.append(token)
    return tokens


def test_generate_encodes_the_prompt(tiny_model: Callable[..., LlamaModel]) -> None:
    model = tiny_model("t5")
    llm = Llama(model, n_ctx=256, n_threads=1)
    for text in (TEXT, "once in time", TEXT):
        done = llm.complete(text, max_tokens=12, temperature=0)
        expected = by_hand(model, text, 12)
        ends = [i for i, token in enumerate(expected) if model.is_eog(token)]
        assert done.tokens == expected[: ends[0] if ends else 12]
        assert done.usage.cached_tokens == 0
    llm.ctx.close()
    assert by_hand(model, TEXT, 12) != by_hand(model, "once in time", 12)


def test_the_encoder_has_embeddings_and_no_logits(tiny_model: Callable[..., LlamaModel]) -> None:
    model = tiny_model("t5")
    with LlamaContext(model, n_ctx=256, n_threads=1) as ctx:
        with pytest.raises(LlamaContextError, match="call encode before decode"):
            ctx.decode([0])
        tokens = model.tokenize(TEXT)
        ctx.encode(tokens)
        rows = np.array([ctx.embeddings(i) for i in range(len(tokens))])
        assert rows.shape == (len(tokens), 64)
        assert len(np.unique(rows.round(3), axis=0)) == len(tokens)
        with pytest.raises(LlamaOutputError, match="an encoder makes no logits"):
            ctx.logits()
        ctx.decode([0])
        ctx.logits()
        with pytest.raises(LlamaOutputError, match="no embeddings were computed"):
            ctx.embeddings()


def test_views_of_the_encoder_are_not_moved_away(tiny_model: Callable[..., LlamaModel]) -> None:
    model = tiny_model("t5")
    with LlamaContext(model, n_ctx=256, n_threads=1) as ctx:
        ctx.encode([5])
        view = ctx.embeddings()
        with pytest.raises(BufferError, match="20 outputs need more room than 1"):
            ctx.encode([5] * 20)
        del view
        ctx.encode([5] * 20)


def test_an_encoder_takes_all_at_once(tiny_model: Callable[..., LlamaModel]) -> None:
    with LlamaContext(tiny_model("t5"), n_ctx=256, n_batch=64, n_ubatch=32) as ctx:
        with pytest.raises(ValueError, match="an encoder takes them at once, n_ubatch=32"):
            ctx.encode([5] * 33)
        ctx.encode(LlamaBatch([5] * 32))


def test_warm_up_comes_before_encode(tiny_model: Callable[..., LlamaModel]) -> None:
    with LlamaContext(tiny_model("t5"), n_ctx=256, n_threads=1) as ctx:
        ctx.warm_up()
        with pytest.raises(LlamaContextError, match="call encode before decode"):
            ctx.decode([0])
        ctx.encode([5])
        with pytest.raises(LlamaContextError, match="warm_up comes before it"):
            ctx.warm_up()
        ctx.decode([0])
