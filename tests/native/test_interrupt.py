"""What stands in for Ctrl-C's handler and for the wakeup descriptor is gone after the call."""

from __future__ import annotations

import pytest

from tests.support.python import run_program


@pytest.mark.parametrize("block", ["stops_on_ctrl_c", "interruptible", "ctrl_c_later"])
def test_an_exception_of_another_signals_handler_leaves_nothing(block: str) -> None:
    """It may come anywhere, so also while the block is entered or left."""
    assert run_program("another_signal_during_a_block", block) == (0, "0 []\n", "")


def test_a_signal_at_the_end_of_a_call_comes_to_the_programs_descriptor() -> None:
    assert run_program("signal_at_the_end_of_a_call") == (0, "b'\\x00'\n", "")


def test_a_call_inside_a_call_leaves_the_outer_one_as_it_was() -> None:
    """As a signal's handler may make one."""
    said = r"True 1 b'\x00' b'\x01'|True 1 b'\x01' b'\x01'|interrupted True|True|"
    assert run_program("call_inside_a_call", timeout=20) == (0, said.replace("|", "\n"), "")
