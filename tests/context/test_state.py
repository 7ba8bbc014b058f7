"""Saved states: they come back as they were, or are refused before anything is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llama_cpp import LlamaContext, LlamaModel
from llama_cpp.errors import LlamaContextError, LlamaStateError
from tests.support.python import run_program

KINDS = ("llama", "swa", "mamba", "hybrid")
TOKENS = [1, *range(270, 360)]
Load = Callable[..., LlamaModel]


def context(model: LlamaModel, **keywords: object) -> LlamaContext:
    defaults = {"n_ctx": 512, "n_seq_max": 2, "n_ubatch": 32, "swa_full": False, "n_threads": 1}
    return LlamaContext(model, **{**defaults, **keywords})  # type: ignore[arg-type]


def after(ctx: LlamaContext, token: int) -> np.ndarray:
    ctx.decode([token])
    return np.array(ctx.logits())


def same(a: np.ndarray, b: np.ndarray, model: LlamaModel) -> bool:
    """To the last bit; but the cells of a window that has gone round come back in their order, and
    that is the order of sums."""
    if model.metadata["general.architecture"] == "gemma3":
        return bool(np.abs(a - b).max() < 0.01)
    return np.array_equal(a, b)


@pytest.fixture(params=KINDS)
def model(tiny_model: Load, request: pytest.FixtureRequest) -> LlamaModel:
    return tiny_model(request.param)


@pytest.fixture
def saved(tiny_model: Load) -> bytes:
    with context(tiny_model("llama")) as ctx, ctx.sequence() as seq:
        seq.extend(TOKENS)
        return seq.to_bytes()


@pytest.mark.parametrize("unified", [False, True])
def test_a_whole_context_comes_back(model: LlamaModel, unified: bool, tmp_path: Path) -> None:
    with context(model, kv_unified=unified) as ctx:
        ctx.decode(TOKENS)
        state = ctx.to_bytes(TOKENS)
        ctx.save(tmp_path / "state", TOKENS)
        expected = after(ctx, 301)
        ctx.decode([302, 303])
        assert ctx.restore(state) == TOKENS
        assert ctx.memory.seq_pos_max() == len(TOKENS) - 1
        assert same(after(ctx, 301), expected, model)
    with context(model, kv_unified=unified) as other:
        assert other.load(tmp_path / "state") == TOKENS
        assert same(after(other, 301), expected, model)
        assert other.restore(bytearray(state)) == TOKENS
        assert other.restore(memoryview(state)) == TOKENS


def test_the_state_of_nothing(model: LlamaModel) -> None:
    with context(model) as ctx:
        nothing = ctx.to_bytes()
        ctx.decode(TOKENS)
        assert ctx.restore(nothing) == []
        assert ctx.memory.seq_pos_max() == -1
        seq = ctx.sequence()
        empty = seq.to_bytes()
        assert len(ctx.sequence.from_bytes(empty)) == 0


def test_a_sequence_comes_back_in_another_place(model: LlamaModel, tmp_path: Path) -> None:
    with context(model) as ctx:
        seq = ctx.sequence()
        seq.extend(TOKENS)
        seq.save(tmp_path / "state")
        seq.extend([301])
        expected = np.array(ctx.logits())
        with ctx.sequence.load(tmp_path / "state") as again:
            assert again.id != seq.id
            assert again.tokens == TOKENS
            again.extend([301])
            assert np.abs(np.array(ctx.logits()) - expected).max() < 0.02


def test_the_sequences_of_a_context_that_is_loaded_need_their_tokens(tiny_model: Load) -> None:
    with context(tiny_model("llama")) as ctx:
        seq = ctx.sequence()
        seq.extend(TOKENS)
        state = ctx.to_bytes()
        ctx.restore(state)
        with pytest.raises(LlamaContextError, match="changed by other means"):
            seq.extend([301])
        with pytest.raises(LlamaStateError, match="damaged"):
            ctx.restore(state[:-1])
        assert seq.set(TOKENS) == 0


def test_shifted_cells_are_saved_with_turned_keys(tiny_model: Load) -> None:
    with context(tiny_model("llama"), type_k=0, type_v=0) as ctx:
        ctx.decode(TOKENS)
        ctx.memory.seq_rm(0, 4, 44)
        ctx.memory.seq_add(0, 44, -1, -40)
        state = ctx.to_bytes()
        expected = after(ctx, 301)
        ctx.restore(state)
        assert np.abs(after(ctx, 301) - expected).max() < 0.01


BELONGS: list[tuple[str, dict[str, object], str]] = [
    ("mamba", {}, "another model: architecture is llama there and mamba here"),
    ("llama of another seed", {}, "another model: weights"),
    ("llama", {"type_k": 0}, "another context: type_k is 1 there and 0 here"),
    ("llama", {"rope_freq_base": 5000.0}, "rope_freq_base is 0.0 there and 5000.0 here"),
    ("llama", {"kv_unified": True}, "kv_unified and n_seq_max"),
    ("llama", {"n_seq_max": 3}, "kv_unified and n_seq_max"),
]


@pytest.mark.parametrize(("kind", "keywords", "message"), BELONGS)
def test_the_state_of_another_is_refused(
    tiny_model: Load, saved: bytes, kind: str, keywords: dict[str, object], message: str
) -> None:
    kind, _, other = kind.partition(" ")
    with context(tiny_model(kind, seed=int(bool(other))), **keywords) as ctx:
        with pytest.raises(LlamaStateError, match=message):
            ctx.sequence.from_bytes(saved)
        assert ctx.sequence().id == 0  # the id of the one that was not made


def test_a_copy_of_the_model_is_the_same_model(
    tiny_path: Callable[..., Path], saved: bytes, tmp_path: Path
) -> None:
    (tmp_path / "copy.gguf").write_bytes(tiny_path("llama").read_bytes())
    with LlamaModel.from_file(tmp_path / "copy.gguf") as model, context(model) as ctx:
        assert ctx.sequence.from_bytes(saved).tokens == TOKENS


def test_sequences_and_contexts_are_told_apart(tiny_model: Load, saved: bytes) -> None:
    with context(tiny_model("llama")) as ctx:
        with pytest.raises(LlamaStateError, match="state of a sequence, not of a context"):
            ctx.restore(saved)
        with pytest.raises(LlamaStateError, match="state of a context, not of a sequence"):
            ctx.sequence.from_bytes(ctx.to_bytes())


def test_a_smaller_context(tiny_model: Load) -> None:
    model = tiny_model("llama")
    with context(model, n_ctx=1024, n_seq_max=1) as ctx, ctx.sequence() as seq:
        seq.extend(TOKENS * 4)
        of_sequence, of_context = seq.to_bytes(), ctx.to_bytes()
    with context(model, n_ctx=256, n_seq_max=1) as ctx:
        with pytest.raises(LlamaStateError, match="364 tokens, a sequence here has room for 256"):
            ctx.sequence.from_bytes(of_sequence)
        ctx.decode(TOKENS)
        with pytest.raises(LlamaStateError, match=r"context was not restored, and is empty now"):
            ctx.restore(of_context)
        assert ctx.memory.seq_pos_max() == -1
        ctx.decode(TOKENS)


def test_no_room_beside_the_others(tiny_model: Load) -> None:
    with context(tiny_model("llama"), n_ctx=256, kv_unified=True) as ctx, ctx.sequence() as seq:
        seq.extend(TOKENS * 2)
        state = seq.to_bytes()
        with pytest.raises(LlamaStateError, match="sequence was not restored"):
            ctx.sequence.from_bytes(state)
        seq.extend([301])
        assert ctx.sequence().id == 1


def test_other_files_are_refused(tiny_model: Load, tmp_path: Path) -> None:
    with context(tiny_model("llama")) as ctx:
        for data in (b"", b"ggsq\2\0\0\0", b"GGUF", os.urandom(10_000)):
            (tmp_path / "other").write_bytes(data)
            with pytest.raises(LlamaStateError, match="not a state that llama_cpp saved"):
                ctx.sequence.load(tmp_path / "other")
            with pytest.raises(LlamaStateError, match="not a state that llama_cpp saved"):
                ctx.load(tmp_path / "other")
        with pytest.raises(FileNotFoundError):
            ctx.sequence.load(tmp_path / "none")
        with pytest.raises(TypeError):
            ctx.restore("text")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="vocabulary"):
            ctx.to_bytes([10**6])


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed_before_anything_changes(
    tiny_path: Callable[..., Path], kind: str
) -> None:
    result = run_program("damaged_states", tiny_path(kind))
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == 2 * (2 * 490 + 2)


def test_a_full_disk_leaves_the_old_file(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk that is full."""
    done = run_program("state_on_full_disk", tiny_path("llama"), tmp_path / "state")
    assert done == (0, "File too large\n" * 2, "")


def test_a_link_stays_a_link(tiny_model: Load, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with context(tiny_model("llama")) as ctx:
        ctx.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").is_file()


def test_a_state_outlives_the_process(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    results = [
        run_program("save_or_load_state", tiny_path("llama"), tmp_path / "state", what)
        for what in ("save", "load")
    ]
    assert results[0].returncode == 0, results[0].stderr
    assert json.loads(results[0].stdout) == json.loads(results[1].stdout)
