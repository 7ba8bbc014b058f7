"""The request of a generation, its state, and its result."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .._dataclasses import dataclass, field
from .._display import Displayed, Sheet, spent
from ..errors import LlamaBusyError, LlamaCancelled, LlamaContextError
from ..native.arguments import c_number, check_type, integer
from ..native.locks import take
from ..native.resource import ClosedByWith
from ..sampling.answer import Answer
from ..sampling.chain import LlamaSampler
from ..sampling.forced import Forced
from ..sampling.grammar import Stopped, never
from ..usage import Timings, Usage
from .logprobs import TokenLogprob, check_top, log_probs
from .options import Draft, make_sampler, with_defaults
from .reasoning import ChatPrompt, ReasoningFilter
from .stops import StopStrings, n_bytes

if TYPE_CHECKING:
    from ..context.context import LlamaContext
    from ..model.model import LlamaModel

TokenSource = Generator["int | None", None, None]
"""Yields the next token of a generation, or None when the `Feed` has text instead."""
FinishReason = Literal["stop", "length", "cancelled", "error"]


def _n_keep(n_keep: int | None, n_prompt: int, n_ctx: int) -> int:
    if n_keep is None:
        return min(n_prompt, n_ctx // 4)
    n_keep = integer(n_keep, "n_keep")
    most = n_ctx - 4  # of two tokens one goes and one stays, whatever is decoded
    if not 0 <= n_keep <= most:
        raise ValueError(f"n_keep={n_keep} is not 0 to {most}")
    return n_keep


def _prompt_tokens(
    model: LlamaModel, prompt: str | Sequence[int], n_ctx: int, parse_special: bool
) -> list[int]:
    if isinstance(prompt, str | bytes):
        tokens = model.tokenize_prompt(prompt, parse_special=parse_special)
    elif isinstance(prompt, Iterable):
        tokens = model.vocab.check_tokens(prompt).tolist()
    else:
        raise TypeError(f"a prompt must be text or tokens, not {prompt!r}")
    if not tokens:
        raise ValueError("the prompt is empty")
    if len(tokens) >= n_ctx:
        raise ValueError(
            f"the prompt has {len(tokens)} tokens, the context only {n_ctx}: make it with a larger "
            "n_ctx"
        )
    return tokens


class Feed(Protocol):
    """Computes a generation for a reader that must not block, such as an asyncio task."""

    def whole(self) -> None:
        """Notify only about the end."""
        ...

    def follow(self, notify: Callable[[], object], coming: Sized, /) -> None:
        """Begin. ``notify`` is called in any thread when there is a piece, or the end. The first
        batch waits a little while ``coming`` is not empty."""
        ...

    def poll(self) -> str | None:
        """The next piece, or None when there is none yet. Raises EOFError at the end, and the error
        that ended it."""
        ...

    def leave(self) -> None:
        """End the request, which is not read any more."""
        ...


class Request:
    """A checked prompt with its options. The scheduler adds the counts that are reported."""

    started = 0.0
    """When its computation began, by time.perf_counter."""
    cached_tokens = 0
    """How many tokens of the prompt were in the KV cache already."""
    drafted_tokens = 0
    """How many tokens were drafted."""
    accepted_tokens = 0
    """How many of them were right."""
    cancelled = False
    """Whether `cancel` was called."""
    on_cancel: Callable[[], object] | None = None
    """Called by `cancel`."""
    deadline = 0.0
    """The `time.perf_counter` of its deadline; 0 for none."""
    _made = False

    def __init__(
        self,
        model: LlamaModel,
        prompt: str | Sequence[int],
        n_ctx: int,
        options: Mapping[str, Any],
        stopped: Stopped = never,
    ) -> None:
        """``n_ctx`` is the room for the prompt and its answer, in tokens. LlamaCancelled when
        ``stopped`` returns True while a constraint is prepared."""
        tags = prompt.tags if isinstance(prompt, ChatPrompt) else None
        self.thoughts = None if tags is None else ReasoningFilter(tags)
        self.texts: dict[int, str] = {}
        """Texts of control tokens, which a decoder leaves out: of those among the tags, and what
        stands for those in stop strings."""
        if tags is not None:
            for token in model.tokenize(tags.text, add_special=False, parse_special=True):
                if model.vocab.is_control(token):
                    self.texts[token] = model.token_to_piece(token)
        parse_special = c_number(ctypes.c_bool, options.get("parse_special", True), "parse_special")
        self.prompt = _prompt_tokens(model, prompt, n_ctx, parse_special)
        self.limit = n_ctx - len(self.prompt)
        self.draft: Draft | None = options.get("draft")
        self.n_keep: int | None = None
        """How many tokens stay when the context is full; None to end there."""
        if options.get("context_shift"):
            self.limit = sys.maxsize
            self.n_keep = _n_keep(options.get("n_keep"), len(self.prompt), n_ctx)
        max_tokens = options.get("max_tokens")
        if max_tokens is not None:
            max_tokens = integer(max_tokens, "max_tokens")
            if max_tokens < 1:
                raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
            self.limit = min(self.limit, max_tokens)
        timeout = options.get("timeout")
        if timeout is not None:
            self.deadline = time.perf_counter() + c_number(ctypes.c_double, timeout, "timeout")
        self.stops = StopStrings(() if (stop := options.get("stop")) is None else stop)
        if parse_special:
            self.texts = self.stops.with_tokens(model, self.texts) | self.texts
        sampler = options.get("sampler")
        self.answer = Answer(options, stopped)
        self._made = sampler is None
        if sampler is None:
            options = with_defaults(model, options)
            sampler = make_sampler(model, options, self.answer, self.prompt)
        elif not isinstance(sampler, LlamaSampler):
            sampler = sampler() if callable(sampler) else sampler
            if not isinstance(sampler, LlamaSampler):
                raise TypeError(f"sampler must be a LlamaSampler or make one, not {sampler!r}")
        self.sampler = sampler
        forward = c_number(ctypes.c_bool, options.get("fast_forward", True), "fast_forward")
        if forward and self.draft is None and isinstance(sampler, LlamaSampler) and sampler.forces:
            self.draft = Forced(sampler)
        self.prompt_logprobs: list[TokenLogprob | None] = []
        """Those of the prompt's tokens so far, if they were asked for."""
        self._prompt_top = options.get("prompt_logprobs")
        if self._prompt_top is not None:
            self._prompt_top = check_top(self._prompt_top, model.vocab.n_tokens)
            self.prompt_logprobs.append(None)
            if model.has_encoder:
                raise ValueError("prompt_logprobs is not for a model with an encoder")
        self.stays = bool(options.get("cache_prompt", True))
        """Whether its tokens stay in the cache for others."""
        # What is in the cache already has no logits.
        self.cache_prompt = self.stays and self._prompt_top is None
        self._top = options.get("logprobs")
        if self._top is not None:
            self._top = check_top(self._top, model.vocab.n_tokens)
        self.logprobs: list[TokenLogprob] = []
        """Those of the tokens so far, if they were asked for."""
        self.decoder = model.decoder()
        self._piece = model.vocab.piece
        self.is_eog = model.vocab.is_eog

    def score(self, ctx: LlamaContext, token: int, i: int = -1) -> None:
        """Note the log probability of ``token``, sampled at index ``i``, if that was asked for."""
        if self._top is not None and not self.is_eog(token):
            self.logprobs.append(log_probs(ctx, i, token=token, top=self._top))

    @property
    def scores_prompt(self) -> bool:
        """Whether tokens of the prompt are still to be given to `score_prompt`."""
        return self._prompt_top is not None and len(self.prompt_logprobs) < len(self.prompt)

    def score_prompt(self, ctx: LlamaContext, start: int, end: int, i: int = 0) -> None:
        """Note the log probabilities that the tokens ``start`` to ``end`` of the prompt, at index
        ``i`` of the last batch, give to the one after each."""
        top = self._prompt_top
        if top is None:
            return
        for at in range(max(start, len(self.prompt_logprobs) - 1), min(end, len(self.prompt) - 1)):
            token = self.prompt[at + 1]
            self.prompt_logprobs.append(log_probs(ctx, i + at - start, token=token, top=top))

    def uncut(self, tokens: list[int]) -> int:
        """How many of ``tokens`` have a part in the text, which a stop string has cut off."""
        n, left = len(tokens), self.stops.n_cut
        while n and left > 0:
            text = self.texts.get(tokens[n - 1])
            left -= n_bytes(text) if text else len(self._piece(tokens[n - 1], False))
            n -= left >= 0
        return n

    def cancel(self) -> None:
        """End it before its next token. Any thread may call this."""
        self.cancelled = True
        on_cancel = self.on_cancel
        if on_cancel is not None:
            on_cancel()

    def close(self) -> None:
        """Free its own sampler, which has room for the whole vocabulary."""
        if self._made:
            self.sampler.close()


