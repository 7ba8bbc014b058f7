"""Sampler chains: from logits to the next token."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import _log, _raw
from ._arguments import c_number, set_params
from ._grammar import Grammar, Trigger
from ._params import KEYWORDS
from ._resource import Closable, Resource
from ._samplers import SELECTORS, SamplerMethods
from .context import LlamaContext
from .errors import LlamaBusyError, LlamaSamplerError
from .library import LlamaLibrary

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._params import LlamaSamplerChainParams
    from .model import LlamaModel

_PREFIX = "llama_sampler_init_"
# What would fill the memory (the library allocates room for so many tokens at once), be taken for
# "off" without a word, or make logits infinite, which the library's sorting does not bear.
_RANGES: dict[str, tuple[float, float]] = {
    "penalty_last_n": (0, 1 << 20),
    "dry_penalty_last_n": (0, 1 << 20),
    "dry_allowed_length": (0, 1 << 20),
    "penalty_repeat": (1e-3, 1e3),
    "penalty_freq": (-1e6, 1e6),
    "penalty_present": (-1e6, 1e6),
    "dry_multiplier": (-1e6, 1e6),
}
_TEMPERATURES = {("temp", "t"), ("temp_ext", "t")}
_COLDEST = 1e-6
_MAX_INFILL = 1000


class LlamaSampler(SamplerMethods, Closable):
    """A chain of samplers, each working on what the one before it left.

    >>> sampler = LlamaSampler.chain().top_k(40).top_p(0.95).temp(0.8).dist(seed=42)

    The last one has to select a token: ``greedy``, ``dist``, a ``mirostat`` or ``adaptive_p``.
    Every sampler of llama.h is a method (see `llama_cpp._samplers`), with the C function's
    parameters.
    """

    def __init__(
        self, library: LlamaLibrary | None = None, **params: Unpack[LlamaSamplerChainParams]
    ) -> None:
        if not isinstance(library, LlamaLibrary | None):
            raise TypeError(f"library must be a LlamaLibrary, not {library!r}")
        self._library = library or LlamaLibrary.default()
        short = self._library.short
        raw = short.llama_sampler_chain_default_params()
        set_params(raw, KEYWORDS["llama_sampler_chain_params"], params, "LlamaSampler")
        chain = short.llama_sampler_chain_init(raw)
        if not chain:
            raise LlamaSamplerError("the library could not make a sampler chain")
        # What the samplers in it refer to: models and grammars.
        self._keep: list[object] = []
        self._resource: Resource | None = Resource(chain, short.llama_sampler_free, self._keep)
        self._names: list[str] = []
        self._grammars: list[Grammar] = []
        self._n_tokens: int | None = None
        self._few = 1 << 31  # the most candidates that a top_k has left
        self._sample = short.llama_sampler_sample

    @classmethod
    def chain(
        cls, library: LlamaLibrary | None = None, **params: Unpack[LlamaSamplerChainParams]
    ) -> Self:
        """An empty chain, to append samplers to. C: ``llama_sampler_chain_init``."""
        return cls(library, **params)

    def _append(self, name: str, model: LlamaModel | None, /, **arguments: Any) -> Self:
        self._open()
        method = name.removeprefix(_PREFIX)
        if self._names and self._names[-1] in SELECTORS:
            raise LlamaSamplerError(
                f"{method} cannot come behind {self._names[-1]}, which selects the token"
            )
        types = _raw.FUNCTIONS[name].argtypes
        for (parameter, value), ctype in zip(arguments.items(), types, strict=True):
            arguments[parameter] = _checked(ctype, value, parameter, method)
        if model is not None:
            if model.library is not self._library:
                raise LlamaSamplerError("the chain and the model belong to different libraries")
            model.vocab._with_tokens()
            self._check_model(model)
            for token in _tokens_in(arguments):
                model.vocab.check_token(token)
        if "grammar_str" in arguments and model is not None:
            sampler = self._grammar(model, arguments)
        else:
            self._check_place(method, model)
            with _log.heard() as said:
                sampler = getattr(self._library.short, name)(*arguments.values())
            if not sampler:
                raise LlamaSamplerError(
                    f"{method}: " + _log.reason(said, "the library did not make this sampler")
                )
        if model is not None:
            self._keep.append(model._open())
        self._library.short.llama_sampler_chain_add(self._open().handle, sampler)
        self._names.append(method)
        if method == "top_k" and arguments["k"] > 0:
            self._few = min(self._few, arguments["k"])
        return self

    def _grammar(self, model: LlamaModel, arguments: Mapping[str, Any]) -> Any:
        patterns = list(arguments.get("trigger_patterns", ()))
        words = list(arguments.get("trigger_words", ()))
        if b"" in words:
            raise ValueError("an empty trigger word would trigger at once: use grammar instead")
        if words:
            patterns.append(b"|".join(re.escape(word) for word in words))
        lazy = "trigger_tokens" in arguments
        trigger = Trigger(patterns, list(arguments["trigger_tokens"])) if lazy else None
        text, root = arguments["grammar_str"], arguments["grammar_root"]
        grammar = Grammar(self._library, model, text, root, trigger)
        sampler = grammar.stand_in()
        self._keep.append(grammar)
        self._grammars.append(grammar)
        return sampler

    def _check_model(self, model: LlamaModel) -> None:
        """A token of one vocabulary can be out of range in another, which ends the process."""
        n_tokens = model.vocab.n_tokens
        if self._n_tokens not in (None, n_tokens):
            raise LlamaSamplerError(
                f"the chain has samplers for a vocabulary of {self._n_tokens} tokens, and "
                f"{model.path.name} has {n_tokens}"
            )
        self._n_tokens = n_tokens

    def _check_place(self, method: str, model: LlamaModel | None) -> None:
        if method == "infill" and model is not None:
            if self._few > _MAX_INFILL:
                raise LlamaSamplerError(
                    "infill compares every candidate with every other: put a top_k of at most "
                    f"{_MAX_INFILL} before it"
                )
            if model.vocab.eot is None and model.vocab.eos is None:
                raise LlamaSamplerError(f"infill: {model.path.name} has no token that ends a text")

    # -- lifetime

    @property
    def handle(self) -> Any:
        """The C object, for `llama_cpp._raw` and the functions of the library."""
        return self._open().handle

    def close(self) -> None:
        """Free it, and the samplers in it."""
        super().close()
        self._grammars = []
        self._keep = []

    def _name(self) -> str:
        return "the sampler"

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        inner = " -> ".join(self._names) or "empty"
        return f"<LlamaSampler {'closed' if self.closed else inner}>"

    # -- use

    def sample(self, ctx: LlamaContext, i: int = -1) -> int:
        """Choose the next token from the output at index ``i`` of the last decode, and tell the
        samplers of the choice. -1 is the last output.

        Raises LlamaSamplerError for a chain that cannot select, and when a grammar allows none of
        the tokens that were left; LlamaOutputError when that output was not computed;
        LlamaBusyError when another thread is in the context. C: ``llama_sampler_sample``, llama.h.
        """
        chain = self._open()
        if not self._names or self._names[-1] not in SELECTORS:
            raise LlamaSamplerError(
                f"the chain {self!r} selects no token: end it with one of "
                + ", ".join(sorted(SELECTORS))
            )
        if not isinstance(ctx, LlamaContext):
            raise TypeError(f"expected a LlamaContext, not {type(ctx).__name__}: {ctx!r}")
        if ctx._library is not self._library:
            raise LlamaSamplerError("the chain and the context belong to different libraries")
        if self._n_tokens is not None and self._n_tokens != ctx._n_vocab:
            raise LlamaSamplerError(
                f"the chain is for a vocabulary of {self._n_tokens} tokens, the context's model "
                f"has {ctx._n_vocab}"
            )
        resource = ctx._open()
        i = ctx._check_output(i)
        if not ctx._lock.acquire(blocking=False):
            raise LlamaBusyError("another thread is using this context")
        try:
            token = int(self._sample(chain.handle, resource.handle, i))
        finally:
            ctx._lock.release()
        if self._grammars:
            for grammar in self._grammars:
                grammar.check(token)
            for grammar in self._grammars:
                grammar.accept(token)
        return token

    def reset(self) -> None:
        """Forget the tokens sampled so far, and start the random numbers again.
        C: ``llama_sampler_reset``."""
        self._library.short.llama_sampler_reset(self._open().handle)
        for grammar in self._grammars:
            grammar.reset()


def _checked(ctype: Any, value: Any, parameter: str, method: str) -> Any:
    """``value`` for C, if it is what the parameter takes and does no harm."""
    name = f"{method}: {parameter}"
    number = c_number(ctype, value, name)
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{name}={number} must be a finite number")
    if parameter in _RANGES and not (_RANGES[parameter][0] <= number <= _RANGES[parameter][1]):
        low, high = _RANGES[parameter]
        raise ValueError(f"{name}={number} is outside {low} to {high}")
    if (method, parameter) in _TEMPERATURES and 0 < number < _COLDEST:
        raise ValueError(f"{name}={number} is too near to 0: 0 itself takes the likeliest token")
    return number


def _tokens_in(arguments: Mapping[str, Any]) -> list[int]:
    """The tokens among a sampler's arguments. ValueError for a bias that is no number."""
    biases = arguments.get("logit_bias", ())
    for bias in biases:
        if bias.bias == math.inf:
            raise ValueError(f"logit_bias: the bias of token {bias.token} is infinite")
    return [*arguments.get("trigger_tokens", ()), *(bias.token for bias in biases)]
