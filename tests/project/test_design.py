"""DESIGN.md is true to the tree: its paths exist, and its names stand where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import llama_cpp
from tests.support.python import ROOT

pytestmark = pytest.mark.quick

DESIGN = (ROOT / "DESIGN.md").read_text("utf-8")
PACKAGE = Path(llama_cpp.__file__).parent


def missing_paths(text: str) -> list[str]:
    """The paths in ``text`` that are neither in the project nor in the package."""
    quoted = re.findall(r"`([\w.]+(?:/[\w.]*)+|\w+\.(?:pyi?|md|toml|json))`", text)
    links = re.findall(r"\]\(([^)]+)\)", text)
    return [p for p in [*quoted, *links] if not any((d / p).exists() for d in (ROOT, PACKAGE))]


def misplaced_names(text: str) -> list[str]:
    """The classes and functions of the table of C concepts that their file does not define."""
    wrong = []
    for names, files in re.findall(r"^\|[^|]*\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE):
        paths = re.findall(r"`([\w/]+\.py)`", files)
        for name in re.findall(r"`(\w+)`", names):
            sources = ((PACKAGE / path).read_text("utf-8") for path in paths)
            if not any(re.search(rf"^(class|def) {name}\b", s, re.MULTILINE) for s in sources):
                wrong.append(name)
    return wrong


def test_every_path_of_the_design_exists() -> None:
    assert len(re.findall(r"`[\w/]+\.py`", DESIGN)) > 40
    assert missing_paths(DESIGN) == []


def test_the_design_names_each_class_with_its_file() -> None:
    table = DESIGN.partition("## Where a C concept lives")[2].partition("\n## ")[0]
    assert table.count("\n|") > 20
    assert misplaced_names(table) == []


@pytest.mark.parametrize(
    "text", ["`native/no_such.py`", "`no_such.py`", "`checks/no_such/`", "[a](NO_SUCH.md)"]
)
def test_a_path_that_does_not_exist_is_found(text: str) -> None:
    assert len(missing_paths(f"{text} and `native/calls.py`, `tests/project`")) == 1


def test_a_name_in_another_file_is_found() -> None:
    row = "| `llama_model` | `LlamaModel` | `{}` |"
    assert misplaced_names(row.format("model/vocab.py")) == ["LlamaModel"]
    assert misplaced_names(row.format("model/model.py")) == []
