"""The keywords of a generation: the tokens are those of llama-server for the same options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import AsyncLlama, Llama, LlamaModel, LlamaSampler
from llama_cpp.generate import Completion, PromptLookup
from tests.support import llamaserver, tiny

PROMPT = "The cat sat on the mat. The cat sat on the mat. The cat"


@pytest.fixture(scope="module")
def llm(model: LlamaModel) -> Iterator[Llama]:
    llm = Llama(model, n_ctx=2048, n_threads=2, n_threads_batch=2)
    yield llm
    llm.ctx.close()


@pytest.fixture(scope="module")
def server(
    model: LlamaModel, model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[llamaserver.Running]:
    folder = tmp_path_factory.mktemp("server")
    with llamaserver.running(model.library, model_path, folder, "--parallel", 1) as running:
        llamaserver.wait(running)
        yield running


# -- samplers

GREEDY = {"temperature": 0}
HOT = {"temperature": 1.3, "min_p": 0.01}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dry_multiplier": 0.8, **GREEDY},
        {"dry_multiplier": 0.8, "dry_base": 1.2, "dry_allowed_length": 1, **HOT},
        {"dry_multiplier": 2.0, "dry_penalty_last_n": 12, **GREEDY},
        {"dry_multiplier": 2.0, "dry_sequence_breakers": ["at"], **GREEDY},
        {"dry_multiplier": 0.8, "repeat_penalty": 1.2, "frequency_penalty": 0.3, **HOT},
        {"xtc_probability": 0.6, **HOT},
        {"xtc_probability": 1.0, "xtc_threshold": 0.02, **GREEDY},
        {"typical_p": 0.3, **HOT},
        {"typical_p": 0.3, **GREEDY},
        {"top_n_sigma": 1.0, **HOT},
        {"dynatemp_range": 0.7, **HOT},
        {"dynatemp_range": 0.7, "dynatemp_exponent": 2.0, **HOT},
        {"mirostat": 1, **HOT},
        {"mirostat": 2, "mirostat_tau": 3.0, "mirostat_eta": 0.3, "repeat_penalty": 1.5},
        {"ignore_eos": True, **HOT},
        {"typical_p": 0.5, "xtc_probability": 0.5, "top_n_sigma": 1.5, "dynatemp_range": 0.2},
    ],
    ids=lambda options: " ".join(f"{k}={v}" for k, v in options.items()) or "none",
)
def test_the_tokens_are_those_of_llama_server(
    llm: Llama, server: llamaserver.Running, options: dict[str, Any]
) -> None:
    """With the same seed: the order of the chain and the random numbers of each sampler count."""
    for seed in range(1 if options.get("temperature") == 0 else 2):
        common = {**options, "seed": seed, "cache_prompt": False}
        body = {"prompt": PROMPT, "n_predict": 16, "return_tokens": True, **common}
        expected = llamaserver.ask(server, "completion", body)["tokens"]
        done = llm.complete(PROMPT, max_tokens=16, **common)
        assert done.tokens == expected[: len(done.tokens)]
        assert len(done.tokens) == 16 or done.finish_reason == "stop"


def test_tokens_that_the_makers_exclude_are_not_chosen(
    tiny_model: Callable[..., LlamaModel], tmp_path: Path
) -> None:
    with Llama(tiny_model("llama")) as llm:
        first = llm.complete("the cat", temperature=0, max_tokens=1).tokens
    facts = {".tokenizer.ggml.suppress_tokens": first}
    with Llama(tiny.make("llama", tmp_path, facts=facts)) as llm:
        assert llm.complete("the cat", temperature=0, max_tokens=1).tokens != first


# -- the end

ENTRANCES: dict[str, Callable[..., Completion]] = {
    "complete": lambda llm, **options: llm.complete(PROMPT, **options),
    "chat": lambda llm, **options: llm.chat([{"role": "user", "content": PROMPT}], **options),
    "many": lambda llm, **options: llm.complete_many([PROMPT], **options)[0],
    "draft": lambda llm, **options: llm.complete(PROMPT, draft=PromptLookup(), **options),
    "async": lambda llm, **options: asyncio.run(AsyncLlama(llm).complete(PROMPT, **options)),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_an_end_token_comes_when_it_may(llm: Llama, entrance: str) -> None:
    complete = partial(ENTRANCES[entrance], llm, temperature=0, max_tokens=8)
    for end in sorted(llm.model.vocab.eog_tokens)[:2]:
        wanted = {"logit_bias": {end: 1000.0}}
        assert complete(**wanted).tokens == []
        done = complete(min_tokens=5, **wanted)
        assert (len(done.tokens), done.finish_reason) == (5, "stop")
        done = complete(ignore_eos=True, **wanted)
        assert (len(done.tokens), done.finish_reason) == (8, "length")


@pytest.mark.parametrize("options", [{"min_tokens": 7}, {"ignore_eos": True}], ids=str)
def test_a_grammar_that_is_complete_may_end_a_text(llm: Llama, options: dict[str, Any]) -> None:
    options |= {"max_tokens": 8, "seed": 1}
    for kind in ({"grammar": 'root ::= " love"'}, {"regex": " love"}):
        assert llm.complete(PROMPT, **kind, **options).text == " love"
    done = llm.complete(PROMPT, grammar="root ::= [a-z ]*", logit_bias={2: 1000.0}, **options)
    assert len(done.tokens) >= 7


def test_a_clone_and_a_reset_count_anew(model: LlamaModel, llm: Llama) -> None:
    end = max(model.vocab.eog_tokens)
    chain = LlamaSampler.chain().min_tokens(model, 3).logit_bias(model, {end: 1000.0}).greedy()
    clone = chain.clone()
    for sampler in (chain, clone):
        assert len(llm.complete(PROMPT, sampler=sampler, max_tokens=9).tokens) == 3
    assert len(llm.complete(PROMPT, sampler=chain, max_tokens=9).tokens) == 0
    chain.reset()
    assert len(llm.complete(PROMPT, sampler=chain, max_tokens=9).tokens) == 3


# -- several of one prompt


@pytest.mark.parametrize("n_seq_max", [1, 3])
@pytest.mark.parametrize("entrance", ["complete", "chat", "draft", "async"])
def test_several_of_one_prompt_have_a_seed_each(
    model: LlamaModel, entrance: str, n_seq_max: int
) -> None:
    llm = Llama(model, n_ctx=512, n_seq_max=n_seq_max)
    complete = partial(ENTRANCES[entrance], llm, max_tokens=6, **HOT)
    done = complete(n=3, seed=2**32 - 1).choices
    assert len({one.text for one in done}) == 3
    if n_seq_max == 1 and entrance != "draft":  # in the same portions, which make the last bits
        assert [one.text for one in done[1:]] == [complete(seed=seed).text for seed in (0, 1)]
        assert all(one.usage.cached_tokens for one in done[1:])
    llm.ctx.close()
