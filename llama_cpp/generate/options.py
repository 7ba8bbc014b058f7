"""The options of a generation, and the sampler that they ask for."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict

from .. import _raw
from ..model.model import LlamaModel
from ..native.arguments import c_number, check_count, check_type, integer
from ..native.peers import unknown_keyword
from ..sampling.answer import Answer
from ..sampling.chain import LlamaSampler
from ..sampling.in_graph import check_not_sampled
from ..sampling.source import Source


class Draft(Protocol):
    """What guesses the next tokens of a text: for ``draft=`` of `Llama.generate`.

    Programs can bring their own. It may also have ``begin(model)``, called with the `LlamaModel`
    when a generation begins, ``accept(drafted, accepted)``, called after each draft that was
    checked with how many tokens it had and how many of them were right, and ``cancel()``, called
    from another thread when the generation is cancelled.

    Whether drafts pay is measured, and they are asked for and checked accordingly. With an
    attribute ``adapt`` that is False, each one is. ``cost`` is a first guess of the time to draft a
    token, where that of a decode of one is 1; by default 0.
    """

    def draft(self, tokens: Sequence[int], n: int, /) -> Sequence[int]:
        """Up to ``n`` tokens that may follow ``tokens``, which are the prompt and all that was
        generated so far (after a ``context_shift`` what the context still has of them). None at
        all is fine: then there is one token the usual way."""
        ...


class SamplingOptions(TypedDict, total=False):
    """How the next token is chosen. Each is ignored when a ``sampler`` is given."""

    temperature: float
    """0 takes the most likely token each time; by default 0.8."""
    top_k: int
    """Only so many of the most likely tokens, 40 by default; 0 for all."""
    top_p: float
    """Only the most likely tokens that together have this probability; by default 0.95."""
    min_p: float
    """Only tokens at least this likely, compared to the likeliest; by default 0.05."""
    seed: int | None
    """Of the random numbers; by default, and with -1, another one each time. Of many prompts that
    share it, each gets the next number."""
    grammar: str | None
    """A GBNF grammar that the text has to follow. Of this and the four below one can be given;
    these need llguidance: ``pip install 'libllama-py[structured]'``."""
    json_schema: Mapping[str, Any] | str | bool | None
    """A JSON schema for the text. The parsed JSON is the ``output`` of the result."""
    regex: str | None
    """A regular expression for the whole text."""
    lark: str | None
    """A grammar for it in llguidance's kind of Lark."""
    output_type: Any
    """A type that the text is to be JSON of: a dataclass, TypedDict, Pydantic model, Literal, list,
    union, or anything else that Pydantic knows. The object is the ``output`` of the result."""
    fast_forward: bool
    """Whether `Llama.generate` drafts the text for which a schema, ``regex`` or ``lark`` leaves no
    choice, so that the model computes several tokens at once. Each is sampled as without. True by
    default; see `llama_cpp.generate.drafts` for whether the logits stay the same to the last bit.
    """
    repeat_penalty: float
    """Divides the logits of tokens that were there already; by default 1.0, which is off."""
    frequency_penalty: float
    """Subtracted from their logits for each time that they were there; by default 0.0."""
    presence_penalty: float
    """Subtracted from their logits once; by default 0.0."""
    penalty_last_n: int
    """How many of the last tokens the penalties count, the prompt's among them; by default 64."""
    logit_bias: Mapping[int | str, float]
    """Added to the logits of tokens, by number, also as digits, or by text; minus infinity
    forbids one."""
    ignore_eos: bool
    """Never end by an end token: only by a limit, a stop string, or a grammar that allows nothing
    else. False by default."""
    min_tokens: int
    """No end token before so many tokens, unless a grammar allows nothing else; by default 0. A
    stop string may end the text earlier."""
    dry_multiplier: float
    """DRY, against the repetition of whole passages: how strong it is; by default 0.0, off."""
    dry_base: float
    """Its penalty grows by this factor with each token that repeats; by default 1.75."""
    dry_allowed_length: int
    """Repetitions of so many tokens are free; by default 2."""
    dry_penalty_last_n: int
    """How many of the last tokens it looks at, the prompt's among them; by default 64."""
    dry_sequence_breakers: Sequence[str]
    """Texts that no repetition goes across; by default a line end, a colon, ``"`` and ``*``."""
    xtc_probability: float
    """XTC: how often the likeliest tokens are left out, all but the last of those over the
    threshold; by default 0.0, off."""
    xtc_threshold: float
    """The probability over which it does so; by default 0.1, and off above 0.5."""
    typical_p: float
    """Only tokens about as surprising as the model expects, which together have this probability;
    by default 1.0, off."""
    top_n_sigma: float
    """Only tokens whose logits are within so many standard deviations of the greatest; by default
    -1.0, off."""
    dynatemp_range: float
    """The temperature goes so far down where the model is sure, and up where it is not; by default
    0.0, off."""
    dynatemp_exponent: float
    """How it follows the entropy; by default 1.0."""
    mirostat: int
    """1 or 2: Mirostat or Mirostat 2.0 chooses the tokens, after `temperature`. As in llama-server,
    penalties and all that leaves tokens out is not used then. By default 0, off."""
    mirostat_tau: float
    """The surprise that it steers towards; by default 5.0."""
    mirostat_eta: float
    """How fast it does so; by default 0.1."""
    samplers: Sequence[str] | None
    """The samplers to use, in their order; by default ``penalties``, ``dry``, ``top_n_sigma``,
    ``top_k``, ``typ_p``, ``top_p``, ``min_p``, ``xtc`` and ``temperature``."""
    model_defaults: bool
    """Whether the model's `sampling_defaults` hold where these options say nothing, and its
    ``vocab.suppress_tokens`` are never generated; True by default."""


