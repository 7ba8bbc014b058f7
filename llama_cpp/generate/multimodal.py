"""Images and audio in prompts: a second model, the projector, turns them into embeddings.

C: libmtmd, tools/mtmd/mtmd.h and mtmd-helper.h, which call themselves experimental.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from array import array
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from .. import _raw, _raw_mtmd
from ..context.batch import LlamaBatch
from ..context.context import LlamaContext
from ..context.core import Core
from ..context.turns import Turn
from ..engine.machine import usable_cores
from ..errors import LlamaBusyError, LlamaContextError, LlamaModelError
from ..model.checks import check_projector
from ..model.gguf import file_name
from ..model.model import LlamaModel
from ..model.quoting import Quoting
from ..model.text import with_stack
from ..native import log
from ..native.arguments import c_number, check_type
from ..native.calls import call, guarded, unguarded
from ..native.library import LlamaLibrary
from ..native.locks import take
from ..native.resource import Closable, Resource, owned
from .chat import ChatGenerationOptions, Outside, render_chat, split_options
from .generation import Completion, Generation, Request, completion
from .options import GenerationOptions, check_options
from .probe import probe as _probe
from .reasoning import ChatPrompt, ReasoningTags

if TYPE_CHECKING:
    from typing_extensions import Unpack


Kind = Literal["text", "image", "audio"]

_KINDS: dict[int, Kind] = {
    _raw_mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT: "text",
    _raw_mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE: "image",
    _raw_mtmd.MTMD_INPUT_CHUNK_TYPE_AUDIO: "audio",
}
# For other formats the library would start ffmpeg.
_IMAGES = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|BM|GIF8")
_SOUNDS = re.compile(rb"(?=.{12})(RIFF....WAVE|ID3|fLaC|\xff[\xfb\xf3\xf2\xfa])", re.DOTALL)
_MOST_PIXELS = 1 << 28
_MOST_SAMPLES = 1 << 28
_MOST_TOKENS = 1 << 16


class LlamaMultimodal(Closable):
    """Lets a model see or hear, by its projector, a separate GGUF file ("mmproj").

        eyes = LlamaMultimodal(model, "mmproj.gguf")
        prompt = f"What is this? {eyes.marker}"
        eyes.chat(ctx, [{"role": "user", "content": prompt}], [eyes.image("cat.png")]).text

    ``marker`` stands for an image or a sound in a text. ``use_gpu``, ``n_threads`` (by default the
    cores that the process may use) and ``warmup`` (a run with nothing, so that the first image is
    not slower) are for the projector; ``image_min_tokens`` and ``image_max_tokens`` are for models
    that take images of any size, -1 is the model's own value.

    libmtmd crashes over many projectors that are damaged. So another Python process loads the file
    first and encodes with it on the CPU, for two seconds at most: a file that ends that process
    raises LlamaModelError. It is done once for a file, as long as it does not change, and takes
    what starting Python and reading the file take. ``probe=False`` leaves it out, for files that
    you trust. By default it is also left out, with a warning in the log, where no Python can be
    started, as in a program that has it inside (``sys.executable`` is empty or no Python);
    ``probe=True`` raises LlamaModelError there. What stays: a file made so that other images or
    sounds than those it is tried with, or what comes after the two seconds, crash libmtmd.

    Raises LlamaModelError when the file is no projector, or not one for this model, and
    LlamaMissingFunctionError when there is no libmtmd beside the library. C:
    ``mtmd_init_from_file``, mtmd.h.
    """

    def __init__(
        self,
        model: LlamaModel,
        mmproj: str | os.PathLike[str],
        *,
        use_gpu: bool = True,
        n_threads: int | None = None,
        warmup: bool = True,
        image_min_tokens: int = -1,
        image_max_tokens: int = -1,
        marker: str | None = None,
        probe: bool | None = None,
    ) -> None:
        check_type(model, LlamaModel)
        parent = model.opened()
        model.vocab.with_tokens()
        file = Path(mmproj)
        if marker is not None and (not marker or "\0" in marker):
            raise ValueError(f"marker={marker!r} must be a text without NUL")
        threads = usable_cores() if n_threads is None else n_threads
        if not 1 <= threads <= _raw.GGML_MAX_N_THREADS:
            raise ValueError(f"n_threads={threads} must be 1 to {_raw.GGML_MAX_N_THREADS}")
        for name, n in (("min", image_min_tokens), ("max", image_max_tokens)):
            if n != -1 and not 1 <= n <= _MOST_TOKENS:
                raise ValueError(f"image_{name}_tokens={n} must be 1 to {_MOST_TOKENS}, or -1")
        if image_max_tokens != -1 and image_min_tokens > image_max_tokens:
            raise ValueError(f"{image_min_tokens=} is more than {image_max_tokens=}")
        if probe not in (True, False, None):
            raise TypeError(f"probe must be True, False or None, not {probe!r}")
        check_projector(model.library, file)
        self.model: Final = model
        """The model that it is for."""
        self._path = file
        # Functions of libmtmd, which LlamaLibrary finds when they are called.
        self._calls = cast("Any", model.library)
        self._short = cast("Any", model.library.short)
        self._lock = threading.Lock()
        _hear(model.library)
        raw = self._short.mtmd_context_params_default()
        raw.use_gpu, raw.n_threads, raw.warmup = use_gpu, threads, warmup
        raw.print_timings = False
        raw.image_min_tokens, raw.image_max_tokens = image_min_tokens, image_max_tokens
        if marker is not None:
            raw.media_marker = marker.encode()
        if probe is not False:
            options = {
                "n_threads": threads,
                "image_min_tokens": image_min_tokens,
                "image_max_tokens": image_max_tokens,
            }
            why = _probe(file, model._files, model.library.path, options)
            if why is not None:
                if probe:
                    raise LlamaModelError(f"{file} cannot be tried before it is loaded: {why}")
                log.show(log.WARNING, f"{file} is loaded without a trial: {why}")

        def load() -> Resource | None:
            handle = self._calls.mtmd_init_from_file(file_name(file), model.handle, raw)
            return owned(handle, self._calls.mtmd_free, parent, lock=self._lock)

        # It builds the graph ("warmup"): parts that do not fit together run into assertions.
        what = f"{file} is no projector for {model.path.name}"
        self._resource: Resource | None = call(model.library, load, what)

    # -- facts

    def _name(self) -> str:
        return f"the projector {self._path}"

    def __repr__(self) -> str:
        if self.closed:
            return f"<LlamaMultimodal {self._path.name!r}, closed>"
        kinds = [
            kind for kind, has in (("images", self.has_vision), ("audio", self.has_audio)) if has
        ]
        return f"<LlamaMultimodal {self._path.name!r}, {' and '.join(kinds)}>"

    @property
    def marker(self) -> str:
        """The placeholder of an image or a sound in a text. C: ``mtmd_get_marker``."""
        text: bytes = self._short.mtmd_get_marker(self.opened().handle)
        return text.decode()

    @property
    def has_vision(self) -> bool:
        """Whether it takes images. C: ``mtmd_support_vision``."""
        return bool(self._short.mtmd_support_vision(self.opened().handle))

    @property
    def has_audio(self) -> bool:
        """Whether it takes audio. C: ``mtmd_support_audio``."""
        return bool(self._short.mtmd_support_audio(self.opened().handle))

    @property
    def sample_rate(self) -> int | None:
        """The samples per second of the audio that it takes; None where it takes none.
        C: ``mtmd_get_audio_sample_rate``."""
        rate = int(self._short.mtmd_get_audio_sample_rate(self.opened().handle))
        return rate if rate > 0 else None

    # -- media

    def image(self, source: Any) -> LlamaMedia:
        """An image: a file (its path), the bytes of one (PNG, JPEG, BMP or GIF), or pixels, as an
        array of uint8 of shape (height, width, 3) in the order red, green, blue.

        Raises FileNotFoundError, ValueError for a file that is not an image and for other arrays.
        C: ``mtmd_helper_bitmap_init_from_buf``, mtmd-helper.h; ``mtmd_bitmap_init``, mtmd.h.
        """
        data = _file(source, "an image", _IMAGES, "PNG, JPEG, BMP and GIF files")
        if data is not None:
            return self._from_file(data, "image")
        pixels = _buffer(source, "an image")
        shape = pixels.shape or ()  # the hints allow None
        if pixels.format not in ("B", "<B") or len(shape) != 3 or shape[2] != 3:
            raise ValueError(
                "pixels must be uint8 of shape (height, width, 3), not "
                f"{pixels.format!r} of shape {shape}"
            )
        height, width = shape[:2]
        if not 0 < height * width <= _MOST_PIXELS:
            raise ValueError(f"image size {width}x{height} is empty or too large")
        copy = (ctypes.c_ubyte * pixels.nbytes).from_buffer_copy(pixels.tobytes())
        self.opened()
        return LlamaMedia(self, self._short.mtmd_bitmap_init(width, height, copy))

    def audio(self, source: Any) -> LlamaMedia:
        """A sound: a file (its path), the bytes of one (WAV, MP3 or FLAC), or samples, as floats
        from -1 to 1 at `sample_rate`, one channel.

        Raises FileNotFoundError, LlamaModelError when the model takes no audio, and ValueError if
        it is not a sound. C: ``mtmd_helper_bitmap_init_from_buf``, mtmd-helper.h;
        ``mtmd_bitmap_init_from_audio``, mtmd.h.
        """
        if not self.has_audio:
            raise LlamaModelError(f"{self._path.name} takes no audio")
        data = _file(source, "a sound", _SOUNDS, "WAV, MP3 and FLAC files")
        if data is not None:
            return self._from_file(data, "audio")
        return LlamaMedia(self, self._sound(source))

    def _sound(self, source: Any) -> Any:
        if isinstance(source, array | memoryview) or hasattr(source, "__array_interface__"):
            view = _buffer(source, "a sound")
            if view.format not in ("f", "<f") or view.ndim != 1:
                raise ValueError(
                    f"samples must be float32 in one dimension, not {view.format!r} in {view.ndim}"
                )
            samples = array("f", view.tobytes())
        else:
            samples = array("f", source)
        _check_length(len(samples))
        data = (ctypes.c_float * len(samples)).from_buffer(samples)
        return self._short.mtmd_bitmap_init_from_audio(len(samples), data)

    def _from_file(self, data: bytes, kind: Kind) -> LlamaMedia:
        buffer = (ctypes.c_ubyte * len(data)).from_buffer_copy(data)
        options = self._short.mtmd_helper_init_opt_default()
        with log.heard() as said:
            made = self._calls.mtmd_helper_bitmap_init_from_buf(
                self.opened().handle, buffer, len(data), False, options
            )
        if made.video_ctx:
            self._short.mtmd_bitmap_free(made.bitmap)
            self._short.mtmd_helper_video_free(made.video_ctx)
            raise ValueError("this is a video, not an image")
        if not made.bitmap:
            raise ValueError(
                f"the {kind} could not be read: " + log.reason(said, "the file is damaged")
            )
        media = LlamaMedia(self, made.bitmap)
        if media.kind == "audio":
            _check_length(media.n_samples)
        return media

    # -- prompts

    def tokenize(
        self,
        text: str,
        media: Sequence[LlamaMedia] = (),
        *,
        add_special: bool = True,
        parse_special: bool = True,
    ) -> LlamaChunks:
        """``text`` as tokens, with ``media`` where it has markers, in their order. The other
        arguments are those of `LlamaModel.tokenize`.

        Raises ValueError when there are more or fewer markers than media, LlamaModelError for
        media that this model does not take or cannot prepare. C: ``mtmd_tokenize``, mtmd.h.
        """
        check_type(text, str)
        return self._tokenized([(text, parse_special)], list(media), add_special)

    def _tokenized(
        self,
        parts: list[tuple[str, bool]],
        media: Sequence[LlamaMedia],
        add_special: bool = True,
        add_end: bool = True,
    ) -> LlamaChunks:
        """Parts of a text, each with its ``parse_special``, and media as tokens."""
        self.opened()
        text = "".join(part for part, _ in parts)
        self._check_media(text, media)
        begin, end = self.model.vocab.added
        if add_special and begin is not None:
            piece = self.model.token_to_piece(begin)
            first, special = parts[0]
            parts = [(first.removeprefix(piece) if special else first, special), *parts[1:]]
            if end is not None and not add_end:
                parts = [(piece, True), *parts]
        add_special = add_special and (end is None or add_end)
        chunks = LlamaChunks(self)
        tokenize = self._into(chunks, parts, [m.opened().handle for m in media], add_special)
        # With media: values of the projector's file can make the preparation abort or divide by 0.
        guard = guarded if media else unguarded
        prepare = partial(with_stack, tokenize, text.encode())
        call(self.model.library, prepare, "the prompt could not be prepared", guard=guard)
        chunks._read()
        return chunks

    def _check_media(self, text: str, media: Sequence[LlamaMedia]) -> None:
        marker = self.marker
        for each in media:
            if not isinstance(each, LlamaMedia):
                raise TypeError(f"media must come from image() or audio(), not {each!r}")
            if each._library is not self.model.library:
                raise LlamaModelError("the media and the model belong to different libraries")
            if not (self.has_vision if each.kind == "image" else self.has_audio):
                raise LlamaModelError(f"{self._path.name} takes no {each.kind}")
        if text.count(marker) != len(media):
            raise ValueError(
                f"{text.count(marker)} markers {marker!r} in the text for {len(media)} images or "
                "sounds: each needs one, where it belongs"
            )
        self.model.vocab.with_tokens()

    def _into(
        self, chunks: LlamaChunks, parts: list[tuple[str, bool]], bitmaps: list[Any], special: bool
    ) -> Callable[[], int]:
        """The function that fills ``chunks``. Several parts need a newer libmtmd."""
        handle, target = self.opened().handle, chunks.opened().handle
        if len(parts) == 1:
            given = _input(*parts[0], special)
            handles = (_raw_mtmd.mtmd_bitmap * len(bitmaps))(*bitmaps)
            return lambda: int(
                self._calls.mtmd_tokenize(handle, target, given, handles, len(bitmaps))
            )
        marker, images = self.marker, iter(bitmaps)
        pieces = [
            _raw_mtmd.mtmd_input_part(bitmap=next(images))
            if piece == marker
            else _raw_mtmd.mtmd_input_part(text=ctypes.pointer(_input(piece, parse)))
            for part, parse in parts
            for piece in re.split(f"({re.escape(marker)})", part)
            if piece
        ]
        kind = ctypes.POINTER(_raw_mtmd.mtmd_input_part) * len(pieces)
        pointers = kind(*map(ctypes.pointer, pieces))
        return lambda: int(
            self._calls.mtmd_tokenize_from_parts(handle, target, pointers, len(pieces), special)
        )

    def eval(self, ctx: LlamaContext, chunks: LlamaChunks, *, seq_id: int = 0) -> int:
        """Append ``chunks`` to a sequence in the KV cache of ``ctx``. Returns the next position:
        with models that number images in two dimensions (M-RoPE) a batch needs it as its ``pos``.

        Afterwards ``ctx`` has the output of the last token, if the chunks end with text. Ctrl-C and
        `LlamaContext.cancel` stop the decodes, not the projector. Whatever it raises, the sequence
        is as it was before: LlamaDecodeError when the KV cache is full, ValueError when an image
        has more tokens than fit a batch and has to be decoded at once, LlamaBusyError,
        LlamaCancelled. C: ``mtmd_encode_chunk``, mtmd.h; ``mtmd_helper_decode_image_chunk``,
        ``mtmd_helper_eval_chunk_single``, mtmd-helper.h.
        """
        handle = self.opened().handle
        if not isinstance(ctx, LlamaContext) or not isinstance(chunks, LlamaChunks):
            raise TypeError(f"expected a LlamaContext and LlamaChunks, not {ctx!r}, {chunks!r}")
        if ctx.model is not self.model or chunks._owner is not self:
            raise LlamaContextError("the context, the chunks and this belong to different models")
        if not len(chunks):
            raise ValueError("there is nothing to evaluate")
        seq_id = ctx.core.check_seq_id(int(c_number(_raw.llama_seq_id, seq_id, "seq_id")))
        core = ctx.core
        if not core.has_memory or core.has_encoder:
            raise LlamaContextError(f"{self.model.path.name} cannot go on with a prompt")
        if seq_id in ctx.books.tracks:
            raise LlamaContextError(f"sequence {seq_id} belongs to a LlamaSequence")
        core.opened()
        held = chunks.opened()
        for chunk, raw in chunks._raw():
            at_once = chunk.kind != "text" and self._short.mtmd_decode_use_non_causal(handle, raw)
            if at_once and chunk.n_tokens > min(core.n_batch, core.n_ubatch):
                raise ValueError(
                    f"an {chunk.kind} has {chunk.n_tokens} tokens, which this model takes at once: "
                    "make the context with an n_batch and n_ubatch of at least that"
                )
        past = _raw.llama_pos(0)
        compute = partial(self._compute, core, handle, chunks, seq_id, past)
        if not take(self._lock):
            raise LlamaBusyError("another thread is using this projector")
        try:
            with core.held():
                core.outputs = None
                core.encoded, core.offset = False, 0
                core.run(ctx.books, (seq_id,), chunks.n_tokens, "decode", compute, None, True, True)
                if chunks[-1].kind == "text":
                    core.outputs = ((chunks[-1].n_tokens - 1) % core.n_batch,)
        finally:
            self._lock.release()
        del held  # the chunks were in use until here
        return int(past.value)

    def _compute(
        self,
        core: Core,
        handle: Any,
        chunks: LlamaChunks,
        seq_id: int,
        past: Any,
        ctx: Any,
        _: None,
    ) -> int:
        """Decode ``chunks`` and count ``past`` on. Returns the code of the first that fails."""
        past.value = core.pos_max(core.kv, seq_id) + 1
        for chunk, raw in chunks._raw():
            where = (past.value, seq_id, core.n_batch)
            if chunk.kind == "text":
                last = chunk is chunks[-1]
                code = self._calls.mtmd_helper_eval_chunk_single(
                    handle, ctx, raw, *where, last, ctypes.byref(past)
                )
            else:
                self._encode(handle, raw, chunk.kind)
                embeddings = self._short.mtmd_get_output_embd(handle)
                callback = _raw_mtmd.mtmd_helper_post_decode_callback()
                code = self._calls.mtmd_helper_decode_image_chunk(
                    handle, ctx, raw, embeddings, *where, ctypes.byref(past), callback, None
                )
            if code:
                return int(code)
        return 0

    def _encode(self, handle: Any, raw: Any, kind: Kind) -> None:
        what = f"the {kind} could not be encoded"
        encode = partial(self._calls.mtmd_encode_chunk, handle, raw)
        call(self.model.library, encode, what)

    def try_out(self, chunks: LlamaChunks) -> None:
        """Encode the images and sounds of a prompt, to see whether that works."""
        check_type(chunks, LlamaChunks)
        if chunks._owner is not self:
            raise LlamaContextError("the chunks and this belong to different models")
        for chunk, raw in chunks._raw():
            if chunk.kind != "text":
                self._encode(self.opened().handle, raw, chunk.kind)

    # -- generation

    def generate(
        self,
        ctx: LlamaContext,
        prompt: str | LlamaChunks,
        media: Sequence[LlamaMedia] = (),
        **options: Unpack[GenerationOptions],
    ) -> Generation:
        """Go on with ``prompt``, which has a marker for each of ``media``: pieces of text.

        ``ctx`` is a context of its own for this: its first sequence is cleared before. It is for
        one generation at a time: the next one ends the one before with LlamaContextError, and a
        step in the middle of another raises LlamaBusyError. The options are those of
        `Llama.generate`, without ``cache_prompt``, ``context_shift`` and ``draft``. In
        `Generation.prompt`, -1 stands for an image or a sound.
        """
        check_type(ctx, LlamaContext)
        if isinstance(prompt, LlamaChunks):
            chunks = prompt
        else:
            check_type(prompt, str)
            special = c_number(ctypes.c_bool, options.get("parse_special", True), "parse_special")
            chunks = self._tokenized([(prompt, special)], list(media), add_end=False)
        return self._generate(ctx, chunks, options, None)

    def _generate(
        self,
        ctx: LlamaContext,
        chunks: LlamaChunks,
        options: GenerationOptions,
        tags: ReasoningTags | None,
    ) -> Generation:
        check_options(options, "LlamaMultimodal.generate")
        if not len(chunks):
            raise ValueError("the prompt is empty")
        if chunks[-1].kind != "text":
            raise ValueError("the prompt must end with text, for the model to answer to")
        tokens = [t for chunk in chunks for t in (chunk.tokens or [-1] * chunk.n_tokens)]
        counted = ChatPrompt(max(t, 0) for t in tokens)
        counted.tags = tags
        request = Request(self.model, counted, ctx.n_ctx, options)
        request.prompt = tokens
        return Generation(request, self._tokens(ctx, chunks, request))

    def chat(
        self,
        ctx: LlamaContext,
        messages: Sequence[Mapping[str, Any]],
        media: Sequence[LlamaMedia] = (),
        **options: Unpack[ChatGenerationOptions],
    ) -> Completion:
        """The answer to ``messages``, as `Llama.chat`; their contents have the markers."""
        check_type(ctx, LlamaContext)
        of_chat, others = split_options(options)
        tags: list[ReasoningTags | None] = []

        def render(outside: Outside) -> str:
            text, found = render_chat(self.model, messages, of_chat, outside=outside)
            tags.append(found)
            return text

        quoting = Quoting(self.model, parse_special=others.get("parse_special", False))
        chunks = self._tokenized(quoting.parts(render), list(media), add_end=False)
        return completion(self._generate(ctx, chunks, others, tags[-1]))

    def _tokens(
        self, ctx: LlamaContext, chunks: LlamaChunks, request: Request
    ) -> Generator[int, None, None]:
        request.started = time.perf_counter()
        turn, writes = Turn(ctx.turns), ctx.books.writes
        token, position, written = -1, 0, 0
        while True:
            with turn:
                if token < 0:
                    ctx.memory.seq_rm()
                    position = self.eval(ctx, chunks)
                else:
                    if writes[0] != written:
                        raise LlamaContextError(
                            "the context was used otherwise since this generation's last step"
                        )
                    ctx.decode(LlamaBatch([token], pos=position))
                    position += 1
                token = request.sampler.choose(ctx.outputs, -1)
                request.score(ctx, token)
                written = writes[0]
            yield token


class LlamaMedia(Closable):
    """An image or a sound; made by `LlamaMultimodal.image` and `LlamaMultimodal.audio`."""

    def __init__(self, owner: LlamaMultimodal, handle: Any) -> None:
        """Take over a bitmap."""
        check_type(owner, LlamaMultimodal)
        check_type(handle, _raw_mtmd.mtmd_bitmap)
        self._library = owner.model.library
        self._short = cast("Any", self._library.short)
        self._resource: Resource | None = Resource(handle, self._short.mtmd_bitmap_free)

    def _name(self) -> str:
        return "the image or sound"

    def _ask(self, name: str) -> Any:
        return getattr(self._short, f"mtmd_bitmap_{name}")(self.opened().handle)

    @property
    def kind(self) -> Kind:
        """``image`` or ``audio``. C: ``mtmd_bitmap_is_audio``."""
        return "audio" if self._ask("is_audio") else "image"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of an image, in pixels."""
        if self.kind != "image":
            raise ValueError("a sound has no width and height: see n_samples")
        return int(self._ask("get_nx")), int(self._ask("get_ny"))

    @property
    def n_samples(self) -> int:
        """The length of a sound, in samples."""
        if self.kind != "audio":
            raise ValueError("an image has no samples: see size")
        return int(self._ask("get_n_bytes")) // 4

    @property
    def data(self) -> bytes:
        """Its pixels (red, green, blue, one byte each) or samples (float32).
        C: ``mtmd_bitmap_get_data``."""
        return ctypes.string_at(self._ask("get_data"), self._ask("get_n_bytes"))

    def __repr__(self) -> str:
        if self.closed:
            return "<LlamaMedia, closed>"
        if self.kind == "audio":
            return f"<LlamaMedia, audio of {self.n_samples} samples>"
        return "<LlamaMedia, image of {} x {}>".format(*self.size)