@dataclass(frozen=True)
class Completion(Displayed):
    """A finished generation."""

    text: str
    """What was generated."""
    tokens: list[int] = field(repr=False)
    """The generated tokens, without an end token and what a stop string has cut off."""
    finish_reason: FinishReason
    """``stop`` at an end token or a stop string, ``length`` at the limit."""
    usage: Usage
    """The tokens that it took."""
    timings: Timings
    """The time that it took."""
    reasoning: str = ""
    """What the model wrote before its answer, in a chat with a model that does."""
    stopped_by: str | None = None
    """The stop string that ended it, if one did."""
    logprobs: list[TokenLogprob] = field(default_factory=list, repr=False)
    """Those of the tokens, if they were asked for."""
    prompt_logprobs: list[TokenLogprob | None] = field(default_factory=list, repr=False)
    """Those of the prompt's tokens, if they were asked for; the first has None."""
    error: Exception | None = None
    """What was raised, if that ended it: see ``return_errors`` of `Llama.complete_many`."""
    output: Any = None
    """The object that the text is of, with ``output_type`` or ``json_schema``."""
    others: list[Completion] = field(default_factory=list, repr=False)
    """The other ones of the prompt, with ``n`` of `Llama.complete`."""

    @property
    def choices(self) -> list[Completion]:
        """This one, and the others of its prompt."""
        return [self, *self.others]

    def _display(self) -> Sheet:
        sheet = Sheet()
        for done in self.choices:
            error = "" if done.error is None else f"{type(done.error).__name__}: {done.error}"
            sheet.text(done.reasoning, "Reasoning").text(done.text)
            sheet.note(done.finish_reason, error, *spent(done.usage, done.timings))
        return sheet


