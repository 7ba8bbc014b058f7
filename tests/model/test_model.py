"""Loading a model: its properties, refused files, logs, progress and Ctrl-C."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llama_cpp import LlamaCancelled, LlamaLibrary, LlamaModel, LlamaModelError, _raw
from llama_cpp.errors import LlamaClosedError
from tests.support import tiny
from tests.support.python import run_program, run_python

# -- facts


def test_a_model_says_what_it_is(model: LlamaModel) -> None:
    assert model.metadata["general.architecture"] == "llama"
    assert model.n_layer == int(model.metadata["llama.block_count"])
    assert model.n_embd == int(model.metadata["llama.embedding_length"])
    assert model.n_ctx_train == int(model.metadata["llama.context_length"])
    assert model.n_head == int(model.metadata["llama.attention.head_count"])
    assert model.n_params == 134_515_008
    assert 90e6 < model.size < model.path.stat().st_size
    assert (model.has_encoder, model.has_decoder) == (False, True)
    assert model.decoder_start_token is None
    assert model.path.name in repr(model)
    assert model.description in repr(model)


def test_a_model_says_more(model: LlamaModel) -> None:
    assert model.n_head_kv == int(model.metadata["llama.attention.head_count_kv"])
    assert model.n_embd_inp == model.n_embd_out == model.n_embd
    assert (model.n_swa, model.n_layer_nextn) == (0, 0)
    assert model.rope_type is _raw.llama_rope_type.LLAMA_ROPE_TYPE_NORM
    assert model.rope_freq_scale_train == 1.0
    assert model.ftype == model.description.split(maxsplit=2)[-1]
    assert (model.is_recurrent, model.is_hybrid, model.is_diffusion) == (False, False, False)
    assert (model.n_cls_out, model.cls_labels) == (0, [])
    assert model.chat_template == model.metadata["tokenizer.chat_template"]
    assert model.named_chat_template("tool_use") is None


FACTS = {
    "llama": {"is_recurrent": False, "is_hybrid": False, "n_swa": 0, "n_cls_out": 0},
    "swa": {"n_swa": tiny.WINDOW, "rope_type": _raw.llama_rope_type.LLAMA_ROPE_TYPE_NEOX},
    "mamba": {"is_recurrent": True, "is_hybrid": False, "n_head": 0},
    "hybrid": {"is_recurrent": False, "is_hybrid": True, "n_head_kv": 0},
    "mtp": {"is_recurrent": False, "is_hybrid": False, "n_layer_nextn": 1},
    "bert": {"n_cls_out": 0, "cls_labels": [], "chat_template": None},
    "rerank": {"n_cls_out": 1, "cls_labels": []},
    "classify": {"n_cls_out": 3, "cls_labels": list(tiny.LABELS)},
    "t5": {"has_encoder": True, "decoder_start_token": 0},
}


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_each_kind_of_model_says_what_it_is(
    kind: str, tiny_model: Callable[..., LlamaModel]
) -> None:
    model = tiny_model(kind)
    facts = {"n_layer": 2, "n_embd": tiny.N_EMBD, **FACTS[kind]}
    if kind == "mtp" and not LlamaLibrary.default().has("llama_model_n_layer_nextn"):
        # Older llama.cpp counts the layer for drafts among the others, or not at all.
        assert model.n_layer in (2, 3)
        facts |= {"n_layer": model.n_layer, "n_layer_nextn": 0}
    assert {name: getattr(model, name) for name in facts} == facts
    assert set(model.ftype.split()) == {"all", "F32", "(guessed)"}


def test_a_vocabulary_without_a_model_has_no_heads(model_path: Path) -> None:
    # The library would abort.
    with LlamaModel.from_file(model_path, vocab_only=True) as model:
        assert (model.n_layer, model.n_head, model.n_head_kv) == (0, 0, 0)


def test_a_vocabulary_says_what_its_tokens_are(tiny_model: Callable[..., LlamaModel]) -> None:
    vocab, ATTR = tiny_model("llama").vocab, _raw.llama_token_attr
    assert (vocab.add_bos, vocab.add_eos, vocab.add_sep) == (True, False, False)
    texts = {name: vocab.text(getattr(vocab, f"fim_{name}")) for name in ("pre", "suf", "mid")}
    assert texts == {name: f"<fim_{name}>" for name in texts}
    assert (vocab.fim_pad, vocab.fim_rep, vocab.fim_sep, vocab.mask) == (None, None, None, None)
    (the,) = tiny_model("llama").tokenize(" the", add_special=False)[-1:]
    assert vocab.text(the) == "\u2581the"
    assert vocab.score(the) < 0
    assert vocab.attr(the) is ATTR.LLAMA_TOKEN_ATTR_NORMAL
    assert vocab.attr(vocab.bos or 0) is ATTR.LLAMA_TOKEN_ATTR_CONTROL
    assert vocab.attr(5) is ATTR.LLAMA_TOKEN_ATTR_BYTE
    assert vocab.suppress_tokens == []
    bert = tiny_model("bert").vocab
    assert [bert.text(t or 0) for t in (bert.mask, bert.sep)] == ["[MASK]", "[SEP]"]
    assert bert.add_sep
    for ask in (vocab.text, vocab.score, vocab.attr):
        with pytest.raises(ValueError, match="not in the vocabulary"):
            ask(vocab.n_tokens)


def test_a_vocabulary_says_what_to_suppress(tmp_path: Path) -> None:
    assert LlamaLibrary.default().llama_vocab_get_suppress_tokens  # older ones lack it
    path = tiny.make("llama", tmp_path, facts={".tokenizer.ggml.suppress_tokens": [7, 9]})
    assert LlamaModel.from_file(path).vocab.suppress_tokens == [7, 9]


def test_metadata_is_a_mapping(model: LlamaModel) -> None:
    assert len(model.metadata) == len(list(model.metadata)) == len(dict(model.metadata)) > 10
    assert "no.such.key" not in model.metadata
    # Longer than the buffer that is tried first.
    assert len(model.metadata["tokenizer.chat_template"]) > 256


def test_a_vocabulary_knows_its_special_tokens(model: LlamaModel) -> None:
    vocab = model.vocab
    assert vocab.type is _raw.llama_vocab_type_enum.LLAMA_VOCAB_TYPE_BPE
    assert len(vocab) == vocab.n_tokens == 49152
    assert vocab.eos is not None
    assert model.is_eog(vocab.eos)
    assert not model.is_eog(model.tokenize("a")[0])
    assert model.token_to_piece(vocab.bos or -1) == "<|im_start|>"
    assert "49152" in repr(vocab)


def test_a_vocabulary_alone_can_be_loaded(model_path: Path) -> None:
    with LlamaModel.from_file(model_path, vocab_only=True) as model:
        assert model.detokenize(model.tokenize("Hello")) == "Hello"
        assert "vocabulary only" in repr(model)


def test_a_closed_model_says_so(model_path: Path) -> None:
    model = LlamaModel.from_file(model_path, vocab_only=True)
    with model:
        assert not model.closed
    assert model.closed
    assert "closed" in repr(model)
    assert "closed" in repr(model.vocab)
    model.close()


# -- files that are not models. In separate processes: no output on stderr, no crash.


def test_a_truncated_model_is_refused(model_path: Path, tmp_path: Path) -> None:
    data = model_path.read_bytes()
    lengths = [0, 2, 4, 8, 16, 24, 25, 100, 1000, 10_000, 1_000_000, len(data) // 2, len(data) - 1]
    paths = []
    for length in lengths:
        paths.append(tmp_path / f"{length}.gguf")
        paths[-1].write_bytes(data[:length])
    done = run_program("load_models", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(lengths)
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith("LlamaModelError")
        assert str(path) in line


@pytest.mark.parametrize("at", [4, 8, 16, 30, 200])
def test_a_damaged_model_is_refused(model_path: Path, tmp_path: Path, at: int) -> None:
    with model_path.open("rb") as file:
        data = bytearray(file.read(1 << 20))
    data[at : at + 8] = b"\xff" * 8
    (tmp_path / "damaged.gguf").write_bytes(data)
    done = run_program("load_models", tmp_path / "damaged.gguf")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("LlamaModelError")


def test_a_text_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello, I am no model\n")
    with pytest.raises(LlamaModelError, match=r"starts with b'hell' instead of b'GGUF'.*\.gguf"):
        LlamaModel.from_file(tmp_path / "text.gguf")


# -- logs


def test_native_logs_are_silent_by_default(model_path: Path) -> None:
    code = """if True:
        import sys
        from llama_cpp import LlamaContext, LlamaModel
        LlamaContext(LlamaModel.from_file(sys.argv[1]), n_ctx=64).decode([1])
    """
    assert run_python(code, model_path) == (0, "", "")


@pytest.mark.parametrize("imported", ["", "import logging\n"])
def test_native_warnings_are_silent_too(tmp_path: Path, imported: str) -> None:
    path = tmp_path / "wrong.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    code = f"""{imported}if True:
        import sys
        from llama_cpp import LlamaModel, LlamaModelError
        try:
            LlamaModel.from_file(sys.argv[1])
        except LlamaModelError as error:
            print(error)
    """
    done = run_python(code, path)
    assert done.stderr == ""
    assert "gguf_init_from" in done.stdout  # which was said as an error


@pytest.mark.parametrize(
    "lacking", ["", "llama_get_causal_attn", "llama_vocab_get_suppress_tokens"]
)
def test_a_short_program_does_not_import_these_modules(model_path: Path, lacking: str) -> None:
    # Each costs memory and time that a program without servers and logs can do without.
    code = """if True:
        import sys
        from llama_cpp import Llama, _raw
        functions = type(_raw.FUNCTIONS)
        declares = functions.__contains__  # an old llama.h declares less
        functions.__contains__ = lambda self, name: name != sys.argv[2] and declares(self, name)
        with Llama(sys.argv[1], n_ctx=256, n_threads=1) as llm:
            llm.complete("Hello", max_tokens=2)
        spared = {"asyncio", "logging", "pkgutil", "requests", "socket", "subprocess"}
        print(sorted(spared & set(sys.modules)))
    """
    assert run_python(code, model_path, lacking).stdout == "[]\n"


def test_memory_for_reading_the_header_is_freed(model_path: Path) -> None:
    assert int(run_program("header_memory", model_path).stdout) < 500_000


def test_native_logs_go_to_logging_when_it_is_configured(model_path: Path) -> None:
    code = """if True:
        import logging, sys
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s|%(message)s")
        from llama_cpp import LlamaContext, LlamaModel
        LlamaContext(LlamaModel.from_file(sys.argv[1]), n_ctx=64)
    """
    done = run_python(code, model_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) > 50
    assert {line.split("|")[0] for line in lines} == {"llama_cpp"}
    assert any("general.architecture" in line for line in lines)
    assert any("n_ctx" in line for line in lines)


def test_an_exception_of_a_logging_handler_is_raised(model_path: Path) -> None:
    assert run_program("logging_handler_raises", model_path) == (0, "from the handler\n", "")


# -- progress


def test_progress_goes_from_zero_to_one(model_path: Path) -> None:
    seen: list[float] = []
    LlamaModel.from_file(model_path, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[0] < 0.1
    assert seen[-1] == 1.0
    assert len(seen) > 5


def test_progress_can_stop_the_load(model_path: Path) -> None:
    seen: list[float] = []

    def stop(done: float) -> bool:
        seen.append(done)
        return done < 0.3

    with pytest.raises(LlamaCancelled, match=model_path.name):
        LlamaModel.from_file(model_path, progress=stop)
    assert 0.3 <= seen[-1] < 1.0


def test_an_exception_of_progress_is_raised(model_path: Path) -> None:
    def fail(done: float) -> None:
        raise LookupError(f"at {done}")

    with pytest.raises(LookupError, match=r"at 0\.0"):
        LlamaModel.from_file(model_path, progress=fail)


@pytest.mark.parametrize("logged", ["silent", "logged"])
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05, 0.2])
def test_ctrl_c_during_a_load_is_a_keyboard_interrupt(
    model_path: Path, logged: str, delay: float
) -> None:
    assert run_program("ctrl_c_during_a_load", model_path, logged, delay) == (
        0,
        "interrupted\n",
        "",
    )


def test_a_programs_own_handler_of_ctrl_c_stays(model_path: Path) -> None:
    done = run_program("own_handler_of_ctrl_c", model_path)
    assert (done.returncode, done.stderr) == (0, "")
    came, kept = done.stdout.rsplit(maxsplit=1)
    assert (len(json.loads(came)), kept) == (1, "True")


def test_a_model_is_freed_without_the_garbage_collector(model_path: Path) -> None:
    assert run_program("freed_without_gc", model_path) == (0, "True\n", "")


def test_a_vocabulary_outlives_a_forgotten_model_and_not_a_closed_one(model_path: Path) -> None:
    vocab = LlamaModel.from_file(model_path, vocab_only=True).vocab
    assert vocab.n_tokens == 49152
    assert vocab.is_eog(vocab.eos or 0)
    with LlamaModel.from_file(model_path, vocab_only=True) as model:
        vocab = model.vocab
    with pytest.raises(LlamaClosedError, match="is closed"):
        vocab.is_eog(0)