@dataclass(frozen=True)
class Chunk:
    """A part of a prompt that is of one kind."""

    kind: Kind
    """Its kind: ``text``, ``image`` or ``audio``."""
    n_tokens: int
    """The number of its tokens in the KV cache."""
    n_pos: int
    """How many positions; other than tokens with M-RoPE."""
    tokens: list[int] | None = field(repr=False)
    """Of text; None for media."""


class LlamaChunks(Closable, Sequence[Chunk]):
    """A prompt of text and media; made by `LlamaMultimodal.tokenize`."""

    def __init__(self, owner: LlamaMultimodal) -> None:
        """An empty one, to be filled."""
        check_type(owner, LlamaMultimodal)
        self._owner = owner
        self._short = owner._short
        self._resource: Resource | None = Resource(
            self._short.mtmd_input_chunks_init(), self._short.mtmd_input_chunks_free
        )
        self._chunks: list[Chunk] = []

    def _read(self) -> None:
        short, handle = self._short, self.opened().handle
        for i in range(short.mtmd_input_chunks_size(handle)):
            raw = short.mtmd_input_chunks_get(handle, i)
            kind = _KINDS[short.mtmd_input_chunk_get_type(raw)]
            tokens = None
            if kind == "text":
                n = ctypes.c_size_t()
                first = short.mtmd_input_chunk_get_tokens_text(raw, ctypes.byref(n))
                tokens = list(first[: n.value])
            self._chunks.append(
                Chunk(
                    kind,
                    int(short.mtmd_input_chunk_get_n_tokens(raw)),
                    int(short.mtmd_input_chunk_get_n_pos(raw)),
                    tokens,
                )
            )

    def _raw(self) -> Iterator[tuple[Chunk, Any]]:
        handle = self.opened().handle
        for i, chunk in enumerate(self._chunks):
            yield chunk, self._short.mtmd_input_chunks_get(handle, i)

    def _name(self) -> str:
        return "the prompt"

    @property
    def n_tokens(self) -> int:
        """How many tokens all take in the KV cache."""
        return sum(chunk.n_tokens for chunk in self._chunks)

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, i: Any) -> Any:
        return self._chunks[i]

    def __repr__(self) -> str:
        parts = ", ".join(f"{chunk.kind} {chunk.n_tokens}" for chunk in self._chunks)
        return f"<LlamaChunks, {'closed' if self.closed else parts}>"


