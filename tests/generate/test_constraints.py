"""Grammars and llguidance's constraints, for all that generates."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from codegen import source
from llama_cpp import AsyncLlama, Llama, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaAnswerError, LlamaSamplerError
from llama_cpp.generate.generation import Completion
from llama_cpp.sampling import beginnings, gbnf
from llama_cpp.sampling.custom import Candidates
from llama_cpp.sampling.forced import Forced
from llama_cpp.sampling.grammar import Grammar
from tests.support import llamaserver
from tests.support.python import run_program

PROMPT = "Here is a list:"


@dataclass
class Person:
    name: str
    age: int


class Flag(TypedDict):
    up: bool


class Team(BaseModel):
    lead: Person
    size: Literal[1, 2]


@pytest.fixture(scope="module")
def llm(tiny_path: Callable[..., Path]) -> Iterator[Llama]:
    with Llama(tiny_path("llama"), n_ctx=512, n_seq_max=3, n_threads=1, n_threads_batch=1) as made:
        yield made


@pytest.fixture(scope="module")
def big(model_path: Path) -> Iterator[Llama]:
    with Llama(model_path, n_ctx=2048, n_threads=2, n_threads_batch=2) as made:
        yield made


# -- a grammar is asked about one token


@pytest.fixture(scope="module")
def complete(
    model: LlamaModel, model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """The text of llama-server's /completion."""
    folder = tmp_path_factory.mktemp("server")
    with llamaserver.running(model.library, model_path, folder, "--parallel", 1) as server:
        llamaserver.wait(server)
        yield lambda **body: llamaserver.ask(server, "completion", body)["content"]


@pytest.mark.parametrize(
    ("grammar", "penalty"),
    [
        ("root ::= [a-z ]+", 1.0),
        ('root ::= " " [0-9]{1,3} ("," " "? [0-9]+)*', 1.0),
        ('root ::= " " [0-9]{1,3} ("," " "? [0-9]+)*', 1.3),
        ("json.gbnf", 1.0),
        ("english.gbnf", 1.1),
        ("japanese.gbnf", 1.0),
    ],
)
def test_the_text_is_that_of_llama_server(
    big: Llama, complete: Callable[..., str], grammar: str, penalty: float
) -> None:
    """With the same seed, so the random numbers that a refused token takes are counted as well."""
    if grammar.endswith(".gbnf"):
        grammar = (source.resolve().root / "grammars" / grammar).read_text("utf-8")
    common: Any = {"top_k": 40, "top_p": 0.95, "min_p": 0.05, "grammar": grammar}
    common |= {"repeat_penalty": penalty, "cache_prompt": False}
    samplers = ["penalties", "top_k", "top_p", "min_p", "temperature"]
    for seed in range(3):
        common["temperature"] = 0.9 * min(seed, 1)
        expected = complete(prompt=PROMPT, n_predict=20, seed=seed, samplers=samplers, **common)
        done = big.complete(PROMPT, max_tokens=20, seed=seed, **common)
        assert done.text == expected


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "[" ("a" | "ab" | " ")* "]"',
        "root ::= [^\\x00-\\x7Fé]+",
        'root ::= "a" <|im_start|> [^<] "é"? "日本語" .*',
    ],
)
def test_a_refusal_leaves_what_the_library_leaves(
    model: LlamaModel, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """By the beginnings of the tokens, and by asking about all of them."""
    monkeypatch.setattr(beginnings, "_WORTH", 0)
    monkeypatch.setattr(beginnings, "FEW", 1 << 30)
    grammar = Grammar(model.library, model, text.encode(), b"root", None)
    candidates = Candidates(model.library, model.vocab.n_tokens)
    stand_in, random = grammar.stand_in(), Random(1)
    for _ in range(8):
        candidates.fill(memoryview(array("f", [0.0]) * model.vocab.n_tokens))
        candidates.apply(stand_in)
        allowed = [token for token, x in enumerate(candidates.logits) if x == 0]
        assert grammar.few() == allowed
        token = random.choice([t for t in allowed if not model.is_eog(t)])
        grammar.accept(token)
    model.library.llama_sampler_free(stand_in)


@pytest.mark.parametrize("selector", ["greedy", "dist", "mirostat_v2", "adaptive_p"])
def test_a_bias_and_penalties_before_a_grammar_are_as_after_it(llm: Llama, selector: str) -> None:
    def text(first: bool) -> str:
        def bias() -> LlamaSampler:
            return chain.logit_bias(llm.model, {262: 2.0}).penalties(llm.model, 16, 1.4)

        chain = LlamaSampler.chain(llm.model.library)
        if first:
            bias()
        chain.grammar(llm.model, "root ::= [a-m ]+")
        if not first:
            bias()
        arguments = {"adaptive_p": (0.3, 0.9, 3), "greedy": ()}.get(selector, (3,))
        getattr(chain, selector)(*arguments)
        return llm.complete("the cat", sampler=chain, max_tokens=30, cache_prompt=False).text

    assert text(True) == text(False)


def test_grammars_of_many_prompts_rule_each_its_own(llm: Llama) -> None:
    grammars = ["root ::= [a-e ]+", "root ::= [m-z]{3}", 'root ::= "on" | "mat"']
    options: Any = [{"grammar": g, "seed": i} for i, g in enumerate(grammars)]
    texts = [c.text for c in llm.complete_many(["the cat"] * 3, options, max_tokens=12)]
    assert set(texts[0]) <= set("abcde ")
    assert len(texts[1]) == 3
    assert texts[2] in ("on", "mat")


# -- shared by the whole process


def test_threads_that_make_grammars_leave_standard_error_alone(model_path: Path) -> None:
    done = run_program("grammars_in_threads", model_path)
    state, n = done.stdout.split()
    assert state == "same"
    assert done.stderr == "line\n" * int(n)


def test_a_grammar_that_takes_for_ever_stops_no_thread_and_can_be_stopped(
    tiny_path: Callable[..., Path],
) -> None:
    done = run_program("slow_grammars", tiny_path("llama"))
    assert done.stdout.splitlines() == [
        *2
        * ["cancelled LlamaCancelled it was cancelled True", "interrupted KeyboardInterrupt  True"],
        "given up LlamaSamplerError the grammar has so many ways to go on th True",
        "again make a new sampler",
        "usable on",
        "late LlamaSamplerError json_schema takes over 1 s to prepare: s True",
        "many LlamaBusyError 6 calls that took too long were stopped, False",
    ]
    assert done.returncode == 0, done.stderr


# -- grammars that are refused


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('root ::= "a', "line 1, column 12: unexpected end"),
        ('root ::= "\\q"', "line 1, column 11: unknown escape"),
        ('root ::= "a"\n  b ::= *', "line 2, column 9: expecting something before"),
        ('root ::= "a" )', "line 1, column 14: expecting newline or end"),
        ("root := x", "line 1, column 6: expecting ::="),
        ("root ::= a\na ::= b | c\nc ::= .", "line 2, column 7: Undefined rule identifier 'b'"),
        ('root ::= "a"{2', "column 15: expecting ',' or '}'"),
        ('root ::= "a"{3,1}', "at least 3 and at most 1"),  # the library writes it out for ever
        ('root ::= "a"{5000}', "5000 repetitions are too many"),
        ('root ::= ("a"{0,50}){50}', "2550 repetitions"),
        (f'root ::= "{"a" * 1000}"{{2000}}', "more than 1000000 symbols"),
        ("root ::= " + '("a"? "b"?)? ' * 8000, "ways"),
        ("root ::= <|nobody|>", "is not one token"),
        ("root ::= <[99999999999]>", "too big"),
    ],
)
def test_a_grammar_is_refused_with_the_place(llm: Llama, text: str, error: str) -> None:
    with pytest.raises(LlamaSamplerError) as raised:
        LlamaSampler.chain(llm.model.library).grammar(llm.model, text)
    assert error in str(raised.value)


