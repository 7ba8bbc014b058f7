"""Sampler chains: every sampler, seeds, grammars, and the state of a chain."""

from __future__ import annotations

import gc
import inspect
import json
import re
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from codegen import source
from llama_cpp import Llama, LlamaContext, LlamaModel, LlamaSampler
from llama_cpp.errors import LlamaClosedError, LlamaSamplerError
from llama_cpp.sampling import SamplerPerf, trigger
from llama_cpp.sampling._samplers import SELECTORS, TRUNCATING, SamplerMethods
from tests.support.python import run_example

PROMPT = "Hello my name is"
Chain = Callable[[LlamaModel], LlamaSampler]


@pytest.fixture
def ready(model: LlamaModel) -> Iterator[LlamaContext]:
    """A context that has decoded the prompt."""
    with LlamaContext(model, n_ctx=256) as ctx:
        ctx.decode(model.tokenize(PROMPT))
        yield ctx


def generate(model: LlamaModel, sampler: LlamaSampler, n: int, prompt: str = PROMPT) -> list[int]:
    """Up to ``n`` tokens after the prompt."""
    tokens = []
    with LlamaContext(model, n_ctx=256) as ctx:
        ctx.decode(model.tokenize(prompt, parse_special=True))
        for _ in range(n):
            token = sampler.sample(ctx)
            if model.is_eog(token):
                break
            tokens.append(token)
            ctx.decode([token])
    return tokens


# -- every sampler

EVERY: dict[str, Chain] = {
    "greedy": lambda m: LlamaSampler.chain().greedy(),
    "dist": lambda m: LlamaSampler.chain().dist(1),
    "top_k": lambda m: LlamaSampler.chain().top_k(40).dist(1),
    "top_p": lambda m: LlamaSampler.chain().top_p(0.9).dist(1),
    "min_p": lambda m: LlamaSampler.chain().min_p(0.1).dist(1),
    "typical": lambda m: LlamaSampler.chain().typical(0.9).dist(1),
    "temp": lambda m: LlamaSampler.chain().temp(0.7).dist(1),
    "temp_ext": lambda m: LlamaSampler.chain().temp_ext(0.7, 0.2, 1.0).dist(1),
    "xtc": lambda m: LlamaSampler.chain().xtc(0.5, 0.1, 1, 1).dist(1),
    "top_n_sigma": lambda m: LlamaSampler.chain().top_n_sigma(1.0).dist(1),
    "mirostat": lambda m: LlamaSampler.chain().mirostat(m, 1),
    "mirostat_v2": lambda m: LlamaSampler.chain().mirostat_v2(1),
    "grammar": lambda m: LlamaSampler.chain().grammar(m, "root ::= [a-z ]*").dist(1),
    "grammar_lazy": lambda m: (
        LlamaSampler.chain().grammar_lazy(m, 'root ::= "the" .*', trigger_words=["the"]).dist(1)
    ),
    "grammar_lazy_patterns": lambda m: (
        LlamaSampler.chain()
        .grammar_lazy_patterns(m, 'root ::= "the" .*', trigger_patterns=["the"])
        .dist(1)
    ),
    "penalties": lambda m: LlamaSampler.chain().penalties(m, 64, 1.1, 0.1, 0.1).dist(1),
    "dry": lambda m: LlamaSampler.chain().dry(m, 0.8).dist(1),
    "adaptive_p": lambda m: LlamaSampler.chain().adaptive_p(0.5, 0.9, 1),
    "logit_bias": lambda m: LlamaSampler.chain().logit_bias(m, {5: 1.0, 7: -1.0}).dist(1),
    "infill": lambda m: LlamaSampler.chain().top_k(40).infill(m).dist(1),
}


def test_the_table_below_has_every_generated_sampler() -> None:
    methods = {n for n, f in vars(SamplerMethods).items() if inspect.isfunction(f)} - {"_append"}
    assert methods == set(EVERY)
    assert methods >= SELECTORS | TRUNCATING


@pytest.mark.parametrize("name", EVERY)
def test_every_sampler_samples_and_a_seed_repeats_it(model: LlamaModel, name: str) -> None:
    sampler = EVERY[name](model)
    assert name in repr(sampler)
    first = generate(model, sampler, 6)
    assert generate(model, EVERY[name](model), 6) == first
    sampler.reset()
    assert generate(model, sampler, 6) == first, "a reset chain starts again"
    assert all(0 <= token < model.vocab.n_tokens for token in first)


