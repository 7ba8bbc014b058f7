"""Text in, text out."""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from .. import generate
from .._dataclasses import replace
from .._display import Displayed, Sheet, facts
from .._lazy import Later
from .._params import KEYWORDS, LlamaContextParams, LlamaModelParams
from ..errors import LlamaCancelled, LlamaContextError, LlamaModelError
from ..native.arguments import c_number, check_count, integer
from ..native.peers import needs_model, unknown_attribute, unknown_keyword
from ..native.resource import ClosedByWith

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..context import context as contexts
    from ..context import prompts, state
    from ..context.context import LlamaContext
    from ..context.prompts import PromptCache
    from ..model import model as models
    from ..model.device import LlamaDevice
    from ..model.hub import DownloadProgress
    from ..model.model import LlamaModel
    from ..native.library import LlamaLibrary
    from ..sampling import chain
    from . import chat, embedding, generation, logprobs
    from . import options as keywords
    from .batching import scheduler
    from .batching.generations import Generations
    from .chat import ChatGenerationOptions, ChatOptions
    from .embedding import Embeddings, Ranked
    from .generation import Completion, Generation
    from .logprobs import Score
    from .options import GenerationOptions
    from .reasoning import ChatPrompt
else:  # with the first model: to import them takes time, and a model takes more
    contexts = Later(__package__, "..context.context")
    prompts = Later(__package__, "..context.prompts")
    state = Later(__package__, "..context.state")
    models = Later(__package__, "..model.model")
    chain = Later(__package__, "..sampling.chain")
    chat = Later(__package__, ".chat")
    embedding = Later(__package__, ".embedding")
    generation = Later(__package__, ".generation")
    logprobs = Later(__package__, ".logprobs")
    keywords = Later(__package__, ".options")
    scheduler = Later(__package__, ".batching.scheduler")

# Enough for a talk, and small enough for any machine that holds the model.
_N_CTX = 4096


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
    prompt_cache: PromptCache | str | os.PathLike[str] | None
    """Where long prompts are stored for later processes: a folder, or a `PromptCache`."""
    ram_cache: int | None
    """The most bytes of main memory for earlier texts, when others need their cells; by default as
    much as ``n_ctx`` tokens take, and 0 for none."""


