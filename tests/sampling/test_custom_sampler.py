"""Samplers written in Python: their inputs, their effects, and wrong use."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_cpp import LlamaContext, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaClosedError, LlamaSamplerError
from llama_cpp.sampling import LlamaCandidates
from tests.support.python import run_example, run_program

PROMPT = "Hello my name is"


@pytest.fixture(scope="module")
def ready(model: LlamaModel) -> Iterator[LlamaContext]:
    """A context that has decoded the prompt."""
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(model.tokenize(PROMPT))
        yield ctx


class Does:
    """A sampler whose ``apply`` is a function."""

    def __init__(self, function: Callable[[LlamaCandidates], object]) -> None:
        self.apply = function


class Selects(Does):
    """One that ends a chain."""

    selects = True


def sample(ctx: LlamaContext, function: Callable[[LlamaCandidates], object]) -> int:
    return LlamaSampler.chain().custom(Does(function)).greedy().sample(ctx)


# -- inputs


def test_the_candidates_are_all_tokens_with_their_logits(ready: LlamaContext) -> None:
    seen = []

    def look(c: LlamaCandidates) -> None:
        array = np.asarray(c)
        assert array.dtype.names == ("id", "logit", "p")
        seen.append(array.copy())
        assert (len(c), c.size, c.selected, c.sorted) == (len(array), len(array), -1, False)
        assert list(c.ids[:3]) == [0, 1, 2]
        assert (c[-1].id, c[7].logit) == (len(c) - 1, array["logit"][7])
        assert [record.id for record in c][:5] == [0, 1, 2, 3, 4]
        assert set(c.p) == {0.0}

    assert sample(ready, look) == int(np.argmax(ready.logits()))
    assert np.array_equal(seen[0]["logit"], np.asarray(ready.logits()))
    assert np.array_equal(seen[0]["id"], np.arange(len(seen[0])))


def test_what_xtc_leaves_out_is_left_out_for_it(ready: LlamaContext) -> None:
    logits = np.asarray(ready.logits(), "float64")
    p = np.sort(np.exp(logits - logits.max()))[::-1]
    order = np.argsort(logits)[::-1]
    # The first three are over it, and the third of them stays.
    threshold = (p[2] + p[3]) / 2 / p[:2000].sum()
    seen: list[list[int]] = []
    chain = LlamaSampler.chain().top_k(2000).xtc(1.0, threshold, seed=1)
    chain.custom(Does(lambda c: seen.append(list(c.ids[:3])))).greedy()
    assert [chain.sample(ready) for _ in range(3)] == [order[2]] * 3
    assert seen == [list(order[2:5])] * 3


def test_what_stands_before_it_has_been_applied(ready: LlamaContext) -> None:
    best = np.argsort(ready.logits())[::-1][:5]

    def look(c: LlamaCandidates) -> None:
        assert (len(c), c.sorted) == (5, True)
        assert list(c.ids) == list(best)
        assert repr(c) == "<LlamaCandidates, 5>"

    chain = LlamaSampler.chain().top_k(5).custom(Does(look)).temp(0.5).dist(1)
    assert chain.sample(ready) in best


def test_a_chain_that_changes_nothing_samples_as_without(model: LlamaModel) -> None:
    def run(chain: LlamaSampler) -> list[int]:
        with LlamaContext(model, n_ctx=64) as ctx:
            ctx.decode(model.tokenize(PROMPT))
            tokens = []
            for _ in range(12):
                tokens.append(chain.sample(ctx))
                ctx.decode(tokens[-1:])
            return tokens

    def begin() -> LlamaSampler:
        # One that never refuses: without custom samplers it is asked about the choice alone.
        grammar = LlamaSampler.chain().grammar(model, "root ::= .*")
        return grammar.penalties(model, 64, 1.2).top_k(40).top_p(0.9)

    plain = run(begin().temp(0.8).dist(7))
    assert run(begin().custom(Does(lambda c: None)).temp(0.8).dist(7)) == plain


# -- effects


def test_it_changes_logits_by_numpy(ready: LlamaContext) -> None:
    best = int(np.argmax(ready.logits()))

    def forbid(c: LlamaCandidates) -> None:
        array = np.asarray(c)
        array["logit"][array["id"] == best] = -np.inf

    assert sample(ready, forbid) == int(np.argsort(ready.logits())[-2])


def test_it_changes_logits_without_numpy(ready: LlamaContext) -> None:
    def by_view(c: LlamaCandidates) -> None:
        c.logits[4321] = 1e9

    def by_record(c: LlamaCandidates) -> None:
        c[4322].logit = 1e9

    def in_a_loop(c: LlamaCandidates) -> None:
        for record in c:
            if record.id == 4323:
                record.logit = 1e9

    assert [sample(ready, f) for f in (by_view, by_record, in_a_loop)] == [4321, 4322, 4323]


def test_it_drops_candidates(ready: LlamaContext) -> None:
    def keep(c: LlamaCandidates) -> None:
        c.ids[0], c.logits[0] = 999, 1.0
        c.size = 1

    assert sample(ready, keep) == 999


def test_it_can_be_the_one_that_selects(ready: LlamaContext) -> None:
    def select(c: LlamaCandidates) -> None:
        c.selected = 1

    chain = LlamaSampler.chain().top_k(3).custom(Selects(select))
    assert chain.sample(ready) == int(np.argsort(ready.logits())[-2])
    with pytest.raises(LlamaSamplerError, match="greedy cannot come behind Selects"):
        chain.greedy()


class Counting:
    """One with everything that a custom sampler can have."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def apply(self, candidates: LlamaCandidates) -> None:
        for token in self.told:
            candidates.logits[token] = float("-inf")

    def accept(self, token: int) -> None:
        self.told.append(token)

    def reset(self) -> None:
        self.told.clear()

    def clone(self) -> Counting:
        other = Counting()
        other.told = list(self.told)
        return other