def test_greedy_takes_the_greatest_logit(model: LlamaModel, ready: LlamaContext) -> None:
    assert LlamaSampler.chain().greedy().sample(ready) == int(np.argmax(ready.logits()))


def test_seeds_differ(model: LlamaModel) -> None:
    runs = {tuple(generate(model, LlamaSampler.chain().dist(seed), 6)) for seed in range(4)}
    assert len(runs) > 1


def test_what_is_forbidden_is_not_chosen(model: LlamaModel, ready: LlamaContext) -> None:
    best = LlamaSampler.chain().greedy().sample(ready)
    chain = LlamaSampler.chain().logit_bias(model, {best: float("-inf")}).greedy()
    assert chain.sample(ready) != best
    chain = LlamaSampler.chain().logit_bias(model, [(12345, 1000.0)]).greedy()
    assert chain.sample(ready) == 12345


def test_penalties_remember_what_was_sampled(model: LlamaModel, ready: LlamaContext) -> None:
    chain = LlamaSampler.chain().penalties(model, 64, penalty_present=1000.0).greedy()
    seen = [chain.sample(ready) for _ in range(5)]
    assert len(set(seen)) == 5
    chain.reset()
    assert chain.sample(ready) == seen[0]


def test_any_output_can_be_sampled(model: LlamaModel) -> None:
    from llama_cpp import LlamaBatch

    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(LlamaBatch(model.tokenize(PROMPT), logits=True))
        chain = LlamaSampler.chain().greedy()
        tokens = [chain.sample(ctx, i) for i in range(4)]
        assert tokens == [int(np.argmax(ctx.logits(i))) for i in range(4)]
        assert chain.sample(ctx) == chain.sample(ctx, 3) == tokens[-1]


def test_a_chain_tells_what_is_in_it() -> None:
    chain = LlamaSampler.chain()
    assert (len(chain), repr(chain)) == (0, "<LlamaSampler empty>")
    with chain.top_k(5).temp(0.5).greedy():
        assert (len(chain), repr(chain)) == (3, "<LlamaSampler top_k -> temp -> greedy>")
    assert chain.closed
    assert "closed" in repr(chain)


def test_a_refused_sampler_leaves_the_chain_as_it_was(
    model: LlamaModel, ready: LlamaContext
) -> None:
    chain = LlamaSampler.chain().top_k(5)
    with pytest.raises(LlamaSamplerError):
        chain.grammar(model, "root ::= (")
    with pytest.raises(ValueError, match="penalty_last_n"):
        chain.penalties(model, -1)
    assert len(chain) == 1
    assert chain.greedy().sample(ready) == int(np.argmax(ready.logits()))


def test_a_chain_keeps_what_its_samplers_refer_to(model_path: object) -> None:
    model = LlamaModel.from_file(str(model_path))
    ctx = LlamaContext(model, n_ctx=64)
    chain = LlamaSampler.chain().grammar_lazy_patterns(
        model, "root ::= [a-z .]+", trigger_patterns=["[a-z]"]
    )
    chain.grammar(model, "root ::= [a-z .]+").dry(model, 0.8).dist(1)
    filling = LlamaSampler.chain().top_k(9).infill(model).dist(1)
    ctx.decode(model.tokenize(PROMPT))
    model.close()
    del model
    gc.collect()
    for _ in range(3):
        ctx.decode([chain.sample(ctx)])
        filling.sample(ctx)


@pytest.mark.parametrize("name", ["grammar", "dry", "infill", "penalties"])
def test_a_model_lives_as_long_as_a_chain_that_refers_to_it(model_path: object, name: str) -> None:
    model = LlamaModel.from_file(str(model_path), vocab_only=True)
    chain = EVERY[name](model)
    resource = weakref.ref(model.opened())
    model.close()
    gc.collect()
    assert resource() is not None
    chain.close()
    gc.collect()
    assert resource() is None