def _input(text: str, parse_special: bool, add_special: bool = False) -> Any:
    data = text.encode()
    return _raw_mtmd.mtmd_input_text(
        text=data, text_len=len(data), add_special=add_special, parse_special=parse_special
    )


@cache
def _hear(library: LlamaLibrary) -> None:
    """Send libmtmd's log to Python, once for each library."""
    log.attach(cast("Any", library).mtmd_helper_log_set, library.llama_max_devices)


def _buffer(source: Any, what: str) -> memoryview:
    try:
        return memoryview(source)
    except TypeError:
        raise TypeError(f"{what} must be a path, bytes or an array, not {source!r}") from None


def _check_length(n: int) -> None:
    if not 2 <= n <= _MOST_SAMPLES:
        raise ValueError(f"a sound of {n} samples is none, or too long")


def _file(source: Any, what: str, starts: re.Pattern[bytes], known: str) -> bytes | None:
    """The content of a file, from its path or bytes. None for other types."""
    if isinstance(source, str | os.PathLike):
        source = Path(source).read_bytes()
    if not isinstance(source, bytes | bytearray):
        return None
    if not starts.match(source):
        start = bytes(source[:8])
        raise ValueError(
            f"this is not {what} that can be read: it starts with {start!r}. {known} are"
        )
    return bytes(source)
