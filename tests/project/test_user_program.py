"""The programs of `user_program` work as their users expect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llama_cpp import LlamaLibrary
from tests.programs import typed_options, user_program
from tests.support.python import ROOT


def test_text_comes_in_pieces(model_path: Path) -> None:
    assert user_program.stream(model_path)


def test_a_chat_is_answered(model_path: Path) -> None:
    text, tokens = user_program.chat(model_path)
    assert text
    assert 1 <= tokens <= 8


def test_vectors_have_unit_length(model_path: Path) -> None:
    assert user_program.embed(model_path) == (2, 576)


def test_the_layer_underneath_generates(model_path: Path) -> None:
    assert user_program.layer_underneath(model_path).startswith("llama 1 8192 ")


def test_sequences_share_and_come_back(model_path: Path, tmp_path: Path) -> None:
    shared, a, b, later = user_program.sequences(model_path, tmp_path / "state")
    assert a == b == later > shared


def test_many_prompts_run_at_once(model_path: Path) -> None:
    outputs = user_program.many(model_path, [f"{n} plus {n} is" for n in range(6)])
    assert all(outputs)


def test_a_grammar_holds(model_path: Path) -> None:
    assert user_program.constrained(model_path) in ("yes", "no")


def test_a_sampler_in_python_is_asked(model_path: Path) -> None:
    text = user_program.custom(model_path)
    assert text
    assert "\n" not in text


def test_a_time_limit_stops_it(model_path: Path) -> None:
    assert user_program.cancelled(model_path)


def test_guessing_changes_nothing(model_path: Path) -> None:
    assert user_program.guessed(model_path)


def test_the_async_form_generates(model_path: Path) -> None:
    assert all(user_program.asynchronous(model_path))


def test_the_c_api_is_there(model_path: Path) -> None:
    assert user_program.raw(model_path) == 30


def test_a_library_of_ones_own(model_path: Path, library: LlamaLibrary) -> None:
    names, shown = user_program.own_library(model_path, library.path)
    assert "CPU" in names
    assert shown.startswith("<LlamaModel 'SmolLM2")


CHECKERS = [["mypy", "--strict"], ["pyright", "--pythonpath", sys.executable]]


def check(checker: list[str], folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *checker, *names],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda words: words[0])
def test_type_checkers_accept_them(checker: list[str], tmp_path: Path) -> None:
    # Outside the project, so that none of its settings count: as at a user's.
    programs = [Path(user_program.__file__), Path(typed_options.__file__)]
    for program in programs:
        (tmp_path / program.name).write_text("# pyright: strict\n" + program.read_text())
    done = check(checker, tmp_path, *(program.name for program in programs))
    assert done.returncode == 0, done.stdout + done.stderr


WRONG_CALLS = """
from llama_cpp import LlamaLibrary, _raw

library = LlamaLibrary()
library.llama_decode(3, _raw.llama_batch())
library.short.llama_n_ctx("context")
devices: str = library.llama_max_devices()
library.mtmd_default_marker(1)
"""


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda words: words[0])
def test_type_checkers_find_wrong_calls_through_a_library(
    checker: list[str], tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_text(WRONG_CALLS)
    done = check(checker, tmp_path, "wrong.py")
    lines = [i for i, line in enumerate(WRONG_CALLS.splitlines(), 1) if line and i > 4]
    found = {int(n) for n in re.findall(r"wrong\.py:(\d+)", done.stdout)}
    assert found == set(lines), done.stdout