class GenerationState:
    """The state of a generation."""

    def __init__(self, request: Request) -> None:
        check_type(request, Request)
        self._request = request
        self.tokens: list[int] = []
        """The tokens generated so far, without an end token. At a stop string those go that are
        not in the text; they count in `usage`."""
        self.finish_reason: FinishReason | None = None
        """Why it ended; None while it runs. ``stop`` at an end token or a stop string, ``length``
        at ``max_tokens`` or the end of the context, ``cancelled`` when it was stopped or closed,
        ``error`` when something was raised."""
        self.stopped_by: str | None = None
        """The stop string that ended it, if one did."""
        self._n_cut = 0  # tokens that a stop string has cut off
        self._first = 0.0
        self._last = 0.0

    @property
    def reasoning(self) -> str:
        """What the model wrote before its answer so far; see `Llama.chat`."""
        thoughts = self._request.thoughts
        return "" if thoughts is None else thoughts.reasoning

    @property
    def logprobs(self) -> list[TokenLogprob]:
        """The log probabilities of the tokens, if they were asked for."""
        return self._request.logprobs

    @property
    def prompt_logprobs(self) -> list[TokenLogprob | None]:
        """Those of the prompt's tokens, if they were asked for; the first has None."""
        return self._request.prompt_logprobs

    @property
    def prompt(self) -> list[int]:
        """The prompt as tokens."""
        return self._request.prompt

    @property
    def cached_tokens(self) -> int:
        """How many of them were in the KV cache already."""
        return self._request.cached_tokens

    @property
    def drafted_tokens(self) -> int:
        """How many tokens were drafted so far; see ``draft`` in `GenerationOptions`."""
        return self._request.drafted_tokens

    @property
    def accepted_tokens(self) -> int:
        """How many of them the sampler chose as well."""
        return self._request.accepted_tokens

    @property
    def usage(self) -> Usage:
        """The tokens that it took so far."""
        return Usage(
            len(self.prompt),
            self.cached_tokens,
            self._n_generated,
            self.drafted_tokens,
            self.accepted_tokens,
        )

    @property
    def _n_generated(self) -> int:
        return len(self.tokens) + self._n_cut

    @property
    def timings(self) -> Timings:
        """The time that it took so far."""
        n, seconds = self._n_generated, self._last - self._first
        rate = (n - 1) / seconds if n > 1 and seconds > 0 else 0.0
        prompt = max(0.0, self._first - self._request.started) if self._first else 0.0
        return Timings(prompt, seconds, rate)

    def cancel(self) -> None:
        """Stop this generation before its next token; others go on. Any thread may call this."""
        self._request.cancel()

    def _take(self, token: int) -> str:
        """Go on with ``token``: the text that may go out. Sets the finish reason when it ends."""
        request = self._request
        self._last = time.perf_counter()
        self._first = self._first or self._last
        if request.is_eog(token):
            self._end("stop")
            return self._rest()
        self.tokens.append(token)
        stops, thoughts = request.stops, request.thoughts
        text = stops.feed(request.decoder.feed(token) or request.texts.get(token, ""))
        if thoughts is not None:
            text = thoughts.feed(text, last=stops.found is not None)
        if stops.found is not None:
            self.stopped_by = stops.found
            n = request.uncut(self.tokens)
            self._n_cut = len(self.tokens) - n
            del self.tokens[n:], self.logprobs[n:]
            self._end("stop")
        elif len(self.tokens) >= request.limit:
            text += self._full()
        return text

    def _value(self, text: str) -> Any:
        """What ``text``, all of it, stands for."""
        ended = self.finish_reason == "stop" and self.stopped_by is None
        return self._request.answer.value(text, ended)

    def _completion(
        self, text: str, error: Exception | None = None, output: Any = None
    ) -> Completion:
        assert self.finish_reason is not None
        return Completion(
            text=text,
            tokens=self.tokens,
            finish_reason=self.finish_reason,
            usage=self.usage,
            timings=self.timings,
            reasoning=self.reasoning,
            stopped_by=self.stopped_by,
            logprobs=self.logprobs,
            prompt_logprobs=self.prompt_logprobs,
            error=error,
            output=output,
        )

    def _fail(self, error: BaseException | None) -> None:
        """End with ``error``, or with None because it was closed."""
        stopped = isinstance(error, LlamaCancelled | KeyboardInterrupt | None)
        self._end("cancelled" if stopped else "error")

    def _end(self, reason: FinishReason) -> None:
        if self.finish_reason is None:
            self.finish_reason = reason
            self._request.close()

    def _full(self) -> str:
        """End at a limit. Returns the text that was held back."""
        self._end("length")
        return self._rest()

    def _rest(self) -> str:
        request = self._request
        text = request.stops.feed(request.decoder.finish()) + request.stops.finish()
        return text if request.thoughts is None else request.thoughts.feed(text, last=True)


