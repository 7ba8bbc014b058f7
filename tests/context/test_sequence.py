"""Sequences: whatever is done to one, it goes on as if its tokens had just been computed."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest

from llama_cpp import (
    Llama,
    LlamaBatch,
    LlamaCancelled,
    LlamaContext,
    LlamaDecodeError,
    LlamaModel,
    LlamaSampler,
    LlamaSequence,
)
from llama_cpp.errors import LlamaClosedError, LlamaContextError, LlamaOutputError

KINDS = ("llama", "swa", "mamba", "hybrid")
Load = Callable[..., LlamaModel]


def prompt(n: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(270, 360, n).tolist()


def context(model: LlamaModel, **keywords: object) -> LlamaContext:
    """With a window that is really forgotten, and sums whose order does not show."""
    defaults = {
        "n_ctx": 2048,
        "n_batch": 64,
        "n_ubatch": 32,
        "n_seq_max": 4,
        "type_k": 0,
        "type_v": 0,
        "flash_attn_type": 0,
        "swa_full": False,
        "n_threads": 1,
    }
    return LlamaContext(model, **{**defaults, **keywords})  # type: ignore[arg-type]


def fresh(model: LlamaModel, tokens: list[int], **keywords: object) -> np.ndarray:
    """The logits after ``tokens`` in a context of their own."""
    with context(model, **keywords) as ctx, ctx.sequence() as seq:
        seq.extend(tokens)
        return np.array(ctx.logits())


def check(seq: LlamaSequence, model: LlamaModel, more: list[int]) -> None:
    """``seq`` goes on with ``more`` as a fresh context does. Other portions and other cells give
    other last bits; a cell too many or too few is off by 1 and more."""
    tokens = [*seq.tokens, *more]
    seq.extend(more)
    assert seq.tokens == tokens
    assert seq._computing.core.pos_max(seq._computing.core.kv, seq.id) == len(tokens) - 1
    assert np.abs(np.array(seq._computing.outputs.logits(-1)) - fresh(model, tokens)).max() < 0.01


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["streams", "unified"])
def unified(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def model(tiny_model: Load, kind: str) -> LlamaModel:
    return tiny_model(kind)


def test_any_number_of_tokens(model: LlamaModel) -> None:
    with context(model) as ctx, ctx.sequence() as seq:
        seq.extend(prompt(300))
        assert len(seq) == 300
        check(seq, model, [301])


def test_the_longest_common_beginning_is_reused(model: LlamaModel, unified: bool) -> None:
    tokens = prompt(300)
    with context(model, kv_unified=unified) as ctx, ctx.sequence() as seq:
        assert seq.set(tokens) == 0
        for _ in range(20):
            seq.extend([seq.sample(LlamaSampler.chain().greedy())])
        # The same prompt again: nearly all is there, on models that forget too.
        again = seq.set(tokens)
        assert 296 <= again <= 299
        assert np.abs(np.array(ctx.logits()) - fresh(model, tokens)).max() < 0.01
        # Another end, before the last checkpoints: less is there.
        other = [*tokens[:280], *prompt(30, 1)]
        assert 0 < seq.set(other) <= 280
        assert seq.tokens == other
        check(seq, model, prompt(5, 2))
        assert seq.set(prompt(40, 3)) == 0
        check(seq, model, prompt(5, 4))


def test_without_checkpoints_it_begins_anew(tiny_model: Load) -> None:
    model = tiny_model("mamba")
    with context(model) as ctx, ctx.sequence(checkpoints=0) as seq:
        tokens = prompt(100)
        seq.set(tokens)
        assert seq.set(tokens) == 0
        check(seq, model, [301])


def test_greedy_tokens_are_those_of_a_fresh_run(model: LlamaModel, unified: bool) -> None:
    """Token for token, through reuse, truncation, fork and restore."""
    greedy = LlamaSampler.chain().greedy()

    def generate(seq: LlamaSequence) -> list[int]:
        result = []
        for _ in range(24):
            result.append(seq.sample(greedy))
            seq.extend(result[-1:])
        return result

    tokens = prompt(150)
    with context(model, kv_unified=unified) as ctx, ctx.sequence() as seq:
        seq.extend(tokens)
        expected = generate(seq)
        seq.set(tokens)
        assert generate(seq) == expected
        seq.truncate(149)
        seq.extend(tokens[149:])
        with seq.fork() as fork:
            assert generate(fork) == expected
            assert len(seq) == 150
        saved = seq.to_bytes()
        seq.close()
        with ctx.sequence.from_bytes(saved) as restored:
            assert restored.tokens == tokens
            restored.set(tokens)
            assert generate(restored) == expected


@pytest.mark.parametrize("n", [0, 1, 40, 200, 296, 299, 300])
def test_truncate(model: LlamaModel, n: int) -> None:
    tokens = prompt(300)
    with context(model) as ctx, ctx.sequence() as seq:
        seq.extend(tokens[:100])
        seq.extend(tokens[100:])
        seq.truncate(n)
        assert seq.tokens == tokens[:n]
        check(seq, model, [301, 302])


def test_a_fork_goes_its_own_way(model: LlamaModel, unified: bool) -> None:
    with context(model, kv_unified=unified) as ctx, ctx.sequence() as seq:
        seq.extend(prompt(120))
        with seq.fork() as fork:
            assert fork.id != seq.id
            assert fork.tokens == seq.tokens
            check(fork, model, prompt(50, 1))
            check(seq, model, prompt(50, 2))
            fork.truncate(100)
            check(fork, model, [301])
        check(seq, model, [301])


def test_forks_share_the_cells(tiny_model: Load) -> None:
    with context(tiny_model("llama"), kv_unified=True, n_ctx=256) as ctx, ctx.sequence() as seq:
        seq.extend(prompt(200))
        forks = [seq.fork() for _ in range(3)]
        for fork in forks:
            fork.extend([301])
        assert [len(fork) for fork in forks] == [201] * 3


def test_forks_go_on_in_one_batch(model: LlamaModel, unified: bool) -> None:
    """A batch with their ids updates the sequences' tokens and the indexes of their outputs."""
    greedy = LlamaSampler.chain().greedy()
    with context(model, kv_unified=unified) as ctx, ctx.sequence() as seq:
        seq.extend(prompt(60))
        fork = seq.fork()
        ctx.decode(LlamaBatch([301, 302], seq_id=[fork.id, seq.id], logits=[True, True]))
        assert (fork.tokens[-1], seq.tokens[-1]) == (301, 302)
        for one in (fork, seq):
            expected = int(np.argmax(fresh(model, one.tokens)))
            assert one.sample(greedy) == expected
        check(fork, model, [303])
        check(seq, model, [303])
        ctx.decode(LlamaBatch([301], seq_id=seq.id))
        with pytest.raises(LlamaOutputError, match="no output for this sequence"):
            fork.sample(greedy)


