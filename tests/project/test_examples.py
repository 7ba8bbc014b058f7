"""The examples of chats and of many prompts run, and work as described."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llama_cpp import Llama
from tests.support.python import ROOT


def example(name: str, *arguments: object, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, arguments)],
        cwd=ROOT,
        input=said,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_chat_remembers_earlier_messages(model_path: Path) -> None:
    questions = ["What is the capital of France?", "What did I ask?"]
    done = example(
        "chat.py", "-m", model_path, "-n", 12, "--temp", 0, said="\n".join([*questions, "", ""])
    )
    assert (done.returncode, done.stderr) == (0, "")
    messages: list[dict[str, str]] = []
    with Llama(model_path, n_ctx=4096) as llm:
        for question in questions:
            messages.append({"role": "user", "content": question})
            answer = llm.chat(messages, max_tokens=12, temperature=0).text
            messages.append({"role": "assistant", "content": answer})
    assert messages[1]["content"]
    assert done.stdout == "".join(m["content"] + "\n" for m in messages[1::2])


def test_a_chat_drops_messages_that_no_longer_fit(model_path: Path) -> None:
    said = "Tell me something about the sea, the land and the sky.\n" * 12
    done = example("chat.py", "-m", model_path, "-n", 24, "-c", 256, "-s", "Be brief.", said=said)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("\n")) > 12


def test_many_questions_have_their_answers(model_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "questions"
    file.write_text("What is the capital of France?\n\nWho wrote Hamlet?\nWhat is water made of?\n")
    done = example("parallel.py", "-m", model_path, "-np", 2, "-n", 16, file)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.strip().split("\n\n")
    assert first.startswith("Q: What is the capital of France?\nA: ")
    assert "Paris" in first
    assert "Shakespeare" in second
    assert third.startswith("Q: What is water made of?\nA: ")
    assert " tokens of prompts, " in done.stderr
    assert not done.stderr.endswith(" 0 were there already\n"), "they begin with the same"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["chat.py", "-m", "/no/such.gguf"], 1, "/no/such.gguf"),
        (["chat.py", "-m", "MODEL", "-n", 0], 2, "-n must be at least 1"),
        (["parallel.py", "-m", "MODEL", "/no/such/file"], 1, "/no/such/file"),
        (["parallel.py", "-m", "MODEL", "-np", 0], 2, "-np must be at least 1"),
    ],
)
def test_wrong_use_is_one_line(
    model_path: Path, arguments: list[object], code: int, message: str
) -> None:
    done = example(*(model_path if a == "MODEL" else a for a in arguments), said="Hi\n")  # type: ignore[arg-type]
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
