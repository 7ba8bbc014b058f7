"""The README's programs run as they stand, on a real model and the real engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import run_python

from llama_cpp import LlamaLibrary

README = Path(__file__).parents[1] / "README.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 4


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_readme_runs(
    program: str, model_path: Path, library: LlamaLibrary
) -> None:
    code = "from llama_cpp import LlamaModel\n" + program
    code = code.replace("model.gguf", str(model_path))
    code = code.replace("/opt/llama.cpp/lib/libllama.so", str(library.path))
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("target", re.findall(r"^make ([a-z]+)", README.read_text("utf-8"), re.M))
def test_a_target_of_the_readme_is_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:", (README.parent / "Makefile").read_text("utf-8"), re.MULTILINE)
