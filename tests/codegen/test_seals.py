"""The seals of the generated files: any edit by hand is found, with the standard library alone."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from codegen import seal
from codegen.seal import GENERATED
from tests.support.python import ROOT, Result, run_command

pytestmark = pytest.mark.quick

UPSTREAM = ROOT / "codegen" / "upstream.toml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in GENERATED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "llama_cpp" / name, tmp_path / name)
    return tmp_path


def test_that_the_generated_files_are_sealed(copy: Path) -> None:
    assert seal.faults() == []
    assert seal.faults(copy) == []


@pytest.mark.parametrize("name", GENERATED)
def test_that_every_edit_is_found(copy: Path, name: str) -> None:
    path = copy / name
    original = path.read_bytes()
    middle = len(original) // 2
    for edited in (
        original[:middle] + b"#" + original[middle:],
        original[:middle] + original[middle + 1 :],
        b"\n" + original,
        original + b"\n",
        original + b"x = 1\n",
        original.replace(b"\n", b"\r\n"),
        original.rstrip(b"\n"),
        original.replace(b"# seal: ", b"# seal: x", 1),
        b"",
        b"\xff" + original,
    ):
        path.write_bytes(edited)
        faults = seal.faults(copy)
        assert len(faults) == 1
        assert str(path) in faults[0]
    path.unlink()
    assert len(seal.faults(copy)) == 1


def test_that_files_of_another_tag_are_found(copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "upstream.toml"
    other.write_text(re.sub(r'^tag = ".*"$', 'tag = "b1"', UPSTREAM.read_text(), flags=re.M))
    faults = seal.faults(copy, other)
    # No header changes the names of a folder.
    assert len(faults) == len([name for name in GENERATED if not name.endswith("__init__.pyi")])
    assert all("the pin is b1" in fault for fault in faults)


# The generator's packages outside the standard library
BLOCKED = ("clang", "jinja2", "black", "tomli", "pypi_simple")


def _without_generator(*arguments: str, cwd: Path = ROOT) -> Result:
    """Run the command where nothing but the standard library can be imported."""
    code = (
        "import sys, runpy\n"
        f"sys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
        f"sys.argv = ['codegen', *{arguments!r}]\n"
        "runpy.run_module('codegen', run_name='__main__')\n"
    )
    return run_command(sys.executable, "-c", code, cwd=cwd)


def test_that_seals_need_the_standard_library_alone(tmp_path: Path) -> None:
    done = _without_generator("seals")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    project = tmp_path / "project"
    for folder in ("codegen", "llama_cpp"):
        shutil.copytree(
            ROOT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    with (project / "llama_cpp" / "_params.py").open("a") as file:
        file.write("x = 1\n")
    done = _without_generator("seals", cwd=project)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "_params.py" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["regen", "--help"], ["diff", "codegen/api.json", "codegen/api.json"]]
)
def test_that_other_commands_do_without_the_generator_too(arguments: list[str]) -> None:
    done = _without_generator(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["regen"], ["check"], ["verify"], ["diff", "b1", "b2"]])
def test_that_a_missing_generator_is_one_clear_line(arguments: list[str]) -> None:
    done = _without_generator(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "pip install 'libllama-py[codegen]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_that_a_hook_asks_for_the_seals() -> None:
    # As pre-commit would read it; the hook itself is the command above.
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    entry = re.search(r"entry: python3 -m (.+)", text)
    assert entry is not None
    assert entry[1] == "codegen seals"
    files = re.search(r"files: (.+)", text)
    assert files is not None
    for name in GENERATED:
        assert re.search(files[1], f"llama_cpp/{name}")