class Llama(Displayed, ClosedByWith):
    """A model and a context, for text.

    ``model`` is a GGUF file, ``hf:owner/repo:Q4_K_M`` for one of the Hugging Face Hub, or a
    `LlamaModel`, which stays open for other uses. Keywords are those of `LlamaModel.from_file`
    (only with a file), such as ``devices`` and the fields of ``llama_model_params``, and those of
    `LlamaContext`. ``n_ctx`` is by default the model's own
    context length, but at most 4,096 tokens.

    Any number of threads may use it at the same time. With ``n_seq_max=8``, up to eight prompts are
    computed together; further ones wait, at most ``queue_size`` of them, by default any number.
    They share the ``n_ctx`` tokens: each takes as many as it needs, common beginnings are stored
    once, and a lone prompt may take all. ``kv_unified=False`` gives each an eighth instead, which
    is faster for long prompts with little in common.

    The KV cache keeps the tokens of earlier generations, one for each sequence: a beginning that
    the next prompt shares with one of them is not computed again. A text that has to make room for
    others waits in main memory, see ``ram_cache`` of `LlamaParams`: several conversations in turn
    stay quick, also with one sequence. With ``prompt_cache``, a folder or a
    `llama_cpp.context.PromptCache`, long prompts are stored for later processes too.
    """

    @needs_model
    def __init__(
        self,
        model: LlamaModel | str | os.PathLike[str],
        *,
        library: LlamaLibrary | None = None,
        progress: Callable[[float], object] | None = None,
        queue_size: int | None = None,
        **params: Unpack[LlamaParams],
    ) -> None:
        of_model = {*KEYWORDS["llama_model_params"], *models.LOADING}
        of_context = KEYWORDS["llama_context_params"]
        of_llama = ("library", "progress", "queue_size", "prompt_cache", "ram_cache")
        for name in params:
            if name not in (*of_model, *of_context, "prompt_cache", "ram_cache"):
                raise unknown_keyword(name, [*sorted(of_model), *of_context, *of_llama], "Llama")
        if queue_size is not None:
            check_count(queue_size, "queue_size")
        given: dict[str, Any] = dict(params)
        ram_cache = given.pop("ram_cache", None)
        if ram_cache is not None:
            check_count(ram_cache, "ram_cache")
        prompt_cache = given.pop("prompt_cache", None)
        if prompt_cache is not None and not isinstance(prompt_cache, prompts.PromptCache):
            prompt_cache = prompts.PromptCache(prompt_cache)
        loading = {name: given.pop(name) for name in list(given) if name in of_model}
        self._shares_model = isinstance(model, models.LlamaModel)
        if isinstance(model, models.LlamaModel):
            if loading or library is not None or progress is not None:
                raise TypeError("the model is loaded already: its keywords go to from_file")
            self._model = model
        else:
            self._model = models.LlamaModel.from_file(
                model, library=library, progress=progress, **loading
            )
        given.setdefault("n_ctx", min(self._model.n_ctx_train, _N_CTX))
        if given.get("n_seq_max", 1) != 1:
            given.setdefault("kv_unified", True)
        self._ctx = contexts.LlamaContext(self._model, **given)
        self._embedder = embedding.Embedder(self._model, given, self._ctx)
        stored = None if prompt_cache is None else self._ctx.stored_prompts(prompt_cache)
        self._scheduler = scheduler.Scheduler(self._ctx, queue_size, stored, ram_cache)
        self._cancels = [0]
        """How often it was cancelled: in a list, which a generation can hold without the Llama."""
        self._cancelled = False

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
        path = models.from_hub(
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

    @property
    def info(self) -> dict[str, Any]:
        """Facts for a log or a report, as JSON can have them: the model's ``file``, ``description``
        and ``layers`` (how many lie on which device, see `LlamaModel.layers`), and of the context
        ``n_ctx``, ``n_seq_max``, ``n_threads`` and ``n_batch``."""
        model, ctx = self._model, self._ctx
        facts = {"file": str(model.path), "description": model.description}
        sizes = {
            name: getattr(ctx, name) for name in ("n_ctx", "n_seq_max", "n_threads", "n_batch")
        }
        return {**facts, "layers": dict(model.layers), **sizes}

    def close(self) -> None:
        """Free the context, and a model that was loaded for it. Calls that still run, in any
        thread, raise LlamaClosedError."""
        self._scheduler.close()
        self._ctx.close()
        self._embedder.close()
        if not self._shares_model:
            self._model.close()

    if not TYPE_CHECKING:  # a checker would take every name for one of ours

        def __getattr__(self, name: str) -> Any:
            raise unknown_attribute(name, "Llama")

    def __repr__(self) -> str:
        return f"<Llama {self._model!r}>"

    def _display(self) -> Sheet:
        return Sheet() if self._ctx.closed else facts(self.info)

    # -- text and tokens

    def tokenize(
        self, text: str | bytes, *, add_special: bool = True, parse_special: bool = True
    ) -> list[int]:
        """`LlamaModel.tokenize` of its model."""
        return self._model.tokenize(text, add_special=add_special, parse_special=parse_special)

    def detokenize(
        self, tokens: Iterable[int], *, special: bool = True, remove_special: bool = True
    ) -> str:
        """`LlamaModel.detokenize` of its model."""
        return self._model.detokenize(tokens, special=special, remove_special=remove_special)

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

        It may be called from any thread, also while other generations run: they share the model's
        batches. It starts when the first piece is asked for, and waits while all ``n_seq_max``
        places are taken. A generation that is not read gives its place to a waiting one, and is
        computed again when it is read.

        Raises TypeError for an option that there is not, ValueError for an empty prompt and for one
        that is longer than the context, LlamaCancelled after `cancel`, LlamaTimeoutError after
        ``timeout``, LlamaQueueFullError where ``queue_size`` requests wait.
        """
        cancels = self._cancels  # not the context's, where others are stopped too
        before = cancels[0]
        return self._scheduler.generation(prompt, options, lambda: cancels[0] != before)

    def complete(
        self, prompt: str | Sequence[int], *, n: int = 1, **options: Unpack[GenerationOptions]
    ) -> Completion:
        """As `generate`, all at once.

        With ``n`` the result has so many `Completion.choices`, which differ by their random
        numbers: a ``seed`` is that of the first, and the others have those after it. With
        ``n_seq_max`` they are computed side by side.
        """
        check_count(n, "n", least=1)
        if n == 1:
            return generation.completion(self.generate(prompt, **options))
        if isinstance(options.get("sampler"), chain.LlamaSampler):
            raise ValueError(f"one sampler would give {n} times the same: give what makes samplers")
        alone = options.get("draft") is not None or options.get("context_shift")
        if self._model.has_encoder or alone:
            each = [cast("GenerationOptions", keywords.with_seed(options, i)) for i in range(n)]
            done = [generation.completion(self.generate(prompt, **own)) for own in each]
        else:
            done = self._many([prompt] * n, None, options, False).completions()
        return replace(done[0], others=done[1:])

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        n: int = 1,
        **options: Unpack[ChatGenerationOptions],
    ) -> Completion:
        """The answer to ``messages``, each with a ``role`` and a ``content``.

        The model's own template makes a prompt of them, as llama-server has it; see
        `llama_cpp.generate.chat.apply_chat_template` and `ChatOptions`. An answer that is the last
        message is continued. `Completion.reasoning` is what the model wrote before its answer. The
        other keywords are those of `complete`.

        Only the template's control tokens are read as such: those in the messages and ``tools``
        stay text, so that nobody can end a turn with ``<|im_end|>``, unless ``parse_special``.
        """
        prompt, others = self._chat(messages, options)
        return self.complete(prompt, n=n, **others)

    def chat_stream(
        self, messages: Sequence[Mapping[str, Any]], **options: Unpack[ChatGenerationOptions]
    ) -> Generation:
        """As `chat`, piece by piece. While the model reasons the pieces are empty, and
        `Generation.reasoning` grows."""
        prompt, others = self._chat(messages, options)
        return self.generate(prompt, **others)

    def _chat(
        self, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> tuple[ChatPrompt, GenerationOptions]:
        of_chat, others = chat.split_options(options)
        parse_special = others.get("parse_special", False)
        return self.chat_tokens(messages, parse_special=parse_special, **of_chat), others

    def chat_tokens(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        parse_special: bool = False,
        **options: Unpack[ChatOptions],
    ) -> ChatPrompt:
        """The prompt that `chat` makes of ``messages``, as for `generate_many`."""
        return chat.chat_prompt(self._model, messages, options, parse_special)

    def chat_prompt(
        self, messages: Sequence[Mapping[str, Any]], **options: Unpack[ChatOptions]
    ) -> str:
        """The text of that prompt, which llama-server gives at ``/apply-template``; see
        `llama_cpp.generate.chat.apply_chat_template`."""
        return chat.apply_chat_template(self._model, messages, **options)

    def infill(
        self, prefix: str, suffix: str = "", *, n: int = 1, **options: Unpack[GenerationOptions]
    ) -> Completion:
        """Generate the text between ``prefix`` and ``suffix``, such as the middle of code. ``n`` is
        as in `complete`.

        Raises LlamaModelError for a model that was not trained to fill gaps. The other keywords are
        those of `generate`; ``parse_special`` is False by default.
        """
        parse_special = options.get("parse_special", False)
        prompt = self.infill_tokens(prefix, suffix, parse_special=parse_special)
        return self.complete(prompt, n=n, **options)

    def infill_tokens(
        self, prefix: str, suffix: str = "", *, parse_special: bool = False
    ) -> list[int]:
        """The prompt that `infill` makes, as for `generate` and `generate_many`."""
        model, vocab = self._model, self._model.vocab
        pre, suf, mid = vocab.fim_pre, vocab.fim_suf, vocab.fim_mid
        if pre is None or suf is None or mid is None:
            raise LlamaModelError(
                f"{self._model.path.name} has no tokens for filling in the middle (fim_pre, "
                "fim_suf, fim_mid): take a model for code that was trained to fill gaps"
            )
        begin = [token for token in vocab.added[:1] if token is not None]
        before = model.tokenize(prefix, add_special=False, parse_special=parse_special)
        after = model.tokenize_rest(suffix, parse_special=parse_special)
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

        As many run at a time as the context has sequences (``n_seq_max``): with 1, the default, one
        after the other, which a warning says once. The next prompt is taken
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
        self._warn_of_one_sequence(prompts)
        return self._many(prompts, options, shared, return_errors)

    def complete_many(
        self,
        prompts: Iterable[str | Sequence[int]],
        options: Iterable[GenerationOptions] | None = None,
        *,
        return_errors: bool = False,
        **shared: Unpack[GenerationOptions],
    ) -> list[Completion]:
        """As `generate_many`, all at once. With ``return_errors``, what failed has an ``error``."""
        self._warn_of_one_sequence(prompts)
        return self._many(prompts, options, shared, return_errors).completions()

    def _warn_of_one_sequence(self, prompts: Iterable[object]) -> None:
        several = isinstance(prompts, list | tuple) and len(prompts) > 1
        if several and self._ctx.n_seq_max == 1:
            warnings.warn(  # from here, so that Python shows it once
                "several prompts, but n_seq_max=1: they run one after the other. "
                "Llama(..., n_seq_max=8) runs up to eight side by side",
                stacklevel=1,
            )

    def _many(
        self,
        prompts: Iterable[str | Sequence[int]],
        options: Iterable[GenerationOptions] | None,
        shared: GenerationOptions,
        return_errors: bool,
    ) -> Generations:
        return generate.Generations(
            self._ctx, self._scheduler, prompts, options, shared, return_errors
        )

    def score(
        self,
        prompt: str | Sequence[int],
        answers: Iterable[str | Sequence[int]],
        *,
        parse_special: bool = True,
    ) -> list[Score]:
        """How likely the model takes each of ``answers`` to follow ``prompt``.

            best = max(llm.score("2 + 2 =", [" 4", " 5"]), key=lambda score: score.logprob)

        Prompt and answer can be text, or tokens. Where both are text they are read as one, so that
        a token may reach from one into the other. The prompt is computed once, and stays in the KV
        cache. ``parse_special`` is that of `tokenize`.

        Raises ValueError for an empty prompt or answer, and for both together if they are longer
        than the context; LlamaCancelled after `cancel`. C: ``llama_get_logits_ith``, llama.h.
        """
        if isinstance(answers, str | bytes):
            raise TypeError(f"score takes several answers, not one text: {answers!r}")
        if self._model.has_encoder:
            raise LlamaModelError(f"{self._model.path.name} has an encoder: it continues no text")
        n_ctx = self._ctx.n_ctx_seq
        groups: dict[tuple[int, ...], list[int]] = {}
        tokens = []
        for i, answer in enumerate(answers):
            start, own = logprobs.answer_tokens(self._model, prompt, answer, n_ctx, parse_special)
            groups.setdefault(start, []).append(i)
            tokens.append(own)
        found: dict[int, Score] = {}
        self._cancelled = False
        with self._scheduler.guest() as sequence:
            for start, members in groups.items():
                of_start = [tokens[i] for i in members]
                check = self._check_cancelled
                of_start_scores = logprobs.scores(self._ctx, sequence, start, of_start, check)
                found |= zip(members, of_start_scores, strict=True)
        return [found[i] for i in range(len(tokens))]

    # -- embeddings

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        normalize: bool = True,
        truncate: bool = False,
        parse_special: bool = True,
    ) -> Embeddings:
        """``texts`` (or one text) as vectors: a sequence of rows of floats, which ``np.asarray``
        takes without a copy, with the ``shape`` ``(n, n_embd_out)``. With ``normalize`` each has
        length 1, so that the product of two is the cosine of their angle.

        Texts are computed several at a time, in a context of its own that is made when it is first
        needed and has the settings, the adapters and the control vector of this one. The tokens of
        a text are pooled as the model was made for, or as ``pooling_type`` says; the mean is taken
        where neither does. ``parse_special`` is that of `tokenize`. With ``truncate`` a text that
        is too long loses its end; else nothing is computed.

        Raises ValueError for no texts, for one without tokens, and for one that is longer than both
        ``n_ctx`` and the context that the model was trained with; LlamaModelError for a reranker.
        C: ``llama_get_embeddings_ith``, ``llama_get_embeddings_seq``, llama.h.
        """
        return self._embedder.embed(texts, normalize, truncate, parse_special)

    def rerank(
        self, query: str, documents: Iterable[str], *, parse_special: bool = False
    ) -> list[Ranked]:
        """How well each of ``documents`` answers ``query``, by a model made for it; best first.
        ``parse_special`` is that of `tokenize`.

        Raises LlamaModelError for any other model, and ValueError for what is too long.
        """
        return self._embedder.rerank(query, documents, parse_special)

    def classify(self, text: str, *, parse_special: bool = True) -> dict[str, float]:
        """The classes of a classifier with their probabilities for ``text``, likeliest first.
        ``parse_special`` is that of `tokenize`.

        Raises LlamaModelError for a model that has none, and ValueError for a text that is too
        long. C: ``llama_model_cls_label``, llama.h.
        """
        return self._embedder.classify(text, parse_special)

    # -- states

    def save_state(self, path: str | os.PathLike[str], prompt: str | Sequence[int]) -> int:
        """Save the part of ``prompt`` that the KV cache has from an earlier generation, for
        `load_state` in this or another process. Returns the number of tokens.
        Raises LlamaContextError if there are none. C: ``llama_state_seq_get_data``, llama.h.
        """
        if isinstance(prompt, str | bytes):
            tokens = self._model.tokenize_prompt(prompt)
        else:
            tokens = self._model.vocab.check_tokens(prompt).tolist()
        with self._scheduler.paused():
            self._ctx.core.opened()
            sequence = self._scheduler.places.nearest(tokens)
            if sequence is None:
                raise LlamaContextError(
                    "the KV cache has nothing of that prompt: complete it first"
                )
            sequence.save(path)
            return len(sequence)

    def load_state(self, path: str | os.PathLike[str]) -> int:
        """Load a file of `save_state` or `LlamaSequence.save` into the KV cache: prompts that begin
        with its text continue from there. Returns its number of tokens. Raises like
        ``ctx.sequence.load``."""
        return self._scheduler.adopt(state.read_file(path))

    # -- stopping

    def cancel(self) -> None:
        """Stop the generation that runs, from any thread: it raises LlamaCancelled within some
        milliseconds. The context stays usable. Does nothing when none runs."""
        self._cancels[0] += 1
        self._cancelled = True
        self._scheduler.cancel()
        self._ctx.cancel()
        self._embedder.cancel()

    def stop_thread(self, thread: int) -> None:
        """Like `cancel`, but only for the calls of the thread with this identifier."""
        thread = integer(thread, "thread")
        if self._scheduler.cancel(thread):
            self._cancelled = True
        self._embedder.cancel(thread)

    @contextmanager
    def paused(self) -> Iterator[LlamaContext]:
        """The context, for the calling thread alone: requests of other threads and tasks wait until
        the end of the block.

            with llm.paused() as ctx:
                ctx.set_loras({lora: 1.0})

        Use it to change adapters, or to work with sequences and states of ``ctx``, while others
        generate. Running generations use the new adapters from their next token on; one whose
        sequence was changed ends with LlamaContextError. In the block, requests of the same thread
        raise LlamaBusyError.
        """
        with self._scheduler.paused():
            yield self._ctx

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
