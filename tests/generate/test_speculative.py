"""Speculative decoding: the same tokens as without, with right and wrong drafts."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import (
    DraftModel,
    Llama,
    LlamaBatch,
    LlamaCancelled,
    LlamaModel,
    LlamaModelError,
    LlamaSampler,
    PromptLookup,
)
from llama_cpp.generate.batching.pace import MOST, Curve, Pace
from tests.support.python import run_example

PROMPT = "once upon a time the cat sat on the mat and the cat sat on"
GENERATES = ("llama", "swa", "mamba", "hybrid")


class Oracle:
    """Knows the answer, and says something else now and then."""

    adapt = False

    def __init__(self, right: Sequence[int], n_prompt: int, wrong: Sequence[int] = ()) -> None:
        self.right, self.n_prompt, self.wrong = right, n_prompt, wrong
        self.checked: list[tuple[int, int]] = []

    def draft(self, tokens: Sequence[int], n: int) -> list[int]:
        at = len(tokens) - self.n_prompt
        drafted = list(self.right[at : at + n])
        for i in range(len(drafted)):
            if at + i in self.wrong:
                drafted[i] += 1
        return drafted

    def accept(self, drafted: int, accepted: int) -> None:
        self.checked.append((drafted, accepted))


class Random:
    """Has no idea."""

    adapt = False

    def __init__(self, n_vocab: int) -> None:
        self.n_vocab = n_vocab
        self.random = random.Random(1)

    def draft(self, tokens: Sequence[int], n: int) -> list[int]:
        return [self.random.randrange(self.n_vocab) for _ in range(min(n, 4))]


class Small:
    """Adapts, and needs less time than a model."""

    def __init__(self, oracle: Oracle) -> None:
        self.draft = oracle.draft


@pytest.fixture(params=GENERATES)
def llm(request: pytest.FixtureRequest, tiny_path: Callable[..., Path]) -> Iterator[Llama]:
    with Llama(tiny_path(request.param), n_ctx=256, n_threads=1, n_threads_batch=1) as llm:
        yield llm


@pytest.fixture
def plain(tiny_path: Callable[..., Path]) -> Iterator[Llama]:
    with Llama(tiny_path("llama"), n_ctx=256, n_threads=1, n_threads_batch=1) as llm:
        yield llm


def held(llm: Llama) -> int:
    library = llm.model.library
    return library.llama_memory_seq_pos_max(library.llama_get_memory(llm.ctx.handle), 0) + 1


# -- the same tokens


def test_drafts_change_nothing(llm: Llama) -> None:
    without = llm.complete(PROMPT, max_tokens=60, temperature=0, cache_prompt=False)
    prompt = llm.tokenize(PROMPT)
    drafts = {
        "right": Oracle(without.tokens, len(prompt)),
        "half": Oracle(without.tokens, len(prompt), wrong=range(0, 60, 5)),
        "random": Random(llm.model.vocab.n_tokens),
        "lookup": PromptLookup(adapt=False),
        "itself": DraftModel(llm.model, 5, p_min=0, adapt=False, n_threads=1, n_ctx=256),
        "adaptive": PromptLookup(),
        "small": Small(Oracle(without.tokens, len(prompt), wrong=range(0, 60, 9))),
    }
    for name, draft in drafts.items():
        generation = llm.generate(
            prompt, max_tokens=60, temperature=0, cache_prompt=False, draft=draft
        )
        pieces = list(generation)
        assert generation.tokens == without.tokens, name
        assert "".join(pieces) == without.text
        assert generation.finish_reason == without.finish_reason
        # Its record of the cache is true, and equals the text.
        assert held(llm) == len(llm._scheduler.places.sequences[0].tokens)
        assert (prompt + without.tokens)[: held(llm)] == llm._scheduler.places.sequences[0].tokens
        drafted, accepted = generation.drafted_tokens, generation.accepted_tokens
        assert (drafted, accepted) == (
            generation.usage.drafted_tokens,
            generation.usage.accepted_tokens,
        )
        if name == "random":
            assert accepted < drafted
        if name == "half":
            assert 0 < accepted < drafted
        if name in ("right", "itself"):
            assert drafted == accepted > 40


@pytest.mark.parametrize(
    "prompt",
    [
        "Once upon a time",
        "Correct the spelling. Text: The quik brown fox jumps ovr the lazy dog.\nCorrected:",
        "List of the capitals of Europe:\n1. Paris\n2.",
    ],
)
def test_a_real_model_says_the_same(model: LlamaModel, prompt: str) -> None:
    llm = Llama(model, n_ctx=256)
    without = llm.complete(prompt, max_tokens=40, temperature=0, cache_prompt=False)
    for draft in (
        PromptLookup(),
        PromptLookup(adapt=False),
        DraftModel(model, p_min=0.3, adapt=False),
    ):
        done = llm.complete(prompt, max_tokens=40, temperature=0, cache_prompt=False, draft=draft)
        assert done.tokens == without.tokens
    llm.ctx.close()


def test_a_seed_a_grammar_and_penalties_work_as_without(plain: Llama) -> None:
    def sampler() -> LlamaSampler:
        chain = LlamaSampler.chain(plain.model.library).grammar(plain.model, "root ::= [a-m ]+")
        return chain.penalties(plain.model, 32, 1.3, 0.2, 0.1).temp(1.5).dist(seed=7)

    def complete(draft: object) -> list[int]:
        return plain.complete(
            PROMPT, max_tokens=40, sampler=sampler(), cache_prompt=False, draft=draft
        ).tokens  # type: ignore[arg-type]

    without = complete(None)
    n_prompt = len(plain.tokenize(PROMPT))
    oracle = Oracle(without, n_prompt, wrong=(7, 8, 20))
    assert complete(oracle) == without
    assert [n for n, ok in oracle.checked if ok < n], "some were wrong"
    assert complete(PromptLookup(ngram=2, ngram_min=1, adapt=False)) == without


# -- where it ends


def test_it_ends_inside_a_draft_as_without(plain: Llama) -> None:
    prompt = plain.tokenize(PROMPT)
    whole = plain.complete(prompt, max_tokens=50, temperature=0, cache_prompt=False)
    oracle = Oracle(whole.tokens, len(prompt))
    for n in (1, 2, 3, 17):
        done = plain.complete(prompt, max_tokens=n, temperature=0, draft=oracle)
        assert (done.tokens, done.finish_reason) == (whole.tokens[:n], "length")
        assert held(plain) == len(plain._scheduler.places.sequences[0].tokens) < len(prompt) + n + 1
    stop = whole.text[12:16]
    one = plain.complete(prompt, max_tokens=50, temperature=0, stop=stop)
    two = plain.complete(prompt, max_tokens=50, temperature=0, stop=stop, draft=oracle)
    assert (two.text, two.stopped_by, two.tokens) == (one.text, stop, one.tokens)
    eos = plain.model.vocab.eos  # alone allowed behind the grammar's text, and drafted twice
    assert eos is not None
    grammar = "root ::= " + " ".join(f'"{c}"' for c in "abcdef")
    one = plain.complete(prompt, temperature=0, grammar=grammar)
    oracle = Oracle([*one.tokens, eos, eos], len(prompt))
    two = plain.complete(prompt, temperature=0, grammar=grammar, draft=oracle)
    assert (two.text, two.finish_reason) == (one.text, "stop") == ("abcdef", "stop")


def test_the_context_may_run_full(tiny_path: Callable[..., Path]) -> None:
    with Llama(tiny_path("llama"), n_ctx=256, n_threads=1) as llm:
        prompt = llm.tokenize("the cat sat on the mat and " * 9)
        room = llm.ctx.n_ctx - len(prompt)
        without = llm.complete(prompt, temperature=0)
        draft = Oracle(without.tokens, len(prompt))
        done = llm.complete(prompt, temperature=0, draft=draft)
        assert (done.tokens, done.finish_reason) == (without.tokens, "length")
        assert len(done.tokens) == room
        # Cells that another sequence has leave no room for the draft, and some for the tokens.
    with Llama(tiny_path("llama"), n_ctx=256, n_seq_max=2, kv_unified=True, n_threads=1) as llm:
        llm.ctx.decode(LlamaBatch([5] * 100, seq_id=1))
        done = llm.complete(prompt[:140], max_tokens=12, temperature=0, draft=Random(100))
        assert len(done.tokens) == 12


def test_the_context_is_shifted_as_without(tiny_path: Callable[..., Path]) -> None:
    with Llama(tiny_path("llama"), n_ctx=256, n_threads=1) as llm:
        prompt = llm.tokenize("the cat sat on the mat and " * 9)
        options: Any = {"max_tokens": 400, "temperature": 0, "context_shift": True}
        options["grammar"] = "root ::= [a-z ]+"  # it never ends by itself
        without = llm.complete(prompt, **options).tokens
        assert len(without) == 400
        lookup = PromptLookup(ngram=2, ngram_min=1, adapt=False)
        for draft in (lookup, Random(llm.model.vocab.n_tokens)):
            done = llm.complete(prompt, draft=draft, **options)
            assert done.tokens == without
            assert done.usage.drafted_tokens > 100


def test_the_next_generation_reuses_what_was_right(plain: Llama) -> None:
    prompt = plain.tokenize(PROMPT)
    whole = plain.complete(prompt, max_tokens=30, temperature=0, cache_prompt=False).tokens
    for wrong in ((), range(0, 30, 3)):
        generation = plain.generate(
            prompt, temperature=0, cache_prompt=False, draft=Oracle(whole, len(prompt), wrong)
        )
        for _ in range(7):
            next(generation)
        generation.close()
        done = generation.tokens
        again = plain.complete(prompt + done, max_tokens=30 - len(done), temperature=0)
        assert again.usage.cached_tokens == len(prompt) + len(done) - 1
        assert done + again.tokens == whole


# -- cancelling


def test_cancelling_in_the_middle_leaves_all_usable(plain: Llama) -> None:
    whole = plain.complete(PROMPT, max_tokens=20, temperature=0, cache_prompt=False).tokens
    draft = DraftModel(plain.model, p_min=0, adapt=False, n_threads=1, n_ctx=256)
    generation = plain.generate(PROMPT, max_tokens=200, temperature=0, draft=draft)
    for _ in range(5):
        next(generation)
    plain.cancel()
    with pytest.raises(LlamaCancelled):
        next(generation)
    done = plain.complete(PROMPT, max_tokens=20, temperature=0, draft=draft)
    assert done.tokens == whole


def test_a_draft_model_that_reads_a_long_prompt_is_cancelled(
    model: LlamaModel, tiny_path: Callable[..., Path]
) -> None:
    draft = DraftModel(model, n_ctx=4096)
    draft.begin(model)
    threading.Timer(0.2, draft.cancel).start()
    with pytest.raises(LlamaCancelled):
        draft.draft([1] * 3000, 4)
    draft.begin(model)
    assert len(draft.draft(model.tokenize("1, 2, 3, 4,"), 2)) == 2
    draft.close()


# -- drafts


def test_prompt_lookup_drafts_what_followed_last() -> None:
    lookup = PromptLookup(ngram=3, n_draft=4)
    assert lookup.draft([1, 2, 3], 8) == []
    assert lookup.draft([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3], 8) == [4, 5, 6, 7]
    assert lookup.draft([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 9, 2, 3], 2) == [9, 2]
    assert lookup.draft([7, 7, 7], 3) == [7, 7, 7], "it goes round"
    assert lookup.draft([1, 2, 3, 4, 0, 3], 8) == [], "one token is not enough"
    assert PromptLookup(ngram_min=1).draft([1, 2, 3, 4, 0, 3], 2) == [4, 0]
    long = PromptLookup(n_draft=MOST)
    text = [random.Random(3).randrange(9) for _ in range(300)]
    for end in range(1, 300):  # bit by bit as at once
        assert long.draft(text[:end], 5) == PromptLookup(n_draft=MOST).draft(text[:end], 5)


def test_a_draft_model_stops_where_it_is_unsure(model: LlamaModel) -> None:
    tokens = model.tokenize("1, 2, 3, 4, 5, 6, 7,")
    with DraftModel(model, 8, n_ctx=128, p_min=0.0) as sure:
        all_of_them = sure.draft(tokens, 8)
    with DraftModel(model, 8, n_ctx=128, p_min=0.9) as unsure:
        some = unsure.draft(tokens, 8)
        assert unsure.draft(tokens, 8) == some
        long = model.tokenize("word " * 200)
        assert unsure.draft(long, 8) == [], "longer than its context"
    assert not model.closed
    assert len(all_of_them) == 8
    assert 0 < len(some) < 8
    assert some == all_of_them[: len(some)]


def test_what_cannot_draft_is_an_error(plain: Llama, model: LlamaModel) -> None:
    with pytest.raises(LlamaModelError, match=r"cannot draft for llama-0\.gguf: their tok"):
        plain.complete("a", max_tokens=2, draft=DraftModel(model, n_ctx=128))
    with pytest.raises(TypeError, match="generate_many takes no draft"):
        plain.generate_many(["a", "b"], draft=PromptLookup())

    class Wild:
        adapt = False

        def draft(self, tokens: Sequence[int], n: int) -> list[int]:
            return [1 << 20]

    with pytest.raises(ValueError, match="drafted a wrong token: token 1048576"):
        plain.complete("the cat", max_tokens=5, draft=Wild())
    assert held(plain) == len(plain._scheduler.places.sequences[0].tokens)
    for arguments in ({"n_draft": 0}, {"n_draft": MOST + 1}, {"ngram": 1}, {"ngram_min": 0}):
        with pytest.raises(ValueError, match="must be 1 to"):
            PromptLookup(**arguments)
    with pytest.raises(ValueError, match="no probability"):
        DraftModel(model, p_min=2)


def test_another_model_of_the_same_family_drafts(
    plain: Llama, tiny_path: Callable[..., Path]
) -> None:
    without = plain.complete(PROMPT, max_tokens=30, temperature=0, cache_prompt=False)
    with DraftModel(tiny_path("llama", seed=1), p_min=0, adapt=False, n_threads=1) as draft:
        done = plain.complete(PROMPT, max_tokens=30, temperature=0, cache_prompt=False, draft=draft)
    assert done.tokens == without.tokens
    assert done.usage.drafted_tokens > 0


# -- whether it pays, on a clock of our own

COSTS: dict[str, Callable[[int], float]] = {
    "flat": lambda n: 1 + 0.01 * (n - 1),
    "half": lambda n: 1 + 0.5 * (n - 1),
    "steep": lambda n: float(n),
}
# How often there is a draft, and how often its next token is right.
TEXTS = {"copied": (0.99, 0.98), "story": (0.4, 0.25), "nonsense": (1.0, 0.0)}


def generated(cost: Callable[[int], float], text: str, price: float, seed: int, n: int) -> float:
    """The speed of three generations of ``n`` tokens over that without drafts, which cost ``price``
    each. Every decode takes a little longer or shorter than the last."""
    r, curve, time = random.Random(seed), Curve(), 0.0
    kind = type("Kind", (), {"cost": price})
    for _ in range(3):
        pace = Pace(curve, kind(), 100, 10.0, n, False)
        offered, right = TEXTS[text]
        done = waiting = 0
        while done < n:
            if waiting:
                checked = pace.best(waiting)
            else:
                checked, wanted = 0, pace.wanted(min(8, n - done))
                if wanted:
                    waiting = wanted if r.random() < offered else 0
                    seconds = price * wanted
                    checked = pace.drafted(waiting, wanted, seconds)
                    time += seconds
            if checked:
                waiting = 0
            seconds = cost(1 + checked) * r.uniform(0.9, 1.1)
            time += seconds
            pace.decoded(1 + checked, seconds)
            done += 1
            for _ in range(checked or min(waiting, 1)):
                is_right = r.random() < right
                pace.judged(is_right, checked=checked > 0)
                done += is_right and checked > 0
                waiting = max(0, waiting - 1) if is_right else 0
                if not is_right:
                    break
    return 3 * n / time


@pytest.mark.parametrize("price", [0.001, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("cost", COSTS)
def test_drafts_never_lose_and_win_where_several_tokens_cost_little(
    cost: str, text: str, price: float
) -> None:
    speeds = sorted(generated(COSTS[cost], text, price, seed, 128) for seed in range(9))
    assert speeds[2] > 0.98
    if text == "copied" and price <= 0.1:
        assert speeds[2] > {"flat": 3.0, "half": 1.2, "steep": 0.98}[cost]


def test_a_pace_asks_again_when_drafts_begin_to_be_right() -> None:
    curve = Curve()
    pace = Pace(curve, PromptLookup(), 100, 10.0, 2000, False)
    checked = {False: 0, True: 0}
    for i in range(1200):
        right = i > 600
        n = pace.drafted(8, 8, 0.001) if pace.wanted(8) else 0
        checked[right] += n
        pace.decoded(1 + n, 1.0)
        pace.judged(right, checked=n > 0)
    assert checked[False] < 30
    assert checked[True] > 2000
    assert (curve.cost(9), curve.risk(9), curve.cost(33)) == (1.0, 1.0, 1.0)


# -- the example


@pytest.mark.parametrize("arguments", [[], ["--draft"]])
def test_the_example_runs(model_path: Path, arguments: list[str]) -> None:
    if arguments:
        arguments = [*arguments, str(model_path)]
    done = run_example("speculative", model_path, "--max-tokens", 24, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the same text: True\ndrafted " in done.stdout