def test_rules_that_begin_alike_without_end_are_counted_and_not_tried() -> None:
    doubling = "\n".join(f"r{i} ::= r{i + 1}? r{i + 1}?" for i in range(40)) + '\nr40 ::= "a"'
    with pytest.raises(LlamaSamplerError, match="ways"):
        gbnf.read(f"root ::= r0\n{doubling}", "root", lambda text: [])


# -- llguidance


TYPES = (Person, Flag, Team, Literal["yes", "no"], list[bool], Person | None, dict[str, Flag])


@pytest.mark.parametrize("output_type", TYPES, ids=str)
def test_an_output_is_of_its_type(llm: Llama, output_type: Any) -> None:
    from pydantic import TypeAdapter

    valid = 0
    for seed in range(6):
        [done] = llm.complete_many(
            ["the"], output_type=output_type, max_tokens=400, seed=seed, return_errors=True
        )
        if done.error is not None:
            assert "not complete" in str(done.error)  # a random model may go on for long
            continue
        assert TypeAdapter(output_type).validate_python(done.output, strict=True) == done.output
        valid += 1
    assert valid


METHODS: dict[str, Callable[..., Any]] = {
    "complete": lambda llm, **how: llm.complete("the", **how),
    "generate": lambda llm, **how: _read(llm.generate("the", **how)),
    "chat": lambda llm, **how: llm.chat([{"role": "user", "content": "the"}], **how),
    "complete_many": lambda llm, **how: llm.complete_many(["the"], **how)[0],
    "infill": lambda llm, **how: llm.infill("the", "cat", **how),
    "asyncio": lambda llm, **how: asyncio.run(_awaited(llm, **how)),
}


def _read(generation: Any) -> Any:
    generation.text = "".join(generation)
    return generation


