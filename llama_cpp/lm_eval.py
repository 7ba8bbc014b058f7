"""A model in this process for EleutherAI's lm-evaluation-harness. It needs the extra ``eval``.

import lm_eval
from llama_cpp import Llama
from llama_cpp.lm_eval import LlamaLM

results = lm_eval.simple_evaluate(LlamaLM(Llama("model.gguf")), tasks=["hellaswag"], limit=100)
"""

from __future__ import annotations

from typing import Any

try:
    from lm_eval.api.model import LM  # pyright: ignore[reportMissingImports]
    from lm_eval.utils import (  # pyright: ignore[reportMissingImports]
        get_rolling_token_windows,
        make_disjoint_window,
    )
    from tqdm import tqdm
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"llama_cpp.lm_eval needs {error.name}: pip install 'libllama-py[eval]'", name=error.name
    ) from error

from . import generate
from .native.arguments import check_type

_MAX_TOKENS = 256  # of an answer, for a task that does not say it


class LlamaLM(LM):  # type: ignore[misc]
    """A `Llama` as a model of lm-evaluation-harness: for ``lm_eval.simple_evaluate(model=...)``.

    Log probabilities are those of `Llama.score`, of the tokens that the harness counts. Of a text
    that is longer than the context, the beginning is left out. Answers are computed side by side
    if the `Llama` has ``n_seq_max``.
    """

    def __init__(self, llm: generate.Llama) -> None:
        """TypeError for an ``llm`` that is not a `Llama`. It stays open."""
        super().__init__()
        check_type(llm, generate.Llama)
        self.llm = llm
        """The `Llama`."""
        model, ctx = llm.model, llm.ctx
        start, end = model.vocab.bos, model.vocab.eos
        self._start = [token for token in (start, end) if token is not None][:1]
        """Stands before a text that nothing precedes."""
        self._room = ctx.n_ctx_seq

    @property
    def tokenizer_name(self) -> str:
        """The model's name, for the harness's caches."""
        return str(self.llm.model.path.stem)

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The model's template, for the harness's records. TypeError for another's name."""
        if isinstance(chat_template, str):
            raise TypeError("the model's own template is used: give chat_template=True")
        return (self.llm.model.chat_template or "") if chat_template else ""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The messages ``chat_history`` as text, by the model's template."""
        model = self.llm.model
        return generate.apply_chat_template(
            model, chat_history, add_assistant=add_generation_prompt
        )

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """The log probability of each continuation after its context, and whether it is the
        likeliest."""
        pairs = [self._pair(*request.args) for request in requests]
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, (start, _) in enumerate(pairs):
            groups.setdefault(tuple(start), []).append(i)
        found: list[Any] = [None] * len(pairs)
        # Sorted, so that one context follows another with the same beginning.
        for start in tqdm(sorted(groups), desc="loglikelihood", disable=disable_tqdm):
            members = groups[start]
            scores = self.llm.score(start, [pairs[i][1] for i in members])
            for i, score in zip(members, scores, strict=True):
                found[i] = (score.logprob, score.greedy)
                self.cache_hook.add_partial("loglikelihood", requests[i].args, found[i])
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """The log probability of each whole text."""
        found = []
        for request in tqdm(requests, desc="loglikelihood_rolling", disable=disable_tqdm):
            tokens = self.llm.tokenize(request.args[0], add_special=False)
            windows = get_rolling_token_windows(tokens, self._prefix(), self._room, 1)
            pairs = map(make_disjoint_window, windows)
            found.append(sum(self.llm.score(start, [own])[0].logprob for start, own in pairs))
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, found[-1])
        return found

    def generate_until(self, requests: list[Any]) -> list[str]:
        """The answer to each context, until one of the task's ``until``."""
        prompts: list[list[int]] = []
        options: list[Any] = []
        for context, given in (request.args for request in requests):
            own = _options(dict(given))
            room = max(1, self._room - own["max_tokens"])
            prompts.append(self.llm.model.tokenize_prompt(context)[-room:])
            options.append(own)
        texts = [done.text for done in self.llm.complete_many(prompts, options)]
        for request, text in zip(requests, texts, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return texts

    def _prefix(self) -> int:
        if not self._start:
            raise ValueError(f"{self.tokenizer_name} has no token that begins or ends a text")
        return self._start[0]

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """The tokens of both. The border is that of the harness: spaces at the context's end
        belong to the continuation, as a token begins with a space but does not end with one."""
        model, before = self.llm.model, context.rstrip()
        whole = context + continuation
        if before:
            n, tokens = len(model.tokenize_prompt(before)), model.tokenize_prompt(whole)
        else:
            n, tokens = 1, [self._prefix(), *model.tokenize(whole, add_special=False)]
        own = tokens[n:][-self._room :]
        return tokens[:n][-(self._room + 1 - len(own)) :], own


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """The harness's options of a generation as ours."""
    until = given.pop("until", ())
    own = {"max_tokens": given.pop("max_gen_toks", _MAX_TOKENS)}
    if not given.pop("do_sample", False):
        given["temperature"] = 0
    return {**own, **given, "stop": [until] if isinstance(until, str) else list(until)}