def test_a_deprecated_sampler_still_works(model: LlamaModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EVERY["grammar_lazy"](model)


# -- order


@pytest.mark.parametrize("name", sorted(TRUNCATING))
def test_a_grammar_cannot_come_behind_what_removes_candidates(
    model: LlamaModel, ready: LlamaContext, name: str
) -> None:
    arguments: dict[str, tuple[object, ...]] = {
        "top_k": (40,),
        "xtc": (0.5, 0.1),
        "infill": (model,),
    }
    chain = LlamaSampler.chain()
    if name == "infill":
        chain.top_k(40)
    getattr(chain, name)(*arguments.get(name, (0.9,))).temp(0.8)
    size = len(chain)
    for lazy in ({}, {"trigger_patterns": ["a"]}):
        method = chain.grammar_lazy_patterns if lazy else chain.grammar
        with pytest.raises(LlamaSamplerError, match=f"behind {name}, .* put the grammar before"):
            method(model, "root ::= [a-z]+", **lazy)  # type: ignore[operator]
    assert len(chain) == size
    chain.dist(1).sample(ready)


def test_a_sampler_that_keeps_all_may_come_before_a_grammar(model: LlamaModel) -> None:
    chain = LlamaSampler.chain().top_k(0).temp(0.8).penalties(model).grammar(model, 'root ::= "a"')
    assert text(model, chain.greedy()) == "a"


@pytest.mark.parametrize(
    ("grammar", "rules"),
    [
        ('root ::= a "x"\na ::= b | "y"\nb ::= root', "root -> a -> b -> root"),
        ('root ::= a root "x" | "y"\na ::= b\nb ::= "z" | ""', "root -> root"),  # never came back
        ('root ::= c? b\nb ::= c* root\nc ::= "x"', "root -> b -> root"),
        ('root ::= "x" a\na ::= b{0,2} a\nb ::= "y"', "a -> a"),
        ('root ::= ("x"?)*', "what is repeated may be empty"),
        ('root ::= (a | "x"){2,}\na ::= ("y" "z")?', "what is repeated may be empty"),
    ],
)
def test_a_rule_cannot_begin_with_itself(model: LlamaModel, grammar: str, rules: str) -> None:
    with pytest.raises(LlamaSamplerError, match=re.escape(f"no end: {rules}.")):
        LlamaSampler.chain().grammar(model, grammar)


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "x" root | ""',
        'root ::= ("x" | "\\"" | [\\]"] # root root\n | "y")* ',
        'root ::= a{0} "x"\na ::= "y" a{0} | "z"',
        'root ::= a? b\nb ::= "(" root ")" | [^"]\na ::= "y"',
    ],
)
def test_a_rule_may_come_again_behind_something(model: LlamaModel, grammar: str) -> None:
    assert LlamaSampler.chain().grammar(model, grammar)


def test_upstreams_own_grammars_are_no_left_recursion(model: LlamaModel) -> None:
    files = sorted((source.resolve().root / "grammars").glob("*.gbnf"))
    assert len(files) > 5
    for file in files:
        assert LlamaSampler.chain().grammar(model, file.read_text("utf-8"))


def test_the_example_follows_its_grammar(model_path: Path) -> None:
    done = run_example("constrained_output", "-m", model_path)
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)) == ["name", "age", "city"]
    assert re.fullmatch(r"least sure of '.+': \d+%\n", done.stderr)


# -- seeds


@pytest.mark.parametrize(
    "end",
    [
        lambda m, seed: LlamaSampler.chain().temp(0.8).dist(seed),
        lambda m, seed: LlamaSampler.chain().mirostat(m, seed),
        lambda m, seed: LlamaSampler.chain().mirostat_v2(seed),
        lambda m, seed: LlamaSampler.chain().adaptive_p(0.3, seed=seed),
        lambda m, seed: LlamaSampler.chain().xtc(0.5, 0.05, 1, seed).dist(seed),
        lambda m, seed: LlamaSampler.chain().greedy(),
    ],
    ids=["dist", "mirostat", "mirostat_v2", "adaptive_p", "xtc", "greedy"],
)
def test_a_seed_gives_the_same_text_again(
    model: LlamaModel, end: Callable[[LlamaModel, int], LlamaSampler]
) -> None:
    llm = Llama(model, n_ctx=128)

    def run(seed: int) -> list[int]:
        llm.complete("Something else in between", max_tokens=2, temperature=0)
        done = llm.complete(PROMPT, max_tokens=12, sampler=end(model, seed), cache_prompt=False)
        return done.tokens

    first = run(7)
    assert run(7) == first
    if "greedy" not in repr(end(model, 1)):
        assert any(run(seed) != first for seed in (8, 9))


# -- clones, tokens from elsewhere, cost, seed


