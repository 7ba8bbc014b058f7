"""Every chat template by eight conversations: how many prompts are llama-server's, and how long one
takes.

    python -m checks.templates

0 none differs but those that the tests' table explains, 1 another one does.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from llama_cpp.errors import LlamaTemplateError
from llama_cpp.generate.chat import chat_template
from tests.support.python import ROOT
from tests.support.templates import EXPLAINED, LISTS, TEMPLATES, TOOL

_TEST = "tests/generate/test_templates.py"


def main() -> int:
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", _TEST, "-k", "prompts"]
    failed = subprocess.run(pytest, cwd=ROOT, check=False).returncode != 0
    count, seconds = len(TEMPLATES) * len(LISTS), []
    for path in TEMPLATES:
        chat = chat_template(path.read_text("utf-8"))
        variables = {"bos_token": "<s>", "eos_token": "</s>", "enable_thinking": True}
        for name, messages in LISTS.items():
            tools = {"tools": [{"type": "function", "function": TOOL}]}
            given = variables | (tools if name == "tool results" else {})
            for _ in range(2):  # the first finds out what the template reads
                started = time.perf_counter()
                try:
                    chat.prompt(messages, given, True, lambda value: value)
                except LlamaTemplateError:
                    continue
                took = time.perf_counter() - started
            seconds.append(took)
    equal, other = count - len(EXPLAINED), "some" if failed else 0
    print(
        f"{len(TEMPLATES)} x {len(LISTS)}: {equal} equal, {len(EXPLAINED)} explained, {other} other"
    )
    print(f"a rendering takes {1000 * median(seconds):.2f} ms (median)")
    return failed


if __name__ == "__main__":
    sys.exit(main())
