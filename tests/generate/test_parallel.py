"""Many prompts through one context: sequences join and leave, share beginnings, and run alone."""

from __future__ import annotations

import gc
import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    PromptLookup,
)
from llama_cpp.errors import LlamaBusyError, LlamaContextError
from llama_cpp.generate import Generations
from llama_cpp.generate.batching.scheduler import Scheduler
from tests.support import tiny
from tests.support.patience import patience
from tests.support.prompts import ENDS, PROMPTS, SYSTEM, Angry, decodes
from tests.support.python import run_program

TinyModel = Callable[..., LlamaModel]

# Of logits up to 20: a batch of another shape, and keys rounded to 16 bits, give others by so much.
CLOSE = 0.05


@contextmanager
def llama(model: LlamaModel, n_seq_max: int = 4, **params: Any) -> Iterator[Llama]:
    # Not `with Llama`: that would close the model, which the tests share.
    llm = Llama(model, **{"n_seq_max": n_seq_max, "n_ctx": 2048, "n_threads": 1, **params})
    yield llm
    llm.ctx.close()


def held(llm: Llama) -> list[int]:
    """How much the cache has of each sequence."""
    return [llm.ctx.memory.seq_pos_max(i) + 1 for i in range(llm.ctx.n_seq_max)]


def text_of(model: LlamaModel, tokens: list[int]) -> str:
    data = b"".join(model.token_to_bytes(token, special=False) for token in tokens)
    return data.decode("utf-8", "replace")


def regret(model: LlamaModel, prompt: list[int], tokens: list[int]) -> float:
    """How much likelier than a token the likeliest one is, at worst, when the text is computed
    alone: a small number when greedy tokens differ by rounding alone."""
    text = [*prompt, *tokens[:-1]]
    with LlamaContext(model, n_ctx=len(text) + 8, n_threads=1) as ctx:
        ctx.decode(LlamaBatch(text, logits=True))
        found = 0.0
        for i, token in enumerate(tokens, len(prompt) - 1):
            logits = np.asarray(ctx.logits(i))
            found = max(found, float(logits.max() - logits[token]))
        return found


# -- the texts


@pytest.mark.parametrize("cache_prompt", [True, False])
@pytest.mark.parametrize("kv_unified", [True, False])
@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_each_text_is_what_it_is_alone(
    tiny_model: TinyModel, kind: str, kv_unified: bool, cache_prompt: bool
) -> None:
    model = tiny_model(kind)
    with llama(model, kv_unified=kv_unified) as llm:
        many = llm.complete_many(PROMPTS, max_tokens=40, temperature=0, cache_prompt=cache_prompt)
        assert len(many) == len(PROMPTS)
        for prompt, done in zip(PROMPTS, many, strict=True):
            assert done.finish_reason == "length"
            assert done.text == text_of(model, done.tokens)
            assert done.usage.completion_tokens == 40
            assert regret(model, model.tokenize(prompt), done.tokens) < CLOSE
        assert held(llm) == [len(seq) for seq in llm._scheduler.places.sequences]


def test_a_real_model_says_the_same_but_for_ties(model: LlamaModel) -> None:
    prompts = ["Once upon a time", "The capital of France is", "def fibonacci(n):"]
    with llama(model, n_ctx=512) as llm:
        for prompt, done in zip(
            prompts, llm.complete_many(prompts, max_tokens=12, temperature=0), strict=True
        ):
            assert len(done.text) > 10
            assert regret(model, model.tokenize(prompt), done.tokens) < 0.1


