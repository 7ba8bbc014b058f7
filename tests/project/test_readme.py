"""The README's programs run as they stand, on a real model and the real engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llama_cpp import LlamaLibrary
from tests.support import codeblocks
from tests.support.python import ROOT

README = ROOT / "README.md"
PROGRAMS = codeblocks.programs(README)


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 4


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: f"line {program.line}")
def test_a_program_of_the_readme_runs(
    program: codeblocks.Block, model_path: Path, library: LlamaLibrary, tmp_path: Path
) -> None:
    (tmp_path / "model.gguf").symlink_to(model_path)
    code = "from llama_cpp import LlamaModel\n" + program.code
    code = code.replace("/opt/llama.cpp/lib/libllama.so", str(library.path))
    done = codeblocks.run(README, [program._replace(code=code)], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_targets_of_the_readme_are_in_the_makefile() -> None:
    targets = set(re.findall(r"`make ([a-z-]+)", README.read_text("utf-8")))
    assert len(targets) > 5
    assert [target for target in targets if codeblocks.fault(["make", target])] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 120


def test_names_in_the_guide_for_contributors_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    targets = re.findall(r"`make ([a-z-]+)", text)
    assert len(targets) > 10
    assert [target for target in targets if codeblocks.fault(["make", target])] == []
    paths = set(re.findall(r"`([\w.]+(?:/[\w.]+)+)`", text)) - {
        "llama_cpp/_raw_rpc.py", "codegen/api_rpc.json",
    }  # fmt: skip
    assert len(paths) > 10
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
