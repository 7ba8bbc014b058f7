"""Log probabilities: against numpy, with a generation, and by wrong use."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from llama_cpp import Llama, LlamaBatch, LlamaContext, LlamaModel, LlamaSampler, log_probs
from llama_cpp.errors import LlamaClosedError, LlamaOutputError
from llama_cpp.generate.logprobs import _scorers
from tests.support.python import run_python

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def ready(model: LlamaModel) -> Iterator[LlamaContext]:
    """A context that has decoded the prompt, with all its outputs."""
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(LlamaBatch(model.tokenize(PROMPT), logits=True))
        yield ctx


@pytest.fixture(scope="module")
def llm(model: LlamaModel) -> Llama:
    return Llama(model, n_ctx=128)


def log_softmax(ctx: LlamaContext, i: int = -1) -> np.ndarray:
    """By numpy, in double precision."""
    logits = np.asarray(ctx.logits(i)).astype(np.float64)
    top = logits.max()
    result: np.ndarray = logits - top - math.log(np.exp(logits - top).sum())
    return result


def test_they_are_the_log_softmax_of_the_logits(model: LlamaModel, ready: LlamaContext) -> None:
    for i in (-1, 0, 2):
        expected = log_softmax(ready, i)
        best = np.argsort(expected)[::-1]
        found = log_probs(ready, i, top=10)
        assert found.token == best[0]
        assert found.logprob == pytest.approx(expected[best[0]], abs=1e-6)
        assert [t.token for t in found.top] == list(best[:10])
        assert [t.logprob for t in found.top] == pytest.approx(expected[best[:10]], abs=1e-6)
        for token in (0, 17, int(best[-1])):
            one = log_probs(ready, i, token=token, top=0)
            assert (one.token, one.top) == (token, [])
            assert one.logprob == pytest.approx(expected[token], rel=1e-6)


def test_all_of_them_add_up_to_one(model: LlamaModel, ready: LlamaContext) -> None:
    every = log_probs(ready, top=model.vocab.n_tokens).top
    assert sorted(t.token for t in every) == list(range(model.vocab.n_tokens))
    assert sum(math.exp(t.logprob) for t in every) == pytest.approx(1.0, abs=1e-5)
    assert all(a.logprob >= b.logprob for a, b in pairwise(every))


def test_it_says_what_the_token_is(model: LlamaModel, ready: LlamaContext) -> None:
    found = log_probs(ready, top=1)
    assert found.piece == model.token_to_bytes(found.token)
    assert found.text == model.token_to_piece(found.token)
    assert found.top[0].text == found.text
    half = next(t for t in range(model.vocab.n_tokens) if model.token_to_bytes(t) == b"\xc3")
    assert log_probs(ready, token=half).text == "�"


def test_large_and_impossible_logits_are_borne(ready: LlamaContext) -> None:
    logits = np.asarray(ready.logits())
    before = logits.copy()
    try:
        logits[:] = -np.inf
        logits[3], logits[4] = 30000.0, 30000.0
        found = log_probs(ready, top=2)
        assert found.logprob == pytest.approx(math.log(0.5))
        assert {t.token for t in found.top} == {3, 4}
        assert log_probs(ready, token=5).logprob == -math.inf
        for broken in (np.nan, np.inf):
            logits[:] = before
            logits[7] = broken
            with pytest.raises(LlamaOutputError, match="not numbers"):
                log_probs(ready, top=20)
    finally:
        logits[:] = before


def test_wrong_use_is_refused(model: LlamaModel, ready: LlamaContext) -> None:
    n = model.vocab.n_tokens
    for top in (-1, n + 1):
        with pytest.raises(ValueError, match="no number of tokens"):
            log_probs(ready, top=top)
    for token in (-1, n):
        with pytest.raises(ValueError, match="not in the vocabulary"):
            log_probs(ready, token=token)
    with pytest.raises(LlamaOutputError):
        log_probs(ready, 60)
    with pytest.raises(TypeError, match="LlamaContext"):
        log_probs(model)  # type: ignore[arg-type]
    closed = LlamaContext(model, n_ctx=64)
    closed.close()
    with pytest.raises(LlamaClosedError):
        log_probs(closed)


def test_nothing_is_left_of_a_context(tiny_model: Callable[..., LlamaModel]) -> None:
    model = tiny_model("llama")
    ctx = LlamaContext(model, n_ctx=64)
    ctx.decode(model.tokenize("the cat"))
    assert log_probs(ctx).logprob < 0
    alive = weakref.ref(ctx)
    scorers = len(_scorers)
    del ctx
    gc.collect()
    assert alive() is None
    assert len(_scorers) == scorers - 1


def test_it_needs_no_numpy(tiny_path: Callable[..., object]) -> None:
    done = run_python(
        """
