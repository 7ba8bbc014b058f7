"""Projectors are tried in a process of their own: what ends that one does not end this one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from checks import mutants
from llama_cpp import LlamaModel, LlamaModelError, LlamaMultimodal
from llama_cpp.generate import probe as _probe
from llama_cpp.native import child as _child
from tests.support import tiny_mmproj
from tests.support.python import run_command, run_program


@pytest.fixture(scope="module")
def text_model(tiny_path: Callable[..., Path]) -> LlamaModel:
    return LlamaModel.from_file(tiny_path("llama"))


@pytest.fixture
def mmproj(tmp_path: Path) -> Path:
    return tiny_mmproj.make(tmp_path)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The processes that were started."""
    found = []

    def start(*arguments: Any) -> subprocess.Popen[str]:
        process = real(*arguments)
        found.append(process)
        return process

    real = _child.start
    monkeypatch.setattr(_child, "start", start)
    return found


# Each tensor missing in turn: it loads, and can be used, or raises.


@pytest.mark.parametrize("kind", ["vision", "audio"])
def test_no_missing_tensor_ends_the_process(
    kind: str, text_model: LlamaModel, tmp_path: Path
) -> None:
    path = tiny_mmproj.make(tmp_path, kind)
    done = run_program(
        "projector_without_a_tensor", text_model.path, path, tmp_path / "damaged.gguf", timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(lines) == len(gguf.GGUFReader(path).tensors)
    crashed = [name for name, said in lines.items() if "the library crashed over it" in said]
    needed = "v.patch_embd.weight" if kind == "vision" else "a.position_embd.weight"
    assert needed in crashed
    assert "SIGSEGV" in lines[needed]
    assert "works" in lines.values(), "biases are optional"


def test_weights_that_nothing_can_be_multiplied_with_are_refused(
    text_model: LlamaModel, mmproj: Path
) -> None:
    data = bytearray(mmproj.read_bytes())
    name = b"mm.input_projection.weight"
    at = data.index(name) + len(name)
    at += 4 + 8 * data[at]
    data[at] = gguf.GGMLQuantizationType.I32  # of the size of what was there
    mmproj.write_bytes(data)
    with pytest.raises(LlamaModelError, match=r"mm\.input_projection\.weight has the type I32"):
        LlamaMultimodal(text_model, mmproj, probe=False)


def test_a_file_is_tried_once_until_it_changes(
    text_model: LlamaModel, mmproj: Path, started: list[subprocess.Popen[str]]
) -> None:
    for _ in range(2):
        LlamaMultimodal(text_model, mmproj, n_threads=1).close()
    assert len(started) == 1
    os.utime(mmproj)
    LlamaMultimodal(text_model, mmproj, n_threads=1).close()
    assert len(started) == 2
    # Bounds on the images are numbers that the library computes with.
    LlamaMultimodal(text_model, mmproj, n_threads=1, image_max_tokens=9).close()
    assert len(started) == 3
    os.utime(mmproj)
    LlamaMultimodal(text_model, mmproj, n_threads=1, probe=False).close()
    assert [process.returncode for process in started] == [0, 0, 0], "and all have ended"


def test_one_that_was_refused_is_tried_again(
    text_model: LlamaModel, mmproj: Path, started: list[subprocess.Popen[str]]
) -> None:
    mmproj.write_bytes(mutants.without(mutants.Gguf(mmproj.read_bytes()), "v.patch_embd.weight"))
    for _ in range(2):
        with pytest.raises(LlamaModelError, match="the library crashed over it"):
            LlamaMultimodal(text_model, mmproj, n_threads=1)
    assert len(started) == 2
    assert all(process.returncode for process in started)


def test_one_that_takes_too_long_is_refused(
    text_model: LlamaModel,
    mmproj: Path,
    started: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_probe, "_LOADING", 0.01)
    with pytest.raises(LlamaModelError, match=r"was not loaded after 0 s"):
        LlamaMultimodal(text_model, mmproj, n_threads=1)
    assert started[0].returncode not in (None, 0), "it was killed, and waited for"


def test_encoding_is_cut_short(
    text_model: LlamaModel, mmproj: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the other process: what would take long there is not waited for.
    code = _child._START.replace(
        ".main()", "; module._ENCODING = 0; module._use = slow(module._use); module.main()"
    ).replace("importlib.import_module", "module = importlib.import_module")
    slow = (
        "import time\ndef slow(use):\n"
        "    def run(both):\n"
        "        both._try = lambda prompt: time.sleep(60)\n"
        "        use(both)\n"
        "    return run\n"
    )
    monkeypatch.setattr(_child, "_START", slow + code)
    LlamaMultimodal(text_model, mmproj, n_threads=1).close()


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/blender"])
def test_without_an_interpreter_it_is_left_out_and_said(
    text_model: LlamaModel,
    mmproj: Path,
    executable: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with caplog.at_level(logging.WARNING, logger="llama_cpp"):
        LlamaMultimodal(text_model, mmproj, n_threads=1).close()
    assert "is loaded without a trial: sys.executable" in caplog.text
    with pytest.raises(LlamaModelError, match="cannot be tried before it is loaded"):
        LlamaMultimodal(text_model, mmproj, n_threads=1, probe=True)
    caplog.clear()
    LlamaMultimodal(text_model, mmproj, n_threads=1, probe=False).close()
    assert not caplog.records


def test_an_interpreter_that_does_not_start_is_no_verdict(
    text_model: LlamaModel, mmproj: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python-of-another-kind"
    program.write_text("#!/bin/sh\necho no such option >&2\nexit 2\n")
    program.chmod(0o700)
    for executable in (program, tmp_path / "python-that-is-not-there"):
        monkeypatch.setattr(sys, "executable", str(executable))
        LlamaMultimodal(text_model, mmproj, n_threads=1).close()
        with pytest.raises(LlamaModelError, match=r"could not be used: .*(no such option|No such)"):
            LlamaMultimodal(text_model, mmproj, n_threads=1, probe=True)


def test_a_script_needs_no_guard(text_model: LlamaModel, mmproj: Path, tmp_path: Path) -> None:
    # What the current folder has, and what the script's own has, is not imported by the other.
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    script = tmp_path / "scripts" / "look.py"
    script.parent.mkdir()
    script.write_text(
        "import sys\nprint('once')\nfrom llama_cpp import *\n"
        "model = LlamaModel.from_file(sys.argv[1])\n"
        "print(LlamaMultimodal(model, sys.argv[2], n_threads=1, probe=True))\n"
    )
    done = run_command(sys.executable, script, text_model.path, mmproj, cwd=tmp_path)
    assert done == (0, "once\n<LlamaMultimodal 'mmproj-vision-64.gguf', images>\n", "")


def test_probe_is_a_switch(text_model: LlamaModel, mmproj: Path) -> None:
    with pytest.raises(TypeError, match="probe must be True, False or None, not 'yes'"):
        LlamaMultimodal(text_model, mmproj, probe="yes")  # type: ignore[arg-type]