@pytest.mark.parametrize("kind", ["llama", "mamba", "hybrid"])
def test_a_shift_makes_room(model: LlamaModel, unified: bool) -> None:
    tokens = prompt(100)
    with context(model, kv_unified=unified) as ctx, ctx.sequence() as seq:
        seq.extend(tokens)
        fork = seq.fork()
        seq.shift(4, 48)
        assert seq.tokens == [*tokens[:4], *tokens[52:]]
        assert ctx.memory.seq_pos_max(seq.id) == 51
        check(fork, model, [301])  # its cells have not moved
        seq.extend([301])
        shifted = np.array(ctx.logits())
        # A state saved before the keys are turned equals one saved afterwards.
        seq.shift(4, 10)
        with ctx.sequence.from_bytes(seq.to_bytes()) as copy:
            copy.extend([302])
            logits = np.array(ctx.logits())
            seq.extend([302])
            assert np.abs(np.array(ctx.logits()) - logits).max() < 0.01
        assert np.isfinite(shifted).all()
        # The moved tokens have other values than a fresh computation.
        assert seq.set(seq.tokens) <= 4
        check(seq, model, [303])


def test_a_sliding_window_cannot_shift(tiny_model: Load) -> None:
    with context(tiny_model("swa")) as ctx, ctx.sequence() as seq:
        seq.extend(prompt(50))
        with pytest.raises(LlamaContextError, match="swa_full=True"):
            seq.shift(4, 10)
        check(seq, tiny_model("swa"), [301])


def test_a_shift_without_room_for_shared_cells(tiny_model: Load) -> None:
    model = tiny_model("llama")
    with context(model, kv_unified=True, n_ctx=256) as ctx, ctx.sequence() as seq:
        seq.extend(prompt(200))
        fork = seq.fork()
        with pytest.raises(LlamaContextError, match="shared with a fork"):
            seq.shift(4, 100)
        check(seq, model, [301])
        fork.close()
        seq.truncate(40)
        fork = seq.fork()
        seq.shift(4, 10)
        check(fork, model, [301])


