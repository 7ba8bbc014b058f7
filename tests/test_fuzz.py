"""Damaged files are refused, or load and can be used: nothing ends the process, nothing hangs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import fuzz
import fuzzworker
import gguf
import pytest
import tiny

from llama_cpp import LlamaModel, LlamaModelError

# So that a failing file can be made again: python tests/fuzz.py --only KIND NUMBER
SEED = 7
COUNT = 300


def test_300_damaged_files_load_or_raise(tmp_path: Path) -> None:
    todo = list(fuzz.jobs(COUNT, SEED))
    # What crashes over a projector that lacks tensors is known: see LlamaMultimodal.
    todo = [job for job in todo if job[0] not in ("vision", "audio")]
    outcomes = list(fuzz.run(todo, tmp_path, tmp_path / "kept", 2))
    bad = [outcome for outcome in outcomes if outcome.what not in ("loaded", "raised")]
    assert bad == []
    counts = Counter(outcome.what for outcome in outcomes)
    assert sum(counts.values()) == len(todo)
    assert counts["loaded"] >= 30, "they are damaged so much that nothing of them is looked at"
    assert counts["raised"] >= 100


def test_the_files_are_valid_before_they_are_damaged(tmp_path: Path) -> None:
    kinds = dict.fromkeys(fuzzworker.KINDS)
    outcomes = list(fuzz.run([(kind, -1) for kind in kinds], tmp_path, tmp_path / "kept"))
    assert [o for o in outcomes if o.what != "loaded"] == []
    assert len(outcomes) == len(kinds)


def test_a_crash_and_an_exception_are_noticed(tmp_path: Path) -> None:
    todo = [("crash", 0), ("llama", -1), ("raise", 0)]
    crash, loaded, untyped = fuzz.run(todo, tmp_path, tmp_path / "kept")
    assert (crash.what, loaded.what, untyped.what) == ("crashed", "loaded", "untyped")
    assert "Segmentation fault" in crash.said
    assert "KeyError" in untyped.said
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_the_same_number_gives_the_same_damage(tmp_path: Path) -> None:
    fuzzworker.prepare(tmp_path)
    one, other = fuzzworker.Worker(tmp_path), fuzzworker.Worker(tmp_path)
    made = [one.make("llama", number) for number in range(20)]
    assert made == [other.make("llama", number) for number in range(20)]
    assert len(set(made)) > 15


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("blk.0.attn_norm.weight", gguf.GGMLQuantizationType.BF16),
        ("blk.0.attn_norm.weight", gguf.GGMLQuantizationType.I32),
        ("blk.1.attn_q.weight", gguf.GGMLQuantizationType.F64),
        ("blk.1.ffn_up.weight", gguf.GGMLQuantizationType.I32),
    ],
)
def test_a_type_that_cannot_be_computed_with_is_refused(
    tmp_path: Path, name: str, type_: gguf.GGMLQuantizationType
) -> None:
    path = tiny.make("llama", tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(name.encode()) + len(name)
    at += 4 + 8 * data[at]
    data[at : at + 4] = int(type_).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(LlamaModelError) as caught:
        LlamaModel.from_file(path)
    text = str(caught.value)
    # Another size than F32's is refused by the library: the tensors are not behind one another.
    assert f"{name} has the type {type_.name}" in text or "could not be loaded" in text
    if type_ is gguf.GGMLQuantizationType.I32:
        assert "cannot compute with" in text


def test_an_epsilon_below_0_is_refused(tmp_path: Path) -> None:
    facts = {"attention.layer_norm_rms_epsilon": -1e-5}
    with pytest.raises(LlamaModelError, match=r"layer_norm_rms_epsilon is -"):
        LlamaModel.from_file(tiny.make("llama", tmp_path, facts=facts))


def test_numbers_that_do_not_fit_the_tensors_are_an_error_of_the_context(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    # Both ended the process.
    found = list(fuzz.run([("rerank", 11001530), ("bert", 11008829)], folder, tmp_path / "kept"))
    assert [outcome.what for outcome in found] == ["raised", "raised"]
    assert all("LlamaContextError: no context for" in outcome.said for outcome in found)


def test_a_missing_table_of_positions_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (outcome,) = fuzz.run([("t5", 11003290)], folder, tmp_path / "kept")
    assert "lacks the tensor enc.blk.0.attn_rel_b.weight" in outcome.said


def test_a_projector_that_lacks_a_part_of_its_attention_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (outcome,) = fuzz.run([("audio", 11006745)], folder, tmp_path / "kept")
    assert "lacks the tensor a.blk.0.attn_k.weight" in outcome.said
