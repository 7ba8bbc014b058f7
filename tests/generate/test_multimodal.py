"""Images in prompts, with a tiny random projector: the whole path, and damaged inputs."""

from __future__ import annotations

import io
import logging
import struct
import threading
import wave
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llama_cpp import (
    LlamaCancelled,
    LlamaContext,
    LlamaDecodeError,
    LlamaModel,
    LlamaModelError,
    LlamaMultimodal,
    LlamaSampler,
)
from llama_cpp.errors import LlamaBusyError, LlamaClosedError, LlamaContextError, LlamaOutputError
from tests.support import tiny_mmproj
from tests.support.pictures import png
from tests.support.python import run_example, run_python
from tests.support.tiny_mmproj import N_TOKENS, N_TOKENS_AUDIO, SAMPLE_RATE


@pytest.fixture(scope="module")
def mmproj(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mmproj.make(tmp_path_factory.mktemp("mmproj"))


@pytest.fixture(scope="module")
def text_model(tiny_path: Callable[..., Path]) -> LlamaModel:
    return LlamaModel.from_file(tiny_path("llama"))


@pytest.fixture(scope="module")
def eyes(text_model: LlamaModel, mmproj: Path) -> LlamaMultimodal:
    return LlamaMultimodal(text_model, mmproj, n_threads=1)


@pytest.fixture(scope="module")
def ears(text_model: LlamaModel, tmp_path_factory: pytest.TempPathFactory) -> LlamaMultimodal:
    path = tiny_mmproj.make(tmp_path_factory.mktemp("mmproj"), "audio")
    return LlamaMultimodal(text_model, path, n_threads=1)


@pytest.fixture
def ctx(text_model: LlamaModel) -> Iterator[LlamaContext]:
    with LlamaContext(text_model, n_ctx=256, n_threads=1, n_batch=64) as ctx:
        yield ctx


def picture(seed: int = 0, height: int = 20, width: int = 30) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# -- contents


def test_it_says_what_it_takes(eyes: LlamaMultimodal, text_model: LlamaModel) -> None:
    assert (eyes.has_vision, eyes.has_audio, eyes.sample_rate) == (True, False, None)
    assert eyes.marker == "<__media__>"
    assert repr(eyes) == "<LlamaMultimodal 'mmproj-vision-64.gguf', images>"
    assert eyes.model is text_model


def test_images_come_from_files_bytes_and_arrays(eyes: LlamaMultimodal, tmp_path: Path) -> None:
    pixels = picture()
    file = tmp_path / "a.png"
    file.write_bytes(png(pixels))
    bmp_rows = b"".join(row[:, ::-1].tobytes() + b"\0" * (-row.nbytes % 4) for row in pixels[::-1])
    bmp = b"BM" + struct.pack("<IIIIiiHHIIIIII", 54 + len(bmp_rows), 0, 54, 40, 30, 20, 1, 24,
                              0, len(bmp_rows), 0, 0, 0, 0) + bmp_rows  # fmt: skip
    strided = np.repeat(pixels, 2, axis=1)[:, ::2]
    for source in (file, str(file), png(pixels), bytearray(png(pixels)), bmp, pixels, strided):
        with eyes.image(source) as image:
            assert (image.kind, image.size) == ("image", (30, 20))
            assert image.data == pixels.tobytes()
    assert repr(eyes.image(pixels)) == "<LlamaMedia, image of 30 x 20>"


def test_a_prompt_is_text_and_images(eyes: LlamaMultimodal, text_model: LlamaModel) -> None:
    image = eyes.image(picture())
    text = f"the cat {eyes.marker} sat on {eyes.marker} a mat"
    chunks = eyes.tokenize(text, [image, image])
    assert [chunk.kind for chunk in chunks] == ["text", "image", "text", "image", "text"]
    assert [c.n_tokens for c in chunks if c.kind == "image"] == [N_TOKENS] * 2
    assert chunks.n_tokens == sum(c.n_tokens for c in chunks) == sum(c.n_pos for c in chunks)
    assert chunks[0].tokens is not None
    assert chunks[0].tokens[0] == text_model.vocab.bos
    assert "the cat" in text_model.detokenize(chunks[0].tokens)
    assert chunks[1].tokens is None
    assert repr(chunks).startswith("<LlamaChunks, text ")
    plain = eyes.tokenize("the cat")
    assert [chunk.tokens for chunk in plain] == [text_model.tokenize("the cat")]


# -- the whole path


def test_what_is_seen_matters(eyes: LlamaMultimodal, ctx: LlamaContext) -> None:
    def logits(pixels: Any) -> Any:
        ctx.memory.seq_rm()
        chunks = eyes.tokenize(f"the cat {eyes.marker} sat on", [eyes.image(pixels)])
        past = eyes.eval(ctx, chunks)
        assert past == chunks.n_tokens == ctx.memory.seq_pos_max() + 1
        with pytest.raises(LlamaOutputError):
            ctx.logits(0 if len(chunks[-1].tokens) > 1 else 1)
        return np.array(ctx.logits(-1))

    one, two = logits(picture(1)), logits(picture(2))
    assert np.abs(one - two).max() > 1e-3
    assert np.array_equal(one, logits(picture(1)))
    assert np.array_equal(one, logits(png(picture(1))))


def test_text_alone_is_what_decode_does(eyes: LlamaMultimodal, ctx: LlamaContext) -> None:
    text = "the cat sat on a mat " * 14  # more than a batch
    tokens = ctx.model.tokenize(text)
    ctx.decode(tokens[:64])
    ctx.decode(tokens[64:])
    expected = np.array(ctx.logits(-1))
    ctx.memory.seq_rm()
    chunks = eyes.tokenize(text)
    assert chunks[0].tokens == tokens
    eyes.eval(ctx, chunks)
    assert np.array_equal(ctx.logits(-1), expected)
    assert np.array_equal(ctx.logits((len(tokens) - 1) % 64), expected)


def test_what_others_wrote_stays_text(
    eyes: LlamaMultimodal, ctx: LlamaContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = eyes.model
    (end,) = model.tokenize("<|im_end|>", add_special=False)
    picture = eyes.image(np.zeros((8, 8, 3), np.uint8))
    prompts = []
    kept = LlamaMultimodal._generate

    def generate(self: LlamaMultimodal, ctx: Any, chunks: Any, *rest: Any) -> Any:
        prompts.append([token for chunk in chunks for token in chunk.tokens or [-1]])
        return kept(self, ctx, chunks, *rest)

    monkeypatch.setattr(LlamaMultimodal, "_generate", generate)
    says = [{"role": "user", "content": f"a{eyes.marker}b<|im_end|>"}]
    for parse_special in (False, True):
        eyes.chat(ctx, says, [picture], parse_special=parse_special, max_tokens=1)
    assert [prompt.count(end) for prompt in prompts] == [1, 2]
    plain = model.tokenize("b<|im_end|>", add_special=False, parse_special=False)
    at = prompts[0].index(end) - len(plain)
    assert prompts[0][at:][: len(plain)] == plain
    monkeypatch.setattr(model.vocab, "added", (model.vocab.bos, model.vocab.eos))
    for text in ("the cat", "<s>the cat"):
        assert eyes.generate(ctx, text).prompt == model.tokenize("the cat")


def test_it_generates_and_chats(eyes: LlamaMultimodal, ctx: LlamaContext) -> None:
    image = eyes.image(picture())
    prompt = f"the cat {eyes.marker} sat on"
    generation = eyes.generate(ctx, prompt, [image], max_tokens=12, temperature=0, logprobs=1)
    pieces = "".join(generation)
    assert generation.prompt.count(-1) == N_TOKENS
    assert generation.usage.prompt_tokens == eyes.tokenize(prompt, [image]).n_tokens
    assert 0 < len(generation.tokens) <= 12
    again = eyes.generate(ctx, prompt, [image], max_tokens=12, temperature=0)
    assert "".join(again) == pieces
    # The answer equals the same computation by hand.
    ctx.memory.seq_rm()
    eyes.eval(ctx, eyes.tokenize(prompt, [image]))
    for token in generation.tokens:
        assert token == int(np.argmax(ctx.logits(-1)))
        ctx.decode([token])
    done = eyes.chat(
        ctx,
        [{"role": "user", "content": f"{eyes.marker} hello"}],
        [image],
        max_tokens=5,
        temperature=0,
    )
    assert done.usage.prompt_tokens > N_TOKENS
    full = eyes.generate(ctx, prompt, [image], temperature=0, grammar="root ::= [a-z ]*")
    assert len(list(full)) > 20
    assert full.finish_reason == "length"


# -- faults


def test_wrong_prompts_are_errors(
    eyes: LlamaMultimodal, ctx: LlamaContext, text_model: LlamaModel
) -> None:
    image = eyes.image(picture())
    mark = eyes.marker
    for text, media in (("a", [image]), (mark, []), (mark * 2, [image]), ("", [image])):
        with pytest.raises(ValueError, match="markers '<__media__>' in the text for"):
            eyes.tokenize(text, media)
    with pytest.raises(TypeError, match="must come from image"):
        eyes.tokenize(mark, [picture()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="nothing to evaluate"):
        eyes.eval(ctx, eyes.tokenize("", add_special=False))
    chunks = eyes.tokenize(f"a {mark} b", [image])
    with pytest.raises(ValueError, match="seq_id 1 is not 0 to 0"):
        eyes.eval(ctx, chunks, seq_id=1)
    small = LlamaContext(text_model, n_ctx=64, n_batch=8, n_ubatch=2)
    with pytest.raises(ValueError, match="an image has 4 tokens, which this model takes at on"):
        eyes.eval(small, chunks)
    small.close()
    long = eyes.tokenize("cat " * 300 + mark, [image])
    ctx.decode([5] * 10)
    with pytest.raises(LlamaDecodeError, match="no room"):
        eyes.eval(ctx, long)
    assert ctx.memory.seq_pos_max() == 9, "as it was before"
    with pytest.raises(LlamaOutputError):
        ctx.logits(-1)
    with pytest.raises(ValueError, match="tokens, the context only"):
        eyes.generate(ctx, long)
    with pytest.raises(TypeError, match="temprature"):
        eyes.generate(ctx, "a", temprature=1)  # type: ignore[call-arg]
    sequence = ctx.sequence if hasattr(ctx, "sequence") else None
    if sequence is not None:
        ctx.memory.seq_rm()
        with sequence() as own, pytest.raises(LlamaContextError, match="LlamaSequence"):
            eyes.eval(ctx, chunks, seq_id=own.id)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (b"", ValueError, "is not an image that can be read"),
        (b"RIFF....WEBPVP8 ", ValueError, "PNG, JPEG, BMP and GIF files are"),
        (b"\x00\x00\x00\x18ftypmp42" * 9, ValueError, "is not an image"),
        (png(picture())[:60], ValueError, "could not be read"),
        (b"\xff\xd8\xff" + b"x" * 99, ValueError, "could not be read"),
        ("no such file.png", FileNotFoundError, "no such file"),
        (3, TypeError, "must be a path, bytes or an array"),
        (np.zeros((4, 4), np.uint8), ValueError, "must be uint8 of shape"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, "must be uint8 of shape"),
        (np.zeros((4, 4, 3), np.float32), ValueError, "must be uint8 of shape"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, "is empty or too large"),
    ],
)
def test_what_is_no_image_is_an_error(
    eyes: LlamaMultimodal, source: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        eyes.image(source)


def test_a_model_without_ears_hears_nothing(eyes: LlamaMultimodal) -> None:
    for sound in (b"RIFF....WAVE", array("f", [0.0] * 99), "a.wav"):
        with pytest.raises(LlamaModelError, match="takes no audio"):
            eyes.audio(sound)


def test_a_model_without_eyes_sees_nothing(
    ears: LlamaMultimodal, eyes: LlamaMultimodal, ctx: LlamaContext
) -> None:
    with pytest.raises(LlamaModelError, match="takes no image"):
        ears.tokenize(f"{ears.marker} cat", [eyes.image(picture())])
    with pytest.raises(LlamaModelError, match="takes no audio"):
        eyes.tokenize(f"{eyes.marker} cat", [ears.audio([0.0] * 9)])


def wav(samples: Any, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file, of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((np.asarray(samples) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def test_sounds_come_from_files_and_samples(ears: LlamaMultimodal, tmp_path: Path) -> None:
    samples = array("f", [0, 0.5, -0.5])
    for sound in (list(samples), samples, memoryview(samples), np.array(samples)):
        with ears.audio(sound) as media:
            assert (media.kind, media.n_samples) == ("audio", 3)
            assert media.data == samples.tobytes()
            with pytest.raises(ValueError, match="no width"):
                _ = media.size
    tone = np.sin(np.arange(8000) / 9).astype(np.float32)
    file = tmp_path / "a.wav"
    file.write_bytes(wav(tone))
    for source in (file, file.read_bytes()):
        heard = np.frombuffer(ears.audio(source).data, np.float32)
        assert np.abs(heard - tone).max() < 1e-3
    slower = ears.audio(wav(tone, SAMPLE_RATE // 2))
    assert abs(slower.n_samples - 2 * len(tone)) < 9, "in the rate that the model takes"


def test_what_is_heard_matters(ears: LlamaMultimodal, ctx: LlamaContext) -> None:
    assert (ears.has_audio, ears.has_vision, ears.sample_rate) == (True, False, SAMPLE_RATE)
    found = []
    for pitch, seconds in ((9, 1), (5, 1), (9, 31)):
        ctx.memory.seq_rm()
        sound = ears.audio(np.sin(np.arange(SAMPLE_RATE * seconds) / pitch).astype(np.float32))
        chunks = ears.tokenize(f"the cat {ears.marker} sat on", [sound])
        n_parts = 2 if seconds > 30 else 1
        assert [c.n_tokens for c in chunks if c.kind == "audio"] == [N_TOKENS_AUDIO] * n_parts
        assert ears.eval(ctx, chunks) == chunks.n_tokens == ctx.memory.seq_pos_max() + 1
        found.append(np.array(ctx.logits(-1)))
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert np.abs(found[0] - found[2]).max() > 1e-3


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ([], ValueError, "a sound of 0 samples is none"),
        ([0.0], ValueError, "a sound of 1 samples is none"),
        (np.zeros((2, 2), np.float32), ValueError, "must be float32 in one dimension"),
        (np.zeros(9), ValueError, "must be float32 in one dimension"),
        (b"not a sound at all", ValueError, "WAV, MP3 and FLAC"),
        (wav([]), ValueError, "a sound of 0 samples|could not be read"),
        (wav([0.5]), ValueError, "a sound of 1 samples"),
        (wav([0.5] * 99)[:30], ValueError, "could not be read"),
        (b"fLaC" + b"x" * 99, ValueError, "could not be read"),
        ("no such file.wav", FileNotFoundError, "no such file"),
    ],
)
def test_what_is_no_sound_is_an_error(
    ears: LlamaMultimodal, source: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ears.audio(source)


def test_a_file_that_is_no_projector_is_an_error(
    text_model: LlamaModel, mmproj: Path, tmp_path: Path
) -> None:
    with pytest.raises(LlamaModelError, match="mismatch between text model"):
        LlamaMultimodal(text_model, tiny_mmproj.make(tmp_path, n_embd=96))
    data = mmproj.read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in (0, 3, 100, 1000, len(data) // 2, len(data) - 64):
        cut.write_bytes(data[:size])
        with pytest.raises(LlamaModelError):
            LlamaMultimodal(text_model, cut)
    with pytest.raises(FileNotFoundError):
        LlamaMultimodal(text_model, tmp_path / "none.gguf")
    for arguments in (
        {"n_threads": 0},
        {"image_min_tokens": 0},
        {"image_min_tokens": 9, "image_max_tokens": 3},
        {"marker": ""},
    ):
        with pytest.raises(ValueError, match=r"must be|more than"):
            LlamaMultimodal(text_model, mmproj, **arguments)  # type: ignore[arg-type]


def test_closed_and_foreign_things_are_refused(
    eyes: LlamaMultimodal,
    ctx: LlamaContext,
    text_model: LlamaModel,
    mmproj: Path,
    tiny_path: Callable[..., Path],
) -> None:
    image = eyes.image(picture())
    chunks = eyes.tokenize(f"a {eyes.marker} b", [image])
    image.close()
    eyes.eval(ctx, chunks)  # which have their own
    with pytest.raises(LlamaClosedError):
        eyes.tokenize(f"a {eyes.marker} b", [image])
    other = LlamaModel.from_file(tiny_path("llama", seed=1))
    with LlamaContext(other, n_ctx=64) as foreign, pytest.raises(LlamaContextError):
        eyes.eval(foreign, chunks)
    second = LlamaMultimodal(text_model, mmproj, n_threads=1, marker="<image>")
    assert second.marker == "<image>"
    with pytest.raises(LlamaContextError, match="different models"):
        second.eval(ctx, chunks)
    second.close()
    assert repr(second).endswith("closed>")
    for call in (
        lambda: second.tokenize("a"),
        lambda: second.image(picture()),
        lambda: second.marker,
    ):
        with pytest.raises(LlamaClosedError):
            call()
    chunks.close()
    with pytest.raises(LlamaClosedError):
        eyes.eval(ctx, chunks)


def test_cancelling_and_a_second_thread(eyes: LlamaMultimodal, text_model: LlamaModel) -> None:
    with LlamaContext(text_model, n_ctx=65536, n_batch=512, n_threads=1) as ctx:
        ctx.decode([5] * 10)
        chunks = eyes.tokenize(f"{eyes.marker} " + "cat " * 30000, [eyes.image(picture())])
        assert chunks.n_tokens < 65000
        errors: list[BaseException] = []

        def evaluate() -> None:
            try:
                eyes.eval(ctx, chunks)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=evaluate)
        thread.start()
        while not ctx.core.running and thread.is_alive():
            pass
        with pytest.raises(LlamaBusyError):
            eyes.eval(ctx, chunks)
        with pytest.raises(LlamaBusyError):
            ctx.decode([5])
        while thread.is_alive():
            ctx.cancel()
            thread.join(0.005)
        assert [type(error) for error in errors] == [LlamaCancelled]
        assert ctx.memory.seq_pos_max() == 9
        ctx.decode([5])


def test_a_context_has_one_generation_at_a_time(eyes: LlamaMultimodal, ctx: LlamaContext) -> None:
    options: dict[str, Any] = {"max_tokens": 8, "temperature": 0}
    prompt, image = f"the {eyes.marker} sat", eyes.image(picture())
    alone = [eyes.generate(ctx, *p, **options) for p in ((prompt, [image]), ("a cat",))]
    texts = ["".join(generation) for generation in alone]
    first = eyes.generate(ctx, prompt, [image], **options)
    next(first)
    second = eyes.generate(ctx, "a cat", **options)
    assert next(second)
    with pytest.raises(LlamaContextError, match="another generation was begun"):
        next(first)
    assert first.finish_reason == "error"
    list(second)
    assert second.tokens == alone[1].tokens

    class Nested:
        """A sampler that has another generation begin in the middle of a step."""

        selects = True
        raised: BaseException | None = None

        def apply(self, candidates: Any) -> None:
            candidates.selected = 0
            with pytest.raises(LlamaBusyError, match="in the middle of a step") as caught:
                next(eyes.generate(ctx, "a cat", **options))
            self.raised = caught.value

    nested = Nested()
    chain = LlamaSampler.chain(ctx.model.library).custom(nested)
    list(eyes.generate(ctx, prompt, [image], sampler=chain, max_tokens=3))
    assert nested.raised is not None
    assert "".join(eyes.generate(ctx, prompt, [image], **options)) == texts[0]


def test_its_log_goes_to_python(
    text_model: LlamaModel, mmproj: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="llama_cpp"):
        LlamaMultimodal(text_model, mmproj, n_threads=1).close()
    assert any("clip" in record.message for record in caplog.records)
    done = run_python(
        "import sys; from llama_cpp import *\n"
        "model = LlamaModel.from_file(sys.argv[1])\n"
        "print(LlamaMultimodal(model, sys.argv[2]).has_vision)",
        text_model.path,
        mmproj,
    )
    assert done == (0, "True\n", "")


def test_the_example_runs(text_model: LlamaModel, mmproj: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for i, file in enumerate(files):
        file.write_bytes(png(picture(i)))
    done = run_example("describe_image", text_model.path, mmproj, *files, "--max-tokens", 5)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tokens of prompt, " in done.stdout