def walk(chain: LlamaSampler, ctx: LlamaContext, n: int) -> list[int]:
    """``n`` tokens that ``chain`` samples from the same logits."""
    return [chain.sample(ctx) for _ in range(n)]


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"grammar_lazy"}))
def test_a_clone_goes_on_where_the_chain_was(
    model: LlamaModel, ready: LlamaContext, name: str
) -> None:
    chain = EVERY[name](model)
    walk(chain, ready, 3)
    clone = chain.clone()
    again = clone.clone()
    assert repr(clone) == repr(chain)
    if name == "adaptive_p":  # its random numbers start again
        assert walk(clone, ready, 4) == walk(again, ready, 4)
        return
    there = walk(chain, ready, 4)
    assert walk(clone, ready, 4) == there
    chain.close()
    clone.close()
    gc.collect()
    assert walk(again, ready, 4) == there


def test_a_clone_has_its_own_grammar(model: LlamaModel, ready: LlamaContext) -> None:
    chain = LlamaSampler.chain().grammar(model, 'root ::= "a" "b"').greedy()
    assert model.token_to_piece(chain.sample(ready)) == "a"
    clone = chain.clone()
    for one in (chain, clone):
        assert model.token_to_piece(one.sample(ready)) == "b"
        assert model.is_eog(one.sample(ready))
    chain.reset()
    assert model.is_eog(clone.sample(ready))
    with pytest.raises(LlamaSamplerError, match="cannot come behind greedy"):
        clone.dist()
    with pytest.raises(LlamaSamplerError, match="behind top_k"):
        LlamaSampler.chain().top_k(3).clone().grammar(model, 'root ::= "a"')


def test_a_cloned_lazy_grammar_waits_on_its_own(model: LlamaModel) -> None:
    forced = Forced(model, 'root ::= "cat" " 42"', patterns=["cat"])
    (a, cat) = model.tokenize("a cat")
    assert forced.take(a) == a
    original, forced.chain = forced.chain, forced.chain.clone()
    assert forced.take(cat) == cat
    assert forced.rest() == " 42"
    forced.chain = original
    assert forced.take(a) == a, "the original still waits"
    assert forced.take(cat) == cat
    assert forced.rest() == " 42"


def test_a_closed_chain_has_no_clone() -> None:
    chain = LlamaSampler.chain().greedy()
    chain.close()
    for use in (chain.clone, chain.reset, lambda: chain.accept(1), lambda: chain.perf):
        with pytest.raises(LlamaClosedError):
            use()


def test_penalties_count_tokens_from_elsewhere(model: LlamaModel, ready: LlamaContext) -> None:
    best = int(np.argmax(ready.logits()))
    chain = LlamaSampler.chain().penalties(model, 8, penalty_present=1000.0).greedy()
    chain.accept(best)
    assert chain.sample(ready) != best


def test_a_grammar_follows_tokens_from_elsewhere(model: LlamaModel, ready: LlamaContext) -> None:
    chain = LlamaSampler.chain().grammar(model, 'root ::= "a" "b"').greedy()
    a, b = model.tokenize("a") + model.tokenize("b")
    with pytest.raises(LlamaSamplerError, match="does not allow"):
        chain.accept(b)
    chain.accept(b, grammar=False)
    chain.accept(a)
    assert chain.sample(ready) == b


@pytest.mark.parametrize("token", [-1, 1 << 31, 1 << 40])
def test_a_token_that_does_not_exist_is_not_accepted(model: LlamaModel, token: int) -> None:
    with pytest.raises(ValueError, match="not in the vocabulary"):
        LlamaSampler.chain().greedy().accept(token)
    with pytest.raises(ValueError, match="not in the vocabulary"):
        LlamaSampler.chain().penalties(model).accept(model.vocab.n_tokens)
    with pytest.raises(TypeError):
        LlamaSampler.chain().accept("a")  # type: ignore[arg-type]


def test_a_chain_tells_what_it_has_cost(ready: LlamaContext) -> None:
    chain = LlamaSampler.chain(no_perf=False).temp(0.8).dist(1)
    assert chain.perf == SamplerPerf(0.0, 0)
    walk(chain, ready, 3)
    assert chain.perf.n_samples == 3
    assert 0 < chain.perf.seconds < 10
    chain.reset_perf()
    assert chain.perf == SamplerPerf(0.0, 0)
    silent = LlamaSampler.chain().greedy()
    silent.sample(ready)
    assert silent.perf == SamplerPerf(0.0, 1)


