"""Text in, text out: generation, stop strings, reuse of the cache, cancelling."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llama_cpp import Llama, LlamaCancelled, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaClosedError, LlamaSamplerError
from llama_cpp.generate.stops import StopStrings
from tests.support.python import run_program

PROMPT = "The three most important things in life are"


@pytest.fixture
def llm(model: LlamaModel) -> Iterator[Llama]:
    # Not `with`: that would close the model, which the tests share.
    llm = Llama(model, n_ctx=512)
    yield llm
    llm.ctx.close()


# -- generation


def test_the_pieces_are_the_text_of_the_tokens(llm: Llama) -> None:
    generation = llm.generate(PROMPT, max_tokens=24, temperature=0)
    pieces = list(generation)
    assert len(pieces) > 3
    assert "".join(pieces) == llm.model.detokenize(generation.tokens, special=False)
    assert generation.finish_reason in ("stop", "length")


def test_greedy_is_what_the_layer_below_gives(llm: Llama, model: LlamaModel) -> None:
    text = llm.complete(PROMPT, max_tokens=16, temperature=0)
    sampler = LlamaSampler.chain().greedy()
    llm.ctx.memory.seq_rm()
    batch = model.tokenize(PROMPT)
    tokens: list[int] = []
    while len(tokens) < len(text.tokens):
        llm.ctx.decode(batch)
        tokens.append(sampler.sample(llm.ctx))
        batch = tokens[-1:]
    assert tokens == text.tokens


def test_a_seed_gives_the_same_text_again_and_another_another(llm: Llama) -> None:
    texts = [
        llm.complete(PROMPT, max_tokens=16, temperature=1.5, seed=s, cache_prompt=False).text
        for s in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_the_limit_the_context_and_the_end_token_end_it(llm: Llama, model: LlamaModel) -> None:
    done = llm.complete("Once upon a time", max_tokens=5, temperature=0)
    assert (len(done.tokens), done.finish_reason) == (5, "length")
    assert done.usage.completion_tokens == 5
    small = Llama(model, n_ctx=256)
    prompt = model.tokenize("Once upon a time " * 90)[: small.ctx.n_ctx - 8]
    full = small.complete(prompt, temperature=0, grammar="root ::= [^\\n]*")
    assert (len(full.tokens), full.finish_reason) == (8, "length")
    small.ctx.close()
    # Behind this the grammar allows the end token alone.
    ended = llm.complete(PROMPT, max_tokens=64, temperature=0, grammar='root ::= " love"')
    assert ended.finish_reason == "stop"
    assert ended.stopped_by is None


def test_usage_and_timings_add_up(llm: Llama) -> None:
    done = llm.complete(PROMPT, max_tokens=6, temperature=0)
    assert done.usage.prompt_tokens == len(llm.model.tokenize(PROMPT))
    assert done.timings.prompt_seconds > 0
    assert done.timings.tokens_per_second > 0


def test_what_is_cached_is_not_computed_again(llm: Llama, model: LlamaModel) -> None:
    tokens = model.tokenize("Once upon a time there was a king who had three daughters")
    first = llm.complete(tokens, max_tokens=6, temperature=0)
    assert first.usage.cached_tokens == 0
    again = llm.complete(tokens, max_tokens=6, temperature=0)
    assert again.usage.cached_tokens == len(tokens) - 1
    # Generated tokens are in the cache as well, except the last one.
    longer = llm.complete(tokens + again.tokens, max_tokens=4, temperature=0)
    assert longer.usage.cached_tokens == len(tokens) + len(again.tokens) - 1
    other = llm.complete([*tokens[:4], 5, 6], max_tokens=4, temperature=0)
    assert other.usage.cached_tokens == 4
    without = llm.complete(tokens, max_tokens=6, temperature=0, cache_prompt=False)
    assert (without.usage.cached_tokens, without.text) == (0, first.text)


def test_a_generation_that_is_left_early_leaves_the_rest_right(llm: Llama) -> None:
    whole = llm.complete(PROMPT, max_tokens=8, temperature=0, cache_prompt=False).text
    for n in (0, 1, 3):
        generation = llm.generate(PROMPT, max_tokens=8, temperature=0)
        for _ in range(n):
            next(generation)
        generation.close()
        memory = llm.model.library.llama_get_memory(llm.ctx.handle)
        held = llm.model.library.llama_memory_seq_pos_max(memory, 0) + 1
        assert held == len(llm._scheduler.places.sequences[0].tokens), (
            "what it believes to be in the cache is there"
        )
        again = llm.complete(PROMPT, max_tokens=8, temperature=0, cache_prompt=False)
        assert again.text == whole


def test_what_others_do_in_the_context_is_not_taken_for_its_own(llm: Llama) -> None:
    """Also where as much is in the cache afterwards as before."""
    whole = llm.complete(PROMPT, max_tokens=4, temperature=0, cache_prompt=False)
    held = llm.ctx.memory.seq_pos_max() + 1
    other = llm.model.tokenize(PROMPT)[::-1]

    def replace() -> None:
        llm.ctx.memory.seq_rm()
        llm.ctx.decode((other * held)[:held])

    def pierce() -> None:
        llm.ctx.memory.seq_rm(0, 1, 3)

    def exchange() -> None:
        state = llm.ctx.to_bytes()
        replace()
        llm.ctx.restore(state[:])
        replace()

    for change in (replace, pierce, exchange):
        change()
        assert llm.ctx.memory.seq_pos_max() + 1 == held
        again = llm.complete(PROMPT, max_tokens=4, temperature=0)
        assert (again.tokens, again.usage.cached_tokens) == (whole.tokens, 0)
    assert llm.complete(PROMPT, max_tokens=4, temperature=0).usage.cached_tokens > 0


def test_a_generation_gives_its_pieces_once(llm: Llama) -> None:
    generation = llm.generate(PROMPT, max_tokens=6, temperature=0)
    first = next(generation)
    assert first + "".join(generation) == llm.model.detokenize(generation.tokens, special=False)
    assert list(generation) == []
    generation.close()
    assert generation.finish_reason == "length"
    assert len(generation.tokens) == 6


def test_closing_a_generation_ends_it(llm: Llama) -> None:
    generation = llm.generate(PROMPT, max_tokens=8, temperature=0)
    next(generation)
    generation.close()
    generation.close()
    assert generation.finish_reason == "cancelled"
    assert list(generation) == []
    never_begun = llm.generate(PROMPT)
    never_begun.close()
    assert list(never_begun) == []


def test_forgetting_a_generation_frees_what_it_holds(model: LlamaModel) -> None:
    llm = Llama(model, n_ctx=64, n_threads=1)
    ctx = weakref.ref(llm.ctx)
    generation = llm.generate(PROMPT, max_tokens=8, temperature=0)
    next(generation)
    gc.disable()  # without its help
    try:
        llm.complete(PROMPT, max_tokens=2)
        del llm
        assert ctx() is not None, "the generation still needs it"
        del generation
        assert ctx() is None
    finally:
        gc.enable()


def test_what_is_raised_ends_a_generation(llm: Llama) -> None:
    generation = llm.generate(PROMPT, sampler=LlamaSampler.chain(llm.model.library))
    with pytest.raises(LlamaSamplerError, match="selects no token"):
        next(generation)
    assert generation.finish_reason == "error"
    assert list(generation) == []


def test_a_sampler_or_what_makes_one(llm: Llama) -> None:
    greedy = llm.complete(PROMPT, max_tokens=8, temperature=0, cache_prompt=False).text
    sampler = LlamaSampler.chain(llm.model.library).greedy()
    for given in (sampler, lambda: LlamaSampler.chain(llm.model.library).greedy()):
        done = llm.complete(PROMPT, max_tokens=8, sampler=given, cache_prompt=False)
        assert done.text == greedy
    assert not sampler.closed, "it belongs to the caller"
    with pytest.raises(TypeError, match="must be a LlamaSampler or make one, not 5"):
        llm.complete(PROMPT, sampler=lambda: 5)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prompt": 5}, TypeError, "a prompt must be text or tokens, not 5"),
        ({"prompt": "a", "max_token": 5}, TypeError, "did you mean 'max_tokens'"),
        ({"prompt": ""}, ValueError, "the prompt is empty"),
        ({"prompt": "word " * 600}, ValueError, "tokens, the context only 512"),
        ({"prompt": "a", "max_tokens": 0}, ValueError, "max_tokens must be at least 1, not 0"),
        ({"prompt": "a", "stop": [""]}, ValueError, "stop strings must be strings"),
        ({"prompt": "a", "temprature": 1}, TypeError, "temprature"),
        ({"prompt": [1, 2, 10**6]}, ValueError, "token 1000000 is not in the vocabulary"),
    ],
)
def test_bad_input_is_an_error(
    llm: Llama, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        llm.complete(**arguments)  # type: ignore[arg-type]


def test_an_unknown_keyword_names_the_nearest(model: LlamaModel) -> None:
    with pytest.raises(TypeError, match="did you mean 'n_threads'"):
        Llama(model, n_thread=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="loaded already"):
        Llama(model, n_gpu_layers=2)
    with pytest.raises(TypeError, match="loaded already"):
        Llama(model, devices=[])
    with pytest.raises(TypeError, match="did you mean 'tensor_split'"):
        Llama(model, tensor_splits=[1])  # type: ignore[call-arg]


def test_it_loads_with_what_a_model_takes_besides_the_fields(model_path: Path) -> None:
    overrides = {"llama.context_length": 512}
    with Llama(model_path, devices=[], kv_overrides=overrides) as llm:
        assert llm.model.n_ctx_train == llm.ctx.n_ctx_seq == 512


def test_it_says_what_it_is(llm: Llama) -> None:
    info = json.loads(json.dumps(llm.info))
    assert info["file"] == str(llm.model.path)
    assert info["layers"] == {"CPU": llm.model.n_layer + 1}
    assert (info["n_ctx"], info["n_seq_max"]) == (512, 1)


def test_it_loads_a_file_and_frees_it(model_path: Path) -> None:
    with Llama(model_path, n_ctx=64, n_gpu_layers=0) as llm:
        assert llm.complete("Hello", max_tokens=2, temperature=0).text
    with pytest.raises(LlamaClosedError):
        llm.complete("Hello")


def test_a_grammar_rules(llm: Llama) -> None:
    done = llm.complete(
        "Is water wet? Answer:", max_tokens=8, seed=1, grammar='root ::= " yes" | " no"'
    )
    assert done.text in (" yes", " no")


# -- stop strings


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one two three", [" two"], "one"),
        ("one two three", ["xyz"], "one two three"),
        ("aaab", ["aab"], "a"),
        ("ababac", ["abac"], "ab"),
        ("so <|en and <|end|> more", ["<|end|>"], "so <|en and "),
        ("xstop", ["stop", "st"], "x"),
        ("ends with st", ["stop"], "ends with st"),
        ("", ["a"], ""),
    ],
)
def test_no_part_of_a_stop_string_gets_out(
    text: str, stops: list[str], expected: str, size: int
) -> None:
    filtered = StopStrings(stops)
    out = ""
    for i in range(0, len(text), size):
        out += filtered.feed(text[i : i + size])
        assert expected.startswith(out)
    assert out + filtered.finish() == expected
    assert (filtered.found is not None) == (expected != text)


def test_generation_ends_before_a_stop_string(llm: Llama) -> None:
    whole = llm.complete(PROMPT, max_tokens=16, temperature=0, cache_prompt=False).text
    stop = whole[6:9]
    done = llm.complete(PROMPT, max_tokens=16, temperature=0, stop=stop, cache_prompt=False)
    assert done.text == whole[: whole.index(stop)]
    assert (done.finish_reason, done.stopped_by) == ("stop", stop)


def test_a_control_token_in_a_stop_string_is_found_again(llm: Llama) -> None:
    stop = "<|im_start|>"
    for _ in range(2):
        done = llm.complete(
            PROMPT, max_tokens=4, temperature=0, stop=stop, logit_bias={stop: 1000.0}
        )
        assert (done.text, done.stopped_by) == ("", stop)


def test_without_a_chain_the_tokens_are_those_of_a_greedy_one(llm: Llama) -> None:
    alone, with_chain = (
        llm.complete(PROMPT, max_tokens=16, cache_prompt=False, **options)
        for options in ({"temperature": 0}, {"sampler": LlamaSampler.chain().greedy})
    )
    assert alone.tokens == with_chain.tokens


@pytest.mark.parametrize("n", [0, 2])
def test_a_forgotten_generation_is_freed_without_a_collection(llm: Llama, n: int) -> None:
    sampler = LlamaSampler.chain().greedy()
    alive = weakref.ref(sampler)
    gc.disable()
    try:
        generation = llm.generate(PROMPT, sampler=sampler)
        del sampler
        assert len([piece for piece, _ in zip(generation, range(n), strict=False)]) == n
        del generation
        assert alive() is None
    finally:
        gc.enable()


# -- cancelling


def test_cancelling_from_a_thread_and_after_a_time(llm: Llama, model: LlamaModel) -> None:
    def text() -> str:
        return llm.complete(PROMPT, max_tokens=8, temperature=0, cache_prompt=False).text

    whole = text()
    with llm.cancel_after(0.2), pytest.raises(LlamaCancelled):
        # Never ends by itself: this sampler forbids it.
        llm.complete("Once upon a time", temperature=1.0, seed=1, grammar="root ::= [a-z ]+")
    assert text() == whole
    llm.cancel()  # nothing runs: no effect on later calls
    assert text() == whole


def test_a_long_prompt_is_cancelled_at_once_and_the_cache_is_as_before(model: LlamaModel) -> None:
    ctx = Llama(model, n_ctx=4096).ctx
    ctx.decode([5] * 10)
    cancelled = 0.0

    def cancel() -> None:
        nonlocal cancelled
        cancelled = time.perf_counter()
        ctx.cancel()

    timer = threading.Timer(0.2, cancel)
    timer.start()
    with pytest.raises(LlamaCancelled):
        ctx.decode([1] * 2000)
    assert cancelled, "it was over before it could be cancelled"
    memory = model.library.llama_get_memory(ctx.handle)
    assert model.library.llama_memory_seq_pos_max(memory, 0) == 9
    ctx.decode([5])
    ctx.close()


def test_ctrl_c_stops_a_long_decode(model_path: Path) -> None:
    assert run_program("ctrl_c_during_a_decode", model_path) == (0, "interrupted\nusable\n", "")


def test_ctrl_c_just_before_a_long_decode_stops_it(tiny_path: Callable[..., Path]) -> None:
    """While what waits for Ctrl-C is started, which takes its time where the machine is busy."""
    done = run_program("ctrl_c_before_a_decode", tiny_path("llama"))
    assert done == (0, "interrupted [2]\nusable [2, 0, 0, 0, 0, 0, 0, 0]\n", "")