def test_the_pieces_come_as_they_are_made(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm:
        many = llm.generate_many(PROMPTS[:4], max_tokens=9, temperature=0)
        seen = list(many)
        order = [index for index, _ in seen]
        first_end = min(len(order) - 1 - order[::-1].index(i) for i in range(4))
        assert set(order[:first_end]) == {0, 1, 2, 3}, "they take turns"
        texts: dict[int, str] = defaultdict(str)
        for index, piece in seen:
            texts[index] += piece
        for generation in many.generations:
            assert texts[generation.index] == text_of(llm.model, generation.tokens)
            assert generation.timings.prompt_seconds > 0
            assert generation.timings.tokens_per_second > 0


def test_prompts_are_taken_when_there_is_place_for_them(tiny_model: TinyModel) -> None:
    taken = 0

    def prompts() -> Iterator[str]:
        nonlocal taken
        for end in ENDS:
            taken += 1
            yield end

    with llama(tiny_model("llama"), n_seq_max=3) as llm:
        many = llm.generate_many(prompts(), max_tokens=8, temperature=0)
        assert taken == 0
        for _ in many:
            done = sum(g.finish_reason is not None for g in many.generations)
            assert taken <= done + 3
        assert taken == len(ENDS) == len(many.generations)


def test_each_prompt_has_its_own_options(tiny_model: TinyModel) -> None:
    model = tiny_model("llama")
    with llama(model) as llm:
        alone = llm.complete("hello", max_tokens=20, temperature=0)
        stop = alone.text[8:11]
        done = llm.complete_many(
            ["hello"] * 6,
            [
                {"max_tokens": 3},
                {"stop": stop},
                {"temperature": 2.0, "seed": 1},
                {"temperature": 2.0, "seed": 2},
                {"sampler": LlamaSampler.chain(model.library).greedy(), "temperature": 5.0},
                {},
            ],
            max_tokens=20,
            temperature=0,
        )
        texts = [one.text for one in done]
        assert done[0].tokens == alone.tokens[:3]
        assert texts[1] == alone.text[: alone.text.index(stop)]
        assert (done[1].finish_reason, done[1].stopped_by) == ("stop", stop)
        assert texts[2] != texts[3]
        assert texts[4] == texts[5] == alone.text


def test_each_has_the_probabilities_of_its_own_tokens(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm:
        alone = [llm.complete(p, max_tokens=6, temperature=0, logprobs=2) for p in PROMPTS[-2:]]
        many = llm.complete_many(PROMPTS[-2:], max_tokens=6, temperature=0, logprobs=2)
        for one, other in zip(alone, many, strict=True):
            assert [p.token for p in other.logprobs] == other.tokens == one.tokens
            for a, b in zip(one.logprobs, other.logprobs, strict=True):
                assert a.logprob == pytest.approx(b.logprob, abs=CLOSE)


def test_no_sampler_serves_two(tiny_model: TinyModel) -> None:
    model = tiny_model("llama")

    def chain() -> LlamaSampler:
        return LlamaSampler.chain(model.library).temp(1.5).dist(5)

    with llama(model, type_k=0, type_v=0, flash_attn_type=0) as llm:
        alone = [
            llm.complete(p, max_tokens=12, cache_prompt=False, sampler=chain()).text
            for p in PROMPTS[-2:]
        ]
        for sampler in (chain, chain()):
            done = llm.complete_many(
                PROMPTS[-2:], max_tokens=12, cache_prompt=False, sampler=sampler
            )
            assert [one.text for one in done] == alone
        one = chain()
        with pytest.raises(ValueError, match="the sampler of prompt 1 is another prompt's too"):
            llm.complete_many(PROMPTS[:2], [{"sampler": one}, {"sampler": one}], max_tokens=2)


# -- results


@pytest.mark.parametrize("kv_unified", [True, False])
@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_what_they_have_in_common_is_computed_once(
    tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch, kind: str, kv_unified: bool
) -> None:
    prompts = PROMPTS[:4]
    with llama(tiny_model(kind), kv_unified=kv_unified) as llm, decodes(monkeypatch) as seen:
        done = llm.complete_many(prompts, max_tokens=2, temperature=0)
        tokens = [llm.tokenize(prompt) for prompt in prompts]
        common = len(llm.tokenize(SYSTEM)) - 1
        assert [one.usage.cached_tokens >= common for one in done] == [False, True, True, True]
        computed = sum(map(len, tokens)) - sum(one.usage.cached_tokens for one in done)
        assert sum(sum(one.values()) for one in seen) == computed + 4  # and a token of each


@pytest.mark.parametrize("kv_unified", [True, False])
@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_what_all_begin_with_stays_until_the_last_comes(
    tiny_model: TinyModel, kind: str, kv_unified: bool
) -> None:
    with llama(tiny_model(kind), n_seq_max=2, kv_unified=kv_unified) as llm:
        common = len(llm.tokenize(SYSTEM)) - 1
        done = llm.complete_many(iter(PROMPTS[: len(ENDS)]), max_tokens=9, temperature=0)
        assert all(one.usage.cached_tokens >= common for one in done[1:])
        without = llm.complete_many(PROMPTS[:5], max_tokens=9, temperature=0, cache_prompt=False)
        assert [one.usage.cached_tokens for one in without] == [0] * 5


def test_who_comes_later_uses_what_is_there(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), n_seq_max=2) as llm:
        common = len(llm.tokenize(SYSTEM)) - 1
        done = llm.complete_many(PROMPTS[:6], max_tokens=4, temperature=0)
        assert all(one.usage.cached_tokens >= common for one in done[1:])
        # A single prompt reuses the cells of many prompts, and the other way round.
        again = llm.complete_many(PROMPTS[6:8], max_tokens=4, temperature=0)
        assert all(one.usage.cached_tokens >= common for one in again)
        assert llm.complete(PROMPTS[8], max_tokens=4).usage.cached_tokens >= common
        last = llm.complete_many(PROMPTS[9:10], max_tokens=4)
        assert last[0].usage.cached_tokens >= common
        without = llm.complete_many(PROMPTS[:3], max_tokens=4, cache_prompt=False)
        assert [one.usage.cached_tokens for one in without] == [0, 0, 0]
        # Nor do they leave anything, which would take others' time.
        assert held(llm) == [0, 0]


def test_a_request_that_frees_its_cells_ends_after_the_context(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), n_seq_max=2) as llm:
        generation = llm.generate(PROMPTS[0], temperature=0, cache_prompt=False)
        next(generation)
        llm.ctx.close()
        generation.close()


