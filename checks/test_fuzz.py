"""Damaged files are refused, or load and can be used: nothing ends the process, nothing hangs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import gguf
import pytest

from checks import apiworker, fuzz, fuzzworker, mutants
from llama_cpp import LlamaModel, LlamaModelError
from llama_cpp.generate import probe
from tests.support import tiny

# So that a failing file can be made again: python -m checks.fuzz --only KIND NUMBER
SEED = 7
COUNT = 300
API_COUNT = 30
_API = "checks.apiworker"


def test_300_damaged_files_load_or_raise(tmp_path: Path) -> None:
    todo = list(fuzz.jobs(COUNT, SEED))
    outcomes = list(fuzz.run(todo, tmp_path, tmp_path / "kept", 2))
    bad = [outcome for outcome in outcomes if outcome.what not in ("loaded", "raised")]
    assert bad == []
    counts = Counter(outcome.what for outcome in outcomes)
    assert sum(counts.values()) == len(todo)
    assert counts["loaded"] >= 30, "they are damaged so much that nothing of them is looked at"
    assert counts["raised"] >= 100


def test_wrong_calls_of_anything_public_return_or_raise(tmp_path: Path) -> None:
    """python -m checks.fuzz --api --only api NUMBER does one of them again."""
    todo = [("api", number) for number in range(API_COUNT)]
    outcomes = list(fuzz.run(todo, tmp_path, tmp_path / "kept", 2, script=_API))
    assert [o for o in outcomes if o.what != "loaded"] == []
    totals = Counter()
    for outcome in outcomes:
        returned, _, raised, *_ = outcome.said.replace(";", "").split()
        totals.update(returned=int(returned), raised=int(raised))
    assert totals["returned"] > 3 * API_COUNT, "nothing is used"
    assert totals["raised"] > API_COUNT, "nothing is wrong"


def test_a_wrong_call_that_crashes_or_raises_something_obscure_is_noticed(tmp_path: Path) -> None:
    todo = [("api", apiworker.CRASH), ("api", apiworker.OBSCURE)]
    crash, obscure = fuzz.run(todo, tmp_path, tmp_path / "kept", script=_API)
    assert (crash.what, obscure.what) == ("crashed", "untyped")
    assert "AttributeError: 'NoneType' object has no attribute" in obscure.said
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_wrong_call_writes_no_file_where_it_was_started(tmp_path: Path) -> None:
    (outcome,) = fuzz.run([("api", apiworker.STRAY)], tmp_path, tmp_path / "kept", script=_API)
    assert outcome.what == "loaded"
    assert not (fuzz.ROOT / "stray.bin").exists()
    assert len(list(tmp_path.rglob("stray.bin"))) == 1


def test_a_scenario_has_the_time_that_a_projectors_trial_may_take() -> None:
    assert probe._LOADING < apiworker._WAIT < fuzzworker.SECONDS


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


_Type = gguf.GGMLQuantizationType


@pytest.mark.parametrize(
    ("kind", "name", "type_"),
    [
        ("llama", "blk.0.attn_norm.weight", _Type.BF16),
        ("llama", "blk.0.attn_norm.weight", _Type.I32),
        ("llama", "blk.1.attn_q.weight", _Type.F64),
        ("llama", "blk.1.ffn_up.weight", _Type.I32),
        *(
            ("llama", name, type_)
            for name in ("token_embd.weight", "output.weight")
            for type_ in (_Type.F64, _Type.I8, _Type.I16, _Type.I32, _Type.I64, _Type.Q8_1)
        ),
        ("bert", "token_types.weight", _Type.F16),
        ("bert", "token_types.weight", _Type.Q8_0),
        ("bert", "position_embd.weight", _Type.F64),
        ("t5", "enc.blk.0.attn_rel_b.weight", _Type.I64),
        ("mamba", "blk.0.ssm_in.weight", _Type.I16),
    ],
)
def test_a_type_that_cannot_be_computed_with_is_refused(
    tmp_path: Path, kind: str, name: str, type_: gguf.GGMLQuantizationType
) -> None:
    path = tiny.make(kind, tmp_path)
    path.write_bytes(mutants.retyped(mutants.Gguf(path.read_bytes()), name, type_))
    with pytest.raises(LlamaModelError) as caught:
        LlamaModel.from_file(path)
    assert f"{name} has the type {type_.name}, which the library cannot" in str(caught.value)


@pytest.mark.parametrize("window", [2**24 + 1, 2**31, 2**32 - 1])
def test_a_window_that_no_memory_has_room_for_is_refused(tmp_path: Path, window: int) -> None:
    # Decoding with it ended the process.
    path = tiny.make("swa", tmp_path)
    key = "gemma3.attention.sliding_window"
    with pytest.raises(LlamaModelError, match="its sliding window has"):
        LlamaModel.from_file(path, kv_overrides={key: window})
    data = bytearray(path.read_bytes())
    at = data.index(key.encode()) + len(key) + 4
    data[at : at + 4] = window.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(LlamaModelError, match="its sliding window has"):
        LlamaModel.from_file(path)


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


def test_a_vocabulary_without_bytes_is_refused(tmp_path: Path) -> None:
    # Tokenizing ended the process.
    path = tiny.make("classify", tmp_path)
    with pytest.raises(LlamaModelError, match=r"has no token for the byte 0x\d\d, and \d+ others"):
        LlamaModel.from_file(path, kv_overrides={"tokenizer.ggml.model": "llama"})


def test_a_state_does_not_take_memory_for_a_name_that_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (outcome,) = fuzz.run([("sealed-state", 11000727)], folder, tmp_path / "kept")
    assert "LlamaStateError: the state is damaged: its first part is longer" in outcome.said


def test_damaged_projectors_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    todo = [("audio", 11006745), ("vision", 11000994)]
    lacks, type_ = fuzz.run(todo, folder, tmp_path / "kept")
    assert "lacks the tensor a.blk.0.attn_k.weight" in lacks.said
    assert "v.blk.0.ffn_down.weight has the type I16" in type_.said
