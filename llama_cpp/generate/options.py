"""The options of a generation, and the sampler that they ask for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict

from .. import _raw
from ..model.model import LlamaModel
from ..native.arguments import c_number, check_type, unknown_keyword
from ..sampling.answer import Answer
from ..sampling.chain import LlamaSampler


class Draft(Protocol):
    """What guesses the next tokens of a text: for ``draft=`` of `Llama.generate`.

    Programs can bring their own. It may also have ``begin(model)``, called with the `LlamaModel`
    when a generation begins, ``accept(drafted, accepted)``, called after each draft that was
    checked with how many tokens it had and how many of them were right, and ``cancel()``, called
    from another thread when the generation is cancelled.
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
    these need llguidance: ``pip install 'llama-py[structured]'``."""
    json_schema: Mapping[str, Any] | str | bool | None
    """A JSON schema for the text. The parsed JSON is the ``output`` of the result."""
    regex: str | None
    """A regular expression for the whole text."""
    lark: str | None
    """A grammar for it in llguidance's kind of Lark."""
    output_type: Any
    """A type that the text is to be JSON of: a dataclass, TypedDict, Pydantic model, Literal, list,
    union, or anything else that Pydantic knows. The object is the ``output`` of the result."""
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


class GenerationOptions(SamplingOptions, total=False):
    """Keywords of `Llama.generate` and of all that generates like it."""

    max_tokens: int | None
    """The most tokens to generate; by default until the context is full."""
    stop: str | Sequence[str] | None
    """Strings that end the text before them."""
    sampler: LlamaSampler | Callable[[], LlamaSampler] | None
    """Chooses the tokens, in place of the options above; or a function that makes it."""
    logprobs: int | None
    """Give the log probability of each token, and of so many of the likeliest in its place, by
    `llama_cpp.log_probs`: the model's own, before any sampler. By default none."""
    cache_prompt: bool
    """Whether to reuse what the KV cache has of the prompt, True by default."""
    context_shift: bool
    """Whether to go on when the context is full, without `max_tokens` for ever: the first
    ``n_keep`` tokens stay, and of the others the older half is forgotten. The text may lose its
    thread then. False by default. For `Llama.generate` alone."""
    n_keep: int | None
    """See ``context_shift``; by default the prompt, but at most a quarter of the context."""
    draft: Draft | None
    """Guesses tokens, for several to be computed at once; see `llama_cpp.generate.drafts`. Not for
    `Llama.generate_many`."""


_KNOWN = tuple(GenerationOptions.__annotations__)


def check_options(options: Mapping[str, Any], owner: str) -> None:
    """TypeError for a keyword that no generation has."""
    check_type(options, Mapping)
    for name in options:
        if name not in _KNOWN:
            raise unknown_keyword(name, _KNOWN, owner)
    if owner != "generate" and options.get("context_shift"):
        raise TypeError(f"{owner} does not shift the context")
    if owner != "generate" and options.get("draft") is not None:
        raise TypeError(f"{owner} takes no draft: it computes several tokens at once already")


_PENALTIES = {"repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}


def _one_token(model: LlamaModel, token: int | str) -> int:
    if not isinstance(token, str) or (token.isascii() and token.isdigit()):
        return int(token) if isinstance(token, str) else token  # JSON has no other keys
    tokens = model.tokenize(token, add_special=False, parse_special=True)
    if len(tokens) != 1:
        raise ValueError(f"logit_bias: {token!r} is not one token but {len(tokens)}: {tokens}")
    return tokens[0]


def make_sampler(model: LlamaModel, options: Mapping[str, Any], answer: Answer) -> LlamaSampler:
    """The sampler that ``options`` ask for, when they do not bring one, for such an ``answer``."""
    chain = LlamaSampler.chain(model.library)
    answer.constrain(chain, model)
    if options.get("logit_bias"):
        check_type(options["logit_bias"], Mapping)
        biases = options["logit_bias"].items()
        chain.logit_bias(model, {_one_token(model, token): bias for token, bias in biases})
    penalties = tuple(options.get(name, default) for name, default in _PENALTIES.items())
    if penalties != tuple(_PENALTIES.values()):
        chain.penalties(model, options.get("penalty_last_n", 64), *penalties)
    temperature = c_number(ctypes.c_float, options.get("temperature", 0.8), "temperature")
    if temperature <= 0:
        return chain.greedy()
    chain.top_k(options.get("top_k", 40)).top_p(options.get("top_p", 0.95))
    chain.min_p(options.get("min_p", 0.05)).temp(temperature)
    seed = options.get("seed")
    return chain.dist(_raw.LLAMA_DEFAULT_SEED if seed in (None, -1) else seed)