def test_a_long_prompt_does_not_stop_the_others(
    tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with llama(tiny_model("llama"), n_batch=16) as llm, decodes(monkeypatch) as seen:
        prompts = ["hello", "world", list(range(300, 300 + 12)) * 20]
        llm.complete_many(prompts, max_tokens=60, temperature=0)
        joining = [step for step in seen if step[2] > 1]
        assert len(joining) > 240 // 16
        assert all(sum(step.values()) <= 16 for step in seen)
        assert all(step[0] == step[1] == 1 for step in joining[2:])


def test_a_full_cache_makes_the_youngest_wait(
    tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    prompts = [*PROMPTS[-2:], "cat", "time"]
    with llama(model, n_ctx=256) as llm, decodes(monkeypatch) as seen:
        assert llm.ctx.n_ctx == 256
        done = llm.complete_many(prompts, max_tokens=120, temperature=0)
        for prompt, one in zip(prompts, done, strict=True):
            assert (one.finish_reason, len(one.tokens)) == ("length", 120)
            assert regret(model, model.tokenize(prompt), one.tokens) < CLOSE
        needed = sum(len(llm.tokenize(p)) for p in prompts) + 4 * 119
        assert sum(sum(step.values()) for step in seen) > needed, "some was computed again"
        # One that has it all ends there, and so does each of several.
        for n in (1, 3):
            for one in llm.complete_many(prompts[:n], temperature=0):
                assert one.finish_reason == "length"
                assert one.usage.prompt_tokens + len(one.tokens) == 256


def test_the_room_of_each_and_of_all(tiny_model: TinyModel) -> None:
    model = tiny_model("llama")
    prompt = list(range(300, 310)) * 40
    with llama(model, n_ctx=512) as llm:
        assert llm.complete(prompt, max_tokens=2).usage.prompt_tokens == 400
        assert llm.complete_many([prompt] * 2, max_tokens=2)[1].usage.prompt_tokens == 400
    with llama(model, n_ctx=512, n_seq_max=2, kv_unified=False) as llm:
        with pytest.raises(ValueError, match="the prompt has 400 tokens, the context only 256"):
            llm.complete(prompt, max_tokens=2)
        assert [len(one.tokens) for one in llm.complete_many(["hello"] * 2, temperature=0)] == [
            256 - len(model.tokenize("hello"))
        ] * 2


def test_without_a_sequence_it_ends_with_an_error(tiny_model: TinyModel) -> None:
    with (
        LlamaContext(tiny_model("llama"), n_ctx=64) as ctx,
        ctx.sequence(),
        pytest.raises(LlamaContextError, match="no sequence is left"),
    ):
        Scheduler(ctx)


def test_sequences_of_the_caller_are_left_alone(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), n_ctx=256) as llm:
        mine = llm.ctx.sequence()
        mine.extend(range(300, 380))
        many = llm.generate_many(PROMPTS[-2:])
        next(many)
        many.close()
        done = llm.complete_many(PROMPTS[-2:] * 2, max_tokens=5, temperature=0)
        assert [len(one.tokens) for one in done] == [5] * 4
        assert mine.tokens == list(range(300, 380))
        # Its cells are not available to the others: even a single one has only the rest.
        done = llm.complete_many(PROMPTS[-2:] * 2, temperature=0)
        for one in done:
            assert one.finish_reason == "length"
            assert one.usage.prompt_tokens + len(one.tokens) == 256 - 80 + 1
        failed = llm.complete_many(["cat " * 200], return_errors=True)[0]
        assert isinstance(failed.error, LlamaDecodeError)
        mine.extend([300])
        assert len(mine) == 81


# -- failures


def test_what_goes_wrong_with_one_ends_that_one(tiny_model: TinyModel) -> None:
    model = tiny_model("llama")
    prompts: list[Any] = ["hello", "world", [], 5, [10**6], "cat " * 3000, "sat"]
    options: list[Any] = [{} for _ in prompts]
    options[1] = {"sampler": LlamaSampler.chain(model.library).custom(Angry()).greedy()}
    kinds = [None, ZeroDivisionError, ValueError, TypeError, ValueError, ValueError, None]
    with llama(model) as llm:
        texts: dict[int, str] = defaultdict(str)
        many = llm.generate_many(prompts, options, max_tokens=8, temperature=0)

        def read() -> None:
            for index, piece in many:
                texts[index] += piece

        with pytest.raises(ValueError, match="the prompt is empty"):  # the first that failed
            read()
        assert list(many) == []
        for generation, kind in zip(many.generations, kinds, strict=True):
            assert (generation.error is None) == (kind is None)
            assert kind is None or isinstance(generation.error, kind)
            assert generation.finish_reason == ("length" if kind is None else "error")
        assert len(many.generations[1].tokens) == 2
        assert texts[0] == llm.complete("hello", max_tokens=8, temperature=0).text
        options[1] = {"sampler": LlamaSampler.chain(model.library).custom(Angry()).greedy()}
        done = llm.complete_many(prompts, options, max_tokens=8, temperature=0, return_errors=True)
        assert [type(one.error) for one in done] == [type(None) if k is None else k for k in kinds]
        assert done[0].text == texts[0]
        with pytest.raises(ValueError, match="the prompt is empty"):
            llm.complete_many(prompts, max_tokens=2)


def test_prompts_that_raise_end_after_those_that_run(tiny_model: TinyModel) -> None:
    def prompts() -> Iterator[str]:
        yield "hello"
        raise OSError("the disk is gone")

    with llama(tiny_model("llama")) as llm:
        many = llm.generate_many(prompts(), max_tokens=5)
        with pytest.raises(OSError, match="the disk is gone"):
            list(many)
        assert [len(g.tokens) for g in many.generations] == [5]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (["hello"], {}, TypeError, "takes several prompts"),
        ([["a"]], {"max_token": 2}, TypeError, "did you mean 'max_tokens'"),
        ([["a"]], {"draft": PromptLookup()}, TypeError, "takes no draft"),
        ([["a"]], {"context_shift": True}, TypeError, "does not shift the context"),
        ([["a"], [{"sed": 2}]], {}, TypeError, "did you mean 'seed'"),
        ([["a", "b"], [{}]], {}, ValueError, "1 options for 2 prompts"),
    ],
)
def test_wrong_arguments_are_errors_at_once(
    tiny_model: TinyModel,
    arguments: list[Any],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with llama(tiny_model("llama")) as llm, pytest.raises(error, match=message):
        llm.generate_many(*arguments, **options)


def test_too_few_options_are_an_error(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm:
        assert llm.complete_many([]) == []
        with pytest.raises(ValueError, match="there are no options for prompt 1"):
            llm.complete_many(iter(["a", "b"]), iter([{"max_tokens": 2}]), max_tokens=2)


def test_wrong_options_of_one_end_that_one(tiny_model: TinyModel) -> None:
    def broken() -> LlamaSampler:
        raise KeyError("no sampler today")

    options: list[Any] = [{"max_tokens": 2}, {"sed": 1}, {"sampler": broken}, {"max_tokens": 3}]
    with llama(tiny_model("llama")) as llm:
        done = llm.complete_many(["hello"] * 4, iter(options), return_errors=True)
        assert [len(one.tokens) for one in done] == [2, 0, 0, 3]
        assert [type(one.error) for one in done] == [type(None), TypeError, KeyError, type(None)]


def test_an_encoder_takes_one_prompt_at_a_time(tiny_model: TinyModel) -> None:
    with (
        llama(tiny_model("t5"), n_ctx=256) as llm,
        pytest.raises(LlamaContextError, match="encoder, which takes one prompt"),
    ):
        llm.generate_many(["hello"])


# -- stopping


def test_one_is_cancelled_and_the_others_go_on(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), n_seq_max=2) as llm:
        many = llm.generate_many(PROMPTS[:4], max_tokens=10, temperature=0)
        for _ in range(6):
            next(many)
        many.generations[0].cancel()
        list(many)
        reasons = [g.finish_reason for g in many.generations]
        assert reasons == ["cancelled", "length", "length", "length"]
        assert 0 < len(many.generations[0].tokens) < 10


@pytest.mark.parametrize("how", ["close", "forget", "cancel", "raise"])
@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_stopping_early_leaves_all_right(tiny_model: TinyModel, kind: str, how: str) -> None:
    with llama(tiny_model(kind)) as llm:
        alone = llm.complete(PROMPTS[0], max_tokens=8, temperature=0, cache_prompt=False).text
        many: Generations | None = llm.generate_many(PROMPTS, temperature=0)
        assert many is not None
        for _ in range(10):
            next(many)
        generations = many.generations
        if how == "close":
            many.close()
            many.close()
            assert list(many) == []
        elif how == "forget":
            many = None
            gc.collect()
        elif how == "cancel":
            llm.cancel()
            with pytest.raises(LlamaCancelled):
                list(many)
        else:
            llm.ctx.core.lock.acquire()  # another thread is in it
            with pytest.raises(LlamaBusyError):
                list(many)
            llm.ctx.core.lock.release()
        if how != "forget":
            expected = "error" if how == "raise" else "cancelled"
            assert {g.finish_reason for g in generations} == {expected}
        assert held(llm) == [len(seq) for seq in llm._scheduler.places.sequences]
        assert llm.complete(PROMPTS[0], max_tokens=8, temperature=0).text == alone
        assert len(llm.complete_many(PROMPTS, max_tokens=3)) == len(PROMPTS)


@pytest.mark.parametrize("n_seq_max", [1, 2, 4])
def test_generations_begun_side_by_side_go_on(tiny_model: TinyModel, n_seq_max: int) -> None:
    """Also in one thread, which reads them by turns, and more of them than there are places."""
    options: Any = {"max_tokens": 10, "temperature": 0}
    with llama(tiny_model("llama"), n_seq_max) as llm:
        alone = [llm.complete(prompt, **options).text for prompt in PROMPTS[:4]]
        texts = ["", "", "", ""]
        many = llm.generate_many(PROMPTS[:2], **options)
        others = [llm.generate(prompt, **options) for prompt in PROMPTS[2:4]]
        for _ in range(3):
            index, piece = next(many)
            texts[index] += piece
            for i, other in enumerate(others, 2):
                texts[i] += next(other)
        for index, piece in many:
            texts[index] += piece
        for i, other in enumerate(others, 2):
            texts[i] += "".join(other)
        assert texts == alone


def test_cancelling_from_a_thread_and_after_a_time(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm:
        with llm.cancel_after(0.3), pytest.raises(LlamaCancelled):
            llm.complete_many(itertools.cycle(PROMPTS))
        assert len(llm.complete_many(PROMPTS[:2], max_tokens=2)) == 2


def test_ctrl_c_at_any_time_leaves_all_right(tiny_path: Callable[..., Path]) -> None:
    result = run_program("ctrl_c_among_many_prompts", tiny_path("llama"))
    assert result == (0, "interrupted " * 8 + "usable\n", result.stderr)


def test_two_threads_do_not_share_an_iterator(tiny_model: TinyModel) -> None:
    entered, go = threading.Event(), threading.Event()

    def prompts() -> Iterator[str]:
        entered.set()
        go.wait(patience(20))
        yield "hello"

    with llama(tiny_model("llama")) as llm:
        many = llm.generate_many(prompts(), max_tokens=3)
        thread = threading.Thread(target=lambda: next(many))
        thread.start()
        assert entered.wait(patience(20))
        with pytest.raises(LlamaBusyError, match="another thread"):
            next(many)
        go.set()
        thread.join()
        list(many)
        assert many.generations[0].finish_reason == "length"
