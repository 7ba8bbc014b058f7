"""Filling in the middle."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llama_cpp import Llama, LlamaModel, LlamaModelError


def test_the_gap_is_put_as_the_model_knows_it(tiny_model: Callable[..., LlamaModel]) -> None:
    model = tiny_model("llama")
    vocab = model.vocab
    llm = Llama(model, n_ctx=128)
    before, after = model.tokenize("the cat", add_special=False), model.tokenize_rest("a mat")
    prompt = llm.infill_tokens("the cat", "a mat")
    begin = [vocab.bos] if vocab.add_bos else []
    assert prompt == [*begin, vocab.fim_pre, *before, vocab.fim_suf, *after, vocab.fim_mid]
    filled = llm.infill("the cat", "a mat", max_tokens=4, seed=1)
    assert filled.usage.prompt_tokens == len(prompt)
    assert filled.tokens == llm.complete(prompt, max_tokens=4, seed=1).tokens
    several = llm.infill("the cat", n=3, max_tokens=4, seed=1).choices
    alone = llm.complete(llm.infill_tokens("the cat"), n=3, max_tokens=4, seed=1).choices
    assert [one.tokens for one in several] == [one.tokens for one in alone]
    assert len(several) == 3
    assert llm.infill("", max_tokens=2).usage.prompt_tokens == len(begin) + 3


def test_text_does_not_become_a_special_token(tiny_model: Callable[..., LlamaModel]) -> None:
    model = tiny_model("llama")
    llm = Llama(model, n_ctx=128)
    prompt = llm.infill_tokens("<fim_mid>", "")
    assert prompt.count(model.vocab.fim_mid or -1) == 1


def test_a_model_that_cannot_says_so(model: LlamaModel) -> None:
    with pytest.raises(LlamaModelError, match="no tokens for filling in the middle"):
        Llama(model, n_ctx=128).infill("a", "b")
