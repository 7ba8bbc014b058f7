"""The KV cache operations of a context: their effects, and the refused arguments of all that
changes the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llama_cpp import LlamaBatch, LlamaContext, LlamaModel
from tests.support.python import run_program

KINDS = ("llama", "swa", "mamba", "hybrid")
TOKENS = [1, *range(270, 300)]

Load = Callable[..., LlamaModel]


def context(model: LlamaModel, **keywords: object) -> LlamaContext:
    """Keys and values are kept as they are computed, so that results can be compared."""
    defaults = {"n_ctx": 256, "n_seq_max": 3, "type_k": 0, "type_v": 0, "n_threads": 1}
    return LlamaContext(model, **{**defaults, **keywords})  # type: ignore[arg-type]


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """The order of the cells changes the order of sums; a wrong result is off by 1 and more."""
    return bool(np.abs(a - b).max() < 0.01)


def after(ctx: LlamaContext, tokens: list[int], seq_id: int = 0) -> np.ndarray:
    """The logits after ``tokens``, decoded one by one."""
    for token in tokens:
        ctx.decode(LlamaBatch([token], seq_id=seq_id))
    return np.array(ctx.logits())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unified", [False, True])
def test_a_copy_goes_on_like_its_source(tiny_model: Load, kind: str, unified: bool) -> None:
    with context(tiny_model(kind), kv_unified=unified) as ctx:
        expected = after(ctx, [*TOKENS, 301, 302])
        ctx.memory.clear()
        after(ctx, [305, 306], seq_id=2)  # the copy replaces these
        after(ctx, TOKENS)
        ctx.memory.seq_cp(0, 2)
        assert ctx.memory.seq_pos_max(2) == len(TOKENS) - 1
        assert ctx.memory.seq_pos_min(2) == ctx.memory.seq_pos_min(0)
        after(ctx, [303])
        assert close(after(ctx, [301, 302], seq_id=2), expected)
        assert ctx.memory.seq_pos_max() == len(TOKENS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_nothing_is_empty(tiny_model: Load, kind: str) -> None:
    with context(tiny_model(kind)) as ctx:
        after(ctx, [305, 306], seq_id=1)
        ctx.memory.seq_cp(0, 1)
        assert (ctx.memory.seq_pos_min(1), ctx.memory.seq_pos_max(1)) == (-1, -1)
        ctx.memory.seq_cp(1, 1)


def test_a_part_is_copied(tiny_model: Load) -> None:
    with context(tiny_model("llama"), kv_unified=True) as ctx:
        expected = after(ctx, [*TOKENS[:10], 301])
        ctx.memory.clear()
        after(ctx, TOKENS)
        ctx.memory.seq_cp(0, 1, 0, 10)
        assert (ctx.memory.seq_pos_min(1), ctx.memory.seq_pos_max(1)) == (0, 9)
        assert close(after(ctx, [301], seq_id=1), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unified", [False, True])
def test_keep_removes_the_others(tiny_model: Load, kind: str, unified: bool) -> None:
    with context(tiny_model(kind), kv_unified=unified) as ctx:
        for seq_id in range(3):
            after(ctx, TOKENS[: 5 + seq_id], seq_id=seq_id)
        ctx.memory.seq_keep(1)
        assert [ctx.memory.seq_pos_max(seq_id) for seq_id in range(3)] == [-1, 5, -1]
        expected = after(ctx, [301], seq_id=1)
        ctx.memory.clear()
        assert close(after(ctx, [*TOKENS[:6], 301]), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [False, True])
def test_clear_removes_all(tiny_model: Load, kind: str, data: bool) -> None:
    with context(tiny_model(kind)) as ctx:
        expected = after(ctx, TOKENS)
        ctx.memory.clear(data=data)
        assert ctx.memory.seq_pos_max() == -1
        assert np.array_equal(after(ctx, TOKENS), expected)


def test_the_first_position_of_a_sliding_window_moves_on(tiny_model: Load) -> None:
    with context(tiny_model("swa"), n_ctx=1024, n_seq_max=1, n_ubatch=32, swa_full=False) as ctx:
        for _ in range(300):
            ctx.decode([301])
        assert 0 < ctx.memory.seq_pos_min() < ctx.memory.seq_pos_max() == 299


def test_can_shift_depends_on_the_model_and_the_cache(tiny_model: Load) -> None:
    for kind, keywords, expected in (
        ("llama", {}, True),
        ("swa", {"n_ctx": 1024, "n_ubatch": 32, "swa_full": False}, False),
        ("swa", {"n_ctx": 1024, "n_ubatch": 32, "swa_full": True}, True),
        ("mamba", {}, True),
        ("hybrid", {}, True),
    ):
        with context(tiny_model(kind), **keywords) as ctx:
            assert ctx.memory.can_shift is expected


@pytest.mark.parametrize("kind", ["llama", "swa", "hybrid"])
@pytest.mark.parametrize("move", ["shift", "divide"])
def test_keys_turn_with_their_positions(tiny_model: Load, kind: str, move: str) -> None:
    """A token that is moved from 8 to 4 counts as one that was decoded at 4."""

    def result(start: int) -> np.ndarray:
        with context(tiny_model(kind), swa_full=True) as ctx:
            ctx.decode(LlamaBatch([300], pos=start))
            if start == 8 and move == "shift":
                ctx.memory.seq_add(0, 8, -1, -4)
            elif start == 8:
                ctx.memory.seq_div(0, 8, -1, 2)
            assert ctx.memory.seq_pos_max() == 4
            return after(ctx, [301])

    assert close(result(8), result(4))


@pytest.mark.parametrize("kind", ["llama", "hybrid"])
@pytest.mark.parametrize("n_seq_max", [2, 3])
def test_a_copy_of_shifted_cells_has_turned_keys(
    tiny_model: Load, kind: str, n_seq_max: int
) -> None:
    """Without kv_unified the cells are read; the library would not have turned them yet."""
    with context(tiny_model(kind), n_seq_max=n_seq_max) as ctx:
        after(ctx, TOKENS)
        after(ctx, [303], seq_id=1)
        ctx.memory.seq_rm(0, 0, 8)
        ctx.memory.seq_add(0, 8, -1, -8)
        ctx.memory.seq_cp(0, 1)
        assert ctx.memory.seq_pos_max(1) == ctx.memory.seq_pos_max() == len(TOKENS) - 9
        assert close(after(ctx, [301, 302], seq_id=1), after(ctx, [301, 302]))


def test_division_rounds_down(tiny_model: Load) -> None:
    with context(tiny_model("llama")) as ctx:
        after(ctx, TOKENS[:10])
        ctx.memory.seq_div(0, 4, 8, 3)  # 4 to 7 become 1 and 2
        ctx.memory.seq_rm(0, 8)
        assert ctx.memory.seq_pos_max() == 3
        ctx.memory.seq_rm(0, 3)
        assert ctx.memory.seq_pos_max() == 2
        ctx.memory.seq_div(0, 0, -1, 1)
        assert (ctx.memory.seq_pos_min(), ctx.memory.seq_pos_max()) == (0, 2)


@pytest.mark.parametrize("kind", ["mamba", "hybrid"])
def test_a_state_cannot_forget_its_end(tiny_model: Load, kind: str) -> None:
    with context(tiny_model(kind)) as ctx:
        after(ctx, TOKENS)
        assert not ctx.memory.seq_rm(0, 10)
        assert ctx.memory.seq_pos_max() == len(TOKENS) - 1
        assert ctx.memory.seq_rm()
        assert ctx.memory.seq_pos_max() == -1


# kind -> [code, error, message]: each would end the process, or spoil the cache without a word.
_ALL = [
    ["ctx.memory.seq_pos_min(-1)", "ValueError", "seq_id -1 is not 0 to 2"],
    ["ctx.memory.seq_pos_max(3)", "ValueError", "seq_id 3 is not 0 to 2 (see n_seq_max)"],
    ["ctx.memory.seq_pos_max(2**40)", "ValueError", "seq_id=1099511627776"],
    ["ctx.memory.seq_rm(3)", "ValueError", "seq_id 3"],
    ["ctx.memory.seq_rm(0, 0, 2**31)", "ValueError", "p1=2147483648"],
    ["ctx.memory.seq_rm(0, 'a')", "TypeError", "p0 must be an integer"],
    ["ctx.memory.seq_cp(0, 3)", "ValueError", "seq_id 3"],
    ["ctx.memory.seq_cp(-1, 0)", "ValueError", "seq_id -1"],
    ["ctx.memory.seq_cp(0, 1, 3, 5)", "LlamaContextError", "cannot be copied alone"],
    ["ctx.memory.seq_keep(-1)", "ValueError", "seq_id -1"],
    ["ctx.memory.seq_keep(3)", "ValueError", "seq_id 3"],
    ["ctx.memory.seq_add(3, 0, -1, 1)", "ValueError", "seq_id 3"],
    ["ctx.memory.seq_add(0, 0, -1, 2**31)", "ValueError", "delta=2147483648"],
    ["ctx.memory.seq_div(-1, 0, -1, 2)", "ValueError", "seq_id -1"],
    ["ctx.memory.clear(); ctx.decode([300])", None, None],
    ["ctx.close(); ctx.memory.clear()", "LlamaClosedError", "the context is closed"],
]
_MOVES = [
    ["ctx.memory.seq_add(0, 0, -1, -10)", "ValueError", "position"],
    ["ctx.memory.seq_add(0, 0, -1, 2**31 - 10)", "ValueError", "beyond 2147483646"],
    ["ctx.memory.seq_div(0, 0, -1, 0)", "ValueError", "divisor=0 must be 1 or more"],
    ["ctx.memory.seq_div(0, 0, -1, -2)", "ValueError", "divisor=-2"],
    ["ctx.memory.seq_add(0, 0, -1, 2**31 - 20); ctx.decode([300])", None, None],
    [
        "ctx.memory.seq_add(0, 5, 4, 3); ctx.memory.seq_div(0, 5, 4, 3); ctx.decode([300])",
        None,
        None,
    ],
    ["ctx.memory.seq_add(2, 0, -1, 9); ctx.memory.seq_div(2, 0, -1, 9)", None, None],
]
# Of `seq`, a sequence of nine tokens.
_SEQUENCES = [
    ["seq.close(); seq.fork()", "LlamaClosedError", "the sequence is closed"],
    ["seq.close(); seq.extend([1])", "LlamaClosedError", "the sequence is closed"],
    ["seq.close(); seq.tokens", "LlamaClosedError", "the sequence is closed"],
    ["seq.close(); seq.id", "LlamaClosedError", "the sequence is closed"],
    ["seq.close(); seq.set([1])", "LlamaClosedError", "the sequence is closed"],
    ["seq.close(); seq.to_bytes()", "LlamaClosedError", "the sequence is closed"],
    ["ctx.close(); seq.extend([1])", "LlamaClosedError", "the context is closed"],
    ["ctx.close(); seq.fork()", "LlamaClosedError", "the context is closed"],
    ["ctx.close(); seq.to_bytes()", "LlamaClosedError", "the context is closed"],
    ["ctx.close(); ctx.sequence()", "LlamaClosedError", "the context is closed"],
    ["ctx.close(); seq.close()", None, ""],
    ["ctx.sequence(); ctx.sequence()", None, ""],
    ["a = ctx.sequence(); ctx.sequence()", "LlamaContextError", "n_seq_max"],
    ["ctx.sequence(checkpoints='a')", "TypeError", "checkpoints"],
    ["seq.extend([])", "ValueError", "no tokens"],
    ["seq.extend([-1])", "ValueError", "-1"],
    ["seq.extend([300] * 100 + [10**6])", "ValueError", "1000000"],
    ["seq.extend(['a'])", "TypeError", "'a'"],
    ["seq.set([2**40])", "ValueError", ""],
    ["seq.set([])", None, ""],
    ["seq.truncate(-1)", "ValueError", "n=-1 is not 0 to 9"],
    ["seq.truncate(10)", "ValueError", "n=10 is not 0 to 9"],
    ["seq.truncate(1.5)", "TypeError", "1.5"],
    ["seq.shift(0, 9)", "ValueError", "leave some of 9"],
    ["seq.shift(-1, 2)", "ValueError", "keep=-1"],
    ["seq.shift(2, 0)", "ValueError", "discard=0"],
    ["seq.shift('a', 1)", "TypeError", "keep"],
    ["seq.truncate(3); seq.sample(LlamaSampler.chain().greedy())", "LlamaOutputError", "extend"],
    ["ctx.sequence().sample(LlamaSampler.chain().greedy())", "LlamaOutputError", "extend"],
    ["with ctx.core.lock: seq.truncate(3)", "LlamaBusyError", "another thread"],
    ["with ctx.core.lock: seq.fork()", "LlamaBusyError", "another thread"],
    ["with ctx.core.lock: ctx.sequence()", "LlamaBusyError", "another thread"],
]
_FIXED = [
    ["ctx.memory.seq_add(0, 0, -1, 1)", "LlamaContextError", "swa_full=True"],
    ["ctx.memory.seq_div(0, 0, -1, 2)", "LlamaContextError", "cannot be moved"],
]
_NO_CACHE = [
    [code, "LlamaContextError", "has no KV cache"]
    for code in (
        "ctx.memory.clear()",
        "ctx.memory.seq_pos_max()",
        "ctx.memory.seq_cp(0, 1)",
        "ctx.memory.seq_keep(0)",
        "ctx.memory.can_shift",
    )
]
_BOTH = [*_ALL, *(["seq = nine()\n" + code, *error] for code, *error in _SEQUENCES)]
MISUSE = {
    "llama": [*_BOTH, *_MOVES],
    "mamba": [*_BOTH, *_MOVES],
    "hybrid": [*_BOTH, *_MOVES],
    "swa": [*_BOTH, *_FIXED],
    "bert": _NO_CACHE,
}


@pytest.mark.parametrize("kind", MISUSE)
def test_misuse_is_refused(tiny_path: Callable[..., Path], kind: str) -> None:
    rows = MISUSE[kind]
    result = run_program("kv_cache_misuse", tiny_path(kind), json.dumps([row[0] for row in rows]))
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == len(rows), f"{rows[len(lines)][0]} ended the process: {result.stderr}"
    for (code, error, message), (got, said) in zip(rows, lines, strict=True):
        assert got == error, f"{code}: {got}: {said}"
        assert (message or "") in (said or ""), f"{code}: {said}"


def test_another_thread_is_busy(tiny_model: Load) -> None:
    from llama_cpp.errors import LlamaBusyError

    with context(tiny_model("llama")) as ctx, ctx.core.lock:
        for call in (
            ctx.memory.clear,
            ctx.memory.seq_pos_max,
            lambda: ctx.memory.seq_cp(0, 1),
            lambda: ctx.memory.seq_add(0, 0, 1, 1),
        ):
            with pytest.raises(LlamaBusyError):
                call()


@pytest.mark.parametrize(
    ("kind", "flash"), [("llama", 0), ("llama", 1), ("swa", 1), ("hybrid", 0), ("mamba", 1)]
)
def test_an_operation_works_with_a_cache_type_or_says_that_it_does_not(
    kind: str, flash: int, tiny_path: Callable[..., Path]
) -> None:
    """llama.cpp would end the process where it cannot turn the keys of cells that move."""
    result = run_program("cache_types", tiny_path(kind), flash)
    assert (result.returncode, result.stdout.split()[-1:]) == (0, ["done"]), result.stderr
    turns = "" if kind in ("hybrid", "mamba") else "BF16 IQ4_NL Q4_0"
    raised: dict[str, list[str]] = {}
    for line in result.stdout.splitlines()[:-1]:
        raised.setdefault(line.split(":")[0], []).append(line.split("GGML_TYPE_")[1].split(";")[0])
    names = ("add", "divide", "shift", "context_shift")
    assert raised == ({name: turns.split() for name in names} if turns else {})
