"""Faults of the system: full memory and disks, changing files, signals."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llama_cpp import Llama, LlamaContext, LlamaDecodeError, LlamaModel, LlamaModelError
from tests.support.adapters import write_lora
from tests.support.python import PROGRAMS, ROOT, run_program

Load = Callable[..., LlamaModel]
THREADS: dict[str, Any] = {"n_threads": 1, "n_threads_batch": 1}


# -- memory


@pytest.mark.parametrize("room", [200_000, 2_000_000, 10_000_000, 60_000_000])
@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("load(load_mode=0)", "LlamaModelError"),
        ("load(load_mode=1)", "LlamaModelError"),
        ("context()", "LlamaContextError"),
    ],
)
def test_without_memory_there_is_an_error_and_later_a_success(
    what: str, error: str, room: int, model_path: Path, tiny_path: Callable[..., Path]
) -> None:
    done = run_program("memory_limit", what, model_path, tiny_path("llama"), room)
    # On a CPU with AMX the library itself writes a line.
    said = re.sub(r"(?m)^ggml_backend_amx_buffer_type_alloc_buffer: .*\n", "", done.stderr)
    assert (done.returncode, done.stdout, said) == (0, f"{error}\nlater\n", "")


def test_without_memory_for_a_thread_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tiny_path: Callable[..., Path]
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    path = tiny_path("llama")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(LlamaModelError, match="could not be loaded: can't start new thread"):
            LlamaModel.from_file(path)
    LlamaModel.from_file(path).close()


def test_a_full_cache_keeps_its_tokens(tiny_model: Load) -> None:
    model = tiny_model("llama")
    prompt = model.tokenize("the cat sat on the mat")
    with LlamaContext(model, n_ctx=256, n_seq_max=2, kv_unified=True, **THREADS) as ctx:
        seq, other = ctx.sequence(), ctx.sequence()
        other.extend(prompt * 10)
        with pytest.raises(LlamaDecodeError, match="larger n_ctx") as caught:
            any(seq.extend(prompt) for _ in range(100))
        assert caught.value.code == 1
        n = len(seq)
        assert n % len(prompt) == 0
        assert ctx.memory.seq_pos_max(seq.id) == n - 1
        other.truncate(0)
        seq.extend(prompt)
        assert len(seq) == n + len(prompt)
    llm = Llama(model, n_ctx=256, **THREADS)
    before = llm.complete(prompt, max_tokens=9, temperature=0).tokens
    full = llm.complete(prompt, temperature=0, logit_bias={"</s>": -1000.0})
    assert full.finish_reason in ("length", "stop")
    assert len(full.tokens) + len(prompt) <= 256
    assert llm.complete(prompt, max_tokens=9, temperature=0).tokens == before
    llm.ctx.close()


# -- disks


# A limit on the size of files stands for it. Without bytecode: Python would leave half a .pyc.


def test_a_full_disk_leaves_the_old_model(tiny_path: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    target.write_bytes(b"old")
    assert run_program("model_on_full_disk", tiny_path("llama"), target) == (0, "", "")


@pytest.mark.parametrize("what", ["model.save(p)", "quantize(m, p)", "ctx.save(p)"])
def test_a_device_or_pipe_is_not_replaced_by_a_file(
    what: str, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    done = run_program("writes_to_a_pipe", tiny_path("llama"), pipe, what)
    assert done == (0, f"{pipe} is not a regular file: choose another output\n", "")


SAVES = PROGRAMS / "saves_again_and_again.py"


@pytest.mark.parametrize("what", ["state", "model"])
def test_a_process_that_dies_while_it_saves_leaves_a_whole_file(
    what: str, tiny_path: Callable[..., Path], tiny_model: Load, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, SAVES, what, tiny_path("llama"), target],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(random.random() * 0.05)
            while not target.exists():
                time.sleep(0.01)
            process.kill()
        if what == "state":
            with LlamaContext(tiny_model("llama"), n_ctx=256, **THREADS) as ctx:
                assert ctx.load(target) == [1, 2, 3]
        else:
            with LlamaModel.from_file(target) as model:
                assert model.n_params == tiny_model("llama").n_params


# -- files that cannot be read, or change


@pytest.mark.parametrize("path", ["/proc/self/mem", "/dev/zero", "pipe"])
@pytest.mark.parametrize("what", ["LlamaModel.from_file(p)", "model.load_lora(p)", "ctx.load(p)"])
def test_an_unreadable_path_is_refused_at_once(
    what: str, path: str, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_program(
        "reads_what_is_no_file", what, tiny_path("llama"), tmp_path / path, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Error\n")
    assert done.stderr == ""


MMAP, NONE = 1, 0


@pytest.mark.parametrize(
    ("how", "mode", "ends"),
    [
        *[
            ("removed", MMAP, 0),
            ("replaced", MMAP, 0),
            ("removed", NONE, 0),
            ("truncated", NONE, 0),
        ],
        # `LlamaModel.from_file` warns of it: only another load_mode prevents it.
        ("truncated", MMAP, -signal.SIGBUS),
    ],
)
def test_a_model_outlives_its_file_but_not_a_mapped_one_that_is_cut_off(
    how: str, mode: int, ends: int, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.gguf"
    done = run_program("file_changes_under_model", tiny_path("llama"), copy, how, mode)
    assert done == (0, "True\n", "") if ends == 0 else done.returncode == ends


# -- signals


def test_ctrl_c_as_the_library_begins_to_log_is_not_lost() -> None:
    """Python raises it before the first line of the log callback, where nothing can catch it."""
    assert run_program("ctrl_c_before_a_log_line") == (0, "True True\n" * 3, "")


def test_no_line_of_the_log_comes_where_ctrl_c_would_be_lost(
    tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    adapter = write_lora(tmp_path / "adapter.gguf")
    assert run_program("log_lines_under_ctrl_c", tiny_path("llama"), adapter, tmp_path) == (
        0,
        "True\n",
        "",
    )


@pytest.mark.parametrize("kind", ["ctrl-c", "own"])
def test_a_signal_while_a_guarded_call_begins_waits_for_it(kind: str) -> None:
    name = "KeyboardInterrupt" if kind == "ctrl-c" else "ZeroDivisionError"
    assert run_program("signal_as_a_guarded_call_begins", kind) == (0, f"{name} [True]\n", "")


def test_ctrl_c_while_an_object_is_freed_ends_the_wait_after_it() -> None:
    assert run_program("ctrl_c_while_freeing") == (0, "True\n", "")


@pytest.mark.parametrize("kind", ["ctrl-c", "own"])
def test_signals_at_any_moment_leave_all_usable(
    kind: str, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    done = run_program("signals_at_any_moment", tiny_path("llama"), tmp_path, kind, 21, timeout=300)
    assert done == (0, "done\n", "")
