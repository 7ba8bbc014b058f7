"""Contexts: decoding, the outputs without a copy, lifetimes, limits."""

from __future__ import annotations

import ctypes
import gc
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_cpp import (
    LlamaBatch,
    LlamaContext,
    LlamaDecodeError,
    LlamaLibrary,
    LlamaModel,
    LlamaSampler,
)
from llama_cpp.engine.machine import usable_cores
from llama_cpp.errors import LlamaBusyError, LlamaContextError, LlamaOutputError
from tests.support.python import run_program

TOKENS = [19556, 957, 1462, 314]  # "Hello my name is"


def copy(view: memoryview[float]) -> list[float]:
    return view.tolist()


# -- decode and outputs


def test_logits_are_a_view_that_numpy_takes_as_it_is(
    library: LlamaLibrary, ctx: LlamaContext
) -> None:
    ctx.decode(TOKENS)
    view = ctx.logits()
    assert (view.shape, view.format, view.itemsize) == ((ctx.model.vocab.n_tokens,), "f", 4)
    array = np.asarray(view)
    pointer = library.llama_get_logits_ith(ctx.handle, -1)
    assert array.dtype == np.float32
    assert array.ctypes.data == ctypes.addressof(pointer.contents)
    assert np.shares_memory(array, np.asarray(ctx.logits(3)))
    assert np.isfinite(array).all()


def test_tokens_decoded_in_parts_give_what_they_give_together(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=64) as a, LlamaContext(model, n_ctx=64) as b:
        a.decode(TOKENS)
        for token in TOKENS:
            b.decode([token])
        assert np.allclose(a.logits(), b.logits(), atol=0.05)
        assert int(np.argmax(a.logits())) == int(np.argmax(b.logits()))


def test_logits_come_for_the_tokens_that_ask(ctx: LlamaContext) -> None:
    ctx.decode(LlamaBatch(TOKENS, logits=True))
    rows = [copy(ctx.logits(i)) for i in range(4)]
    assert copy(ctx.logits(-1)) == rows[3]
    assert copy(ctx.logits(-4)) == rows[0]
    assert rows[0] != rows[3]
    ctx.decode(LlamaBatch([1, 2, 3], logits=[True, False, True]))
    assert copy(ctx.logits(-1)) == copy(ctx.logits(2))
    assert copy(ctx.logits(-2)) == copy(ctx.logits(0))
    for wrong in (1, 3, -3, 10**10):
        with pytest.raises(LlamaOutputError, match=r"index .* has no output.*\[0, 2\]"):
            ctx.logits(wrong)


def test_a_failed_decode_leaves_no_logits(ctx: LlamaContext) -> None:
    ctx.decode(TOKENS)
    with pytest.raises(LlamaDecodeError, match="positions") as raised:
        ctx.decode(LlamaBatch([1], pos=77))
    assert raised.value.code == -1
    with pytest.raises(LlamaOutputError, match="failed"):
        ctx.logits()
    ctx.decode([1])
    ctx.logits()


def test_wrong_arguments_leave_the_logits(ctx: LlamaContext) -> None:
    ctx.decode(TOKENS)
    before = copy(ctx.logits())
    with pytest.raises(ValueError, match="token 99999999"):
        ctx.decode([99999999])
    assert copy(ctx.logits()) == before


def test_a_full_cache_is_an_error_and_the_context_lives_on(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=256, n_batch=128) as ctx:
        assert ctx.n_ctx == 256
        ctx.decode([1] * 128)
        ctx.decode([1] * 127)
        with pytest.raises(LlamaDecodeError, match="no room in the KV cache for 2 more") as raised:
            ctx.decode([1, 2])
        assert raised.value.code == 1
        ctx.decode([1])  # one token still fits
        ctx.logits()
        with pytest.raises(LlamaDecodeError, match="n_ctx=256"):
            ctx.decode([1])
        # Make room, and it goes on.
        library = model.library
        memory = library.llama_get_memory(ctx.handle)
        library.llama_memory_clear(memory, True)
        ctx.decode(TOKENS)
        assert model.token_to_piece(int(np.argmax(ctx.logits()))).strip()


