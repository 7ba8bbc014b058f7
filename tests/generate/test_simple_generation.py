"""The first example has the same output as upstream's own llama-simple."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import source
from llama_cpp import LlamaLibrary
from tests.support.python import ROOT

EXAMPLE = ROOT / "examples" / "simple_generation.py"
PROMPTS = [
    "Hello my name is",
    "The three most important things in life are",
    "def fibonacci(n):",
    "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n",
    "Ünïcödé, 日本語, 🙂:",
]


@pytest.fixture(scope="session")
def llama_simple(
    library: LlamaLibrary, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """The program, and the environment that it needs. An engine that was built from source has
    it; for an official release it is compiled here, against the engine's libraries."""
    folder = library.path.parent
    # Its four threads on a machine with two cores are five times slower than two.
    threads = {"OMP_THREAD_LIMIT": "2"}
    if (folder / "llama-simple").is_file():
        return folder / "llama-simple", threads
    root = source.resolve().root
    program = tmp_path_factory.mktemp("simple") / "llama-simple"
    headers = [f"-I{root / 'include'}", f"-I{root / 'ggml' / 'include'}"]
    libraries = [str(library.path), *map(str, sorted(folder.glob("libggml*.so")))]
    code = str(root / "examples" / "simple" / "simple.cpp")
    command = ["c++", "-std=c++17", "-O1", *headers, code, *libraries]
    subprocess.run([*command, f"-Wl,-rpath,{folder}", "-o", str(program)], check=True)
    return program, {**threads, "LD_LIBRARY_PATH": str(folder)}


def example(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, EXAMPLE, *map(str, arguments)], cwd=ROOT, capture_output=True, check=False
    )


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt[:12])
def test_the_text_is_that_of_llama_simple(
    llama_simple: tuple[Path, dict[str, str]], model_path: Path, prompt: str
) -> None:
    program, env = llama_simple
    theirs = subprocess.run(
        [program, "-m", model_path, "-n", "64", prompt],
        env={**os.environ, **env},
        capture_output=True,
        check=True,
    )
    ours = example("-m", model_path, "-n", 64, prompt)
    assert ours.returncode == 0, ours.stderr
    assert ours.stdout == theirs.stdout  # bytes: the end may be a part of a character
    assert len(ours.stdout) > len(prompt) + 20
    assert ours.stderr.startswith(b"decoded ")


def test_one_token_is_enough(model_path: Path) -> None:
    done = example("-m", model_path, "-n", 1, "Hello my name is")
    assert done.returncode == 0, done.stderr