def test_a_chain_tells_its_seed(ready: LlamaContext) -> None:
    assert LlamaSampler.chain().temp(0.8).dist(1234).seed == 1234
    assert LlamaSampler.chain().greedy().seed is None
    chain = LlamaSampler.chain().dist()
    again = LlamaSampler.chain().dist(chain.seed or 0)
    assert [chain.sample(ready) for _ in range(9)] == [again.sample(ready) for _ in range(9)]


# -- grammars


def text(model: LlamaModel, sampler: LlamaSampler, n: int = 40, prompt: str = PROMPT) -> str:
    return model.detokenize(generate(model, sampler, n, prompt))


def test_a_grammar_limits_the_text(model: LlamaModel) -> None:
    chain = LlamaSampler.chain().grammar(model, 'root ::= "yes" | "no"').greedy()
    assert text(model, chain) in ("yes", "no")
    chain.reset()
    assert text(model, chain) in ("yes", "no")


def test_a_grammar_works_with_every_selector(model: LlamaModel) -> None:
    grammar = 'root ::= "{" [0-9]{3} "}"'
    for end in (
        LlamaSampler.chain().grammar(model, grammar).greedy(),
        LlamaSampler.chain().grammar(model, grammar).top_k(20).temp(2.0).dist(3),
        LlamaSampler.chain().grammar(model, grammar).mirostat(model, 3),
        LlamaSampler.chain().grammar(model, grammar).mirostat_v2(3),
        LlamaSampler.chain().grammar(model, grammar).adaptive_p(0.3, seed=3),
    ):
        assert re.fullmatch("{[0-9]{3}}", text(model, end))


def test_characters_beyond_ascii_go_through_a_grammar(model: LlamaModel) -> None:
    chain = LlamaSampler.chain().grammar(model, 'root ::= "𓀀é🙂"').greedy()
    assert text(model, chain) == "𓀀é🙂"


def test_two_grammars_both_rule(model: LlamaModel) -> None:
    chain = (
        LlamaSampler.chain().grammar(model, "root ::= [a-f]{4}").grammar(model, "root ::= [d-z]*")
    )
    assert set(text(model, chain.greedy())) <= set("def")


def test_a_grammar_that_is_refused_a_token_stays_where_it_was(
    model: LlamaModel, ready: LlamaContext
) -> None:
    first = [t for t in range(model.vocab.n_tokens) if model.token_to_piece(t) in ("z", "zq")]
    chain = LlamaSampler.chain().grammar(model, 'root ::= "zq"')
    chain.logit_bias(model, dict.fromkeys(first, float("-inf"))).greedy()
    for _ in range(3):
        with pytest.raises(LlamaSamplerError, match="put the grammar first"):
            chain.sample(ready)
    chain.reset()
    with pytest.raises(LlamaSamplerError, match="put the grammar first"):
        chain.sample(ready)


def test_a_finished_grammar_allows_only_the_end(model: LlamaModel, ready: LlamaContext) -> None:
    chain = LlamaSampler.chain().grammar(model, 'root ::= "a"').greedy()
    assert model.token_to_piece(chain.sample(ready)) == "a"
    for _ in range(3):
        assert model.is_eog(chain.sample(ready))


def test_a_grammar_may_name_tokens(model: LlamaModel) -> None:
    (end,) = model.tokenize("<|im_end|>", parse_special=True)
    (start,) = model.tokenize("<|im_start|>", parse_special=True)
    with LlamaContext(model, n_ctx=64) as ctx:
        ctx.decode(model.tokenize(PROMPT))
        for name in ("<|im_start|>", f"<[{start}]>"):
            for before in ('"a"', "[a-z]{1,3}", "[^x]*"):
                grammar = f"root ::= {before} {name}"
                chain = LlamaSampler.chain().grammar(model, grammar)
                chain.logit_bias(model, {start: 5.0}).greedy()
                got = [chain.sample(ctx) for _ in range(6)]
                assert start in got or before == "[^x]*"
                assert end not in got[:1]


@pytest.mark.parametrize(
    ("pattern", "begins"),
    [
        ("colou?r", "colour"),
        ("my favou?rite (colou?r)", "colour"),
        (r"[\s\S]*?(lour)", "lour"),
        (r"^[\s\S]*(colour)[\s\S]*$", "colour"),
    ],
)
def test_a_lazy_grammar_begins_where_its_trigger_matches(
    model: LlamaModel, pattern: str, begins: str
) -> None:
    said = "my favourite colour"
    forced = Forced(model, f'root ::= "{begins}" " is 7777"', patterns=[pattern])
    for token in model.tokenize(said):
        assert forced.take(token) == token, "before the trigger everything is allowed"
    assert forced.rest() == " is 7777"
    forced.chain.reset()
    for token in model.tokenize(said):
        assert forced.take(token) == token
    assert forced.rest() == " is 7777"


