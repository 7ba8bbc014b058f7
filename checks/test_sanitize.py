"""`make sanitize` reads the output of pytest and of the sanitizers."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from checks import sanitize

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


GGUF = """/x/source/ggml/src/gguf.cpp:593:13: runtime error: load of value 77, which is not a \
valid value for type 'gguf_type'
    #0 0x7f00 in {}(gguf_reader const&, gguf_init_params) /x/source/ggml/src/gguf.cpp:593
    #1 0x7f01 in gguf_init_from_file /x/source/ggml/src/gguf.cpp:900

"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A program that does wrong, with both sanitizers."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "wrong.c").write_text(WRONG)
    command = [
        "gcc",
        "-g",
        "-fsanitize=address,undefined",
        f"{folder}/wrong.c",
        "-o",
        f"{folder}/x",
    ]
    subprocess.run(command, check=True, timeout=120)
    return folder / "x"


def test_what_a_process_of_a_process_reports_is_found_by_place_and_kind(
    wrong: Path, tmp_path: Path
) -> None:
    """Whatever becomes of its stderr, on which a test may want nothing."""
    logs = tmp_path / "logs"
    logs.mkdir()
    preload = [sanitize._runtime(name) for name in ("libasan.so", "libubsan.so")]
    preload.append(sanitize.own_log(preload[1], tmp_path))
    child = f"import subprocess; subprocess.run([{str(wrong)!r}])"
    done = subprocess.run(
        [sys.executable, "-c", child],
        env=sanitize.environment(tmp_path, preload, logs),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    overflow = "signed integer overflow: N + N cannot be represented in type 'int'"
    found = sanitize.logged(logs)
    assert {report: len(texts) for report, texts in found.items()} == {
        sanitize.Report("wrong.c", 5, "main", overflow): 1,
        sanitize.Report("wrong.c", 8, "main", "heap-use-after-free"): 1,
    }
    assert not any(report.why_upstream for report in found)


def test_what_is_known_of_upstream_is_so_by_file_function_and_kind() -> None:
    first, second, third = (
        report
        for report, _ in sanitize._reports(
            GGUF.format("gguf_init_from_reader")
            + GGUF.format("gguf_init_from_reader").replace("593", "1000")
            + GGUF.format("gguf_write")
        )
    )
    assert (first.line, second.line) == (593, 1000)
    assert first.why_upstream
    assert second.why_upstream
    assert not third.why_upstream


@pytest.mark.parametrize(
    ("function", "failed", "code"),
    [
        ("gguf_init_from_reader", 0, 0),
        ("gguf_init_from_reader", 1, 1),
        ("gguf_write", 0, 1),
    ],
)
def test_one_report_that_is_not_known_is_a_failure(
    function: str,
    failed: int,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Though every test passes."""
    ((report, text),) = sanitize._reports(GGUF.format(function))
    counts = Counter({"passed": 3, "failed": failed})
    monkeypatch.setattr(sanitize, "one", lambda *_: (counts, {report: [text]}))
    assert sanitize.run([Path("a"), Path("b")], Path(), []) == code
    out = capsys.readouterr().out
    assert f"2 x ggml/src/gguf.cpp:593 in {function}: load of value N" in out
    (total,) = (line.split() for line in out.splitlines() if line.startswith("2 files"))
    ours, known = ("2", "0") if function == "gguf_write" else ("0", "2")
    assert total[2:7] == ["6", str(2 * failed), "0", ours, known]


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
