"""Text in, text out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from . import _raw
from ._arguments import unknown_keyword
from ._params import KEYWORDS, LlamaContextParams, LlamaModelParams
from ._stops import StopStrings
from .chat import apply_chat_template
from .context import LlamaContext
from .errors import LlamaCancelled, LlamaContextError
from .library import LlamaLibrary
from .model import LlamaModel
from .sampler import LlamaSampler

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

FinishReason = Literal["stop", "length"]

# Enough for a talk, and small enough for any machine that holds the model.
_N_CTX = 4096


class LlamaParams(LlamaModelParams, LlamaContextParams, total=False):
    """Keywords of `Llama`: those of models and those of contexts."""


@dataclass(frozen=True)
class Usage:
    """How many tokens a generation took."""

    prompt_tokens: int
    """Tokens of the prompt."""
    cached_tokens: int
    """Those of them that were in the KV cache already."""
    completion_tokens: int
    """Tokens generated."""


@dataclass(frozen=True)
class Timings:
    """How long a generation took, in seconds."""

    prompt_seconds: float
    """Until the first token."""
    generation_seconds: float
    """From the first token to the last."""
    tokens_per_second: float
    """Generated tokens, the first apart, by generation_seconds; 0.0 for fewer than two."""


@dataclass(frozen=True)
class Completion:
    """A finished generation."""

    text: str
    tokens: list[int] = field(repr=False)
    finish_reason: FinishReason
    """``stop`` at an end token or a stop string, ``length`` at the limit."""
    usage: Usage
    timings: Timings
    stopped_by: str | None
    """The stop string that ended it, if one did."""


class Generation(Iterator[str]):
    """Pieces of text as they are generated; made by `Llama.generate`.

    While it runs, and afterwards, it also has what it did so far.
    """

    def __init__(self, pieces: Callable[[Generation], Iterator[str]], prompt: list[int]) -> None:
        self.prompt_tokens = prompt
        """The prompt as tokens."""
        self.cached_tokens = 0
        """How many of them were in the KV cache already."""
        self.tokens: list[int] = []
        """The tokens generated so far, without an end token."""
        self.finish_reason: FinishReason | None = None
        """Why it ended; None while it runs."""
        self.stopped_by: str | None = None
        """The stop string that ended it, if one did."""
        self.started = time.perf_counter()
        self.first = 0.0
        self.last = 0.0
        self._pieces = pieces(self)

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop generating."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    @property
    def usage(self) -> Usage:
        """The tokens that it took so far."""
        return Usage(len(self.prompt_tokens), self.cached_tokens, len(self.tokens))

    @property
    def timings(self) -> Timings:
        """The time that it took so far."""
        seconds = self.last - self.first
        rate = (len(self.tokens) - 1) / seconds if len(self.tokens) > 1 and seconds > 0 else 0.0
        prompt = max(0.0, self.first - self.started) if self.first else 0.0
        return Timings(prompt, seconds, rate)


class Llama:
    """A model and a context, for text.

    ``model`` is a GGUF file or a `LlamaModel`. Keywords are those of `LlamaModel.from_file` (only
    with a file) and of `LlamaContext`. ``n_ctx`` is by default the model's own context length, but
    at most 4,096 tokens.

    The tokens of the last generation stay in the KV cache: what the next prompt has in common with
    them is not computed again.
    """

    def __init__(
        self,
        model: LlamaModel | str | os.PathLike[str],
        *,
        library: LlamaLibrary | None = None,
        progress: Callable[[float], object] | None = None,
        **params: Unpack[LlamaParams],
    ) -> None:
        of_model = KEYWORDS["llama_model_params"]
        of_context = KEYWORDS["llama_context_params"]
        for name in params:
            if name not in of_model and name not in of_context:
                raise unknown_keyword(
                    name, [*of_model, *of_context, "library", "progress"], "Llama"
                )
        given: dict[str, Any] = dict(params)
        loading = {name: given.pop(name) for name in list(given) if name in of_model}
        if isinstance(model, LlamaModel):
            if loading or library is not None or progress is not None:
                raise TypeError("the model is loaded already: its keywords go to from_file")
            self._model = model
        else:
            self._model = LlamaModel.from_file(model, library=library, progress=progress, **loading)
        given.setdefault("n_ctx", min(self._model.n_ctx_train, _N_CTX))
        self._ctx = LlamaContext(self._model, **given)
        self._cached: list[int] = []  # what the KV cache holds
        self._current: Generation | None = None
        self._cancelled = False

    @property
    def model(self) -> LlamaModel:
        """Its model."""
        return self._model

    @property
    def ctx(self) -> LlamaContext:
        """Its context."""
        return self._ctx

    def close(self) -> None:
        """Free the context, and the model as soon as nothing else uses it."""
        self._ctx.close()
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Llama {self._model!r}>"

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        sampler: LlamaSampler | None = None,
        temperature: float = 0.8,
        top_k: int = 40,
        top_p: float = 0.95,
        min_p: float = 0.05,
        seed: int = _raw.LLAMA_DEFAULT_SEED,
        grammar: str | None = None,
        cache_prompt: bool = True,
    ) -> Generation:
        """Go on with ``prompt`` (text, or tokens): an iterator of pieces of text.

        It ends at the model's end token, before a string of ``stop``, after ``max_tokens``, or when
        the context is full. Without a ``sampler``, one is made of the other arguments; a
        ``temperature`` of 0 takes the most likely token each time.

        The same seed gives the same text again only with ``cache_prompt=False``: a prompt that is
        partly in the KV cache is computed in other portions, and the last bits of the logits depend
        on these.

        One at a time: beginning another ends this one with LlamaContextError.

        Raises ValueError for an empty prompt and for one that is longer than the context, and
        LlamaCancelled after `cancel`.
        """
        tokens = self._model.tokenize(prompt) if isinstance(prompt, str) else list(prompt)
        if not tokens:
            raise ValueError("the prompt is empty")
        if len(tokens) >= self._ctx.n_ctx:
            raise ValueError(
                f"the prompt has {len(tokens)} tokens, the context only {self._ctx.n_ctx}: make "
                "it with a larger n_ctx"
            )
        if max_tokens is not None and max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
        if sampler is None:
            sampler = self._sampler(temperature, top_k, top_p, min_p, seed, grammar)
        limit = self._ctx.n_ctx - len(tokens)
        if max_tokens is not None:
            limit = min(limit, max_tokens)
        stops = StopStrings(stop)
        chosen = sampler

        def pieces(generation: Generation) -> Iterator[str]:
            return self._pieces(generation, tokens, chosen, stops, limit, cache_prompt)

        return Generation(pieces, tokens)

    def _sampler(
        self,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        seed: int,
        grammar: str | None,
    ) -> LlamaSampler:
        chain = LlamaSampler.chain(self._model.library)
        if grammar is not None:
            chain.grammar(self._model, grammar)
        if temperature <= 0:
            return chain.greedy()
        return chain.top_k(top_k).top_p(top_p).min_p(min_p).temp(temperature).dist(seed)

    def _pieces(
        self,
        generation: Generation,
        prompt: list[int],
        sampler: LlamaSampler,
        stops: StopStrings,
        limit: int,
        cache_prompt: bool,
    ) -> Iterator[str]:
        ctx, decoder = self._ctx, self._model.decoder()
        is_eog = self._model.vocab.is_eog
        generation.started = time.perf_counter()
        self._current = generation
        self._cancelled = False
        generation.cached_tokens = self._prefill(prompt, cache_prompt)
        tokens = generation.tokens
        cached = self._cached
        while True:
            if self._current is not generation:
                raise LlamaContextError("another generation was begun on this Llama")
            self._check_cancelled()
            token = sampler.sample(ctx)
            generation.last = time.perf_counter()
            generation.first = generation.first or generation.last
            if is_eog(token):
                generation.finish_reason = "stop"
                break
            tokens.append(token)
            text = stops.feed(decoder.feed(token))
            if text:
                yield text
            if stops.found is not None:
                generation.stopped_by = stops.found
                generation.finish_reason = "stop"
                return
            if len(tokens) >= limit:
                generation.finish_reason = "length"
                break
            # What the cache has is only known again when this is through.
            ctx.decode((token,))
            cached.append(token)
        text = stops.feed(decoder.finish()) + stops.finish()
        if text:
            yield text

    def _prefill(self, prompt: list[int], reuse: bool) -> int:
        """Bring the KV cache to hold ``prompt``; returns how much of it was there already."""
        ctx = self._ctx
        common = 0
        if not reuse:
            self._cached.clear()
        for a, b in zip(self._cached, prompt[:-1], strict=False):  # the last one makes the logits
            if a != b:
                break
            common += 1
        if not ctx.remove(common):
            common = 0  # a memory that cannot forget a part forgets it all
            ctx.remove()
        del self._cached[common:]
        for start in range(common, len(prompt), ctx.n_batch):
            self._check_cancelled()
            part = prompt[start : start + ctx.n_batch]
            ctx.decode(part)
            self._cached += part
        return common

    # -- stopping

    def cancel(self) -> None:
        """Stop the generation that runs, from any thread: it raises LlamaCancelled within some
        milliseconds. The context stays usable. Does nothing when none runs."""
        self._cancelled = True
        self._ctx.cancel()

    @contextmanager
    def cancel_after(self, seconds: float) -> Iterator[None]:
        """`cancel` what runs in the block when it has taken ``seconds``."""
        timer = threading.Timer(seconds, self.cancel)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise LlamaCancelled("the generation was cancelled")

    def complete(self, prompt: str | Sequence[int], **options: Any) -> Completion:
        """As `generate`, all at once."""
        return _completion(self.generate(prompt, **options))

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        template: str | None = None,
        **options: Any,
    ) -> Completion:
        """The answer to ``messages``, each with a ``role`` and a ``content``.

        ``template`` is a chat template that llama.cpp knows, by default the model's own; see
        `llama_cpp.chat.apply_chat_template`. The other keywords are those of `generate`.
        """
        return _completion(self.generate(self._chat_tokens(messages, template), **options))

    def _chat_tokens(
        self, messages: Sequence[Mapping[str, str]], template: str | None
    ) -> list[int]:
        text = apply_chat_template(self._model, messages, template=template)
        bos = self._model.vocab.bos
        written = bos is not None and text.startswith(self._model.token_to_piece(bos))
        return self._model.tokenize(text, add_special=not written, parse_special=True)


def _completion(generation: Generation) -> Completion:
    text = "".join(generation)
    assert generation.finish_reason is not None
    return Completion(
        text=text,
        tokens=generation.tokens,
        finish_reason=generation.finish_reason,
        usage=generation.usage,
        timings=generation.timings,
        stopped_by=generation.stopped_by,
    )