def test_it_is_told_of_tokens_reset_and_cloned(ready: LlamaContext) -> None:
    counting = Counting()
    chain = LlamaSampler.chain().custom(counting).greedy()
    assert repr(chain) == "<LlamaSampler Counting -> greedy>"
    first = [chain.sample(ready) for _ in range(3)]
    assert (counting.told, len(set(first))) == (first, 3)
    clone = chain.clone()
    chain.reset()
    assert chain.sample(ready) == first[0]
    assert clone.sample(ready) not in first
    chain.accept(17)
    assert counting.told == [first[0], 17]


def test_without_clone_both_chains_use_the_same(ready: LlamaContext) -> None:
    calls = []
    chain = LlamaSampler.chain().custom(Does(lambda c: calls.append(len(c)))).greedy()
    clone = chain.clone()
    assert chain.sample(ready) == clone.sample(ready)
    assert len(calls) == 2


def test_its_time_is_measured(ready: LlamaContext) -> None:
    chain = LlamaSampler.chain(no_perf=False).custom(Does(lambda c: None)).greedy()
    assert (chain.perf.seconds, chain.perf.n_samples) == (0.0, 0)
    chain.sample(ready)
    assert chain.perf.seconds > 0
    assert chain.perf.n_samples == 1
    chain.reset_perf()
    assert (chain.perf.seconds, chain.perf.n_samples) == (0.0, 0)


# -- failures


def test_what_it_raises_comes_out_and_nothing_is_told(ready: LlamaContext) -> None:
    counting = Counting()

    def fail(c: LlamaCandidates) -> None:
        raise KeyError("mine")

    chain = LlamaSampler.chain().custom(counting).custom(Does(fail)).greedy()
    with pytest.raises(KeyError, match="mine") as caught:
        chain.sample(ready)
    assert caught.traceback[-1].name == "fail"
    assert counting.told == []
    assert sample(ready, lambda c: None) == int(np.argmax(ready.logits()))


def test_a_failed_sample_leaves_penalties_and_grammars_as_they_were(
    model: LlamaModel, ready: LlamaContext
) -> None:
    broken = True

    def fail(c: LlamaCandidates) -> None:
        if broken:
            raise ValueError

    chain = (
        LlamaSampler.chain()
        .grammar(model, 'root ::= "yes"')
        .penalties(model, 8, penalty_present=5.0)
    )
    chain.custom(Does(fail)).greedy()
    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011
            chain.sample(ready)
    broken = False
    text = model.detokenize([chain.sample(ready)])
    assert "yes".startswith(text)


def _set(name: str, place: int, value: float) -> Callable[[LlamaCandidates], None]:
    def change(c: LlamaCandidates) -> None:
        np.asarray(c)[name][place] = value

    return change


def _fill(value: float) -> Callable[[LlamaCandidates], None]:
    def change(c: LlamaCandidates) -> None:
        np.asarray(c)["logit"][:] = value

    return change


def _empty(c: LlamaCandidates) -> None:
    c.size = 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_empty, "left no candidate"),
        (_set("logit", 5, float("nan")), "not a number"),
        (_set("logit", 5, float("inf")), "infinite"),
        (_fill(float("nan")), "not a number"),
        (_fill(float("-inf")), "all are forbidden"),
        (_set("id", 0, -1), "no token"),
        (_set("id", 9, 1 << 30), "no token"),
    ],
)
def test_what_is_of_no_use_is_an_error(
    model: LlamaModel,
    ready: LlamaContext,
    function: Callable[[LlamaCandidates], None],
    message: str,
) -> None:
    chain = LlamaSampler.chain().custom(Does(function)).top_k(20).infill(model).dist(1)
    with pytest.raises(LlamaSamplerError, match=message):
        chain.sample(ready)


