"""A short run of `make leaks` and `make threads`, and the cases that they found."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from checks import stress
from llama_cpp import Llama, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaBusyError
from llama_cpp.generate.batching import scheduler

Load = Callable[..., LlamaModel]
CYCLES = 50
THREADS: dict[str, Any] = {"n_threads": 1, "n_threads_batch": 1}


@pytest.mark.parametrize("name", list(stress.CASES))
def test_cycles_leave_nothing_over(name: str) -> None:
    assert stress.leaks([name], CYCLES)


def test_a_leak_is_found(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found, wrong = stress._run("leak", CYCLES)
    assert not wrong
    assert found["end"][0] > found["half"][0] + stress.MOST_GROWTH
    assert found["end"][1] > found["half"][1]
    monkeypatch.setattr(stress, "_run", lambda *_: (found, ""))
    assert not stress.leaks(["leak"], CYCLES)
    assert "memory grows" in capfd.readouterr().out


def test_threads_do_not_get_into_each_other_s_way() -> None:
    assert stress.threads(3, 30)


class Meanwhile:
    """A sampler during which something else is done, in another thread."""

    selects = True

    def __init__(self, does: Callable[[], object]) -> None:
        self.does = does
        self.errors: list[BaseException] = []

    def apply(self, candidates: Any) -> None:
        thread = threading.Thread(target=self._try)
        thread.start()
        thread.join()
        candidates.selected = max(range(candidates.size), key=list(candidates.logits).__getitem__)

    def _try(self) -> None:
        try:
            self.does()
        except BaseException as error:
            self.errors.append(error)


@pytest.mark.parametrize("what", ["complete", "complete_many"])
def test_a_callback_that_waits_for_another_thread_does_not_hang(
    what: str, tiny_model: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "STUCK", 0.3)
    model = tiny_model("llama")
    llm = Llama(model, n_ctx=256, n_seq_max=2, **THREADS)
    wanted = llm.complete("the cat", max_tokens=2, temperature=0).tokens
    other: dict[str, Callable[[], object]] = {
        "complete": lambda: llm.complete("hello world"),
        "complete_many": lambda: llm.complete_many(["hello", "world"]),
    }
    meanwhile = Meanwhile(other[what])
    sampler = LlamaSampler.chain(model.library).custom(meanwhile)
    assert llm.complete("the cat", max_tokens=2, sampler=sampler).tokens == wanted
    assert [type(error) for error in meanwhile.errors] == [LlamaBusyError] * 2
    assert llm.complete("the cat", max_tokens=2, temperature=0).tokens == wanted
    llm.ctx.close()


def test_one_generation_is_for_one_thread(tiny_model: Load) -> None:
    model = tiny_model("llama")
    llm = Llama(model, n_ctx=256, **THREADS)
    generations: list[Any] = []
    meanwhile = Meanwhile(lambda: next(generations[0]))
    sampler = LlamaSampler.chain(model.library).custom(meanwhile)
    generations.append(llm.generate("the cat", max_tokens=5, sampler=sampler))
    list(generations[0])
    assert generations[0].finish_reason in ("length", "stop")
    assert meanwhile.errors
    assert all(isinstance(error, LlamaBusyError) for error in meanwhile.errors)
    llm.ctx.close()
