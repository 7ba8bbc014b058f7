"""Wrong use ends in a typed exception that names the fault: not in a crash, a hang or noise.

Without the guard that it is about, most rows end the process: a failed assertion of the library
aborts, a C++ exception terminates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.misuse.cases import ROWS, Row
from tests.misuse.reports import REPORTS
from tests.misuse.runner import Outcome, outcomes
from tests.support.python import ROOT


@pytest.fixture(scope="module")
def results(
    model_path: Path, tiny_path: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """The outcome of each row."""
    found = outcomes(ROWS, model_path, tiny_path("llama"), tmp_path_factory.mktemp("misuse"))
    return {row.code: outcome for row, outcome in zip(ROWS, found, strict=True)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code[:70])
def test_wrong_use_raises_and_names_the_fault(row: Row, results: dict[str, Outcome]) -> None:
    assert results[row.code].problem == ""


def test_rows_are_distinct() -> None:
    assert len({row.code for row in ROWS}) == len(ROWS)


def test_the_page_has_the_reports_that_are_tried() -> None:
    page = (ROOT / "docs" / "reports.md").read_text("utf-8").partition("## Agents")[0]
    named = re.findall(r"github\.com/(\S+)/issues/(\d+)\)", page)
    assert named == [(repository, str(number)) for repository, number, *_ in REPORTS]


def test_a_crash_is_laid_on_its_row(
    model_path: Path, tiny_path: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [
        Row("pass"),
        Row("import ctypes; ctypes.string_at(0)"),
        Row("1 / 0", "ZeroDivisionError"),
        Row("print('x', file=sys.stderr)"),
        Row("1 / 0", "ValueError"),
    ]
    found = outcomes(rows, model_path, tiny_path("llama"), tmp_path)
    fine, crash, error, noise, other = (outcome.problem for outcome in found)
    assert (fine, error) == ("", "")
    assert "ended with -11" in crash
    assert "it wrote: x" in noise
    assert "ZeroDivisionError" in other
