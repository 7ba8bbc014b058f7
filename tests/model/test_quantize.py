"""Writing models: quantizing a file, saving a model in memory. Completely or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from llama_cpp import LlamaCancelled, LlamaContext, LlamaModel, LlamaModelError, _raw, quantize
from tests.support import tiny
from tests.support.patience import patience
from tests.support.python import ROOT, run_command, run_program

TYPE = gguf.GGMLQuantizationType


def types(path: Path) -> dict[str, Any]:
    return {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(path).tensors}


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def logits(model: LlamaModel) -> list[float]:
    with LlamaContext(model, n_ctx=64, n_threads=1, n_threads_batch=1) as ctx:
        ctx.decode(model.tokenize("the cat sat"))
        return ctx.logits().tolist()


@pytest.fixture
def source(tiny_path: Callable[..., Path]) -> Path:
    return tiny_path("llama")


# -- quantize


def test_a_model_is_quantized(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.gguf"
    seen: list[float] = []
    assert quantize(source, target, "Q8_0", progress=seen.append) == [target]
    assert target.stat().st_size < source.stat().st_size / 2
    assert types(target)["blk.0.attn_q.weight"] == TYPE.Q8_0
    model = LlamaModel.from_file(target)
    assert model.ftype == "Q8_0"
    np.testing.assert_allclose(logits(model), logits(LlamaModel.from_file(source)), atol=1.0)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert seen == sorted(seen)
    assert len(seen) == len(types(source)) + 1
    assert names(tmp_path) == ["small.gguf"]


@pytest.mark.parametrize("ftype", ["q4_0", _raw.LLAMA_FTYPE_MOSTLY_Q4_0])
def test_a_type_has_a_name_or_a_number(source: Path, tmp_path: Path, ftype: Any) -> None:
    quantize(source, tmp_path / "a.gguf", ftype)
    assert types(tmp_path / "a.gguf")["blk.0.attn_q.weight"] == TYPE.Q4_0


def test_tensors_have_types_of_their_own(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    quantize(
        source,
        target,
        "Q4_0",
        tensor_types={"attn_[qk]": "Q8_0", "ffn": _raw.ggml_type.GGML_TYPE_Q5_0},
        output_tensor_type="F16",
        token_embedding_type=_raw.GGML_TYPE_Q5_1,
        pure=True,
        kv_overrides={"general.name": "mine", "llama.context_length": 77},
    )
    found = types(target)
    assert found["blk.0.attn_q.weight"] == found["blk.1.attn_k.weight"] == TYPE.Q8_0
    assert found["blk.0.ffn_up.weight"] == TYPE.Q5_0
    assert found["blk.0.attn_v.weight"] == TYPE.Q4_0
    assert found["output.weight"] == TYPE.F16
    assert found["token_embd.weight"] == TYPE.Q5_1
    model = LlamaModel.from_file(target)
    assert (model.metadata["general.name"], model.n_ctx_train) == ("mine", 77)


def test_layers_can_be_left_out(source: Path, tmp_path: Path) -> None:
    quantize(source, tmp_path / "a.gguf", "Q8_0", prune_layers=[1])
    assert LlamaModel.from_file(tmp_path / "a.gguf").n_layer == 1


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    assert quantize(source, tmp_path / "a.gguf", "Q8_0", dry_run=True) == []
    assert names(tmp_path) == []


def test_the_parts_of_a_split_model_stay(source: Path, tmp_path: Path) -> None:
    made = quantize(source, tmp_path / "a", "Q8_0", keep_split=True)
    assert made == [tmp_path / "a-00001-of-00001.gguf"]
    assert LlamaModel.from_file(made[0]).n_layer == 2


def test_it_imports_nothing_that_lies_beside_the_package(source: Path, tmp_path: Path) -> None:
    """Such as an old backport in site-packages, which comes behind the standard library."""
    site = tmp_path / "site"
    shutil.copytree(
        ROOT / "llama_cpp", site / "llama_cpp", ignore=shutil.ignore_patterns("__pycache__")
    )
    (site / "json.py").write_text("raise ImportError('this is not the one')")
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from llama_cpp import quantize; print(*quantize(*sys.argv[2:], 'Q8_0'))"
    )
    target = tmp_path / "small.gguf"
    done = run_command(sys.executable, "-I", "-S", "-c", code, site, source, target)
    assert (done.stdout, done.stderr) == (f"{target}\n", "")


def write_imatrix(path: Path, source: Path, *, value: float = 1.0) -> Path:
    writer = gguf.GGUFWriter(path, "")
    writer.add_type("imatrix")
    random = np.random.default_rng(0)
    for tensor in gguf.GGUFReader(source).tensors:
        if "blk" in tensor.name and "norm" not in tensor.name:
            sums = value * random.random((1, int(tensor.shape[0]))) ** 8
            writer.add_tensor(f"{tensor.name}.in_sum2", sums.astype(np.float32))
            writer.add_tensor(f"{tensor.name}.counts", np.full((1, 1), 4, np.float32))
    tiny.finish(writer)
    return path


def test_an_importance_matrix_matters(source: Path, tmp_path: Path) -> None:
    imatrix = write_imatrix(tmp_path / "imatrix.gguf", source)
    quantize(source, tmp_path / "a.gguf", "Q4_0")
    quantize(source, tmp_path / "b.gguf", "Q4_0", imatrix=imatrix)
    a, b = (
        {t.name: bytes(t.data) for t in gguf.GGUFReader(tmp_path / f"{n}.gguf").tensors}
        for n in "ab"
    )
    assert a["token_embd.weight"] == b["token_embd.weight"]
    assert a["blk.0.attn_q.weight"] != b["blk.0.attn_q.weight"]


def test_progress_can_stop_it(source: Path, tmp_path: Path) -> None:
    with pytest.raises(LlamaCancelled, match="llama-0"):
        quantize(source, tmp_path / "a.gguf", progress=lambda done: done < 0.3)
    with pytest.raises(LookupError, match="mine"):
        quantize(source, tmp_path / "a.gguf", progress=lambda done: {}["mine"])
    assert names(tmp_path) == []


def test_ctrl_c_stops_it(source: Path, tmp_path: Path) -> None:
    def interrupt(done: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        quantize(source, tmp_path / "a.gguf", progress=interrupt)
    assert names(tmp_path) == []


def test_it_runs_in_a_thread(source: Path, tmp_path: Path) -> None:
    thread = threading.Thread(target=quantize, args=(source, tmp_path / "a.gguf", "Q8_0"))
    thread.start()
    thread.join(patience(60))
    assert LlamaModel.from_file(tmp_path / "a.gguf").ftype == "Q8_0"


Wrong = tuple[dict[str, Any], type[Exception], str]
WRONG: list[Wrong] = [
    ({"ftype": "Q9"}, ValueError, "'Q9' is not one of F32, F16, Q4_0"),
    ({"ftype": 9999}, ValueError, "9999"),
    ({"ftype": 5.5}, TypeError, "ftype"),
    ({"ftype": "NVFP4"}, LlamaModelError, "invalid output file type"),
    ({"threads": 1}, TypeError, "no keyword argument 'threads'"),
    ({"nthreads": 1}, TypeError, "did you mean 'nthread'"),
    ({"pure": "yes"}, TypeError, "pure must be True or False"),
    ({"progress": 5}, TypeError, "progress must be callable"),
    ({"library": "libllama.so"}, TypeError, "LlamaLibrary"),
    ({"output_tensor_type": "Q9"}, ValueError, "output_tensor_type: 'Q9'"),
    ({"kv_overrides": {"k" * 128: 1}}, ValueError, "127"),
    ({"tensor_types": {"(": "Q8_0"}}, ValueError, "not a regular expression"),
    ({"tensor_types": {"(?<=a)b": "Q8_0"}}, LlamaModelError, "could not be quantized"),
    ({"tensor_types": {"a": "Q9"}}, ValueError, "tensor_types: 'Q9'"),
    ({"tensor_types": 5}, TypeError, "must be a mapping"),
    ({"prune_layers": [-1]}, ValueError, "prune_layers"),
    ({"imatrix": "/no/such.gguf"}, LlamaModelError, "/no/such.gguf"),
    # where the library aborts
    ({"output_tensor_type": "Q6_K"}, LlamaModelError, "could not be quantized"),
    ({"output_tensor_type": "I8"}, LlamaModelError, "could not be quantized"),
    ({"token_embedding_type": "IQ2_XXS"}, LlamaModelError, "imatrix"),
    ({"kv_overrides": {"llama.block_count": 1000}}, LlamaModelError, "n_layer_all"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_impossible_quantization_is_an_error(source: Path, tmp_path: Path, wrong: Wrong) -> None:
    keywords, error, message = wrong
    with pytest.raises(error, match=message):
        quantize(source, tmp_path / "a.gguf", **keywords)
    assert names(tmp_path) == []


def test_wrong_files_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "link.gguf").symlink_to(source)
    before = source.read_bytes()
    target = tmp_path / "a.gguf"
    with pytest.raises(LlamaModelError, match="not a GGUF file"):
        quantize(tmp_path / "text.gguf", target)
    with pytest.raises(FileNotFoundError):
        quantize(source, tmp_path / "none" / "a.gguf")
    for same in (source, tmp_path / "link.gguf"):
        with pytest.raises(ValueError, match="is the input file"):
            quantize(source, same)
    with pytest.raises(ValueError, match="is a folder"):
        quantize(source, tmp_path)
    with pytest.raises(LlamaModelError, match=r"requantizing.*disabled: .* allow_requantize"):
        quantize(quantize(source, target, "Q8_0")[0], tmp_path / "b.gguf", "Q4_0")
    assert source.read_bytes() == before


def test_a_failure_leaves_the_old_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    target.write_text("old")
    with pytest.raises(LlamaModelError):
        quantize(source, target, output_tensor_type="I8")
    assert target.read_text() == "old"
    quantize(source, target, "Q8_0")
    assert types(target)


# -- save


@pytest.mark.parametrize("kind", tiny.GENERATES)
def test_a_saved_model_is_the_same(
    kind: str, tiny_model: Callable[..., LlamaModel], tmp_path: Path
) -> None:
    model = tiny_model(kind)
    model.save(tmp_path / "a.gguf")
    assert names(tmp_path) == ["a.gguf"]
    saved = LlamaModel.from_file(tmp_path / "a.gguf")
    assert saved.n_params == model.n_params
    assert saved.tokenize("the cat sat") == model.tokenize("the cat sat")
    assert logits(saved) == logits(model)


@pytest.mark.parametrize("kind", ["bert", "classify"])
def test_an_incomplete_saved_model_is_an_error(
    kind: str, tiny_model: Callable[..., LlamaModel], tmp_path: Path
) -> None:
    # It leaves out the token embeddings of models that generate nothing.
    with pytest.raises(LlamaModelError, match=r"cannot be saved.*token_embd.weight"):
        tiny_model(kind).save(tmp_path / "a.gguf")
    assert names(tmp_path) == []


def test_a_real_model_is_saved(model_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    target.write_text("old")
    with LlamaModel.from_file(model_path, use_extra_bufts=False) as model:
        model.save(target)
        with LlamaModel.from_file(target, use_extra_bufts=False) as saved:
            assert logits(saved) == logits(model)


def test_weights_that_may_be_repacked_are_not_saved(model: LlamaModel, tmp_path: Path) -> None:
    """The library would call a function that there is not, and end the process."""
    with pytest.raises(LlamaModelError, match="load it with use_extra_bufts=False"):
        model.save(tmp_path / "a.gguf")
    assert names(tmp_path) == []


def test_an_architecture_that_cannot_be_saved_is_an_error(
    tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_program("saves_what_cannot_be_saved", tiny_path("t5"), tmp_path / "a.gguf")
    assert (done.returncode, done.stderr) == (0, "")
    *errors, left = done.stdout.splitlines()
    assert len(errors) == 2
    for error in errors:
        assert error.startswith("LlamaModelError t5-0.gguf cannot be saved: llama-model-saver")
    assert left == "[]"


def test_an_assertion_elsewhere_still_ends_the_process(
    tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_program("assertion_after_a_save", tiny_path("t5"), tmp_path / "a.gguf")
    assert (done.returncode, done.stdout) == (-signal.SIGABRT, "LlamaModelError\n")
    assert "on purpose" in done.stderr


def test_a_model_is_not_saved_over_itself(source: Path, model_path: Path, tmp_path: Path) -> None:
    model = LlamaModel.from_file(source)
    with pytest.raises(ValueError, match="is the input file"):
        model.save(source)
    with pytest.raises(ValueError, match="is a folder"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "none" / "a.gguf")
    vocabulary = LlamaModel.from_file(model_path, vocab_only=True)
    with pytest.raises(LlamaModelError, match="no weights"):
        vocabulary.save(tmp_path / "a.gguf")