def test_sequences_do_not_see_each_other(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=512, n_seq_max=2) as ctx:
        assert ctx.n_seq_max == 2
        ctx.decode(TOKENS)
        alone = copy(ctx.logits())
        ctx.decode(LlamaBatch([*TOKENS[::-1], *TOKENS[::-1]], seq_id=[0] * 4 + [1] * 4))
        ctx.decode(LlamaBatch(TOKENS, seq_id=1))
        assert copy(ctx.logits()) != alone
    with LlamaContext(model, n_ctx=512, n_seq_max=2) as ctx:
        ctx.decode(LlamaBatch([5, 6, 7], seq_id=0))
        ctx.decode(LlamaBatch(TOKENS, seq_id=1, pos=0))
        assert np.allclose(ctx.logits(), alone, atol=0.05)


def test_positions_may_be_given(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=64) as a, LlamaContext(model, n_ctx=64) as b:
        a.decode(LlamaBatch(TOKENS, pos=0))
        b.decode(LlamaBatch(TOKENS, pos=[0, 1, 2, 3]))
        assert copy(a.logits()) == copy(b.logits())
        a.decode(LlamaBatch([1], pos=4))
        b.decode(LlamaBatch([1], pos=None))
        assert copy(a.logits()) == copy(b.logits())


def test_a_batch_can_be_used_again(ctx: LlamaContext) -> None:
    batch = LlamaBatch(TOKENS)
    ctx.decode(batch)
    first = copy(ctx.logits())
    ctx.decode(batch)
    assert copy(ctx.logits()) != first
    assert len(batch) == 4
    assert "4 tokens, 1 output" in repr(batch)


def test_the_memory_of_a_batch_outlives_its_arguments(ctx: LlamaContext) -> None:
    batch = LlamaBatch(iter(list(TOKENS)), pos=list(range(4)), seq_id=[0] * 4, logits=[True] * 4)
    gc.collect()
    junk = [bytearray(64) for _ in range(1000)]
    ctx.decode(batch)
    with_all = copy(ctx.logits())
    del junk
    assert math.isfinite(sum(with_all))


def test_facts(ctx: LlamaContext) -> None:
    assert ctx.n_threads == usable_cores() >= 1
    assert (ctx.n_ctx, ctx.n_batch, ctx.n_seq_max) == (256, 256, 1)
    assert "n_ctx=256" in repr(ctx)
    assert not ctx.closed


def test_a_model_without_an_encoder_refuses_encode(ctx: LlamaContext) -> None:
    with pytest.raises(Exception, match="has no encoder: use decode"):
        ctx.encode(TOKENS)


# -- views and lifetimes


def test_views_keep_the_memory_that_they_show(model: LlamaModel) -> None:
    ctx = LlamaContext(model, n_ctx=64)
    ctx.decode(TOKENS)
    array = np.asarray(ctx.logits())
    before = array.copy()
    ctx.close()
    del ctx
    gc.collect()
    others = [LlamaContext(model, n_ctx=64) for _ in range(3)]
    for other in others:
        other.decode([7] * 20)
    assert (array == before).all()


@pytest.mark.parametrize("how", ["close", "forget"])
def test_things_may_go_in_every_order(model_path: Path, how: str) -> None:
    assert run_program("closes_in_every_order", model_path, how) == (0, "done\n", "")


@pytest.mark.parametrize("names", ["model", "ctx", "sampler", "view", "view,model", "ctx,sampler"])
@pytest.mark.parametrize("extra", ["", "cycle"])
def test_a_process_ends_quietly_with_live_objects(model_path: Path, names: str, extra: str) -> None:
    assert run_program(
        "ends_with_live_objects", model_path, names, extra, env={"PYTHONDEVMODE": "1"}
    ) == (0, "", "")


def test_a_thread_may_still_work_when_the_process_ends(model_path: Path) -> None:
    done = run_program("ends_while_a_thread_decodes", model_path)
    assert done == (0, "", "")