def test_a_full_cache_leaves_tokens_and_cells_alike(model: LlamaModel, kind: str) -> None:
    with context(model, n_ctx=256, n_seq_max=1) as ctx, ctx.sequence() as seq:
        if kind == "mamba":
            seq.extend(prompt(400))  # has no end
            return
        with pytest.raises(LlamaDecodeError) as caught:
            seq.extend(prompt(400))
        assert caught.value.code == 1
        assert len(seq) == ctx.memory.seq_pos_max(seq.id) + 1
        assert seq.tokens == prompt(400)[: len(seq)]
        seq.truncate(100)
        check(seq, model, [301])


@pytest.mark.parametrize("checkpoints", [0, 8])
def test_a_cancelled_decode_leaves_tokens_and_cells_alike(
    model: LlamaModel, checkpoints: int
) -> None:
    with (
        context(model, n_batch=512, n_ubatch=512, n_seq_max=1) as ctx,
        ctx.sequence(checkpoints=checkpoints) as seq,
    ):
        seq.extend(prompt(300))
        stopped = 0
        for delay in (0.0, 0.005, 0.01, 0.02, 0.04):
            expected = [*seq.tokens, *prompt(900, 5)]
            timer = threading.Timer(delay, ctx.cancel)
            timer.start()
            try:
                seq.extend(prompt(900, 5))
            except LlamaCancelled:
                stopped += 1
            timer.join()
            assert ctx.memory.seq_pos_max(seq.id) == len(seq) - 1
            assert seq.tokens == expected[: len(seq)]
            seq.truncate(min(len(seq), 200))
        assert stopped
        check(seq, model, [301])


def test_changes_by_the_context_are_noticed(model: LlamaModel, kind: str) -> None:
    with context(model) as ctx, ctx.sequence() as seq, ctx.sequence() as other:
        seq.extend(prompt(50))
        ctx.memory.clear()
        assert seq.tokens == []
        check(seq, model, prompt(20))
        assert ctx.memory.seq_rm(seq.id)
        assert len(seq) == 0
        check(seq, model, prompt(20))
        if kind == "llama":
            assert ctx.memory.seq_rm(seq.id, 10)
            check(seq, model, [301])
        other.extend(prompt(5))
        ctx.memory.seq_cp(other.id, seq.id)
        with pytest.raises(LlamaContextError, match="changed by other means"):
            seq.extend([301])
        with pytest.raises(LlamaContextError, match="changed by other means"):
            seq.tokens  # noqa: B018
        assert seq.set(prompt(30)) == 0
        check(seq, model, [301])
        ctx.memory.seq_keep(other.id)
        assert seq.tokens == []
        check(other, model, [301])


def test_an_id_comes_back(model: LlamaModel) -> None:
    with context(model, n_seq_max=2) as ctx:
        first, second = ctx.sequence(), ctx.sequence()
        assert {first.id, second.id} == {0, 1}
        second.extend(prompt(40))
        with pytest.raises(LlamaContextError, match="larger n_seq_max than 2"):
            ctx.sequence()
        with pytest.raises(LlamaContextError, match="larger n_seq_max than 2"):
            second.fork()
        second.close()
        second.close()
        assert second.closed
        assert ctx.memory.seq_pos_max(1) == -1
        third = ctx.sequence()
        assert third.id == 1
        third.extend(prompt(3))
        with ctx.core.lock:  # as in the middle of a decode
            del third
            gc.collect()
        assert ctx.memory.seq_pos_max(1) == 2
        first.extend([300])
        assert ctx.memory.seq_pos_max(1) == -1
        assert ctx.sequence().id == 1


def test_an_id_decoded_without_a_sequence_is_not_taken(tiny_model: Load) -> None:
    with context(tiny_model("llama"), n_seq_max=2) as ctx:
        ctx.decode([300, 301])
        assert ctx.sequence().id == 1


def test_models_without_a_cache_have_no_sequences(tiny_model: Load) -> None:
    with LlamaContext(tiny_model("bert"), n_ctx=64) as ctx:
        for use in (ctx.sequence, ctx.to_bytes):
            with pytest.raises(LlamaContextError, match="no KV cache"):
                use()


def test_its_text_in_an_error(tiny_model: Load) -> None:
    with context(tiny_model("llama")) as ctx:
        seq = ctx.sequence()
        assert repr(seq) == "<LlamaSequence 0 of 0 tokens>"
        seq.close()
        assert repr(seq) == "<LlamaSequence, closed>"
        with pytest.raises(LlamaClosedError), seq:
            pass


