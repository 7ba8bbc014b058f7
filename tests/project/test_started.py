"""Tests that end processes end none but their own."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

from tests.support import started

WAIT = "import sys; print('here', flush=True); sys.stdin.read()"


def test_a_word_in_somebody_elses_arguments_is_not_taken_for_ours() -> None:
    word = uuid.uuid4().hex
    name = started._MARK.partition("=")[0]
    strangers = [
        {k: v for k, v in os.environ.items() if k != name},
        {**os.environ, name: "another run"},
    ]
    waiting = [
        subprocess.Popen(
            [sys.executable, "-c", WAIT, word],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for env in (*strangers, None)
    ]  # fmt: skip
    try:
        for process in waiting:
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
        assert started.processes(word) == [waiting[-1].pid]
    finally:
        for process in waiting:
            process.communicate()
    assert started.processes(word) == []
