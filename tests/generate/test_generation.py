"""A real model from text to text, through the public names: the same on every engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from examples.fetch_model import fetch_model
from llama_cpp import Llama, LlamaBatch, LlamaContext, LlamaLibrary, LlamaModel, LlamaSampler

PROMPT = "The three most important things in life are"


@pytest.fixture(scope="module")
def model() -> LlamaModel:
    return LlamaModel.from_file(fetch_model())


def generate(model: LlamaModel, sampler: LlamaSampler, count: int = 16) -> list[int]:
    batch = LlamaBatch(model.tokenize(PROMPT))
    tokens: list[int] = []
    with LlamaContext(model, n_ctx=128) as ctx:
        while len(tokens) < count:
            ctx.decode(batch)
            tokens.append(sampler.sample(ctx))
            batch = LlamaBatch(tokens[-1:])
    return tokens


def test_text_becomes_tokens_and_text_again(model: LlamaModel) -> None:
    tokens = model.tokenize(PROMPT)
    assert 5 < len(tokens) < len(PROMPT)
    assert model.detokenize(tokens) == PROMPT
    assert b"".join(map(model.token_to_bytes, tokens)).decode() == PROMPT


def test_greedy_generation_makes_sense_and_repeats(model: LlamaModel) -> None:
    first = generate(model, LlamaSampler.chain().greedy())
    assert generate(model, LlamaSampler.chain().greedy()) == first
    # Rounding differs from CPU to CPU, and so do later tokens.
    assert model.detokenize(first).startswith(" love, freedom, and peace.")


def test_a_seed_repeats_a_generation(model: LlamaModel) -> None:
    def sampled(seed: int) -> list[int]:
        chain = LlamaSampler.chain().top_k(40).top_p(0.95, 1).temp(1.5).dist(seed=seed)
        return generate(model, chain)

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_penalties_keep_the_model_from_what_was_said(model: LlamaModel) -> None:
    chain = LlamaSampler.chain().penalties(model, penalty_last_n=64, penalty_freq=100.0).greedy()
    tokens = generate(model, chain)
    assert len(set(tokens)) == len(tokens)


def test_a_grammar_limits_what_is_said(model: LlamaModel) -> None:
    grammar = 'root ::= " yes" | " no"'
    chain = LlamaSampler.chain().grammar(model, grammar, "root").greedy()
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(LlamaBatch(model.tokenize("Is water wet? Answer:")))
        assert model.token_to_piece(chain.sample(ctx)).strip() in ("y", "yes", "n", "no", "")


def test_two_sequences_in_one_batch_do_not_mix(model: LlamaModel) -> None:
    tokens = model.tokenize(PROMPT)
    n = len(tokens)
    sampler = LlamaSampler.chain().greedy()
    with LlamaContext(model, n_ctx=128, n_seq_max=2) as ctx:
        flags = [i in (n - 1, 2 * n - 1) for i in range(2 * n)]
        ctx.decode(
            LlamaBatch(
                tokens * 2, pos=[*range(n), *range(n)], seq_id=[0] * n + [1] * n, logits=flags
            )
        )
        assert sampler.sample(ctx, n - 1) == sampler.sample(ctx, 2 * n - 1)


def test_the_models_facts_are_read_from_the_file(model: LlamaModel) -> None:
    assert model.metadata["general.architecture"] == "llama"
    assert (model.n_layer, model.n_embd, model.n_ctx_train) == (30, 576, 8192)
    assert model.vocab.n_tokens == 49152
    assert model.n_params > 100_000_000


def test_the_library_says_what_it_has() -> None:
    library = LlamaLibrary.default()
    assert library.has("llama_decode")
    assert not library.has("llama_no_such_function")


def test_options_mean_what_they_mean_elsewhere(tiny_model: Callable[..., LlamaModel]) -> None:
    """Random seeds, digits for a token, None for the default, `with`, a model that stays open."""
    model = tiny_model("llama")
    with Llama(model, n_ctx=256, n_seq_max=4, n_threads=1) as llm:
        same = {"max_tokens": 8, "cache_prompt": False}
        for seed in (-1, None):
            texts = {llm.complete("the cat", seed=seed, stop=None, **same).text for _ in range(4)}
            assert len(texts) > 1
        bias = {"300": 1000.0}
        assert llm.complete("a", logit_bias=bias, max_tokens=2).tokens == [300, 300]
        many = [done.text for done in llm.complete_many(["the cat"] * 4, seed=5, **same)]
        assert len(set(many)) > 1
        own = [{"seed": 5}] * 4
        alike = llm.complete_many(["the cat"] * 4, own, **same)
        assert {done.text for done in alike} == {many[0]}
        with llm.generate("the cat") as generation:
            next(generation)
        assert generation.finish_reason == "cancelled"
    assert not model.closed


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("max_new_tokens", "max_tokens"),
        ("n_predict", "max_tokens"),
        ("repetition_penalty", "repeat_penalty"),
        ("stop_sequences", "stop"),
        ("temperatur", "temperature"),
        ("min_new_tokens", "min_tokens"),
        ("typical", "typical_p"),
        ("mirostat_mode", "mirostat"),
        *((name, "") for name in ("lora_path", "response_format", "logits_all", "n", "stream")),
    ],
)
def test_a_wrong_keyword_leads_to_ours_or_nowhere(
    name: str, hint: str, tiny_model: Callable[..., LlamaModel]
) -> None:
    with Llama(tiny_model("llama"), n_ctx=64) as llm, pytest.raises(TypeError) as raised:
        llm.generate("x", **{name: 1})  # type: ignore[typeddict-item]
    assert hint in str(raised.value)
    assert ("did you mean" in str(raised.value)) == bool(hint)