class GenerationOptions(SamplingOptions, total=False):
    """Keywords of `Llama.generate` and of all that generates like it."""

    max_tokens: int | None
    """The most tokens to generate; by default until the context is full."""
    stop: str | Sequence[str] | None
    """Strings that end the text before them."""
    parse_special: bool
    """Whether control tokens such as ``<|im_start|>`` are read out of the text of a prompt, and of
    ``stop``. By default they are; in `Llama.chat` and `Llama.infill` they are not."""
    sampler: LlamaSampler | Callable[[], LlamaSampler] | None
    """Chooses the tokens, in place of the options above; or a function that makes it."""
    logprobs: int | None
    """Give the log probability of each token, and of so many of the likeliest in its place, by
    `llama_cpp.log_probs`: the model's own, before any sampler. By default none."""
    prompt_logprobs: int | None
    """Give the log probability of each token of the prompt as well, and of so many of the likeliest
    in its place. All of the prompt is computed then. By default none."""
    timeout: float | None
    """Seconds from the call on, waiting for a place among them, after which it ends with
    LlamaTimeoutError; looked at between two batches."""
    cache_prompt: bool
    """Whether to reuse what the KV cache has of the prompt, and to leave the tokens there for later
    requests, True by default. With `n_seq_max` over 1, False frees their cells at the end, and
    other requests are faster for it."""
    context_shift: bool
    """Whether to go on when the context is full, without `max_tokens` for ever: the first
    ``n_keep`` tokens stay, and of the others the older half is forgotten. The text may lose its
    thread then. False by default. For `Llama.generate` alone."""
    n_keep: int | None
    """See ``context_shift``; by default the prompt, but at most a quarter of the context."""
    draft: Draft | None
    """Guesses tokens, for several to be computed at once; see `llama_cpp.generate.drafts`. Not for
    `Llama.generate_many`."""


_KNOWN = frozenset(GenerationOptions.__annotations__)


def check_options(options: Mapping[str, Any], owner: str) -> None:
    """TypeError for a keyword that no generation has."""
    check_type(options, Mapping)
    if not options.keys() <= _KNOWN:
        wrong = next(name for name in options if name not in _KNOWN)
        raise unknown_keyword(wrong, [*GenerationOptions.__annotations__], owner)
    if owner != "generate" and options.get("context_shift"):
        raise TypeError(f"{owner} does not shift the context")
    if owner != "generate" and options.get("draft") is not None:
        raise TypeError(f"{owner} takes no draft: it computes several tokens at once already")


