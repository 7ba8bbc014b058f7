"""Sources and options of loading: split files, metadata, buffer types."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import pytest

from llama_cpp import LlamaContext, LlamaModel, LlamaModelError, devices
from tests.support import tiny
from tests.support.python import run_program, run_python


def logits(model: LlamaModel) -> list[float]:
    with LlamaContext(model, n_ctx=64, n_threads=1, n_threads_batch=1) as ctx:
        ctx.decode(model.tokenize("the cat sat on a mat"))
        return ctx.logits().tolist()


@pytest.fixture
def whole(tiny_path: Callable[..., Path]) -> Path:
    return tiny_path("llama")


NAMES = [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]


# -- split files


def test_a_split_model_is_loaded_from_its_first_file(whole: Path, tmp_path: Path) -> None:
    first, *_ = tiny.split(whole, tmp_path, NAMES)
    model = LlamaModel.from_file(first)
    assert model.path == first
    assert logits(model) == logits(LlamaModel.from_file(whole))


def test_a_split_model_is_loaded_from_a_list(whole: Path, tmp_path: Path) -> None:
    paths = tiny.split(whole, tmp_path, ["a.gguf", "b.gguf", "c.gguf"])
    model = LlamaModel.from_file(paths)
    assert model.path == paths[0]
    assert logits(model) == logits(LlamaModel.from_file(whole))
    seen: list[float] = []
    LlamaModel.from_file([str(path) for path in paths], progress=seen.append)
    assert seen[-1] == 1.0


def test_a_missing_part_is_named(whole: Path, tmp_path: Path) -> None:
    first, second, _ = tiny.split(whole, tmp_path, NAMES)
    second.unlink()
    with pytest.raises(FileNotFoundError, match="m-00002-of-00003"):
        LlamaModel.from_file(first)


@pytest.mark.parametrize(
    ("order", "message"),
    [((0, 2, 1), "invalid split file idx"), ((0, 1), "split count"), ((1, 0, 2), "first split")],
)
def test_parts_that_do_not_fit_are_refused(
    whole: Path, tmp_path: Path, order: Sequence[int], message: str
) -> None:
    paths = tiny.split(whole, tmp_path, NAMES)
    with pytest.raises(LlamaModelError, match=message):
        LlamaModel.from_file([paths[i] for i in order])


def test_the_second_part_alone_is_refused(whole: Path, tmp_path: Path) -> None:
    paths = tiny.split(whole, tmp_path, NAMES)
    with pytest.raises(LlamaModelError, match="first split"):
        LlamaModel.from_file(paths[1])


def test_a_part_with_a_number_of_another_type_is_refused(whole: Path, tmp_path: Path) -> None:
    paths = tiny.split(whole, tmp_path, NAMES)
    data = bytearray(paths[1].read_bytes())
    at = data.index(b"split.no") + len(b"split.no")
    data[at] = gguf.GGUFValueType.INT16  # of the same size
    paths[1].write_bytes(data)
    with pytest.raises(LlamaModelError, match=r"m-00002.*no split\.no"):
        LlamaModel.from_file(paths[0])


def test_a_name_like_a_part_s_may_be_a_whole_model(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    path.write_bytes(whole.read_bytes())
    assert LlamaModel.from_file(path).n_layer == 2


# -- where it lies


def test_layers_without_a_graphics_card_are_said_to_be_on_the_cpu(whole: Path) -> None:
    code = """
import sys
from llama_cpp import Llama, LlamaModel
for n in (0, -1, 99, 99, 99):
    with LlamaModel.from_file(sys.argv[1], n_gpu_layers=n) as model:
        print(dict(model.layers), model.n_layer)
with LlamaModel.from_file(sys.argv[1], vocab_only=True, n_gpu_layers=7) as model:
    print(dict(model.layers))
for _ in range(2):
    with Llama(sys.argv[1]) as llm:
        llm.complete("a", n=2, max_tokens=1)
        llm.complete_many(["a"], max_tokens=1)
        llm.complete_many(["a", "b"], max_tokens=1)