def test_a_selector_that_selects_nothing_is_an_error(ready: LlamaContext) -> None:
    with pytest.raises(LlamaSamplerError, match=r"must set candidates\.selected"):
        LlamaSampler.chain().custom(Selects(lambda c: None)).sample(ready)

    def select_and_drop(c: LlamaCandidates) -> None:
        c.selected = 5
        c.size = 2

    with pytest.raises(LlamaSamplerError, match=r"must set candidates\.selected"):
        LlamaSampler.chain().custom(Selects(select_and_drop)).sample(ready)


def test_wrong_values_are_refused_at_once(ready: LlamaContext) -> None:
    def check(c: LlamaCandidates) -> None:
        n = len(c)
        for size in (-1, n + 1):
            with pytest.raises(ValueError, match="size"):
                c.size = size
        for place in (-1, n):
            with pytest.raises(ValueError, match="selected"):
                c.selected = place
            with pytest.raises(TypeError):
                c.selected = 1.5  # type: ignore[assignment]
        for place in (n, -n - 1):
            with pytest.raises(IndexError):
                c[place]
        checked.append(n)

    checked: list[int] = []
    sample(ready, check)
    assert checked


@pytest.mark.parametrize("wrong", [None, 3, "x", Does, lambda c: None])
def test_only_an_object_with_apply_is_a_sampler(wrong: object) -> None:
    with pytest.raises(TypeError, match="apply"):
        LlamaSampler.chain().custom(wrong)  # type: ignore[arg-type]


def test_a_chain_that_does_not_end_in_a_selector_is_refused(ready: LlamaContext) -> None:
    with pytest.raises(LlamaSamplerError, match="selects no token"):
        LlamaSampler.chain().custom(Does(lambda c: None)).sample(ready)


def test_the_candidates_may_be_kept(model: LlamaModel) -> None:
    kept: list[Any] = []

    def keep(c: LlamaCandidates) -> None:
        kept.extend([c, np.asarray(c), c.logits, c.ids, c[3]])

    chain = LlamaSampler.chain().custom(Does(keep)).greedy()
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(model.tokenize(PROMPT))
        chain.sample(ctx)
    chain.close()
    del chain
    gc.collect()
    candidates, array, logits, ids, record = kept
    assert isinstance(candidates, LlamaCandidates)
    array["id"][:] = -5
    assert candidates[0].id == ids[1] == record.id == -5
    assert len(logits) == len(candidates)


def test_what_is_written_meanwhile_does_not_reach_the_library(
    model: LlamaModel, ready: LlamaContext
) -> None:
    """The infill sampler would end the process for an id that is no token."""
    kept: list[Any] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for array in kept[-1:]:
                array["id"][:] = -7

    chain = LlamaSampler.chain().custom(Does(lambda c: kept.append(np.asarray(c)))).top_k(9)
    chain.infill(model).dist(1)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            with suppress(LlamaSamplerError):  # when the thread was faster than the check
                assert 0 <= chain.sample(ready) < model.vocab.n_tokens
    finally:
        stop.set()
        thread.join()


def test_it_may_close_the_chain_and_use_it(model: LlamaModel) -> None:
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(model.tokenize(PROMPT))
        chain = LlamaSampler.chain()
        chain.custom(Does(lambda c: chain.close())).top_k(5).dist(1)
        chain.sample(ctx)
        assert chain.closed
        with pytest.raises(LlamaClosedError):
            chain.sample(ctx)
        inner: list[int] = []
        depth = 0

        def again(c: LlamaCandidates) -> None:
            nonlocal depth
            if depth < 3:
                depth += 1
                inner.append(nested.sample(ctx))

        nested = LlamaSampler.chain().custom(Does(again)).top_k(4).dist(1)
        nested.sample(ctx)
        assert len(inner) == 3


def test_closing_the_context_inside_is_harmless(model_path: Path) -> None:
    done = run_program("sampler_closes_context", model_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 0


def test_the_end_of_the_process_is_quiet(model_path: Path) -> None:
    done = run_program("sampler_holds_its_chain", model_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_runs(model_path: Path) -> None:
    done = run_example("custom_sampler", "-m", model_path, "-n", 24)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 40
    assert "e" not in done.stdout.removeprefix("The sea").strip()
