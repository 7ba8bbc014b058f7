"""How long OpenMP's threads spin: libgomp itself reports its setting."""

from __future__ import annotations

import os
import sys

import pytest

from tests.support.python import run_python

_LOAD = (
    "import os, subprocess, sys, llama_cpp; llama_cpp.LlamaLibrary.default();"
    "print(os.environ.get('GOMP_SPINCOUNT'), subprocess.run([sys.executable, '-c',"
    "'import os; print(os.environ.get(\"GOMP_SPINCOUNT\"))'],"
    "capture_output=True, text=True).stdout)"
)


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is Linux's")
@pytest.mark.parametrize(
    ("named", "wanted", "stays"),
    [
        ({}, ("1000", "ACTIVE"), "None"),
        ({"GOMP_SPINCOUNT": "77"}, ("77", "PASSIVE"), "77"),
        ({"OMP_WAIT_POLICY": "passive"}, ("0", "PASSIVE"), "None"),
    ],
)
def test_threads_wait_briefly_unless_the_user_says_how(
    named: dict[str, str], wanted: tuple[str, str], stays: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    result = run_python(_LOAD, env={**named, "OMP_DISPLAY_ENV": "verbose"})
    assert result.stdout.split() == [stays, stays]
    if "GOMP_SPINCOUNT" in result.stderr:  # an engine with another OpenMP says nothing of it
        for name, value in zip(("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"), wanted, strict=True):
            assert f"{name} = '{value}'" in result.stderr
    assert "GOMP_SPINCOUNT" not in os.environ