def with_seed(options: Mapping[str, Any], i: int) -> dict[str, Any]:
    """``options`` for text ``i`` of several: one seed for all would give them the same numbers."""
    seed = options.get("seed")
    own = {"seed": (seed + i) % (1 << 32)} if isinstance(seed, int) and seed >= 0 else {}
    return {**options, **own}


# In the order of upstream's programs.
_SAMPLERS = (
    *("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc"),
    "temperature",
)
# What is off by default, in the order of `LlamaSampler.penalties` and of `LlamaSampler.dry`.
_PENALTIES = {
    "penalty_last_n": 64,
    "repeat_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
}
_DRY = {
    "dry_multiplier": 0.0,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": 64,
    "dry_sequence_breakers": ("\n", ":", '"', "*"),
}


def _values(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[Any]:
    return [options.get(name, default) for name, default in defaults.items()]


def _one_token(model: LlamaModel, token: int | str) -> int:
    if not isinstance(token, str) or (token.isascii() and token.isdigit()):
        return int(token) if isinstance(token, str) else token  # JSON has no other keys
    tokens = model.tokenize(token, add_special=False, parse_special=True)
    if len(tokens) != 1:
        raise ValueError(f"logit_bias: {token!r} is not one token but {len(tokens)}: {tokens}")
    return tokens[0]


class Greedy:
    """Chooses the likeliest token each time, without a chain."""

    def choose(self, source: Source, i: int) -> int:
        """As `LlamaSampler.choose`."""
        handle = source.opened().handle
        source.enter()
        try:
            i = source.check_output(i)
            if source.samplers:
                check_not_sampled(source, handle, i)
            return source.likeliest.always(handle, i)
        finally:
            source.leave()

    def close(self) -> None:
        """It has nothing to free."""


_GREEDY = Greedy()
# With a temperature of 0, these do not change which token is chosen.
_WITHOUT_EFFECT = frozenset(
    {"temperature", "seed", "top_k", "top_p", "min_p", "model_defaults", "max_tokens", "stop"}
    | {"parse_special", "timeout", "cache_prompt", "logprobs", "prompt_logprobs", "fast_forward"}
    | {"context_shift", "n_keep", "draft"}
)


def with_defaults(model: LlamaModel, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """``options`` and, where they allow it, what the model says of sampling."""
    if c_number(ctypes.c_bool, options.get("model_defaults", True), "model_defaults"):
        return {**model.sampling_defaults, **options}
    return options


def make_sampler(
    model: LlamaModel, options: Mapping[str, Any], answer: Answer, prompt: Sequence[int]
) -> LlamaSampler | Greedy:
    """The sampler that ``options`` ask for, when they do not bring one, for such an ``answer`` to
    ``prompt``. The chain is that of upstream's ``common_sampler_init``."""
    given = options.get("temperature")
    plain = isinstance(given, int | float) and given == 0 and options.keys() <= _WITHOUT_EFFECT
    if plain and not (options.get("model_defaults", True) and model.vocab.suppress_tokens):
        return _GREEDY
    chain = LlamaSampler.chain(model.library)
    answer.constrain(chain, model)
    biases = _constrain_end(chain, model, options, answer)
    if options.get("logit_bias"):
        check_type(options["logit_bias"], Mapping)
        given = options["logit_bias"].items()
        biases = {_one_token(model, token): bias for token, bias in given} | biases
    if biases:
        chain.logit_bias(model, biases)
    temperature = c_number(ctypes.c_float, options.get("temperature", 0.8), "temperature")
    seed = options.get("seed")
    seed = _raw.LLAMA_DEFAULT_SEED if seed in (None, -1) else seed
    mirostat = integer(options.get("mirostat", 0), "mirostat")
    if mirostat not in (0, 1, 2):
        raise ValueError(f"mirostat={mirostat} is not 0, 1 or 2")
    if mirostat:
        steering = options.get("mirostat_tau", 5.0), options.get("mirostat_eta", 0.1)
        chain.temp(temperature)
        if mirostat == 1:
            return chain.mirostat(model, seed, *steering)
        return chain.mirostat_v2(seed, *steering)
    order = _order(options)
    unlike = {"typical_p": 1.0, "xtc_probability": 0.0, "dynatemp_range": 0.0}
    greedy = temperature <= 0 and "temperature" in order
    greedy = greedy and _values(options, unlike) == [*unlike.values()]
    for name in order:
        if not greedy or name in ("penalties", "dry"):
            _add(chain, model, name, options, temperature, seed)
    counted = {"penalties": "penalty_last_n", "dry": "dry_penalty_last_n"}
    last = max([options.get(counted[name], 64) for name in chain.names if name in counted] or [0])
    for token in prompt[-last:] if last else ():
        chain.accept(token, grammar=False)
    return chain.greedy() if greedy else chain.dist(seed)


def _order(options: Mapping[str, Any]) -> Sequence[str]:
    order = options.get("samplers")
    if order is None:
        return _SAMPLERS
    check_type(order, Sequence)
    if isinstance(order, str) or not all(name in _SAMPLERS for name in order):
        raise ValueError(f"samplers must be a list of {', '.join(_SAMPLERS)}, not {order!r}")
    return list(order)


def _add(
    chain: LlamaSampler,
    model: LlamaModel,
    name: str,
    options: Mapping[str, Any],
    temperature: float,
    seed: int,
) -> None:
    """Add the sampler ``name`` to ``chain``, if the options do not turn it off."""
    get = options.get
    if name == "penalties":
        if not _PENALTIES.keys().isdisjoint(options):
            penalties = _values(options, _PENALTIES)
            if penalties[1:] != [*_PENALTIES.values()][1:]:
                chain.penalties(model, *penalties)
    elif name == "dry":
        if get("dry_multiplier", 0.0) != 0.0:
            chain.dry(model, *_values(options, _DRY))
    elif name == "top_n_sigma":
        if (sigma := get("top_n_sigma", -1.0)) != -1.0:
            chain.top_n_sigma(sigma)
    elif name == "top_k":
        chain.top_k(get("top_k", 40))
    elif name == "typ_p":
        if (typical := get("typical_p", 1.0)) != 1.0:
            chain.typical(typical)
    elif name == "top_p":
        chain.top_p(get("top_p", 0.95))
    elif name == "min_p":
        chain.min_p(get("min_p", 0.05))
    elif name == "xtc":
        if (xtc := get("xtc_probability", 0.0)) != 0.0:
            chain.xtc(xtc, get("xtc_threshold", 0.1), seed=seed)
    elif (spread := get("dynatemp_range", 0.0)) != 0.0:
        chain.temp_ext(temperature, spread, get("dynatemp_exponent", 1.0))
    else:
        chain.temp(temperature)


def _constrain_end(
    chain: LlamaSampler, model: LlamaModel, options: Mapping[str, Any], answer: Answer
) -> dict[int, float]:
    """Have ``chain`` keep to ``min_tokens`` and ``ignore_eos``. Returns the biases of the tokens
    that the model must not, or is not to, choose."""
    suppressed = model.vocab.suppress_tokens if options.get("model_defaults", True) else []
    biases = dict.fromkeys(suppressed, -math.inf)
    least, most = options.get("min_tokens", 0), options.get("max_tokens")
    check_count(least, "min_tokens")
    if most is not None and least > most:
        raise ValueError(f"min_tokens={least} is more than max_tokens={most}")
    if c_number(ctypes.c_bool, options.get("ignore_eos", False), "ignore_eos"):
        if answer.kind is None:
            return biases | dict.fromkeys(model.vocab.eog_tokens, -math.inf)
        least = sys.maxsize  # a grammar that has come to its end may end the text
    if least:
        chain.min_tokens(model, least)
    return biases
