"""Replacements of Ctrl-C's handler and of the wakeup descriptor are removed after the call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.python import run_program, run_python


@pytest.mark.parametrize("block", ["stops_on_ctrl_c", "interruptible", "ctrl_c_later"])
def test_an_exception_of_another_signals_handler_leaves_nothing(block: str) -> None:
    """It may come anywhere, so also while the block is entered or left."""
    assert run_program("another_signal_during_a_block", block) == (0, "0 []\n", "")


def test_an_exception_of_a_signals_handler_leaves_no_lock_taken(
    tiny_path: Callable[..., Path],
) -> None:
    """Waits, such as those of `threading.Event`, raise no other exception either."""
    done = run_program("another_signal_during_a_step", tiny_path("llama"))
    assert done == (0, "done\n", "")


def test_a_handler_set_during_a_call_stays() -> None:
    """As a callback may: of the progress, of the log, or another signal's handler."""
    code = """
import ctypes, signal, socket
from llama_cpp.native import interrupt, log
ends = socket.socketpair()
ends[1].setblocking(False)
with log.interruptible() as came, interrupt.stops_on_ctrl_c(ctypes.create_string_buffer(1), came):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(ends[1].fileno())
print(signal.getsignal(signal.SIGINT).name, signal.set_wakeup_fd(-1) == ends[1].fileno())
"""
    assert run_python(code) == (0, "SIG_IGN True\n", "")


def test_a_signal_at_the_end_of_a_call_comes_to_the_programs_descriptor() -> None:
    assert run_program("signal_at_the_end_of_a_call") == (0, "b'\\x00'\n", "")


def test_a_call_inside_a_call_leaves_the_outer_one_as_it_was() -> None:
    """As a signal's handler may make one."""
    said = r"True 1 b'\x00' b'\x01'|True 1 b'\x01' b'\x01'|interrupted True|True|"
    assert run_program("call_inside_a_call", timeout=20) == (0, said.replace("|", "\n"), "")