def test_a_lazy_grammar_begins_with_a_trigger_token(model: LlamaModel) -> None:
    (start,) = model.tokenize("<|im_start|>", parse_special=True)
    forced = Forced(model, 'root ::= "<|im_start|>" "42"', tokens=[start])
    for token in [*model.tokenize("anything goes"), start]:
        assert forced.take(token) == token
    assert forced.rest() == "42"


def test_a_trigger_that_does_not_fit_is_an_error_and_the_grammar_waits_on(
    model: LlamaModel,
) -> None:
    forced = Forced(model, 'root ::= "zebra"', patterns=["cat"])
    tokens = model.tokenize("a cat")
    assert forced.take(tokens[0]) == tokens[0]
    with pytest.raises(LlamaSamplerError, match="'cat', is not how the grammar begins"):
        forced.take(tokens[1])
    assert forced.take(tokens[0]) == tokens[0]


class Forced:
    """A chain with a lazy grammar in which a bias decides the token, if the grammar allows it."""

    def __init__(
        self,
        model: LlamaModel,
        grammar: str,
        patterns: list[str] | None = None,
        tokens: list[int] | None = None,
    ) -> None:
        self.model = model
        self.ctx = LlamaContext(model, n_ctx=64)
        self.ctx.decode(model.tokenize(PROMPT))
        self.chain = LlamaSampler.chain()
        self.chain.grammar_lazy_patterns(
            model, grammar, trigger_patterns=patterns or [], trigger_tokens=tokens or []
        ).greedy()

    def take(self, token: int) -> int:
        logits = self.ctx.logits()
        logits[token] = 1e6
        chosen = self.chain.sample(self.ctx)
        logits[token] = 0.0
        return chosen

    def rest(self) -> str:
        tokens = []
        while not self.model.is_eog(token := self.chain.sample(self.ctx)):
            tokens.append(token)
        return self.model.detokenize(tokens)


def pattern(random: Random, depth: int) -> str:
    kind = random.randrange(5 if depth else 1)
    if kind == 0:
        return random.choice(["a", "b", "[^b]", ".", "^", "$", r"\b", "c?", "(?:)"])
    one, other = pattern(random, depth - 1), pattern(random, depth - 1)
    repeats = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}?", "{2,}", "{0,3}"]
    # Where a part that is repeated can be empty, groups may stand elsewhere.
    repeated = f"(?:{one}[a-c]){random.choice(repeats)}"
    return [one + other, f"({one})", f"(?:{one}|{other})", repeated][kind - 1]


def test_a_trigger_is_found_where_re_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger, "_FEW", -1)
    for seed in range(2000):
        random = Random(seed)
        text = pattern(random, 4)
        compiled = re.compile(text.encode())
        whole = text.startswith("^") and text.endswith("$")
        search = compiled.fullmatch if whole else compiled.search
        waiting, expected = trigger.Trigger([text.encode()], []), None
        for _ in range(6):
            found = waiting.find(1, bytes(random.choices(b"abc", k=random.randrange(3))))
            waiting = waiting.clone()
            match = search(waiting.text)
            if match is not None:
                groups = (i for i in range(1, len(match.regs)) if match.end(i) > match.start(i))
                expected = match.start(next(groups, 0))
            assert found == expected, (text, waiting.text)
            if match is not None:
                break


@pytest.mark.parametrize("pattern", ["(a+)+$b", "(a|aa)*b", "(a?){40}a{40}b", "a*a*a*a*a*a*b"])
def test_a_pattern_of_many_ways_takes_no_longer(pattern: str) -> None:
    waiting = trigger.Trigger([pattern.encode()], [])
    for _ in range(100):
        assert waiting.find(1, b"aaa") is None
    assert (waiting.find(1, b"b") is None) == ("$" in pattern)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("(", "unterminated"),
        (r"(a+)+\1", "GROUPREF does not go together with repetitions"),
        ("(?=a)b*", "ASSERT does not"),
        ("(?:(?:){9999}){9999}", "longer than 10000 steps"),
    ],
)
def test_a_pattern_that_cannot_be_followed_is_refused(pattern: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        trigger.Trigger([pattern.encode()], [])
