"""The examples of chats and of many prompts run, and work as described."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from llama_cpp import Llama
from tests.support.python import run_example


def test_a_chat_remembers_earlier_messages(model_path: Path) -> None:
    questions = ["What is the capital of France?", "What did I ask?"]
    typed = "\n".join([*questions, "", ""])
    done = run_example("chat", "-m", model_path, "-n", 12, "--temp", 0, stdin=typed)
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
    done = run_example("chat", "-m", model_path, "-n", 24, "-c", 256, "-s", "Be brief.", stdin=said)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("\n")) > 12


def test_many_questions_have_their_answers(model_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "questions"
    file.write_text("What is the capital of France?\n\nWho wrote Hamlet?\nWhat is water made of?\n")
    done = run_example("parallel", "-m", model_path, "-np", 2, "-n", 16, file)
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
        ("simple_generation -m /no/such.gguf", 1, "/no/such.gguf"),
        ("simple_generation -m README.md", 1, "not a GGUF file"),
        ("simple_generation -m MODEL ''", 1, "prompt is empty"),
        ("simple_generation -m MODEL -n 0", 2, "-n must be at least 1"),
        ("simple_generation -n 5", 2, "-m"),
        ("chat -m /no/such.gguf", 1, "/no/such.gguf"),
        ("async_chat /no/such.gguf", 1, "error: [Errno 2]"),
        ("describe_image /no/such.gguf a b", 1, "error: [Errno 2]"),
        ("speculative /no/such.gguf", 1, "error: [Errno 2]"),
        ("service /no/such.gguf", 1, "error: [Errno 2]"),
        ("approvals approve --file /no/such.json", 1, "error: [Errno 2]"),
        ("approvals ask --url http://127.0.0.1:9", 1, "refused"),
        ("agent_file_search . q --url http://127.0.0.1:9", 1, "error: no answer from"),
        ("agent_function_calling q --url http://127.0.0.1:9", 1, "error: no answer from"),
        ("chat -m MODEL -n 0", 2, "-n must be at least 1"),
        ("parallel -m MODEL /no/such/file", 1, "/no/such/file"),
        ("parallel -m MODEL -np 0", 2, "-np must be at least 1"),
        ("save_and_restore -m /no/such.gguf -s /no/such/state", 1, "/no/such.gguf"),
        ("save_and_restore -m MODEL -s /no/such/state -n 0", 2, "-n must be at least 1"),
        ("embeddings -m MODEL hello", 2, "required: texts"),
    ],
)
def test_wrong_use_is_one_line(model_path: Path, arguments: str, code: int, message: str) -> None:
    name, *rest = shlex.split(arguments.replace("MODEL", str(model_path)))
    done = run_example(name, *rest, stdin="Hi\n")
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
