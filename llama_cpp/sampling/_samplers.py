"""A sampler-chain method for each ``llama_sampler_init_*`` of llama.cpp.

Generated from ggml.h, ggml-alloc.h, ggml-backend.h, ggml-cpu.h, ggml-opt.h, gguf.h, llama.h
by ``python -m codegen regen``. Do not edit: change the header, the templates or the generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _raw
from ..model.model import vocab_of
from ..native.arguments import c_array, c_string, c_strings

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..model.model import LlamaModel

# The samplers that choose a token: a chain has one of them, at its end
SELECTORS = frozenset(["greedy", "dist", "mirostat", "mirostat_v2", "adaptive_p"])
# Those that remove candidates: a grammar goes before them
TRUNCATING = frozenset(["top_k", "top_p", "min_p", "typical", "xtc", "top_n_sigma", "infill"])


class SamplerMethods:
    """Each method appends the sampler of its name and returns the chain."""

    def _append(self, name: str, model: LlamaModel | None, /, **arguments: Any) -> Self:
        """Make the sampler by the C function ``name``, whose parameters are ``arguments``, and add
        it to the chain. ``model`` is what it takes its vocabulary from."""
        raise NotImplementedError

    def greedy(self) -> Self:
        """Select the most likely token. Ends a chain.

        C: ``struct llama_sampler *llama_sampler_init_greedy(void)``, llama.h.
        """
        return self._append("llama_sampler_init_greedy", None)

    def dist(self, seed: int = _raw.LLAMA_DEFAULT_SEED) -> Self:
        """Select a token at random, by probability. Ends a chain.

        C: ``struct llama_sampler *llama_sampler_init_dist(uint32_t seed)``, llama.h.
        """
        return self._append("llama_sampler_init_dist", None, seed=seed)

    def top_k(self, k: int) -> Self:
        """Keep the `k` most likely tokens; `k <= 0` keeps all.

        C: ``struct llama_sampler *llama_sampler_init_top_k(int32_t k)``, llama.h.
        """
        return self._append("llama_sampler_init_top_k", None, k=k)

    def top_p(self, p: float, min_keep: int = 1) -> Self:
        """Keep the most likely tokens whose probabilities add up to `p`, but at least `min_keep`.

        C: ``struct llama_sampler *llama_sampler_init_top_p(float p, size_t min_keep)``, llama.h.
        """
        return self._append("llama_sampler_init_top_p", None, p=p, min_keep=min_keep)

    def min_p(self, p: float, min_keep: int = 1) -> Self:
        """Keep the tokens at least `p` times as likely as the likeliest, but at least `min_keep`.

        C: ``struct llama_sampler *llama_sampler_init_min_p(float p, size_t min_keep)``, llama.h.
        """
        return self._append("llama_sampler_init_min_p", None, p=p, min_keep=min_keep)

    def typical(self, p: float, min_keep: int = 1) -> Self:
        """Keep the locally typical tokens up to a total probability of `p`, but at least `min_keep`.

        C: ``struct llama_sampler *llama_sampler_init_typical(float p, size_t min_keep)``, llama.h.
        """
        return self._append("llama_sampler_init_typical", None, p=p, min_keep=min_keep)

    def temp(self, t: float) -> Self:
        """Divide the logits by the temperature `t`; `t <= 0` keeps the most likely token alone.

        C: ``struct llama_sampler *llama_sampler_init_temp(float t)``, llama.h.
        """
        return self._append("llama_sampler_init_temp", None, t=t)

    def temp_ext(self, t: float, delta: float, exponent: float) -> Self:
        """Temperature that varies with the entropy, within `delta` of `t`; `exponent` shapes the curve.

        C: ``struct llama_sampler *llama_sampler_init_temp_ext(float t, float delta, float exponent)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_temp_ext", None, t=t, delta=delta, exponent=exponent
        )

    def xtc(
        self, p: float, t: float, min_keep: int = 1, seed: int = _raw.LLAMA_DEFAULT_SEED
    ) -> Self:
        """With chance `p`, drop all tokens above the probability `t` but the least likely of them.

        C: ``struct llama_sampler *llama_sampler_init_xtc(float p, float t, size_t min_keep, uint32_t seed)``, llama.h.
        """
        return self._append("llama_sampler_init_xtc", None, p=p, t=t, min_keep=min_keep, seed=seed)

    def top_n_sigma(self, n: float) -> Self:
        """Keep the tokens whose logits are within `n` standard deviations of the largest.

        C: ``struct llama_sampler *llama_sampler_init_top_n_sigma(float n)``, llama.h.
        """
        return self._append("llama_sampler_init_top_n_sigma", None, n=n)

    def mirostat(
        self,
        model: LlamaModel,
        seed: int = _raw.LLAMA_DEFAULT_SEED,
        tau: float = 5.0,
        eta: float = 0.1,
        m: int = 100,
    ) -> Self:
        """Mirostat: steer towards a surprise of `tau`, at the rate `eta`. Selects, so it ends a chain.

        C: ``struct llama_sampler *llama_sampler_init_mirostat(int32_t n_vocab, uint32_t seed, float tau, float eta, int32_t m)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_mirostat",
            model,
            n_vocab=vocab_of(model).n_tokens,
            seed=seed,
            tau=tau,
            eta=eta,
            m=m,
        )

    def mirostat_v2(
        self, seed: int = _raw.LLAMA_DEFAULT_SEED, tau: float = 5.0, eta: float = 0.1
    ) -> Self:
        """Mirostat 2.0: steer towards a surprise of `tau`, at the rate `eta`. Ends a chain.

        C: ``struct llama_sampler *llama_sampler_init_mirostat_v2(uint32_t seed, float tau, float eta)``, llama.h.
        """
        return self._append("llama_sampler_init_mirostat_v2", None, seed=seed, tau=tau, eta=eta)

    def grammar(self, model: LlamaModel, grammar_str: str, grammar_root: str = "root") -> Self:
        """Allow only what the GBNF grammar `grammar_str` allows, starting from the rule `grammar_root`.

        C: ``struct llama_sampler *llama_sampler_init_grammar(const struct llama_vocab *vocab, const char *grammar_str, const char *grammar_root)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_grammar",
            model,
            vocab=vocab_of(model).handle,
            grammar_str=c_string(grammar_str),
            grammar_root=c_string(grammar_root),
        )

    def grammar_lazy(
        self,
        model: LlamaModel,
        grammar_str: str,
        grammar_root: str = "root",
        trigger_words: Sequence[str] = (),
        trigger_tokens: Sequence[int] = (),
    ) -> Self:
        """A grammar that begins to rule once one of the trigger words or tokens has been generated.

        C: ``struct llama_sampler *llama_sampler_init_grammar_lazy(const struct llama_vocab *vocab, const char *grammar_str, const char *grammar_root, const char **trigger_words, size_t num_trigger_words, const llama_token *trigger_tokens, size_t num_trigger_tokens)``, llama.h.
        Deprecated: use `grammar_lazy_patterns`.
        """
        return self._append(
            "llama_sampler_init_grammar_lazy",
            model,
            vocab=vocab_of(model).handle,
            grammar_str=c_string(grammar_str),
            grammar_root=c_string(grammar_root),
            trigger_words=c_strings(trigger_words),
            num_trigger_words=len(trigger_words),
            trigger_tokens=c_array(_raw.llama_token, trigger_tokens),
            num_trigger_tokens=len(trigger_tokens),
        )

    def grammar_lazy_patterns(
        self,
        model: LlamaModel,
        grammar_str: str,
        grammar_root: str = "root",
        trigger_patterns: Sequence[str] = (),
        trigger_tokens: Sequence[int] = (),
    ) -> Self:
        """A grammar that begins to rule at a trigger token, or once a trigger pattern (a regular expression of Python, for the text in UTF-8) is found: where its first group begins, or the match.

        C: ``struct llama_sampler *llama_sampler_init_grammar_lazy_patterns(const struct llama_vocab *vocab, const char *grammar_str, const char *grammar_root, const char **trigger_patterns, size_t num_trigger_patterns, const llama_token *trigger_tokens, size_t num_trigger_tokens)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_grammar_lazy_patterns",
            model,
            vocab=vocab_of(model).handle,
            grammar_str=c_string(grammar_str),
            grammar_root=c_string(grammar_root),
            trigger_patterns=c_strings(trigger_patterns),
            num_trigger_patterns=len(trigger_patterns),
            trigger_tokens=c_array(_raw.llama_token, trigger_tokens),
            num_trigger_tokens=len(trigger_tokens),
        )

    def penalties(
        self,
        model: LlamaModel,
        penalty_last_n: int = 64,
        penalty_repeat: float = 1.0,
        penalty_freq: float = 0.0,
        penalty_present: float = 0.0,
    ) -> Self:
        """Penalise tokens seen in the last `penalty_last_n`; a repeat penalty of 1.0 and the others at 0.0 are off.

        C: ``struct llama_sampler *llama_sampler_init_penalties(int32_t n_vocab, int32_t penalty_last_n, float penalty_repeat, float penalty_freq, float penalty_present)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_penalties",
            model,
            n_vocab=vocab_of(model).n_tokens,
            penalty_last_n=penalty_last_n,
            penalty_repeat=penalty_repeat,
            penalty_freq=penalty_freq,
            penalty_present=penalty_present,
        )

    def dry(
        self,
        model: LlamaModel,
        dry_multiplier: float,
        dry_base: float = 1.75,
        dry_allowed_length: int = 2,
        dry_penalty_last_n: int = 64,
        seq_breakers: Sequence[str] = (
            "\n",
            ":",
            '"',
            "*",
        ),
    ) -> Self:
        """Penalise tokens that would lengthen a repetition of at least `dry_allowed_length` tokens.

        C: ``struct llama_sampler *llama_sampler_init_dry(const struct llama_vocab *vocab, float dry_multiplier, float dry_base, int32_t dry_allowed_length, int32_t dry_penalty_last_n, const char **seq_breakers, size_t num_breakers)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_dry",
            model,
            vocab=vocab_of(model).handle,
            dry_multiplier=dry_multiplier,
            dry_base=dry_base,
            dry_allowed_length=dry_allowed_length,
            dry_penalty_last_n=dry_penalty_last_n,
            seq_breakers=c_strings(seq_breakers),
            num_breakers=len(seq_breakers),
        )

    def adaptive_p(
        self, target: float, decay: float = 0.9, seed: int = _raw.LLAMA_DEFAULT_SEED
    ) -> Self:
        """Select tokens near the probability `target`, averaged over time. Ends a chain.

        C: ``struct llama_sampler *llama_sampler_init_adaptive_p(float target, float decay, uint32_t seed)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_adaptive_p", None, target=target, decay=decay, seed=seed
        )

    def logit_bias(
        self, model: LlamaModel, logit_bias: Mapping[int, float] | Sequence[tuple[int, float]]
    ) -> Self:
        """Add a bias to the logits of the given tokens; minus infinity forbids one.

        C: ``struct llama_sampler *llama_sampler_init_logit_bias(int32_t n_vocab, int32_t n_logit_bias, const llama_logit_bias *logit_bias)``, llama.h.
        """
        return self._append(
            "llama_sampler_init_logit_bias",
            model,
            n_vocab=vocab_of(model).n_tokens,
            n_logit_bias=len(logit_bias),
            logit_bias=c_array(_raw.llama_logit_bias, logit_bias),
        )

    def infill(self, model: LlamaModel) -> Self:
        """Prefer whole words and an early end, for text that fills a gap. Needs a top_k before it.

        C: ``struct llama_sampler *llama_sampler_init_infill(const struct llama_vocab *vocab)``, llama.h.
        """
        return self._append("llama_sampler_init_infill", model, vocab=vocab_of(model).handle)
# seal: b11549 sha256:f9a7fb959a630046f6c7d79b355dce084d992546d3e98581c58c56a55ae3aa35
