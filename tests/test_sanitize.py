"""What `make sanitize` reads from pytest and from the sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import sanitize

WRONG = """
#include <stdlib.h>
int main(int argc, char ** argv) {
    int many = 2147483647;
    many += argc;
    char * gone = malloc(8);
    free(gone);
    return gone[3] + many;
}
"""


def test_a_report_is_its_place_and_kind(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "wrong.c").write_text(WRONG)
    command = ["gcc", "-g", "-fsanitize=address,undefined", folder / "wrong.c", "-o", folder / "x"]
    subprocess.run(command, check=True, timeout=120)
    done = subprocess.run(
        [folder / "x"], capture_output=True, text=True, timeout=60, check=False
    ).stderr
    overflow = "signed integer overflow: N + N cannot be represented in type 'int'"
    assert dict(sanitize._reports(done)) == {
        sanitize.Report("wrong.c:5", overflow): 1,
        sanitize.Report("wrong.c:8 in main", "heap-use-after-free"): 1,
    }


def test_what_a_test_prints_is_not_its_name() -> None:
    """The last that began and did not end is the one that ended the process."""
    out = """tests/test_a.py::test_one PASSED
tests/test_a.py::test_two[a b]-x] FAILED
tests/test_a.py::test_three[{"a": [1]}] printed
more
PASSED
tests/test_a.py::test_four python: sampler.cpp:1211: void f(a*, b*): Assertion `found' failed.
"""
    assert sanitize._OUTCOME.findall(out) == [
        ("tests/test_a.py::test_one", "PASSED"),
        ("tests/test_a.py::test_two[a b]-x]", "FAILED"),
        ('tests/test_a.py::test_three[{"a": [1]}]', "PASSED"),
    ]
    assert sanitize._TEST.findall(out)[-1] == "tests/test_a.py::test_four"
