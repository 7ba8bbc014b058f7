"""The engine tests on other engines: bindings made for each one's tag, and that tag's own library.

    python -m checks.matrix [tests ...] [--tags bNNNN ...]

Prints the passed, skipped (with the missing function's name) and failed tests, one row for each
engine. 0 none failed, 1 one failed, 2 an engine is not available.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checks import engines
from codegen.errors import CodegenError
from tests.support.python import ROOT

# The tests that load a library. They use the public API alone.
TESTS = (
    "generate/test_generation.py",
    "model/test_model.py",
    "context/test_context.py",
    "sampling/test_sampler.py",
    "model/test_text.py",
    "generate/test_llama.py",
)
_SECONDS = 3600.0  # for the tests of one engine: two minutes on a free machine
_ROW = "{:8} {:>7} {:>8} {:>7} {:>8}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the engine tests on other engines.")
    parser.add_argument("--tags", nargs="+", metavar="bNNNN", help="default: all that there are")
    parser.add_argument("tests", nargs="*", type=Path, help="default: every engine test")
    options = parser.parse_args()
    tests = options.tests or [ROOT / "tests" / name for name in TESTS]
    bad = 0
    try:
        tags = options.tags or engines.tags()
        print(_ROW.format("engine", "passed", "skipped", "failed", "seconds"), flush=True)
        for tag in tags:
            bad += not _one(tag, [path.resolve() for path in tests])
    except CodegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(tags)} engines, {bad} with failures")
    if not options.tests:
        print("bindings of one tag on the engine of another", flush=True)
        pairs = [sys.executable, "-m", "pytest", "-m", "engines"]
        bad += subprocess.run(pairs, cwd=ROOT, check=False).returncode != 0
    return 1 if bad else 0


def _one(tag: str, tests: list[Path]) -> bool:
    """Whether nothing failed on the engine of ``tag``."""
    started = time.monotonic()
    library = engines.engine(tag)
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        folder = engines.package(tag, Path(name).resolve())
        summary = folder / "summary.json"
        done = engines.run(
            folder, library, "-m", "pytest", "-q", "-p", "checks.lacking",
            "--summary", str(summary), "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"),
            "-o", f"pythonpath={folder}", *map(str, tests), timeout=_SECONDS,
        )  # fmt: skip
        data = json.loads(summary.read_text("utf-8")) if summary.is_file() else {}
        # The tested engine and package must be the intended ones.
        right = data.get("tag") == tag and data.get("package") == str(folder / "llama_cpp")
    seconds = f"{time.monotonic() - started:.0f}"
    counts = [data.get(outcome, 0) for outcome in ("passed", "skipped", "failed")]
    print(_ROW.format(tag, *counts, seconds), flush=True)
    for reason, count in sorted(data.get("reasons", {}).items()):
        print(f"    skipped {count}: {reason}")
    for failure in data.get("failures", ()):
        print(f"    FAILED {failure}")
    if done.returncode or not right or not data.get("passed"):
        print("\n".join(f"    | {line}" for line in (done.stdout + done.stderr).splitlines()[-60:]))
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
