"""Greedy choice straight from the logits equals the library's sampler."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llama_cpp import LlamaBatch, LlamaContext, LlamaLibrary, LlamaModel, LlamaSampler
from tests.support import tiny


@pytest.fixture(scope="module")
def ctx(library: LlamaLibrary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaContext]:
    path: Path = tiny.make("llama", tmp_path_factory.mktemp("greedy"))
    model = LlamaModel.from_file(path, library=library)
    with LlamaContext(model, n_ctx=256, n_threads=1, n_threads_batch=1) as context:
        yield context


def plain(library: LlamaLibrary) -> LlamaSampler:
    return LlamaSampler.chain(library).greedy()


def measured(library: LlamaLibrary) -> LlamaSampler:
    """One whose time the library measures, so that it has to choose itself."""
    return LlamaSampler.chain(library, no_perf=False).greedy()


def test_same_tokens(ctx: LlamaContext, library: LlamaLibrary) -> None:
    ours, theirs = plain(library), measured(library)
    ctx.memory.seq_rm()
    ctx.decode([1, 300, 301])
    seen = set()
    for _ in range(60):
        token = ours.sample(ctx)
        assert token == theirs.sample(ctx) == int(np.argmax(ctx.logits()))
        seen.add(token)
        ctx.decode((token,))
    assert len(seen) > 3
    assert ours.perf.n_samples == theirs.perf.n_samples == 60


@pytest.fixture(params=[True, False], ids=["numpy", "alone"])
def numpy_or_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.delitem(sys.modules, "numpy")


@pytest.mark.usefixtures("numpy_or_not")
@pytest.mark.parametrize(
    "changes",
    [
        *({at: 1e9, at + 1 + at % 2: 1e9} for at in (*range(7), 300)),  # equal: the first
        *({-at: 1e9} for at in (1, 2, 3)),
        *({at: math.nan} for at in range(4)),
        {7: 1e9, 40: math.nan},
        {7: math.nan, 40: 1e9},
        {7: math.inf, 40: math.inf},
        dict.fromkeys(range(200), -math.inf),
    ],
)
def test_ties_and_nan(ctx: LlamaContext, library: LlamaLibrary, changes: dict[int, float]) -> None:
    ctx.memory.seq_rm()
    ctx.decode([1, 300, 301])
    logits = ctx.logits()
    for token, value in changes.items():
        logits[token] = value
    assert plain(library).sample(ctx) == measured(library).sample(ctx)


@pytest.mark.usefixtures("numpy_or_not")
def test_the_library_is_not_asked(ctx: LlamaContext, library: LlamaLibrary) -> None:
    ctx.memory.seq_rm()
    ctx.decode([1, 300, 301])
    chain, choose = plain(library), ctx.outputs.likeliest.choose
    assert choose(ctx.handle, -1, chain.handle, 1) == measured(library).sample(ctx)
    assert choose(ctx.handle, -1, chain.handle, 2) is None, "the chain has another sampler"


@pytest.mark.parametrize("bias", [-math.inf, -1e6, -0.001, 0.0, 1e6])
def test_biases(ctx: LlamaContext, library: LlamaLibrary, bias: float) -> None:
    ctx.memory.seq_rm()
    ctx.decode([1, 300, 301])
    model, first = ctx.model, plain(library).sample(ctx)
    for tokens in ([first], [first, 5], [5], [first + 1, 7]):
        ours, theirs = (
            LlamaSampler.chain(library, no_perf=no_perf)
            .logit_bias(model, dict.fromkeys(tokens, bias))
            .greedy()
            for no_perf in (True, False)
        )
        assert ours.sample(ctx) == ours.clone().sample(ctx) == theirs.sample(ctx)


def test_each_output_of_a_batch(ctx: LlamaContext, library: LlamaLibrary) -> None:
    ctx.memory.seq_rm()
    ctx.decode(LlamaBatch([1, 300, 301, 310], logits=True))
    ours, theirs = plain(library), measured(library)
    assert [ours.sample(ctx, i) for i in range(4)] == [theirs.sample(ctx, i) for i in range(4)]
