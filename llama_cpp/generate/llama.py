"""Text in, text out."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from .._params import KEYWORDS, LlamaContextParams, LlamaModelParams
from ..context.context import LlamaContext
from ..context.sequence import LlamaSequence, n_common
from ..errors import LlamaBusyError, LlamaCancelled, LlamaContextError, LlamaModelError
from ..model.model import LOADING, LlamaModel
from ..native.arguments import c_number, unknown_keyword
from ..native.library import LlamaLibrary
from ..native.resource import ClosedByWith
from .chat import apply_chat_template, lacks_bos
from .embedding import Embedder, Ranked
from .generation import (
    Completion,
    Generation,
    GenerationOptions,
    Request,
    TokenSource,
    check_options,
    completion,
)
from .scheduler import Generations, completions

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..context.sequence import _Checkpoint
    from ..model.device import LlamaDevice
    from ..model.hub import DownloadProgress
    from .drafts import Speculation

# Enough for a talk, and small enough for any machine that holds the model.
_N_CTX = 4096
# The sequence of `generate`: `LlamaContext.sequence` does not give it away.
_OURS = frozenset((0,))


class LlamaParams(LlamaModelParams, LlamaContextParams, total=False):
    """Keywords of `Llama`: those of `LlamaModel.from_file` and those of `LlamaContext`."""

    devices: Sequence[LlamaDevice | str] | None
    """What to compute on besides the CPU."""
    rpc_servers: Sequence[str] | None
    """Addresses of ggml-rpc-servers, ``host:port``."""
    tensor_split: Sequence[float] | None
    """How much of the model each device gets, as proportions."""
    kv_overrides: Mapping[str, bool | int | float | str] | None
    """Metadata to use in place of the file's."""
    tensor_buft_overrides: Mapping[str, str] | None
    """Where tensors go: a regular expression for their names -> a `LlamaDevice.buffer_type`."""


