"""A header for each thing that C can do, with the API that has to come out of it, or the error.

`REWRITE=1 pytest tests/test_headers.py` writes the expectations anew. They cannot be wrong in
silence: the C compiler, ctypes and real calls have to agree with each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from codegen import calls, render, verify
from codegen.api import Api, dump, load
from codegen.errors import CodegenError
from codegen.parse import Unit, parse

FOLDER = Path(__file__).parent / "headers"
NAMES = sorted(path.stem for path in FOLDER.glob("*.h"))


@cache
def outcome(name: str) -> tuple[Api | None, str]:
    """The API of a header with its text, or None with the error's text."""
    try:
        api = parse(_unit(name), "b0")
        render.render_templates(api)  # some names are refused only here
        return api, dump(api)
    except CodegenError as error:
        return None, f"error: {error}\n"


def _unit(name: str) -> Unit:
    return Unit(FOLDER, f"{name}.h", ())


def _expected(name: str) -> str:
    path = FOLDER / f"{name}.expected"
    return path.read_text("utf-8") if path.is_file() else ""


REFUSED = [name for name in NAMES if _expected(name).startswith("error: ")]
ACCEPTED = [name for name in NAMES if name not in REFUSED]


@pytest.mark.parametrize("name", NAMES)
def test_that_a_header_gives_what_is_expected(name: str) -> None:
    text = outcome(name)[1]
    if os.environ.get("REWRITE"):
        (FOLDER / f"{name}.expected").write_text(text, "utf-8")
    assert text == _expected(name)


@pytest.mark.parametrize("name", REFUSED)
def test_that_an_error_is_one_line_that_names_its_place(name: str) -> None:
    text = outcome(name)[1]
    assert text.count("\n") == 1
    if name != "empty":
        assert text.startswith(f"error: {name}.h:")
        assert text.split(":")[2].isdigit()


@pytest.mark.parametrize("name", ACCEPTED)
def test_that_the_witnesses_agree(name: str, tmp_path: Path) -> None:
    api, text = outcome(name)
    assert api is not None
    (tmp_path / "api.json").write_text(text, "utf-8")
    assert load(tmp_path / "api.json") == api
    raw = tmp_path / "_raw.py"
    raw.write_text(render.render_templates(api)["_raw.py"], "utf-8")
    assert verify.by_compiler(api, _unit(name)).faults == []
    assert verify.by_ctypes(api, verify.import_raw(raw)).faults == []
    assert calls.by_calls(api, _unit(name), raw).faults == []


def test_that_every_stub_is_valid(tmp_path: Path) -> None:
    for name in ACCEPTED:
        api = outcome(name)[0]
        assert api is not None
        for file, text in render.render(api).items():
            if file.startswith("_raw"):
                (tmp_path / file.replace("_raw", f"raw_{name}")).write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", *tmp_path.glob("*.pyi")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_that_no_expectation_is_left_over() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.expected")) == NAMES
