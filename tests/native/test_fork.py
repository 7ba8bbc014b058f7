"""After a fork: a child computes, or says why it cannot. It never hangs, and harms no parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.python import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

_FORKED = "LlamaError this process was forked from one with llama.cpp, "


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        ("inherited", ["True", "ends with 0", "True"]),
        (
            "thread_computes",
            [
                "(True, True)",
                "ends with 0",
                "LlamaError the context was in use by another thread when this process was forked, "
                "and is incomplete here",
                "ends with 0",
            ],
        ),
        (
            "without_hooks",
            [
                "True",
                "ends with 0",
                *[_FORKED + "the threads of its OpenMP are gone", "ends with 0"] * 2,
            ],
        ),
        ("locks", ["(True, True, None)", "ends with 0"]),
        ("pools", ["LlamaDecodeError 1"] * 4),
        ("asyncio_in_both", ["True", "ends with 0", "True"]),
        ("connections", ["{}", "ends with 0", "True"]),
        (
            "servers",
            [
                "True",
                "ends with 0",
                _FORKED + "the RPC servers are connected to the parent",
                "ends with 0",
                "UF\\-% woK*",
                "ends with 0",
                "True True",
            ],
        ),
    ],
)
def test_a_child_works_or_says_why_not(
    case: str, lines: list[str], tiny_path: Callable[[str], Path]
) -> None:
    result = run_program("forks", tiny_path("llama"), case)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == lines