def test_more_outputs_are_refused_while_views_could_be_moved_from_under(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(TOKENS)
        view = ctx.logits()
        before = copy(view)
        with pytest.raises(BufferError, match="4 outputs need more room than 1"):
            ctx.decode(LlamaBatch(TOKENS, logits=True))
        assert copy(view) == before
        assert copy(ctx.logits()) == before, "nothing was decoded, so they are still there"
        del view
        array = np.asarray(ctx.logits())[10:20]
        gc.collect()
        with pytest.raises(BufferError):
            ctx.decode(LlamaBatch(TOKENS, logits=True))
        del array
        ctx.decode(LlamaBatch(TOKENS, logits=True))
        view = ctx.logits(0)
        ctx.decode(LlamaBatch(TOKENS, logits=True))  # the room is there now
        assert copy(view) == copy(ctx.logits(0))


# Of 200 and of 15, less than one or two take: on a loaded machine the thread of a load can find
# another one's memory still in use, and glibc keeps a second piece for it.
@pytest.mark.parametrize(("kind", "megabytes"), [("contexts", 5), ("models", 20)])
def test_nothing_leaks(model_path: Path, kind: str, megabytes: int) -> None:
    done = run_program("come_and_go", model_path, kind, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < megabytes


# -- threads


def test_a_context_refuses_a_second_thread(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=2048, n_batch=1024) as ctx:
        sampler = LlamaSampler.chain().greedy()
        ctx.decode([1])
        started = threading.Event()

        def work() -> None:
            started.set()
            ctx.decode([1] * 1024)

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        time.sleep(0.2)
        assert thread.is_alive(), "too fast for this test: decode more"
        for use in (lambda: ctx.decode([1]), lambda: ctx.logits(), lambda: sampler.sample(ctx)):
            with pytest.raises(LlamaBusyError, match="another thread"):
                use()
        thread.join()
        ctx.logits()


def test_a_context_closed_during_a_decode_is_freed_after_it(model_path: Path) -> None:
    assert run_program("closes_during_a_decode", model_path) == (0, "done\n", "")


def test_contexts_run_side_by_side(model: LlamaModel) -> None:
    results: dict[int, list[float]] = {}

    def work(i: int) -> None:
        with LlamaContext(model, n_ctx=64, n_threads=1, n_threads_batch=1) as ctx:
            for token in TOKENS:
                ctx.decode([token])
            results[i] = copy(ctx.logits())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(row == results[0] for row in results.values())


def test_a_refused_batch_leaves_the_cache_alone(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(TOKENS)
        memory = model.library.llama_get_memory(ctx.handle)
        held = model.library.llama_memory_seq_pos_max(memory, 0)
        assert held == len(TOKENS) - 1
        view = ctx.logits()
        with pytest.raises(BufferError):
            ctx.decode(LlamaBatch(TOKENS, logits=True))
        assert model.library.llama_memory_seq_pos_max(memory, 0) == held
        del view
        with pytest.raises(LlamaDecodeError):
            ctx.decode(LlamaBatch(TOKENS, pos=0))  # these positions are taken
        assert model.library.llama_memory_seq_pos_max(memory, 0) == held
        assert model.library.llama_memory_seq_pos_min(memory, 0) == 0


def test_a_context_that_was_fitted_in_several_attempts_can_be_used(
    model: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contexts that were tried before it are freed, and leave it alone."""
    make, sizes = LlamaContext._make, []

    def smaller(self: LlamaContext, raw: Any) -> Any:
        sizes.append(raw.n_ctx)
        if raw.n_ctx > 3000:
            raise LlamaContextError("no memory")
        return make(self, raw)

    monkeypatch.setattr(LlamaContext, "_make", smaller)
    with LlamaContext(model, n_ctx=8192, fit=True) as ctx:
        assert sum(size <= 3000 for size in sizes) > 1
        ctx.decode([1, 2, 3])
        assert ctx.memory.seq_pos_max() == 2
