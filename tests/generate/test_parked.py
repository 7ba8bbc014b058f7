"""Texts that wait in main memory while others have their cells."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import Llama, LlamaModel
from llama_cpp.errors import LlamaContextError
from llama_cpp.generate.batching import parked as parking
from llama_cpp.generate.batching.places import PATIENCE
from tests.support import tiny
from tests.support.adapters import write_lora
from tests.support.prompts import EXACT, SYSTEM

TinyModel = Callable[..., LlamaModel]
TALKS = (SYSTEM + "hello world", "once in time " * 12)
GREEDY: dict[str, Any] = {"max_tokens": 8, "temperature": 0, "ignore_eos": True}


@contextmanager
def llama(model: LlamaModel, n_seq_max: int = 1, **params: Any) -> Iterator[Llama]:
    llm = Llama(model, **{"n_seq_max": n_seq_max, "n_ctx": 1024, "n_threads": 1, **EXACT, **params})
    yield llm
    llm._scheduler.close()
    llm.ctx.close()


def parked(llm: Llama) -> int:
    return len(llm._scheduler.places.parked)


def talk(llm: Llama, turns: int = 3, **options: Any) -> tuple[list[list[int]], list[float]]:
    """The tokens of talks in turn, and the share of each later prompt that was not computed."""
    said = [llm.tokenize(begin) for begin in TALKS]
    shares = []
    for turn in range(turns):
        for one in said:
            one += llm.tokenize("the cat", add_special=False)
            done = llm.complete(one, **GREEDY, **options)
            one += done.tokens
            if turn:
                shares.append(done.usage.cached_tokens / done.usage.prompt_tokens)
    return said, shares


@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_talks_in_turn_go_on_where_they_were(tiny_model: TinyModel, kind: str) -> None:
    with llama(tiny_model(kind), ram_cache=0) as llm:
        expected, shares = talk(llm)
        assert max(shares) < 0.1
        assert parked(llm) == 0
    with llama(tiny_model(kind)) as llm:
        found, shares = talk(llm)
        assert found == expected
        assert min(shares) > 0.8
        assert parked(llm) == 1  # the other one is in its cells


@pytest.mark.parametrize("kind", ["llama", "mamba", "hybrid"])
def test_a_text_continues_from_its_middle(tiny_model: TinyModel, kind: str) -> None:
    """The end of a prompt changes: recurrent models go back to a checkpoint."""
    with llama(tiny_model(kind)) as llm:
        prompts = [llm.tokenize(text) for text in TALKS]
        for prompt in prompts:
            llm.complete(prompt, **GREEDY)
        other = [*prompts[0][:-2], *llm.tokenize("mat", add_special=False)]
        done = llm.complete(other, **GREEDY)
        assert done.usage.cached_tokens > len(other) // 2
        assert parked(llm) == 2  # the first is still there as it was
        with llama(llm.model) as fresh:
            assert fresh.complete(other, **GREEDY).tokens == done.tokens


def test_a_window_is_no_help_in_the_middle(tiny_model: TinyModel) -> None:
    with llama(tiny_model("swa")) as llm:
        prompts = [llm.tokenize(text) for text in TALKS]
        for prompt in prompts:
            llm.complete(prompt, **GREEDY)
        other = [*prompts[0][:-2], *llm.tokenize("mat", add_special=False)]
        assert llm.complete(other, **GREEDY).usage.cached_tokens <= 1  # BOS, which both have
        assert parked(llm) == 2


def test_idle_places_give_their_cells_up(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), 4) as llm:
        first, second = (llm.tokenize(text) for text in TALKS)
        llm.complete(first, **GREEDY)
        llm.complete(second, **GREEDY)
        assert parked(llm) == 0
        assert llm.ctx.memory.seq_pos_max(0) > 0
        time.sleep(2 * PATIENCE)
        llm.complete(second, **GREEDY)
        assert parked(llm) == 1
        assert llm.ctx.memory.seq_pos_max(0) < 0
        done = llm.complete(first, **GREEDY)
        assert done.usage.cached_tokens == len(first) - 1


def test_the_limit_is_kept(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), n_ctx=256) as llm:
        for i in range(12):
            llm.complete(f"{i} hello world " * 10, **GREEDY)
            texts = llm._scheduler.places.parked
            assert sum(len(text.tokens) for text in texts) <= 256
        assert parked(llm) > 0
    with llama(tiny_model("llama"), ram_cache=100) as llm:
        for text in TALKS:
            llm.complete(text, **GREEDY)
        assert parked(llm) == 0


def test_the_memory_is_not_filled(tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "memory_limit", lambda *, available: 10_000 * available)
    with llama(tiny_model("llama")) as llm:
        _, shares = talk(llm)
        assert max(shares) < 0.1
        assert parked(llm) == 0


def test_what_asks_for_no_cache_has_none(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm:
        _, shares = talk(llm, cache_prompt=False)
        assert max(shares) == 0
        assert parked(llm) == 0


def test_a_guest_keeps_nothing_of_such_a_request(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm:
        llm.complete("the cat", **GREEDY)
        going = llm.generate(TALKS[0], cache_prompt=False, **GREEDY)
        next(going)
        llm.score(TALKS[1], ["a"])
        assert parked(llm) == 0


def test_other_adapters_compute_their_own(tiny_model: TinyModel, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora.gguf")
    with llama(tiny_model("llama")) as llm:
        plain = [llm.complete(text, **GREEDY).tokens for text in TALKS]
        adapter = llm.model.load_lora(lora)
        llm.ctx.set_loras([adapter])
        done = llm.complete(TALKS[0], **GREEDY)
        assert done.usage.cached_tokens == 0
        assert done.tokens != plain[0]
        llm.ctx.set_loras([])
        done = llm.complete(TALKS[0], **GREEDY)
        assert done.usage.cached_tokens == done.usage.prompt_tokens - 1
        assert done.tokens == plain[0]


def test_a_full_cache_parks_what_is_idle(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), 2, n_ctx=256) as llm:
        first = llm.tokenize(TALKS[0])
        llm.complete(first, **GREEDY)
        llm.complete((llm.tokenize(TALKS[1]) * 9)[:230], **GREEDY)
        assert parked(llm) == 1
        done = llm.complete(first, **GREEDY)
        assert done.usage.cached_tokens == len(first) - 1
        with llama(llm.model, 1) as fresh:
            assert fresh.complete(first, **GREEDY).tokens == done.tokens


def test_closing_forgets_them(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama")) as llm:
        talk(llm)
        assert parked(llm) == 1
        llm._scheduler.close()
        assert parked(llm) == 0


def test_each_adapter_keeps_its_own(tiny_model: TinyModel, tmp_path: Path) -> None:
    with llama(tiny_model("llama")) as llm:
        adapters = [
            llm.model.load_lora(write_lora(tmp_path / f"{seed}.gguf", seed=seed))
            for seed in range(2)
        ]
        for turn in range(2):
            for adapter in adapters:
                llm.ctx.set_loras([adapter])
                for text in TALKS:
                    done = llm.complete(text, max_tokens=1)
                    if turn and text == TALKS[0]:
                        assert done.usage.cached_tokens == done.usage.prompt_tokens - 1


@pytest.mark.parametrize("later", ["another file", "no file"])
def test_an_adapter_is_known_by_what_was_loaded(
    tiny_model: TinyModel, tmp_path: Path, later: str
) -> None:
    path = tmp_path / "lora.gguf"
    with llama(tiny_model("llama")) as llm:
        loaded = []
        for seed in range(2):
            loaded.append(llm.model.load_lora(write_lora(path, seed=seed)))
            path.unlink()
        if later == "another file":
            write_lora(path, seed=1)
        said = []
        for adapter in loaded:
            llm.ctx.set_loras([adapter])
            for text in TALKS:
                done = llm.complete(text, **GREEDY)
                assert done.usage.cached_tokens <= 1
                said.append(done.tokens)
        assert said[:2] != said[2:]


def test_without_room_it_is_computed(
    tiny_model: TinyModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Another request has most of the cells."""
    with llama(tiny_model("llama"), 2, n_ctx=256, ram_cache=1 << 30) as llm:
        first, second = (llm.tokenize(text) for text in TALKS)
        llm.complete(first, **GREEDY)
        long = llm.generate((second * 9)[:210], max_tokens=40, temperature=0, ignore_eos=True)
        expected = "".join(long)
        assert parked(llm) == 1
        long = llm.generate((second * 9)[:210], max_tokens=40, temperature=0, ignore_eos=True)
        begin = next(long)
        short = (first[:20] + second)[:30]  # has no room for the text that begins like it
        done = llm.complete(short, **GREEDY)
        assert begin + "".join(long) == expected
        with llama(llm.model) as fresh:
            assert fresh.complete(short, **GREEDY).tokens == done.tokens
    assert "available cells" not in caplog.text


def test_cells_that_the_program_has_changed_are_no_trouble(tiny_model: TinyModel) -> None:
    with llama(tiny_model("llama"), 4) as llm:
        going = llm.generate(TALKS[0], max_tokens=20, temperature=0, ignore_eos=True)
        next(going)
        llm.ctx.memory.seq_rm(0, 0, 5)
        assert llm.complete(TALKS[1], **GREEDY).finish_reason == "length"
        with pytest.raises(LlamaContextError, match=r"used otherwise|other means"):
            "".join(going)
