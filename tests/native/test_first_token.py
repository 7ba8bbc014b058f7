"""What the first token of a program loads, which needs an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.python import run_python

_RUN = """
import sys
before = {*sys.modules}
"""
_GENERATE = """
from llama_cpp import Llama
with Llama(sys.argv[1], n_ctx=64) as llm:
    next(llm.generate("a", temperature=0))
"""
_COMMAND = """
from llama_cpp.cli import main
sys.argv[1:] = ["run", sys.argv[1], "a", "--ctx-size=64", "--max-tokens=1"]
try:
    main()
except SystemExit:
    print()
"""


@pytest.mark.parametrize(
    ("code", "rare"),
    [
        (_GENERATE, {"dataclasses", "difflib", "inspect", "logging", "mmap", "platform", "socket"}),
        (_COMMAND, {"dataclasses", "difflib", "rich", "llama_cpp.model.hub", "subprocess"}),
    ],
)
def test_a_first_token_loads_nothing_that_few_programs_need(
    code: str, rare: set[str], tiny_path: Callable[..., Path]
) -> None:
    shown = f"print({rare} & (sys.modules.keys() - before))"
    done = run_python(_RUN + code + shown, tiny_path("llama"))
    assert done.stdout.splitlines()[-1:] == ["set()"], done.stderr