"""
    done = run_python(code, whole)
    assert done.stdout == "{'CPU': 3} 2\n" * 5 + "{}\n"
    warnings = [line for line in done.stderr.splitlines() if "Warning: " in line]
    assert len(warnings) == 2, done.stderr
    assert "n_gpu_layers=99, but all layers are on the CPU" in warnings[0]
    assert "several prompts, but n_seq_max=1" in warnings[1]


# -- kv_overrides


def test_metadata_can_be_overridden(whole: Path) -> None:
    overrides: dict[str, Any] = {
        "llama.context_length": 1234,
        "tokenizer.ggml.add_bos_token": False,
        "llama.attention.layer_norm_rms_epsilon": 0.1,
        "general.name": "mine",
    }
    plain = LlamaModel.from_file(whole)
    model = LlamaModel.from_file(whole, kv_overrides=overrides)
    assert (plain.n_ctx_train, model.n_ctx_train) == (512, 1234)
    assert (plain.vocab.add_bos, model.vocab.add_bos) == (True, False)
    assert logits(model) != logits(plain)


def test_an_override_of_another_type_is_ignored_as_the_library_does(whole: Path) -> None:
    model = LlamaModel.from_file(whole, kv_overrides={"llama.context_length": "1234"})
    assert model.n_ctx_train == 512


def test_a_file_that_the_library_aborts_over_is_refused(tmp_path: Path) -> None:
    facts: list[dict[str, Any]] = [{"block_count": 1000}, {"expert_count": 3}, {}]
    paths = [tiny.make("llama", tmp_path, seed=i, facts=fact) for i, fact in enumerate(facts)]
    done = run_program("load_in_threads", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "llama-0.gguf could not be loaded: llama-model.cpp" in lines[0]
    assert "n_layer_all" in lines[0]
    assert "n_expert_used" in lines[1]
    assert lines[2] == "loaded"
    assert sorted(lines[3:]) == sorted(lines[:3])


# -- tensor_buft_overrides


def test_tensors_can_be_put_on_a_device(whole: Path) -> None:
    buffer_type = devices()[0].buffer_type
    overrides = {r"blk\.[0-9]+\.ffn_.*": buffer_type, "attn": buffer_type}
    model = LlamaModel.from_file(whole, tensor_buft_overrides=overrides, use_extra_bufts=False)
    assert logits(model) == logits(LlamaModel.from_file(whole))
    assert logits(LlamaModel.from_file(whole, tensor_buft_overrides={})) == logits(model)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b'{"error":"not found"}', "the error that a server sent"),
        (b"PK\x03\x04", "PyTorch's weights"),
        (b"lmgg\0\0\0\0", "the old format GGML"),
        (b"\x1f\x8b\x08", "gunzip"),
        (b"", "empty"),
        (b"GGUF\0\0\0\x03" + bytes(99), "big-endian"),
        (b"GGUF\x01\0\0\0" + bytes(99), "version 1"),
        (b"GGUF\x03\0\0\0", "cut off after 8 bytes"),
        ("cut", "cut off or damaged; download it again"),
        ("adapter", "a LoRA adapter, for LlamaModel.load_lora"),
        ("imatrix", "an importance matrix, for quantize"),
        ("mmproj", "a projector, for LlamaMultimodal"),
    ],
)
def test_a_wrong_file_says_what_it_is(
    content: bytes | str, says: str, tmp_path: Path, tiny_path: Callable[..., Path]
) -> None:
    file = tmp_path / "wrong.gguf"
    if content == "cut":
        content = tiny_path("llama").read_bytes()[:2000]
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        writer = gguf.GGUFWriter(file, "llama")
        writer.add_string("general.type", content)
        tiny.finish(writer)
    with pytest.raises(LlamaModelError, match=says):
        LlamaModel.from_file(file)


def test_a_path_may_be_bytes_and_not_empty(tiny_path: Callable[..., Path]) -> None:
    with LlamaModel.from_file(os.fsencode(tiny_path("llama"))) as model:  # type: ignore[arg-type]
        assert model.path == tiny_path("llama")
    with pytest.raises(ValueError, match="is empty"):
        LlamaModel.from_file("")