class Generation(GenerationState, ClosedByWith, Iterator[str]):
    """Pieces of text as they are generated; made by `Llama.generate`.

    Its attributes describe the generation so far; next to other generations they may be some
    tokens ahead of the pieces. It is an iterator: a second pass yields nothing.
    """

    def __init__(self, request: Request, tokens: TokenSource, feed: Feed | None = None) -> None:
        """``tokens`` computes the request token by token, ``feed`` for a reader that must not
        block."""
        check_type(tokens, Generator)
        super().__init__(request)
        # It knows the request and not this object: without a cycle, forgetting this object frees
        # what it holds at once.
        self._source = tokens
        self._feed = feed
        self._lock = threading.Lock()
        # The text so far, where something is to be made of it.
        self._pieces: list[str] | None = [] if request.answer.is_json else None

    @property
    def has_output(self) -> bool:
        """Whether its text is of an object, with ``output_type`` or ``json_schema``."""
        return self._pieces is not None

    @property
    def output(self) -> Any:
        """The object that the text is of, with ``output_type`` or ``json_schema``. LlamaAnswerError
        where it is not complete, or not valid."""
        return self._value("".join(self._pieces or ()))

    def __next__(self) -> str:
        if not take(self._lock):
            raise LlamaBusyError("another thread is in this iterator")
        try:
            for token in self._source:
                if token is None:
                    assert self._feed is not None
                    return self._kept(self._feed.poll() or "")
                text = self._take(token)
                if self.finish_reason is not None:
                    self._source.close()
                thoughts = self._request.thoughts
                if text or (thoughts is not None and thoughts.grows):
                    return self._kept(text)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._lock.release()
        raise StopIteration

    def _kept(self, text: str) -> str:
        if self._pieces is not None:
            self._pieces.append(text)
        return text

    def close(self) -> None:
        """Stop generating. The context can be used for something else."""
        self._end("cancelled")
        if take(self._lock):
            try:
                self._source.close()
            finally:
                self._lock.release()
        else:
            self.cancel()  # another thread is in it, and raises

    def follow(
        self, notify: Callable[[], object], *, whole: bool = False, coming: Sized = ()
    ) -> None:
        """Compute it without a waiting reader. ``notify`` is called in any thread when `poll` has a
        piece, or the end; with ``whole`` only at the end. The first batch waits a little while
        ``coming`` is not empty, for the requests that these stand for."""
        assert self._feed is not None
        if whole:
            self._feed.whole()
        self._feed.follow(notify, coming)

    def poll(self) -> str | None:
        """After `follow`: the next piece, or None when there is none yet. EOFError at the end."""
        assert self._feed is not None
        text = self._feed.poll()
        return None if text is None else self._kept(text)

    def unfollow(self) -> None:
        """After `follow`: stop the generation if it is not over."""
        self._end("cancelled")
        if self._feed is not None:
            self._feed.leave()

    def completed(self, text: str) -> Completion:
        """The result, with all of ``text``. Raises LlamaContextError before the end."""
        if self.finish_reason is None:
            raise LlamaContextError("the generation has not ended: read all of its text first")
        return self._completion(text, output=self._value(text))


def completion(generation: Generation) -> Completion:
    """What ``generation`` gives, all of it."""
    if generation._feed is not None:
        generation._feed.whole()
    return generation.completed("".join(generation))
