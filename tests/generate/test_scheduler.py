"""Requests of several threads at a time on one Llama: they share batches, and no troubles."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from checks import storm
from llama_cpp import Llama, LlamaCancelled, LlamaModel, LlamaSampler, PromptLookup
from llama_cpp.errors import (
    LlamaBusyError,
    LlamaClosedError,
    LlamaContextError,
    LlamaQueueFullError,
    LlamaStateError,
    LlamaTimeoutError,
)
from tests.support import tiny
from tests.support.patience import patience
from tests.support.prompts import EXACT, PROMPTS, Angry, decodes, until
from tests.support.python import run_program

TinyModel = Callable[..., LlamaModel]
GREEDY: dict[str, Any] = {"max_tokens": 24, "temperature": 0}
LONG: dict[str, Any] = {"max_tokens": 1500, "temperature": 0, "ignore_eos": True}


@contextmanager
def llama(model: LlamaModel, n_seq_max: int = 4, **params: Any) -> Iterator[Llama]:
    llm = Llama(model, **{"n_seq_max": n_seq_max, "n_ctx": 2048, "n_threads": 1, **EXACT, **params})
    yield llm
    llm._scheduler.close()
    llm.ctx.close()


@contextmanager
def others(llm: Llama, n: int = 2) -> Iterator[list[Any]]:
    """So many threads that generate, and afterwards what each came to."""
    found: list[Any] = []
    begun = [llm.generate(prompt, **LONG) for prompt in PROMPTS[:n]]

    def read(generation: Any) -> None:
        try:
            found.append("".join(generation))
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=read, args=(one,)) for one in begun]
    for thread in threads:
        thread.start()
    until(lambda: all(len(one.tokens) > 2 for one in begun))
    yield found
    for one in begun:
        one.cancel()
    for thread in threads:
        thread.join(patience(60))
        assert not thread.is_alive()


@pytest.mark.parametrize("n_seq_max", [1, 4])
@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_threads_get_what_they_get_alone(
    tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch, kind: str, n_seq_max: int
) -> None:
    with llama(tiny_model(kind), n_seq_max) as llm:
        alone = [llm.complete(prompt, **GREEDY).text for prompt in PROMPTS]
        vectors = llm.embed(PROMPTS)

        def work(i: int) -> object:
            if i % 4 == 3:
                return llm.embed(PROMPTS[i % 12]).tolist()[0]
            if i % 4 == 2:
                return "".join(llm.generate(PROMPTS[i % 12], **GREEDY))
            return llm.complete(PROMPTS[i % 12], **GREEDY).text

        with decodes(monkeypatch) as seen, ThreadPoolExecutor(12) as pool:
            for i, found in enumerate(pool.map(work, range(36))):
                expected: Any = vectors[i % 12].tolist() if i % 4 == 3 else alone[i % 12]
                assert found == (pytest.approx(expected, abs=1e-5) if i % 4 == 3 else expected)
        assert max(map(len, seen), default=0) > 1 or n_seq_max == 1, "they share batches"
        assert llm._scheduler.places.idle


def test_what_ends_one_leaves_the_others(tiny_model: TinyModel) -> None:
    model = tiny_model("llama")
    with llama(model) as llm:
        right = llm.complete("hello", **GREEDY).text
        angry = LlamaSampler.chain(model.library).custom(Angry()).greedy()
        with others(llm) as found:
            with pytest.raises(ZeroDivisionError):
                llm.complete("world", max_tokens=9, sampler=angry)
            with pytest.raises(LlamaTimeoutError):
                llm.complete("world", timeout=0.05, **LONG)
            one = llm.generate("world", **LONG)
            threading.Timer(0.1, one.cancel).start()
            with pytest.raises(LlamaCancelled):
                list(one)
            assert one.finish_reason == "cancelled"
            forgotten = llm.generate("world", **LONG)
            next(forgotten)
            del forgotten
            assert llm.complete("hello", **GREEDY).text == right
            assert llm.complete("hello", draft=PromptLookup(), **GREEDY).text == right
            many = llm.complete_many(["hello"] * 6, **GREEDY)
            assert [each.text for each in many] == [right] * 6
            assert llm.score("hello", [" world"])[0].logprob < 0
            assert found == []
        assert [type(each) for each in found] == [LlamaCancelled] * 2
        assert llm._scheduler.places.idle


def test_the_queue_has_a_limit_and_close_ends_all(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), 2, queue_size=1) as llm:
        with others(llm) as found:
            waiting = llm.generate("hello", max_tokens=2, timeout=0.2)
            with ThreadPoolExecutor(1) as pool:
                late = pool.submit(next, waiting)
                until(lambda: len(llm._scheduler.places.jobs) == 3)
                with pytest.raises(LlamaQueueFullError, match="1 requests wait already"):
                    llm.complete("hello")
                with pytest.raises(LlamaTimeoutError):
                    late.result()
            llm._scheduler.close()
            until(lambda: len(found) == 2)
        assert [type(each) for each in found] == [LlamaClosedError] * 2
        with pytest.raises(LlamaClosedError, match="the Llama is closed"):
            llm.complete("hello")


def test_a_slow_reader_waits_alone(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), 3) as llm, others(llm, 1):
        slow = llm.generate("hello", **LONG)
        text = next(slow)
        until(lambda: len(slow.tokens) > 60)
        right = llm.complete("world", **GREEDY).text
        assert llm.complete("world", **GREEDY).text == right
        assert len(slow.tokens) < 80, "what nobody reads does not pile up"
        text += next(slow) + next(slow)
        slow.cancel()
        with pytest.raises(LlamaCancelled):
            list(slow)


def test_who_does_not_read_gives_its_place_away_and_goes_on_later(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), 1) as llm:
        right = [llm.complete(prompt, **GREEDY).text for prompt in PROMPTS[:2]]
        first, second = (llm.generate(prompt, **GREEDY) for prompt in PROMPTS[:2])
        texts = [next(first), ""]
        with ThreadPoolExecutor(1) as pool:
            texts[1] = pool.submit(lambda: "".join(second)).result(patience(60))
        assert [texts[0] + "".join(first), texts[1]] == right
        for piece in llm.generate(PROMPTS[0], **GREEDY):  # a call within the loop
            assert piece
            assert llm.complete(PROMPTS[1], **GREEDY).text == right[1]


def test_the_context_can_be_had_in_a_pause(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm, others(llm) as found:
        for _ in range(3):
            with llm.paused() as ctx:
                with ctx.sequence() as mine:
                    mine.extend(range(300, 340))
                    assert mine.tokens == list(range(300, 340))
                ctx.set_loras([])
                with pytest.raises(LlamaBusyError, match="in the middle of a step"):
                    llm.complete("hello")
        assert found == []
        with llm.paused() as ctx:  # of one that runs
            ctx.memory.seq_rm(llm._scheduler.places.sequences[0].id)
        until(lambda: len(found) == 1)
        assert isinstance(found[0], LlamaContextError)
        assert "used otherwise" in str(found[0])


@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_talks_in_turn_keep_their_caches(tiny_model: TinyModel, kind: str) -> None:
    """Those with a beginning of their own, and those that have one in common."""
    model = tiny_model(kind)
    starts = [f"{one} " * 40 for one in ("cat", "mat", "sat")]
    talks = [*starts, starts[0] + "hello", starts[0] + "world"]
    with llama(model, 5) as llm:
        for turn in range(3):
            for i, talk in enumerate(talks):
                done = llm.complete(talk, max_tokens=6, temperature=0)
                again = turn or i > 2  # or it begins like the first
                assert (done.usage.cached_tokens > 30) == bool(again), (turn, i, done.usage)
                if turn:
                    assert done.usage.prompt_tokens - done.usage.cached_tokens < 15
                talks[i] = talk + done.text + " and the"


def test_a_state_serves_prompts_that_begin_like_it(tiny_model: TinyModel, tmp_path: Path) -> None:
    model, file = tiny_model("llama"), tmp_path / "state"
    with llama(model) as llm, llama(model) as other:
        right = llm.complete(PROMPTS[0], **GREEDY)
        n = llm.save_state(file, PROMPTS[0])
        assert n >= right.usage.prompt_tokens
        assert other.load_state(file) == n
        done = other.complete(PROMPTS[0], **GREEDY)
        assert (done.text, done.usage.cached_tokens) == (right.text, right.usage.prompt_tokens - 1)
        with pytest.raises(LlamaContextError, match="nothing of that prompt"):
            llm.save_state(file, [5])
        file.write_bytes(b"no state")
        with pytest.raises(LlamaStateError):
            other.load_state(file)
        assert other.complete(PROMPTS[0], **GREEDY).text == right.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("case", ["among_threads"])
def test_a_child_of_a_process_with_threads_says_so(
    tiny_path: Callable[..., Path], case: str
) -> None:
    code, out, _ = run_program("forks", tiny_path("llama"), case)
    assert (code, out) == (0, "True\nends with 0\nTrue\n")


def test_ctrl_c_ends_what_the_main_thread_waits_for(tiny_path: Callable[..., Path]) -> None:
    result = run_program("ctrl_c_among_threads", tiny_path("llama"))
    assert result == (0, "interrupted " * 4 + "others 40 True\n", result.stderr)


def test_a_short_storm(tiny_path: Callable[..., Path]) -> None:
    wanted = storm.requests(60, 5)
    with storm.make(tiny_path("llama")) as llm:
        ends = storm.storm(llm, wanted, storm.answers(llm, wanted))
        assert ends["right"] > 20
        assert ends["ZeroDivisionError"] > 2
