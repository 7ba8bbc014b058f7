"""A system's libclang, where the package has none: the package's Python part with no library."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from clang import cindex

from tests.support.python import ROOT, Result, run_command

pytestmark = pytest.mark.quick

_PROGRAM = """
from codegen import libclang
print(libclang.choose(({folder!r},)))
from codegen import generate
print(generate.unusable(generate.read_apis(__import__("codegen.source").source.resolve())))
"""


def _run(tmp_path: Path) -> Result:
    package = Path(cindex.__file__).parent
    shutil.copytree(package, tmp_path / "clang", ignore=shutil.ignore_patterns("native"))
    program = _PROGRAM.format(folder=str(tmp_path / "llvm-*"))
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n{program}"
    return run_command(sys.executable, "-c", code, cwd=tmp_path)


def test_the_newest_of_the_system_parses(tmp_path: Path) -> None:
    (library,) = (Path(cindex.__file__).parent / "native").glob("*clang*")
    name = "libclang.dylib" if library.suffix == ".dylib" else "libclang.so.1"
    for version in (9, 18):
        (tmp_path / f"llvm-{version}").mkdir()
        (tmp_path / f"llvm-{version}" / name).write_bytes(b"")
    (tmp_path / "llvm-18" / name).unlink()
    (tmp_path / "llvm-18" / name).symlink_to(library)
    done = _run(tmp_path)
    assert (done.stdout, done.stderr) == (f"{tmp_path / 'llvm-18' / name}\n[]\n", "")


def test_the_error_without_a_libclang_names_the_package(tmp_path: Path) -> None:
    assert "install it (Debian: libclang1, " in _run(tmp_path).stderr
