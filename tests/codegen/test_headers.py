"""A header for each thing that C can do, with the API that has to come out of it, or the error.

`REWRITE=1 pytest tests/codegen/test_headers.py` writes the expectations anew. They cannot be wrong
in silence: the C compiler, ctypes and real calls have to agree with each.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from codegen import calls, render, verify
from codegen.api import Api, dump, load
from codegen.clang import Unit
from codegen.errors import CodegenError
from codegen.parse import parse
from codegen.rules import bindable
from tests.support.python import run_command

FOLDER = Path(__file__).parent / "headers"


def _typedefs(n: int) -> list[str]:
    return [f"typedef {f't{i - 1}' if i else 'int'} t{i};" for i in range(n)]


# Long headers are made here: lines of C, and the expected results.
LONG: dict[str, tuple[list[str], list[tuple[str, int, dict[str, Any]]]]] = {
    "thousand_fields": (
        ["struct wide {", *(f"    int field_{i};" for i in range(1000)), "};",
         "void f(struct wide * w);"],
        [
            ("structs", 1, {"name": "wide", "size": 4000, "align": 4,
                            "fields": [[f"field_{i}", "int", 4 * i, 4] for i in range(1000)]}),
            ("functions", 1003, {"name": "f", "result": "void", "params": [["w", "*struct wide"]]}),
        ],
    ),
    "hundreds_of_parameters": (
        ["int f(", *(f"    int p{i}," for i in range(299)), "    int p299);"],
        [
            ("functions", 1, {"name": "f", "result": "int",
                              "params": [[f"p{i}", "int"] for i in range(300)]}),
        ],
    ),
    "long_typedef_chain": (
        [*_typedefs(201), "t200 f(t100 x);"],
        [
            *(("typedefs", i + 1, {"name": f"t{i}", "type": f"t{i - 1}" if i else "int"})
              for i in range(201)),
            ("functions", 202, {"name": "f", "result": "t200", "params": [["x", "t100"]]}),
        ],
    ),
}  # fmt: skip
NAMES = sorted([*LONG, *(path.stem for path in FOLDER.glob("*.h"))])


@cache
def outcome(name: str) -> tuple[Api | None, str]:
    """The API of a header with its listing, or None with the error's text."""
    try:
        api = bindable(parse(_unit(name), "b0"), render.reserved())
        return api, listing(api)
    except CodegenError as error:
        return None, f"error: {error}\n"


def listing(api: Api) -> str:
    """All of an API but its headers, one line for each declaration and default."""
    data = json.loads(dump(api))
    assert {"format", "tag", "headers", "lines", "defaults", *data["lines"]} == data.keys()
    assert data["tag"] == "b0"
    lines = []
    for kind, numbers in data["lines"].items():
        for header, rows in data[kind].items():
            lines += [
                _line(kind, header, number, row)
                for number, row in zip(numbers[header], rows, strict=True)
            ]
    lines += [f"default {name} {json.dumps(value)}" for name, value in data["defaults"].items()]
    return "\n".join(lines) + "\n"


def _line(kind: str, header: str, number: int, row: object) -> str:
    return f"{kind} {header}:{number} {json.dumps(row, ensure_ascii=False)}"


@cache
def _unit(name: str) -> Unit:
    folder = FOLDER
    if name in LONG:
        folder = Path(tempfile.mkdtemp(prefix="llama-py-headers-"))
        atexit.register(shutil.rmtree, folder)
        (folder / f"{name}.h").write_text("\n".join(LONG[name][0]) + "\n", "utf-8")
    return Unit(folder, f"{name}.h", ())


def _expected(name: str) -> str:
    if name in LONG:
        _, rows = LONG[name]
        lines = [_line(kind, f"{name}.h", number, row) for kind, number, row in rows]
        return "\n".join(lines) + "\n"
    path = FOLDER / f"{name}.expected"
    return path.read_text("utf-8") if path.is_file() else ""


REFUSED = [name for name in NAMES if _expected(name).startswith("error: ")]
ACCEPTED = [name for name in NAMES if name not in REFUSED]


@pytest.mark.parametrize("name", NAMES)
def test_that_a_header_gives_what_is_expected(name: str) -> None:
    text = outcome(name)[1]
    if os.environ.get("REWRITE") and name not in LONG:
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
    api, _ = outcome(name)
    assert api is not None
    folder = _unit(name).root
    for header in api.headers:
        assert hashlib.sha256((folder / header.name).read_bytes()).hexdigest() == header.sha256
    (tmp_path / "api.json").write_text(dump(api), "utf-8")
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
                (tmp_path / name).mkdir(exist_ok=True)
                (tmp_path / name / "__init__.pyi").touch()
                (tmp_path / name / file).write_text(text, "utf-8")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file="]
    done = run_command(*mypy, *tmp_path.glob("*/*.pyi"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_that_no_expectation_is_left_over() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.expected")) == sorted({*NAMES} - {*LONG})