async def _awaited(llm: Llama, **how: Any) -> Any:
    return await AsyncLlama(llm).complete("the", **how)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_constraints(tiny_path: Callable[..., Path], method: str) -> None:
    with Llama(tiny_path("llama"), n_ctx=256, n_threads=1, n_threads_batch=1) as llm:
        ask = METHODS[method]
        done = ask(llm, output_type=Literal["on", "mat"], max_tokens=20)
        assert done.output in ("on", "mat")
        assert done.finish_reason == "stop"
        schema = {"type": "array", "items": {"const": 7}, "minItems": 2, "maxItems": 2}
        assert ask(llm, json_schema=schema, max_tokens=90).output == [7, 7]
        assert ask(llm, regex="(cat|on){2}", max_tokens=20).text in (
            "catcat",
            "caton",
            "oncat",
            "onon",
        )
        assert ask(llm, lark='start: "a" ("b" | "c")', max_tokens=20).text in ("ab", "ac")


def test_an_answer_that_is_cut_off_is_an_error_with_its_text(llm: Llama) -> None:
    with pytest.raises(LlamaAnswerError, match="not complete") as raised:
        llm.complete("the", output_type=Person, max_tokens=3)
    assert raised.value.text.startswith("{")
    generation = llm.generate("the", output_type=int, max_tokens=1)  # a number may go on
    list(generation)
    with pytest.raises(LlamaAnswerError, match="not complete"):
        _ = generation.output
    many = llm.complete_many(["the"], output_type=Person, max_tokens=3, return_errors=True)
    assert isinstance(many[0].error, LlamaAnswerError)


def _token(llm: Llama, piece: str) -> int:
    tokens = range(llm.model.vocab.n_tokens)
    return next(token for token in tokens if llm.model.token_to_piece(token) == piece)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0, "repeat_penalty": 1.3},
        {"temperature": 1.5, "seed": 7, "frequency_penalty": 0.5, "logprobs": 2},
        {"temperature": 1.5, "seed": 8, "dry_multiplier": 1.0, "stop": "no choi"},
        {"mirostat": 2, "seed": 9, "max_tokens": 6},
    ],
    ids=str,
)
def test_text_without_a_choice_is_computed_at_once(big: Llama, options: dict[str, Any]) -> None:
    def complete(forward: bool) -> Completion:
        given = {"regex": "([a-c] here there is no choice, )+", "max_tokens": 30} | options
        return big.complete(PROMPT, cache_prompt=False, fast_forward=forward, **given)

    plain, forwarded = complete(False), complete(True)
    for name in ("tokens", "logprobs", "text", "finish_reason"):
        assert getattr(forwarded, name) == getattr(plain, name)
    assert plain.usage.drafted_tokens == 0
    assert forwarded.usage.accepted_tokens > len(forwarded.tokens) // 3


def test_a_model_that_goes_back_by_copies_does_not_compute_ahead(
    tiny_path: Callable[..., Path],
) -> None:
    with Llama(tiny_path("hybrid"), n_ctx=256, n_threads=1, n_threads_batch=1) as llm:
        done = llm.complete("a", regex="(no choice at all, )+", max_tokens=20)
        assert done.usage.drafted_tokens == 0
        assert done.text.startswith("no choice at")


def test_a_long_text_without_a_choice_is_asked_for_once() -> None:
    class Sampler:
        asked = 0

        def forced(self) -> list[int]:
            self.asked += 1
            return list(range(100))

    sampler = Sampler()
    forced = Forced(sampler)  # type: ignore[arg-type]
    drafted = forced.draft([-1], 32)
    for _ in range(2):
        assert drafted == [*range(drafted[0], drafted[0] + 32)]
        assert sampler.asked == 1
        forced.accept(32, 32)
        drafted = forced.draft([drafted[-1] + 1], 32)
    assert forced.draft([-1], 32)[0] == 0
    forced.accept(32, 31)
    assert forced.draft([32], 32)[0] == 0
    assert sampler.asked == 3


def test_a_clone_and_a_reset_of_what_is_guided(llm: Llama) -> None:
    chain = LlamaSampler.chain(llm.model.library).guided(llm.model, regex="abc").greedy()
    a, b = (_token(llm, letter) for letter in "ab")
    chain.accept(a)
    copy = chain.clone()
    with pytest.raises(LlamaSamplerError, match="regex does not allow token"):
        copy.accept(a)
    copy.accept(b)
    chain.accept(b)
    chain.reset()
    chain.accept(a)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"regex": "("}, LlamaSamplerError, "regex: .*invalid"),
        ({"lark": "start: foo"}, LlamaSamplerError, "unknown name"),
        (
            {"json_schema": {"type": "integer", "minimum": 2, "maximum": 1}},
            LlamaSamplerError,
            "Unsatisfiable",
        ),
        ({"json_schema": {"uniqueItems": True}}, LlamaSamplerError, "uniqueItems"),
        ({"json_schema": "{"}, LlamaSamplerError, "json_schema: this is not JSON"),
        ({"json_schema": False}, LlamaSamplerError, "no text fits False"),
        ({"json_schema": 3}, TypeError, "a mapping or JSON text"),
        ({"output_type": object()}, TypeError, "output_type"),
        ({"regex": "a", "lark": "b"}, ValueError, "regex and lark"),
        ({"regex": "a", "sampler": LlamaSampler}, ValueError, "guided"),
    ],
)
def test_a_wrong_constraint_is_refused(
    llm: Llama, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        llm.generate("the", **options)