class Llama(ClosedByWith):
    """A model and a context, for text.

    ``model`` is a GGUF file or a `LlamaModel`, which `close` closes too. Keywords are those of
    `LlamaModel.from_file` (only with a file), as ``devices`` and the fields of
    ``llama_model_params``, and those of `LlamaContext`. ``n_ctx`` is by default the model's own
    context length, but at most 4,096 tokens.

    With ``n_seq_max=8``, `generate_many` runs up to eight prompts at a time. They share the
    ``n_ctx`` tokens as they need them, and what they have in common is there once; one alone may
    take all. ``kv_unified=False`` gives each an eighth instead, which is faster where they are long
    and have little in common.

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
        of_model = {*KEYWORDS["llama_model_params"], *LOADING}
        of_context = KEYWORDS["llama_context_params"]
        for name in params:
            if name not in of_model and name not in of_context:
                raise unknown_keyword(
                    name, [*sorted(of_model), *of_context, "library", "progress"], "Llama"
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
        if given.get("n_seq_max", 1) != 1:
            given.setdefault("kv_unified", True)
        self._ctx = LlamaContext(self._model, **given)
        self._ctx._reserved = _OURS
        self._embedder = Embedder(self._model, given)
        self._held: list[list[int]] = [[] for _ in range(self._ctx.n_seq_max)]
        self._cached = self._held[0]  # what the KV cache holds, by sequence; generate has the first
        self._n_ctx_seq = self._ctx._n_ctx_of_seq
        self._checkpoints: list[_Checkpoint] = []  # of `_checked`, what `_cached` was then
        self._checked: list[int] = []
        self._written = self._ctx._writes.copy()  # when `_held` was right
        self._moved = sys.maxsize  # from here on, `_cached` was shifted
        self._weighed = 0  # the adapters that `_held` was computed with
        self._speculation: Speculation | None = None
        self._turn = 0  # counts the generations: the latest has the context
        self._cancelled = False
        self._using = threading.Lock()  # by a step of a generation

    @classmethod
    def from_pretrained(
        cls,
        repo: str,
        file: str = "*.gguf",
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        progress: Callable[[float], object] | None = None,
        download_progress: DownloadProgress | None = None,
        library: LlamaLibrary | None = None,
        **params: Unpack[LlamaParams],
    ) -> Self:
        """As `LlamaModel.from_pretrained`, with the keywords of `Llama`."""
        from ..model.hub import fetch

        path = fetch(
            repo,
            file,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            progress=download_progress,
        )
        return cls(path, library=library, progress=progress, **params)

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
        self._embedder.close()
        self._model.close()

    def __repr__(self) -> str:
        return f"<Llama {self._model!r}>"

    # -- text and tokens

    def tokenize(
        self, text: str | bytes, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """`LlamaModel.tokenize` of its model."""
        return self._model.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, tokens: Iterable[int], *, special: bool = True) -> str:
        """`LlamaModel.detokenize` of its model."""
        return self._model.detokenize(tokens, special=special)

    # -- generating

    def generate(
        self, prompt: str | Sequence[int], **options: Unpack[GenerationOptions]
    ) -> Generation:
        """Go on with ``prompt`` (text, or tokens): an iterator of pieces of text.

        It ends at the model's end token, before a string of ``stop``, after ``max_tokens``, or when
        the context is full. Without a ``sampler``, one is made of the other options; a
        ``temperature`` of 0 takes the most likely token each time. See `GenerationOptions`.

        The same seed gives the same text again only with ``cache_prompt=False``: a prompt that is
        partly in the KV cache is computed in other portions, and the last bits of the logits depend
        on these.

        One at a time: beginning another ends this one with LlamaContextError.

        Raises TypeError for an option that there is not, ValueError for an empty prompt and for one
        that is longer than the context, and LlamaCancelled after `cancel`.
        """
        check_options(options, "generate")
        request = Request(self._model, prompt, self._n_ctx_seq, options)
        return Generation(request, self._tokens(request))

    def complete(
        self, prompt: str | Sequence[int], **options: Unpack[GenerationOptions]
    ) -> Completion:
        """As `generate`, all at once."""
        return completion(self.generate(prompt, **options))

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        template: str | None = None,
        **options: Unpack[GenerationOptions],
    ) -> Completion:
        """The answer to ``messages``, each with a ``role`` and a ``content``.

        ``template`` is a chat template that llama.cpp knows, by default the model's own; see
        `llama_cpp.generate.chat.apply_chat_template`. The other keywords are those of `generate`.
        """
        return completion(self.chat_stream(messages, template=template, **options))

    def chat_stream(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        template: str | None = None,
        **options: Unpack[GenerationOptions],
    ) -> Generation:
        """As `chat`, piece by piece."""
        return self.generate(self.chat_tokens(messages, template=template), **options)

    def chat_tokens(
        self, messages: Sequence[Mapping[str, str]], *, template: str | None = None
    ) -> list[int]:
        """The prompt that `chat` makes of ``messages``, as for `generate_many`."""
        text = apply_chat_template(self._model, messages, template=template)
        begin = lacks_bos(self._model, text)
        return self._model.tokenize(text, add_special=begin, parse_special=True)

    def infill(
        self, prefix: str, suffix: str = "", **options: Unpack[GenerationOptions]
    ) -> Completion:
        """What may stand between ``prefix`` and ``suffix``, as in the middle of code.

        Raises LlamaModelError for a model that was not trained to fill gaps. The other keywords are
        those of `generate`.
        """
        return completion(self.generate(self.infill_tokens(prefix, suffix), **options))

    def infill_tokens(self, prefix: str, suffix: str = "") -> list[int]:
        """The prompt that `infill` makes, as for `generate` and `generate_many`."""
        vocab = self._model.vocab
        pre, suf, mid = vocab.fim_pre, vocab.fim_suf, vocab.fim_mid
        if pre is None or suf is None or mid is None:
            raise LlamaModelError(
                f"{self._model.path.name} has no tokens for filling in the middle (fim_pre, "
                "fim_suf, fim_mid): take a model for code that was trained to fill gaps"
            )
        begin = [vocab.bos] if vocab.add_bos and vocab.bos is not None else []
        before, after = (self._model.tokenize(text, add_special=False) for text in (prefix, suffix))
        return [*begin, pre, *before, suf, *after, mid]

    def generate_many(
        self,
        prompts: Iterable[str | Sequence[int]],
        options: Iterable[GenerationOptions] | None = None,
        *,
        return_errors: bool = False,
        **shared: Unpack[GenerationOptions],
    ) -> Generations:
        """Go on with many prompts side by side: an iterator of ``(index, piece)``, as they come.

            for index, piece in llm.generate_many(prompts, max_tokens=100):
                texts[index] += piece

        As many run at a time as the context has sequences (``n_seq_max``); the next prompt is taken
        when one ends, so ``prompts`` can be any iterable, however long. ``shared`` options are for
        all of them, ``options`` has those of each prompt, which come before the shared ones. A
        sampler works for one prompt only: a shared one is cloned, or give a function that makes it.
        What a prompt has in common with what was computed already, or with another one, is
        computed once. ``generations[i]`` of what this returns has what became of prompt ``i``.

        When the KV cache is full, the youngest waits until another ends, and is computed again; one
        that has the whole cache alone ends with ``length``. What goes wrong with one (a prompt
        that is too long, a sampler that raises) ends that one alone, with ``error``; when all are
        through, the first such error is raised, unless ``return_errors``. `cancel` ends all, and
        ``generations[i].cancel()`` one.

        Raises as `generate` does.
        """
        return Generations(self, prompts, options, shared, return_errors)

    def complete_many(
        self,
        prompts: Iterable[str | Sequence[int]],
        options: Iterable[GenerationOptions] | None = None,
        *,
        return_errors: bool = False,
        **shared: Unpack[GenerationOptions],
    ) -> list[Completion]:
        """As `generate_many`, all at once. With ``return_errors``, what failed has an ``error``."""
        return completions(Generations(self, prompts, options, shared, return_errors))

    def _tokens(self, request: Request) -> TokenSource:
        """Compute ``request``."""
        ctx, sampler = self._ctx, request.sampler
        request.started = time.perf_counter()
        turn, token, output, n_keep = 0, 0, -1, request.n_keep
        while True:
            # What the cache holds, and what this object knows of it, change together.
            self._enter()
            try:
                if not turn:
                    turn = self._begin()
                    n_keep = self._start(request)
                elif self._turn != turn:
                    raise LlamaContextError("another generation was begun on this Llama")
                else:
                    ctx._check_writes(0, self._written[0])
                    self._check_cancelled()
                    output = self._advance(token, n_keep)
                self._check_cancelled()
                token = sampler.sample(ctx, output)
                request.score(ctx, token, output)
            finally:
                self._leave()
            yield token

    def _enter(self) -> None:
        """Take it for a step of a generation. LlamaBusyError in the middle of another."""
        if not self._using.acquire(blocking=False):
            raise LlamaBusyError(
                "this Llama is in the middle of a step, of another thread or of what called this: "
                "give each its own Llama, on the same model"
            )

    def _leave(self) -> None:
        self._written = self._ctx._writes.copy()
        self._using.release()

    def _start(self, request: Request) -> int | None:
        """Compute the prompt. Returns how many tokens stay when the context is full, None to end
        there."""
        ctx = self._ctx
        for seq_id, held in enumerate(self._held):
            if seq_id and held:  # of generate_many: this one may take all the room
                ctx.remove(seq_id=seq_id)
                held.clear()
        n_keep = request.n_keep
        if n_keep is not None and not ctx.can_shift:
            raise LlamaContextError(
                "context_shift: positions cannot be moved in this context; a model with a sliding "
                "window needs swa_full=True for it"
            )
        if ctx._is_recurrent:
            n_keep = None  # is never full
        request.cached_tokens = self._prefill(request.prompt, request.cache_prompt)
        self._speculation = self._speculate(request, n_keep)
        return n_keep

    def _advance(self, token: int, n_keep: int | None) -> int:
        """Compute ``token``. Returns where its output is."""
        if self._speculation is not None:
            return self._speculation.step(token)
        cached = self._cached
        if n_keep is not None and len(cached) >= self._n_ctx_seq:
            self._shift(n_keep)
        # What the cache has is only known again when this is through.
        self._ctx.decode((token,))
        cached.append(token)
        return -1

    def _begin(self) -> int:
        """Begin with the context: who used it before may not go on. Returns the number of the
        turn, which is over when `_turn` is another."""
        self._turn += 1
        self._cancelled = False
        ctx = self._ctx
        if self._moved < len(self._cached):
            # What a shift has moved is not what its tokens alone would give.
            if not ctx.remove(self._moved):
                ctx.remove()
            del self._cached[ctx.pos_max() + 1 :]
        self._moved = sys.maxsize
        if self._weighed != ctx._weighed:
            # What adapters that were set since would have computed otherwise.
            self._weighed = ctx._weighed
            for held in self._held:
                held.clear()
        ctx._reserved = _OURS
        for seq_id, held in enumerate(self._held):
            if seq_id in ctx._sequences:
                continue
            # Others may use the context too; Ctrl-C can come between the cache's change and ours.
            changed = ctx._writes[seq_id] != self._written[seq_id]
            if changed or ctx.pos_max(seq_id) + 1 != len(held):
                ctx.remove(seq_id=seq_id)
                held.clear()
        return self._turn

    def _speculate(self, request: Request, n_keep: int | None) -> Speculation | None:
        if request.draft is None:
            return None
        from .drafts import Speculation

        shift = None if n_keep is None else partial(self._shift, n_keep)
        return Speculation(self._ctx, request, self._cached, shift)

    def _prefill(self, prompt: list[int], reuse: bool) -> int:
        """Bring the KV cache to hold ``prompt``; returns how much of it was there already."""
        if self._model.has_encoder:
            self._encode(prompt)
            return 0
        with self._first() as sequence:
            if not reuse:
                sequence.truncate(0)
            return sequence._set(prompt, self._check_cancelled)

    @contextmanager
    def _first(self) -> Iterator[LlamaSequence]:
        """The sequence that `generate` has, for the block; it keeps `_cached` right."""
        cached, known = self._cached, self._checkpoints
        n = n_common(self._checked, cached)
        known[:] = [point for point in known if point.n <= n]
        try:
            with LlamaSequence._over(self._ctx, 0, cached, known) as sequence:
                yield sequence
        finally:
            self._checked = cached.copy()

    def _shift(self, keep: int) -> None:
        """The context is full: forget the older half of what is behind the first ``keep``."""
        with self._first() as sequence:
            sequence.shift(keep, (len(sequence) - keep) // 2)
        self._moved = keep

    def _encode(self, prompt: list[int]) -> None:
        """Give the encoder ``prompt``, and the decoder its first token."""
        start = self._model.decoder_start_token
        if start is None:
            start = self._model.vocab.bos
        if start is None:
            raise LlamaModelError(f"{self._model!r} does not say what its decoder starts with")
        self._ctx.remove()
        self._cached.clear()
        self._ctx.encode(prompt)
        self._ctx.decode((start,))
        self._cached.append(start)

    # -- embeddings

    def embed(self, texts: str | Iterable[str], *, normalize: bool = True) -> memoryview[float]:
        """``texts`` (or one text) as vectors: floats of shape ``(n, n_embd_out)``, which
        ``np.asarray`` takes without a copy. With ``normalize`` each has length 1, so that the
        product of two is the cosine of their angle.

        Texts are computed several at a time, in a context of its own that is made when it is first
        needed and has the settings of this one. The tokens of a text are pooled as the model was
        made for, or as ``pooling_type`` says; the mean is taken where neither does.

        Raises ValueError for no texts, for one without tokens, and for one that is longer than the
        model's context; LlamaModelError for a reranker. C: ``llama_get_embeddings_seq``, llama.h.
        """
        return self._embedder.embed(texts, normalize)

    def rerank(self, query: str, documents: Iterable[str]) -> list[Ranked]:
        """How well each of ``documents`` answers ``query``, by a model made for it; best first.

        Raises LlamaModelError for any other model, and ValueError for what is too long.
        """
        return self._embedder.rerank(query, documents)

    def classify(self, text: str) -> dict[str, float]:
        """The classes of a classifier with their probabilities for ``text``, likeliest first.

        Raises LlamaModelError for a model that has none, and ValueError for a text that is too
        long. C: ``llama_model_cls_label``, llama.h.
        """
        return self._embedder.classify(text)

    # -- stopping

    def cancel(self) -> None:
        """Stop the generation that runs, from any thread: it raises LlamaCancelled within some
        milliseconds. The context stays usable. Does nothing when none runs."""
        self._cancelled = True
        self._ctx.cancel()
        self._embedder.cancel()
        speculation = self._speculation
        if speculation is not None:
            speculation.cancel()

    @contextmanager
    def cancel_after(self, seconds: float) -> Iterator[None]:
        """`cancel` what runs in the block when it has taken ``seconds``."""
        wait = c_number(ctypes.c_double, seconds, "seconds")
        timer = threading.Timer(min(max(wait, 0.0), threading.TIMEOUT_MAX), self.cancel)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise LlamaCancelled("the generation was cancelled")
