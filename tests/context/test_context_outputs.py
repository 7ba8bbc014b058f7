"""Contexts: embeddings, batches in parts, settings, counters, sizes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_cpp import (
    LlamaBatch,
    LlamaCancelled,
    LlamaContext,
    LlamaDecodeError,
    LlamaModel,
    LlamaSampler,
)
from llama_cpp.context import ContextPerf
from llama_cpp.errors import LlamaContextError, LlamaOutputError
from tests.support import tiny
from tests.support.python import run_program

MEAN, CLS, LAST, RANK = 1, 2, 3, 4


@pytest.fixture
def make(tiny_model: Callable[..., LlamaModel]) -> Iterator[Callable[..., LlamaContext]]:
    made = []

    def context(kind: str, **keywords: Any) -> LlamaContext:
        keywords = {"n_ctx": 512, "n_threads": 1, "n_threads_batch": 1, **keywords}
        made.append(LlamaContext(tiny_model(kind), **keywords))
        return made[-1]

    yield context
    for ctx in made:
        ctx.close()


def tokens(count: int) -> list[int]:
    return [270 + 7 * i % 100 for i in range(count)]


def near(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return bool(a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999)


# -- batches in parts


@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_more_tokens_than_n_batch_are_computed_in_parts(
    make: Callable[..., LlamaContext], kind: str
) -> None:
    whole, parts = make(kind), make(kind, n_batch=64, n_ubatch=32)
    whole.decode(tokens(200))
    parts.decode(tokens(200))
    assert near(whole.logits(), parts.logits())
    assert (parts.logits(199).tolist(), parts.memory.seq_pos_max()) == (
        parts.logits().tolist(),
        199,
    )
    with pytest.raises(LlamaOutputError, match=r"index 7 has no output.*\[199\]"):
        parts.logits(7)


def test_few_tokens_in_parts(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama", n_batch=8, n_ubatch=8)
    ctx.decode(tokens(20))
    assert ctx.memory.seq_pos_max() == 19
    other = make("llama")
    other.decode(tokens(20))
    assert near(ctx.logits(), other.logits())


def test_parts_keep_positions_sequences_and_outputs(make: Callable[..., LlamaContext]) -> None:
    few = make("llama", n_batch=16, n_ubatch=16, n_seq_max=2)
    many = make("llama", n_seq_max=2)
    batch = {
        "pos": [*range(30), *range(30)],
        "seq_id": [0] * 30 + [1] * 30,
        "logits": [i in (50, 55, 59) for i in range(60)],
    }
    for ctx in (few, many):
        ctx.decode(LlamaBatch(tokens(60), **batch))  # type: ignore[arg-type]
        assert (ctx.memory.seq_pos_max(0), ctx.memory.seq_pos_max(1)) == (29, 29)
    for i in (50, 55, 59, -1, -3):
        assert near(few.logits(i), many.logits(i))


def test_outputs_of_an_earlier_part_are_refused(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama", n_batch=16)
    wanted = [i in (3, 39) for i in range(40)]
    with pytest.raises(ValueError, match=r"index 3.*n_batch=16, only the last part, from index 32"):
        ctx.decode(LlamaBatch(tokens(40), logits=wanted))
    assert ctx.memory.seq_pos_max() == -1
    ctx.embeddings_enabled = True
    with pytest.raises(ValueError, match="only the last part"):
        ctx.decode(tokens(40))


@pytest.mark.parametrize(("kind", "left"), [("llama", 99), ("swa", 99), ("hybrid", -1)])
def test_a_part_that_fails_takes_the_others_back(
    make: Callable[..., LlamaContext], kind: str, left: int
) -> None:
    ctx, same = make(kind, n_batch=64), make(kind, n_batch=64)
    ctx.decode(tokens(100))
    same.decode(tokens(100))
    with pytest.raises(LlamaDecodeError, match="no room in the KV cache for 500 more"):
        ctx.decode(tokens(500))
    assert ctx.memory.seq_pos_max() in (left, -1), (
        "as it was, or empty where no part can be forgotten"
    )
    if ctx.memory.seq_pos_max() < 0:
        ctx.decode(tokens(100))
    ctx.decode([300])
    same.decode([300])
    assert near(ctx.logits(), same.logits())


def test_cancel_takes_all_parts_back(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=4096, n_batch=64) as ctx:
        ctx.decode([5, 6, 7])
        timer = threading.Timer(0.5, ctx.cancel)
        timer.start()
        with pytest.raises(LlamaCancelled):
            ctx.decode([5] * 4000)
        timer.join()
        assert ctx.memory.seq_pos_max() == 2
        ctx.decode([5])


def test_full_attention_is_not_computed_in_parts(make: Callable[..., LlamaContext]) -> None:
    bert = make("bert", embeddings=True, n_batch=64, n_ubatch=32)
    with pytest.raises(ValueError, match="33 tokens: this model attends to all at once"):
        bert.decode([5] * 33)
    pooled = make("llama", embeddings=True, pooling_type=MEAN, n_ubatch=32)
    with pytest.raises(ValueError, match=r"pooled .*MEAN.* at once, n_ubatch=32"):
        pooled.decode(tokens(33))
    last = make("llama", embeddings=True, pooling_type=LAST, n_ubatch=32)
    last.decode(tokens(40))
    last.embeddings_seq()


def test_positions_end_where_the_table_does(make: Callable[..., LlamaContext]) -> None:
    ctx = make("bert", embeddings=True, n_ctx=1024, n_batch=1024, n_ubatch=1024, n_seq_max=2)
    ctx.decode([5] * tiny.N_CTX)
    with pytest.raises(ValueError, match=r"position 512: .* table of 512 positions"):
        ctx.decode([5] * (tiny.N_CTX + 1))
    with pytest.raises(ValueError, match="position 600"):
        ctx.decode(LlamaBatch([5], pos=600))
    ctx.decode(LlamaBatch([5] * 1000, seq_id=[0] * 500 + [1] * 500))


# -- embeddings


def test_an_embedding_for_each_token(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama", embeddings=True)
    ctx.decode(tokens(5))
    view = ctx.embeddings(3)
    assert (view.shape, view.format) == ((tiny.N_EMBD,), "f")
    assert view.tolist() == ctx.embeddings(-2).tolist() != ctx.embeddings(2).tolist()
    assert ctx.logits(2).shape == (ctx.model.vocab.n_tokens,)
    with pytest.raises(LlamaOutputError, match="index 5 has no output"):
        ctx.embeddings(5)
    with pytest.raises(LlamaOutputError, match="does not pool"):
        ctx.embeddings_seq()


def test_an_embedding_for_each_sequence(make: Callable[..., LlamaContext]) -> None:
    ctx = make("bert", embeddings=True, n_seq_max=4)
    assert ctx.pooling_type == MEAN
    ctx.decode(LlamaBatch([5, 6, 7, 8, 9], seq_id=[0, 0, 2, 2, 2]))
    rows = [ctx.embeddings_seq(i) for i in (0, 2)]
    assert rows[0].tolist() != rows[1].tolist()
    for wrong in (1, 4, -1, 10**10):
        with pytest.raises(LlamaOutputError, match=f"sequence {wrong} has no embedding: it was no"):
            ctx.embeddings_seq(wrong)
    before = rows[1].tolist()
    ctx.decode([5])
    assert rows[1].tolist() == before, "a copy: the library freed its own"
    with pytest.raises(LlamaOutputError, match=r"pools .*MEAN.* see embeddings_seq"):
        ctx.embeddings()
    with pytest.raises(LlamaOutputError, match="makes no logits"):
        ctx.logits()


@pytest.mark.parametrize(("kind", "count"), [("rerank", 1), ("classify", len(tiny.LABELS))])
def test_a_classifier_gives_as_many_numbers_as_it_has_labels(
    make: Callable[..., LlamaContext], kind: str, count: int
) -> None:
    ctx = make(kind, embeddings=True)
    assert ctx.pooling_type == RANK
    ctx.decode([2, 5, 6, 3])
    assert ctx.embeddings_seq().shape == (count,)


def test_sequences_of_different_lengths_are_pooled_at_once_or_refused(
    make: Callable[..., LlamaContext],
) -> None:
    batch = LlamaBatch(tokens(9), seq_id=[0] * 3 + [1] * 6)
    ctx = make("llama", embeddings=True, pooling_type=MEAN, n_seq_max=2)
    with pytest.raises(ValueError, match="kv_unified=True"):
        ctx.decode(batch)
    ctx = make("llama", embeddings=True, pooling_type=MEAN, n_seq_max=2, kv_unified=True)
    ctx.decode(batch)
    together = ctx.embeddings_seq(1).tolist()
    ctx.memory.clear()
    ctx.decode(tokens(9)[3:])
    assert near(ctx.embeddings_seq(0), together)


def test_sizes_that_make_pooling_abort_are_refused(make: Callable[..., LlamaContext]) -> None:
    with pytest.raises(ValueError, match="n_ubatch=512 must be a multiple of n_seq_max=3"):
        make("bert", embeddings=True, n_seq_max=3)
    with pytest.raises(ValueError, match="n_outputs_max=8 is less than n_ubatch=512"):
        make("llama", embeddings=True, pooling_type=MEAN, n_outputs_max=8)
    ctx = make("llama", pooling_type=MEAN, n_seq_max=3)
    with pytest.raises(ValueError, match="must be a multiple"):
        ctx.embeddings_enabled = True
    make("bert", embeddings=True, n_seq_max=3, n_ubatch=510).decode([5])
    make("llama", embeddings=True, pooling_type=LAST, n_seq_max=3).decode([5])


def test_embeddings_and_samplers_in_the_graph_exclude_each_other(
    make: Callable[..., LlamaContext],
) -> None:
    ctx = make("llama", samplers={0: LlamaSampler.chain().temp(0).dist(1)})
    with pytest.raises(LlamaContextError, match="make another one for embeddings"):
        ctx.embeddings_enabled = True


def test_embeddings_can_be_turned_on_and_off(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama")
    ctx.decode(tokens(3))
    assert not ctx.embeddings_enabled
    with pytest.raises(LlamaOutputError, match="make the context with embeddings=True"):
        ctx.embeddings()
    view = ctx.logits()
    ctx.embeddings_enabled = True
    with pytest.raises(LlamaOutputError, match="there are no outputs"):
        ctx.embeddings()
    with pytest.raises(BufferError):
        ctx.decode([5])  # the embeddings need more room, and the view is there
    del view
    ctx.decode([5])
    ctx.embeddings()
    ctx.embeddings_enabled = False
    ctx.decode([5])
    with pytest.raises(LlamaOutputError):
        ctx.embeddings()


# -- settings


def test_attention_can_be_to_all(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama", n_ubatch=32)
    assert ctx.causal_attn
    rows = []
    for causal in (True, False):
        ctx.causal_attn = causal
        assert ctx.causal_attn is causal
        ctx.memory.clear()
        ctx.decode(LlamaBatch(tokens(8), logits=True))
        rows.append(ctx.logits(0).tolist())
    assert rows[0] != rows[1]
    with pytest.raises(ValueError, match="attends to all at once"):
        ctx.decode(tokens(33))


def test_threads_can_be_set(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama")
    ctx.n_threads = 2
    ctx.n_threads_batch = 3
    assert (ctx.n_threads, ctx.n_threads_batch) == (2, 3)
    for wrong in (0, -1, 513, 2**40):
        with pytest.raises(ValueError, match="n_threads"):
            ctx.n_threads = wrong
    assert (ctx.n_threads, ctx.n_threads_batch) == (2, 3)


def test_facts(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama", n_seq_max=2, n_ubatch=64)
    assert (ctx.n_ctx, ctx.n_ctx_seq, ctx.n_ubatch, ctx.pooling_type) == (512, 256, 64, 0)


# -- counters


@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_warm_up_leaves_nothing_behind(make: Callable[..., LlamaContext], kind: str) -> None:
    warm, cold = make(kind, n_seq_max=2), make(kind, n_seq_max=2)
    warm.decode(tokens(5))
    cold.decode(tokens(5))
    warm.warm_up()
    assert warm.perf.prompt_tokens == warm.perf.generated_tokens == 0
    with pytest.raises(LlamaOutputError):
        warm.logits()
    assert (warm.memory.seq_pos_max(0), warm.memory.seq_pos_max(1)) == (4, -1)
    warm.decode([300])
    cold.decode([300])
    assert near(warm.logits(), cold.logits())
    warm.decode(LlamaBatch([300], seq_id=1))
    with pytest.raises(LlamaContextError, match="needs an empty one"):
        warm.warm_up()


def test_an_embedding_model_is_warmed_up(make: Callable[..., LlamaContext]) -> None:
    make("bert", embeddings=True).warm_up()


def test_perf_counts_and_measures(make: Callable[..., LlamaContext]) -> None:
    ctx = make("llama")
    assert ctx.perf.prompt_tokens == ctx.perf.generated_tokens == 0
    ctx.decode(tokens(10))
    ctx.logits()
    for _ in range(3):
        ctx.decode([300])
        ctx.logits()
    perf = ctx.perf
    assert isinstance(perf, ContextPerf)
    assert (perf.prompt_tokens, perf.generated_tokens) == (10, 3)
    assert 0 < perf.prompt_seconds < 60
    assert 0 < perf.generation_seconds < 60
    ctx.reset_perf()
    assert ctx.perf.prompt_seconds == ctx.perf.prompt_tokens == ctx.perf.generated_tokens == 0


# -- sizes


def test_the_largest_context_that_there_is_room_for(tiny_path: Callable[..., Path]) -> None:
    done = run_program("fits_into_memory", tiny_path("llama"))
    assert (done.returncode, done.stderr) == (0, "")
    refused, n_ctx = done.stdout.split()
    assert refused == "refused"
    assert 1 << 15 < int(n_ctx) < 1 << 19


def test_a_context_that_fits_is_as_large_as_asked_for(make: Callable[..., LlamaContext]) -> None:
    assert make("llama", n_ctx=1024, fit=True).n_ctx == 1024
    assert make("mamba", n_ctx=0, fit=True).n_ctx == tiny.N_CTX


def test_an_assertion_about_embeddings_ends_the_context_not_the_process(
    tiny_path: Callable[..., Path],
) -> None:
    done = run_program("embeddings_that_abort", tiny_path("llama"))
    said = "decode: file.c:1: on purpose\n"
    assert done == (0, f"{said}{said}{tiny.N_EMBD}\n", "")
