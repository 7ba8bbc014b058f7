"""The example that saves a prompt: a later run has it, and writes the same."""

from __future__ import annotations

from pathlib import Path

from tests.support.python import Result, run_example

PROMPT = "The three most important things in life are"


def example(model: Path, state: Path, *arguments: str) -> Result:
    return run_example("save_and_restore", "-m", model, "-s", state, *arguments)


def test_a_later_run_goes_on_from_the_file(model_path: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.bin"
    first = example(model_path, state, PROMPT)
    assert first.returncode == 0, first.stderr
    assert "0 of 8 tokens were there" in first.stderr
    lines = first.stdout.splitlines()
    assert [line.split(":")[0] for line in lines if PROMPT in line] == ["0", "1", "2"]
    again = example(model_path, state, PROMPT)
    assert "7 of 8 tokens were there" in again.stderr
    assert again.stdout == first.stdout
    other = example(model_path, state, f"{PROMPT} in this order:")
    assert "7 of 12 tokens were there" in other.stderr


def test_what_is_wrong_is_said(model_path: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.bin"
    state.write_bytes(b"something else")
    result = example(model_path, state, PROMPT)
    assert result.returncode == 1
    assert result.stderr.strip() == "error: this is not a state that llama_cpp saved"