def test_cells_computed_with_other_adapters_are_not_reused(tiny_model: Load) -> None:
    model = tiny_model("llama")
    with context(model) as ctx, ctx.sequence() as seq:
        seq.set(prompt(50))
        ctx.set_loras()
        assert seq.tokens == prompt(50)
        assert seq.set(prompt(50)) == 0
        check(seq, model, [301])
    with Llama(model.path, n_ctx=256, n_threads=1) as llm:
        llm.complete(prompt(50), max_tokens=2)
        assert llm.complete(prompt(50), max_tokens=2).usage.cached_tokens == 49
        llm.ctx.set_loras()
        assert llm.complete(prompt(50), max_tokens=2).usage.cached_tokens == 0


# -- sequences in Llama


def test_a_prompt_that_is_there_is_not_computed_again(model: LlamaModel) -> None:
    """On models that forget too, from a checkpoint; and the text is that of a fresh run."""
    options = {"max_tokens": 12, "temperature": 0}
    keywords = {"n_ctx": 1024, "n_batch": 64, "n_ubatch": 32, "swa_full": False, "n_threads": 1}
    tokens = prompt(300)
    other = [*tokens[:298], *prompt(20, 1)]
    exact = {"type_k": 0, "type_v": 0, "flash_attn_type": 0}
    with Llama(model.path, **keywords, **exact) as llm:
        first = llm.complete(tokens, **options)
        again = llm.complete(tokens, **options)
        assert first.usage.cached_tokens == 0
        assert again.usage.cached_tokens >= 296
        assert again.text == first.text
        changed = llm.complete(other, **options)
        assert 296 <= changed.usage.cached_tokens <= 298
        assert changed.text == llm.complete(other, cache_prompt=False, **options).text
        # Then many at a time, and again one.
        llm.complete_many([tokens, other], **options)
        assert llm.complete(tokens, **options).text == first.text


def test_a_llama_and_a_sequence_do_not_share_an_id(tiny_model: Load) -> None:
    path = tiny_model("llama").path
    with (
        Llama(path, n_ctx=256, n_threads=1) as llm,
        pytest.raises(LlamaContextError, match="no sequence is left"),
    ):
        llm.ctx.sequence()
    with Llama(path, n_ctx=256, n_threads=1, n_seq_max=2) as llm:
        seq = llm.ctx.sequence()
        seq.extend(prompt(5))
        assert llm.complete("the cat", max_tokens=2, temperature=0).usage.completion_tokens
        seq.extend([301])
        assert seq.tokens == [*prompt(5), 301]


@pytest.mark.parametrize("kind", ["llama", "mamba", "hybrid"])
def test_a_shifted_context_goes_on(model: LlamaModel, kind: str) -> None:
    tokens = prompt(100)
    bias = {token: float("-inf") for token in range(260) if model.is_eog(token)}
    options = {"temperature": 0, "max_tokens": 600, "logit_bias": bias}
    with Llama(model.path, n_ctx=256, n_threads=1) as llm:
        done = llm.complete(tokens, context_shift=True, n_keep=10, **options)
        assert done.finish_reason == "length"
        assert done.usage.completion_tokens == 600
        if kind != "mamba":
            assert llm._scheduler.places.sequences[0].tokens[:10] == tokens[:10]
            assert llm.ctx.memory.seq_pos_max() < 256
            assert llm.complete(tokens, **options).usage.completion_tokens == 256 - 100
            # Moved tokens are not reused: they have other values than a fresh computation.
            llm.complete(tokens, context_shift=True, n_keep=10, **options)
            moved = llm._scheduler.places.sequences[0].tokens[:120]
            again = llm.complete(moved, max_tokens=5, temperature=0)
            assert again.usage.cached_tokens <= 10
            assert again.text == llm.complete(moved, max_tokens=5, temperature=0).text


def test_shifts_that_are_refused(tiny_model: Load) -> None:
    with (
        Llama(tiny_model("swa").path, n_ctx=1024, n_ubatch=32, swa_full=False) as llm,
        pytest.raises(LlamaContextError, match="swa_full=True"),
    ):
        llm.complete("the cat", context_shift=True, max_tokens=2)
    with Llama(tiny_model("llama").path, n_ctx=256) as llm:
        with pytest.raises(ValueError, match="n_keep=253 is not 0 to 252"):
            llm.generate("the cat", context_shift=True, n_keep=253)
        with pytest.raises(TypeError, match="does not shift"):
            llm.complete_many(["the cat"], context_shift=True)
