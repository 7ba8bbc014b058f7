"""Log probabilities: against numpy, with a generation, and by wrong use."""

from __future__ import annotations

import gc
import json
import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from llama_cpp import Llama, LlamaBatch, LlamaContext, LlamaModel, LlamaSampler, log_probs
from llama_cpp.errors import LlamaClosedError, LlamaOutputError
from llama_cpp.generate.logprobs import _scorers
from tests.support import llamaserver
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
    assert bytes(found.bytes) == model.token_to_bytes(found.token)
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


def test_a_result_can_be_json(llm: Llama) -> None:
    done = llm.complete("é", max_tokens=2, temperature=0, logprobs=2, prompt_logprobs=1)
    read = json.loads(json.dumps(asdict(done)))
    assert [t["token"] for t in read["logprobs"]] == done.tokens
    assert read["logprobs"][0]["top"][1]["text"] == done.logprobs[0].top[1].text
    assert read["prompt_logprobs"][0] is None


# -- of a prompt, and of given answers


def in_one_batch(model: LlamaModel, tokens: list[int]) -> np.ndarray:
    """By numpy: the log probabilities of all tokens, in each place."""
    with LlamaContext(model, n_ctx=1024, n_batch=1024) as ctx:
        ctx.decode(LlamaBatch(tokens, logits=True))
        return np.array([log_softmax(ctx, i) for i in range(len(tokens))])


@pytest.mark.parametrize("n_seq_max", [1, 2])
def test_a_prompt_has_them_too(tiny_model: Callable[..., LlamaModel], n_seq_max: int) -> None:
    """Longer than a batch, and beside another prompt."""
    model = tiny_model("llama")
    llm = Llama(model, n_ctx=256, n_batch=32, n_seq_max=n_seq_max)
    texts = ["the cat sat on the mat. " * 12, "a dog", "x"]
    llm.complete(texts[0], max_tokens=1)
    options: dict[str, Any] = {"max_tokens": 3, "temperature": 0, "logprobs": 0}
    done = llm.complete_many([*texts, texts[0]], prompt_logprobs=2, **options)
    done.append(llm.complete(texts[0], prompt_logprobs=2, **options))
    for one, text in zip(done, [*texts, texts[0], texts[0]], strict=True):
        tokens = model.tokenize(text)
        expected = in_one_batch(model, [*tokens, *one.tokens])
        first, *others = one.prompt_logprobs
        assert first is None
        assert [t.token for t in others if t] == tokens[1:]
        for row, entry in zip(expected, [*others, *one.logprobs], strict=False):
            assert entry is not None
            assert entry.logprob == pytest.approx(row[entry.token], abs=0.1)
            if entry.top:
                assert entry.top[0].logprob == pytest.approx(row.max(), abs=0.1)
                assert len(entry.top) == 2
        assert one.usage.cached_tokens == 0
    llm.ctx.close()


@pytest.mark.parametrize("prompt", [PROMPT, "The capital of Fra"])
def test_answers_are_scored(model: LlamaModel, llm: Llama, prompt: str) -> None:
    """In the second prompt the last token goes on in the answer."""
    answers = [" Paris.", "nce is Paris, and I", " London", "nce", " Paris.", " the city of the"]
    scores = llm.score(prompt, answers)
    for answer, score in zip(answers, scores, strict=True):
        whole = model.tokenize(prompt + answer)
        own = [entry.token for entry in score.tokens]
        assert whole[-len(own) :] == own
        rows = in_one_batch(model, whole)[-len(own) - 1 : -1]
        expected = [row[token] for row, token in zip(rows, own, strict=True)]
        assert score.logprob == pytest.approx(sum(expected), abs=0.2 * len(own))
        assert score.greedy == (rows.argmax(axis=1).tolist() == own)
    assert scores[0] == scores[4]
    greedy = llm.complete(prompt, max_tokens=4, temperature=0)
    assert llm.score(prompt, [greedy.tokens])[0].greedy
    assert llm.score(model.tokenize(prompt), [" London"])[0].tokens[0].text == " London"
    assert llm.score(prompt, iter([])) == []


def test_answers_are_scored_on_models_that_forget(tiny_model: Callable[..., LlamaModel]) -> None:
    for kind in ("swa", "mamba", "hybrid"):
        model = tiny_model(kind)
        llm = Llama(model, n_ctx=128)
        prompt, answers = model.tokenize("the cat sat on the mat " * 8), [[3, 4, 5], [3, 9], [7]]
        whole = llm.score(prompt, answers)
        for answer, score in zip(answers, whole, strict=True):
            rows = in_one_batch(model, [*prompt, *answer])[len(prompt) - 1 : -1]
            expected = sum(row[token] for row, token in zip(rows, answer, strict=True))
            assert score.logprob == pytest.approx(expected, abs=0.1)
        llm.ctx.close()


def test_a_score_is_llama_servers(
    model: LlamaModel, llm: Llama, server: llamaserver.Running
) -> None:
    llamaserver.wait(server)
    tokens = model.tokenize(PROMPT)
    for entry in llm.score(PROMPT, [" Paris and London"])[0].tokens:
        body = {"prompt": tokens, "n_predict": 1, "n_probs": 5000, "temperature": 0}
        answer = llamaserver.ask(server, "completion", body)["completion_probabilities"][0]
        found = {top["id"]: top["logprob"] for top in answer["top_logprobs"]}
        assert entry.logprob == pytest.approx(found[entry.token], abs=0.05)
        tokens.append(entry.token)


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
