"""`make gpu-check` on a machine without a GPU: what it says, and its parts on the CPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import gpu
from tests.support.python import ROOT


def test_it_says_that_there_is_no_gpu() -> None:
    command = [sys.executable, "-m", "checks.gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if gpu.gpus():
        pytest.skip("there is one")
    assert done.returncode == gpu.NO_GPU
    assert done.stdout.startswith("no GPU: ")
    assert "CPU: " in done.stdout


@pytest.mark.parametrize("name", ["devices", "layers", "in-graph sampling", "state"])
def test_a_part_is_right_on_the_cpu(name: str, tiny_path: Callable[..., Path]) -> None:
    assert gpu.PARTS[name](tiny_path("llama"))


def test_another_text_is_found(tiny_path: Callable[..., Path]) -> None:
    with pytest.raises(AssertionError, match="below the GPU's likeliest"):
        gpu._follow(tiny_path("llama"), [5, 6], [7, 7, 7])
