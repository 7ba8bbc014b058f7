"""Sampler chains that run in a context's graph."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llama_cpp import (
    LlamaBatch,
    LlamaContext,
    LlamaDecodeError,
    LlamaModel,
    LlamaSampler,
    log_probs,
)
from llama_cpp.errors import LlamaContextError, LlamaOutputError, LlamaSamplerError
from tests.support.python import run_program

PROMPT = "the cat sat on"
Chain = Callable[[LlamaModel], LlamaSampler]


@pytest.fixture(scope="module")
def tiny(tiny_model: Callable[..., LlamaModel]) -> LlamaModel:
    return tiny_model("llama")


def generate(model: LlamaModel, chain: LlamaSampler, *, graph: bool, n: int = 16) -> list[int]:
    """Tokens after the prompt, by ``chain`` in the graph or behind it."""
    with LlamaContext(model, n_ctx=256, samplers={0: chain} if graph else None) as ctx:
        ctx.decode(model.tokenize(PROMPT))
        tokens = []
        for _ in range(n):
            tokens.append(chain.sample(ctx))
            ctx.decode(tokens[-1:])
        return tokens


CERTAIN: dict[str, Chain] = {
    "greedy": lambda m: LlamaSampler.chain().greedy(),
    "bias": lambda m: LlamaSampler.chain().logit_bias(m, {5: 1.0, 9: float("-inf")}).greedy(),
    "penalties": lambda m: LlamaSampler.chain().penalties(m, 32, 1.5, 0.5, 0.5).greedy(),
    "top_k": lambda m: LlamaSampler.chain().top_k(1).dist(1),
    "cold": lambda m: LlamaSampler.chain().top_k(9).temp(0).dist(1),
    "warm": lambda m: LlamaSampler.chain().temp(0.5).min_p(0.1).greedy(),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_what_is_certain_is_the_same_in_a_graph(
    tiny: LlamaModel, model: LlamaModel, name: str
) -> None:
    for each in (tiny, model):
        chain = CERTAIN[name](each)
        assert generate(each, chain, graph=True) == generate(each, CERTAIN[name](each), graph=False)
        assert chain.in_graph == chain.names
        assert chain.clone().in_graph == ()


def test_a_seed_gives_the_same_tokens_again_in_a_graph(tiny: LlamaModel) -> None:
    def chain(seed: int) -> LlamaSampler:
        begin = LlamaSampler.chain().penalties(tiny, 32, 1.1).top_k(30).top_p(0.9).min_p(0.05)
        return begin.temp_ext(0.9, 0.1, 1.0).temp(1.5).dist(seed)

    first = generate(tiny, chain(1), graph=True)
    assert generate(tiny, chain(1), graph=True) == first
    assert generate(tiny, chain(2), graph=True) != first


def test_in_a_graph_tokens_come_as_often_as_they_should(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain().top_k(4).temp(0.7).dist(1)
    with LlamaContext(tiny, n_ctx=64) as ctx:
        ctx.decode(tiny.tokenize(PROMPT))
        logits = np.asarray(ctx.logits()).copy()
    best = np.argsort(logits)[::-1][:4]
    expected = np.exp(logits[best] / 0.7 - logits[best].max() / 0.7)
    expected /= expected.sum()
    counts = dict.fromkeys(map(int, best), 0)
    prompt = tiny.tokenize(PROMPT)
    n = 600
    with LlamaContext(tiny, n_ctx=64, samplers={0: chain}) as ctx:
        ctx.decode(prompt)
        for _ in range(n):
            counts[chain.sample(ctx)] += 1
            ctx.memory.seq_rm(0, len(prompt) - 1)
            ctx.decode(prompt[-1:])
    for share, token in zip(expected, best, strict=True):
        sigma = (share * (1 - share) / n) ** 0.5
        assert abs(counts[int(token)] / n - share) < 5 * sigma + 0.01


def test_what_a_graph_cannot_do_is_done_behind_it(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain().top_k(12).typical(0.9).dist(3)
    tokens = generate(tiny, chain, graph=True)
    assert chain.in_graph == ("top_k",)
    same = LlamaSampler.chain().top_k(12).typical(0.9).dist(3)
    assert generate(tiny, same, graph=False) == tokens

    grammar = LlamaSampler.chain().penalties(tiny, 8, 1.1).grammar(tiny, 'root ::= "the" .*')
    ctx = LlamaContext(tiny, n_ctx=64, samplers={0: grammar.greedy()})
    ctx.decode(tiny.tokenize(PROMPT))
    assert "the".startswith(tiny.token_to_piece(grammar.sample(ctx)).strip()[:3])
    assert grammar.in_graph == ("penalties",)


def test_each_sequence_has_its_own(tiny: LlamaModel) -> None:
    best, second = LlamaSampler.chain().greedy(), LlamaSampler.chain().top_k(2).dist(5)
    plain = LlamaSampler.chain().greedy()
    with LlamaContext(tiny, n_ctx=256, n_seq_max=3, samplers={0: best, 2: second}) as ctx:
        tokens = tiny.tokenize(PROMPT)
        n = len(tokens)
        ctx.decode(
            LlamaBatch(
                tokens * 3,
                pos=[*range(n)] * 3,
                seq_id=[0] * n + [1] * n + [2] * n,
                logits=([False] * (n - 1) + [True]) * 3,
            )
        )
        ends = (n - 1, 2 * n - 1, 3 * n - 1)
        expected = int(np.argmax(ctx.logits(ends[1])))
        assert best.sample(ctx, ends[0]) == plain.sample(ctx, ends[1]) == expected
        assert second.sample(ctx, ends[2]) in np.argsort(ctx.logits(ends[1]))[-2:]
        with pytest.raises(LlamaSamplerError, match="did not go through this chain"):
            best.sample(ctx, ends[1])
        with pytest.raises(LlamaSamplerError, match="sample it with that chain"):
            plain.sample(ctx, ends[0])


def test_there_are_no_logits_of_the_model(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain().top_k(3).dist(1)
    with LlamaContext(tiny, n_ctx=64, samplers={0: chain}) as ctx:
        with pytest.raises(LlamaOutputError):
            chain.sample(ctx)
        ctx.decode(tiny.tokenize(PROMPT))
        for read in (ctx.logits, lambda: log_probs(ctx)):
            with pytest.raises(LlamaOutputError, match="in the graph"):
                read()
        with pytest.raises(LlamaOutputError, match="in the graph"):
            LlamaSampler.chain().custom(Nothing()).greedy().sample(ctx)
        with pytest.raises(LlamaDecodeError, match="at most 1 output"):
            ctx.decode(LlamaBatch(tiny.tokenize(PROMPT), logits=True))


class Nothing:
    """A sampler in Python."""

    def apply(self, candidates: object) -> None:
        pass


def test_the_chain_lives_as_long_as_the_context(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain().penalties(tiny, 8, 1.1).top_k(5).dist(1)
    ctx = LlamaContext(tiny, n_ctx=64, samplers={0: chain})
    ctx.decode(tiny.tokenize(PROMPT))
    chain.close()
    del chain
    gc.collect()
    for _ in range(5):
        ctx.decode([3])


def test_a_chain_is_of_one_context(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain().greedy()
    ctx = LlamaContext(tiny, n_ctx=64, samplers={0: chain})
    other = LlamaContext(tiny, n_ctx=64)
    other.decode([1])
    for _ in range(2):
        with pytest.raises(LlamaSamplerError, match="give a clone"):
            LlamaContext(tiny, n_ctx=64, samplers={0: chain})
        with pytest.raises(LlamaSamplerError, match="graph of another context"):
            chain.sample(other)
        assert chain.clone().sample(other) == int(np.argmax(other.logits()))
        ctx.close()
        gc.collect()
    again = chain.clone()
    assert generate(tiny, again, graph=True, n=3) == generate(tiny, chain.clone(), graph=False, n=3)


WRONG: dict[str, tuple[Chain, str]] = {
    "empty": (lambda m: LlamaSampler.chain(), "nothing of .* runs in a graph"),
    "grammar": (
        lambda m: LlamaSampler.chain().grammar(m, 'root ::= "a"').greedy(),
        "nothing of .* runs in a graph",
    ),
    "custom": (lambda m: LlamaSampler.chain().custom(Nothing()).greedy(), "written in Python"),
    "guided": (lambda m: LlamaSampler.chain().guided(m, regex="a").greedy(), "or guided"),
    "top_k": (lambda m: LlamaSampler.chain().top_k(1 << 20).dist(1), "cannot keep more than"),
    "two top_k": (lambda m: LlamaSampler.chain().top_k(5).top_k(40).dist(1), "the 5 candidates"),
    "cold": (lambda m: LlamaSampler.chain().temp(0).top_k(2).dist(1), "the 1 candidates"),
    "greedy": (lambda m: LlamaSampler.chain().top_k(5).greedy(), "mistakes places for tokens"),
    "three": (lambda m: LlamaSampler.chain().top_k(9).top_k(8).top_p(0.9).dist(1), "behind"),
    "bias": (
        lambda m: LlamaSampler.chain().top_p(0.9).logit_bias(m, {7: 1.0}).dist(1),
        "put it first",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_graph_would_abort_for_is_refused(tiny: LlamaModel, name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(LlamaSamplerError, match=message):
        LlamaContext(tiny, n_ctx=64, samplers={0: make(tiny)})


def test_no_chain_that_is_not_refused_ends_the_process(tiny_path: Callable[..., Path]) -> None:
    done = run_program("random_chains_in_a_graph", tiny_path("llama"))
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr[-2000:]


def test_a_graph_has_room_for_the_longest_chain(tiny_path: Callable[..., Path]) -> None:
    done = run_program("longest_chains_in_a_graph", tiny_path("llama"))
    assert (done.returncode, done.stdout) == (0, "True\n" * 3), done.stderr


def test_a_long_chain_is_refused(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain()
    for _ in range(32):
        chain.temp(0.9)
    with pytest.raises(LlamaSamplerError, match="at most 32"):
        LlamaContext(tiny, n_ctx=64, samplers={0: chain.dist(1)})


def test_wrong_use_is_refused(tiny: LlamaModel, tiny_model: Callable[..., LlamaModel]) -> None:
    chain = LlamaSampler.chain().greedy()

    def make(samplers: object, model: LlamaModel = tiny, **params: object) -> LlamaContext:
        return LlamaContext(model, n_ctx=64, samplers=samplers, **params)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="must map"):
        make([chain])
    with pytest.raises(TypeError, match="expected a LlamaSampler"):
        make({0: 5})
    with pytest.raises(TypeError, match="must be an integer"):
        make({"a": chain})
    for seq_id in (-1, 1):
        with pytest.raises(ValueError, match="seq_id"):
            make({seq_id: chain})
    with pytest.raises(LlamaSamplerError, match="for one sequence"):
        make({0: chain, 1: chain}, n_seq_max=2)
    with pytest.raises(ValueError, match="n_outputs_max_per_seq"):
        make({0: chain}, n_outputs_max_per_seq=2)
    with pytest.raises(LlamaContextError, match="encoders and embeddings"):
        make({0: chain}, embeddings=True)
    with pytest.raises(LlamaContextError, match="encoders and embeddings"):
        make({0: chain}, tiny_model("t5"))
    with pytest.raises(LlamaContextError, match="KV cache"):
        make({0: LlamaSampler.chain().greedy()}, tiny_model("bert"))
    with pytest.raises(LlamaSamplerError, match="vocabulary"):
        make({0: LlamaSampler.chain().penalties(tiny_model("bert")).greedy()})
    with pytest.raises(ValueError, match="fit"):
        make({0: chain}, fit=True)
    # None of these has used the chain up.
    assert generate(tiny, chain, graph=True, n=2)


@pytest.mark.parametrize("kind", ["swa", "mamba", "hybrid"])
def test_other_memories_do_it_too(tiny_model: Callable[..., LlamaModel], kind: str) -> None:
    model = tiny_model(kind)
    chain = LlamaSampler.chain().penalties(model, 16, 1.2).greedy()
    same = chain.clone()
    assert generate(model, chain, graph=True) == generate(model, same, graph=False)


def test_a_state_that_is_loaded_has_no_token(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain().top_k(3).dist(1)
    with LlamaContext(tiny, n_ctx=64, samplers={0: chain}) as ctx:
        ctx.decode(tiny.tokenize(PROMPT))
        state = ctx.to_bytes()
        for change in (lambda: ctx.restore(state), lambda: ctx.memory.clear()):
            change()
            with pytest.raises((LlamaOutputError, LlamaSamplerError)):
                chain.sample(ctx)
        ctx.decode([1])
        assert chain.sample(ctx) >= 0


def test_after_a_refused_batch_there_is_no_token(tiny: LlamaModel) -> None:
    chain = LlamaSampler.chain().top_k(3).dist(1)
    with LlamaContext(tiny, n_ctx=64, samplers={0: chain}) as ctx:
        ctx.decode(tiny.tokenize(PROMPT))
        with pytest.raises(LlamaDecodeError):
            ctx.decode(LlamaBatch([1], pos=[60]))
        with pytest.raises(LlamaOutputError):
            chain.sample(ctx)
