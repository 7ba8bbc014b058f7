"""Programs made by PyInstaller: the hook puts the engine into them."""

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from llama_cpp import Llama

from ..support.python import PROGRAMS

# Optional for us, and large.
LARGE = ("numpy", "pydantic", "pydantic_core", "setuptools", "tkinter", "rich", "pygments")


@pytest.mark.parametrize("kind", ["--onedir", "--onefile"])
def test_a_frozen_program_has_the_engine_and_can_start_processes(
    kind: str, model_path: Path, tmp_path: Path
) -> None:
    left_out = [argument for name in LARGE for argument in ("--exclude-module", name)]
    folders = [f"--{name}path={tmp_path / name}" for name in ("dist", "work", "spec")]
    subprocess.run(
        [sys.executable, "-m", "PyInstaller", kind, "--log-level", "ERROR", "--name", "program",
         *left_out, *folders, PROGRAMS / "frozen_program.py"],
        check=True, cwd=tmp_path,
    )  # fmt: skip
    program = tmp_path / "dist" / "program"
    with Llama(model_path, n_ctx=256) as llm:
        text = llm.complete("The capital of France is", max_tokens=8, temperature=0).text
    done = subprocess.run(
        [program / "program" if program.is_dir() else program, model_path],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        # No engine but its own.
        env={"HOME": str(tmp_path), "PATH": os.defpath, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert ast.literal_eval(lines[0]) == text
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(lines[1])))