import sys
sys.modules["numpy"] = None
from llama_cpp import Llama
with Llama(sys.argv[1]) as llm:
    print(len(llm.complete("the cat", max_tokens=3, logprobs=2, seed=1).logprobs[0].top))
""",
        tiny_path("llama"),
    )
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


# -- of a generation


def test_a_generation_gives_them_for_each_token(model: LlamaModel, llm: Llama) -> None:
    greedy = llm.complete(PROMPT, max_tokens=5, temperature=0, logprobs=3)
    assert [t.token for t in greedy.logprobs] == greedy.tokens
    assert len(greedy.tokens) == 5
    for token in greedy.logprobs:
        assert token.top[0].token == token.token
        assert token.top[0].logprob == token.logprob
        assert len(token.top) == 3
    # The same, computed at once.
    with LlamaContext(model, n_ctx=64) as ctx:
        prompt = model.tokenize(PROMPT)
        ctx.decode(LlamaBatch([*prompt, *greedy.tokens], logits=True))
        for i, token in enumerate(greedy.logprobs, len(prompt) - 1):
            assert token.logprob == pytest.approx(log_softmax(ctx, i)[token.token], abs=0.05)


def test_they_are_of_the_model_and_not_of_the_samplers(llm: Llama) -> None:
    plain = llm.complete(PROMPT, max_tokens=1, temperature=0, logprobs=0)
    other = llm.complete(
        PROMPT, max_tokens=1, temperature=0, logprobs=0, logit_bias={plain.tokens[0]: -math.inf}
    )
    assert other.tokens != plain.tokens
    assert other.logprobs[0].logprob < plain.logprobs[0].logprob < 0
    assert other.logprobs[0].top == []


def test_there_is_none_for_an_end_token(model: LlamaModel, llm: Llama) -> None:
    generation = llm.generate(PROMPT, grammar='root ::= " Paris"', logprobs=1, temperature=0)
    text = "".join(generation)
    assert (text, generation.finish_reason) == (" Paris", "stop")
    assert [t.token for t in generation.logprobs] == generation.tokens


def test_without_asking_there_are_none(llm: Llama) -> None:
    assert llm.complete(PROMPT, max_tokens=2, temperature=0).logprobs == []


@pytest.mark.parametrize("wrong", [-1, 1 << 20, "5", 2.5])
def test_a_wrong_number_is_refused(llm: Llama, wrong: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        llm.generate(PROMPT, logprobs=wrong)  # type: ignore[arg-type]


# -- options of a generation that change the samplers


def test_penalties_count_the_prompt(model: LlamaModel, llm: Llama) -> None:
    first = llm.complete(PROMPT, max_tokens=1, temperature=0)
    again = [*model.tokenize(PROMPT), *first.tokens, *model.tokenize(" is"), *first.tokens]
    prompt = [*again, *model.tokenize(PROMPT)]
    plain = llm.complete(prompt, max_tokens=1, temperature=0)
    assert plain.tokens[0] in prompt
    for penalty in ("presence_penalty", "frequency_penalty"):
        other = llm.complete(prompt, max_tokens=1, temperature=0, **{penalty: 1000.0})
        assert other.tokens[0] not in prompt
    harsh = llm.complete(prompt, max_tokens=1, temperature=0, repeat_penalty=100.0)
    assert harsh.tokens[0] not in prompt
    far = len(prompt) - max(i for i, t in enumerate(prompt) if t == plain.tokens[0])
    near = llm.complete(
        prompt, max_tokens=1, temperature=0, presence_penalty=1000.0, penalty_last_n=far - 1
    )
    assert near.tokens == plain.tokens, "what lies further back is not counted"


def test_penalties_do_not_disturb_a_grammar(llm: Llama) -> None:
    done = llm.complete(PROMPT, grammar='root ::= " Paris"', repeat_penalty=1.3, temperature=0)
    assert done.text == " Paris"


def test_a_bias_may_be_given_by_text(model: LlamaModel, llm: Llama) -> None:
    done = llm.complete(PROMPT, max_tokens=2, temperature=0, logit_bias={" London": 1000.0})
    assert done.text == " London London"
    with pytest.raises(ValueError, match="is not one token but 2"):
        llm.generate(PROMPT, logit_bias={" London Paris": 1.0})
    with pytest.raises(ValueError, match="not in the vocabulary"):
        llm.generate(PROMPT, logit_bias={model.vocab.n_tokens: 1.0})


def test_they_are_for_a_sampler_that_is_made(llm: Llama) -> None:
    sampler = LlamaSampler.chain().greedy()
    given = llm.complete(PROMPT, max_tokens=2, sampler=sampler, presence_penalty=1000.0)
    assert given.tokens == llm.complete(PROMPT, max_tokens=2, temperature=0).tokens
