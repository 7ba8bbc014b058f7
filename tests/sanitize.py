"""The engine tests on a libllama with AddressSanitizer and UndefinedBehaviorSanitizer.

    python tests/sanitize.py [--build FOLDER] [tests ...]

Builds the pinned llama.cpp with both into the cache (once, a quarter of an hour; needs gcc, cmake
and ninja) unless ``--build`` has such a build, runs each file of tests in a process with the
sanitizers' runtime, and prints what each found, by the place in the source. AddressSanitizer ends a
process at its first report: the test that it was in is named, and the rest of the file runs without
it. 0 no report and no failure, 1 some, 2 something cannot be had.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from codegen import source
from codegen.errors import CodegenError
from llama_cpp import _cache

HERE = Path(__file__).parent
# Those that load the library, and neither compare speeds nor start servers.
TESTS = (
    "test_tiny.py",
    "test_context.py",
    "test_context_outputs.py",
    "test_context_encoder.py",
    "test_kv_cache.py",
    "test_state.py",
    "test_sequence.py",
    "test_sampler.py",
    "test_custom_sampler.py",
    "test_backend_sampler.py",
    "test_greedy.py",
    "test_logprobs.py",
    "test_embedding.py",
    "test_lora.py",
    "test_parallel.py",
    "test_speculative.py",
    "test_model.py",
    "test_model_load.py",
    "test_quantize.py",
    "test_multimodal.py",
    "test_stress.py",
    "test_faults.py",
)


class Report(NamedTuple):
    """What a sanitizer found."""

    place: str
    """File and line in llama.cpp's source; for AddressSanitizer the function too."""
    kind: str


# What is upstream's own, and why: it comes of what every caller does, and nothing that we pass
# changes it.
UPSTREAM: dict[Report, str] = {
    Report(
        "ggml/src/gguf.cpp:584", "load of value N, which is not a valid value for type 'gguf_type'"
    ): "the type read from a file that ends there is compared before it is seen that it ends",
}
_CMAKE = (
    "-GNinja",
    "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
    "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -g1 -DNDEBUG",
    "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1 -DNDEBUG",
    "-DBUILD_SHARED_LIBS=ON",
    "-DLLAMA_SANITIZE_ADDRESS=ON",
    "-DLLAMA_SANITIZE_UNDEFINED=ON",
    "-DGGML_SANITIZE_ADDRESS=ON",
    "-DGGML_SANITIZE_UNDEFINED=ON",
    "-DGGML_OPENMP=OFF",  # its runtime is not instrumented
    "-DLLAMA_BUILD_COMMIT=unknown",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_UI=OFF",
)
_UB = re.compile(r"^(?P<place>[^\s:]+:\d+):\d+: runtime error: (?P<what>.*)$", re.M)
_ASAN = re.compile(r"ERROR: AddressSanitizer: (?P<what>[\w-]+).*?(?=\n\n|\Z)", re.S)
_FRAME = re.compile(r"#\d+ \S+ in (?P<function>.+?) (?P<place>/\S*?:\d+)")
# pytest writes a test's name, then what the test prints, in the same line too, then how it ended.
_TEST = re.compile(r"^(tests/\S+?::\w+(?:\[.*?\](?= |$))?)", re.M)
_OUTCOME = re.compile(_TEST.pattern + r" (?:(?!^tests/)[\s\S])*?\b(PASSED|FAILED|ERROR)\b", re.M)
_ROW = "{:26} {:>7} {:>7} {:>8} {:>8}"
_SECONDS = 3600
# A sanitizer keeps what was freed, to see who still uses it; it needs memory itself when there is
# none; and the process that SIGBUS ends on purpose would be a report.
_WITHOUT = "not leak and not without_memory and not cut_off"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the engine tests with sanitizers.")
    parser.add_argument("--build", type=Path, metavar="FOLDER", help="a build that is there")
    parser.add_argument("tests", nargs="*", type=Path, help="default: every engine test")
    options = parser.parse_args()
    try:
        folder = options.build or build()
        preload = [_runtime(name) for name in ("libasan.so", "libubsan.so", "libstdc++.so.6")]
    except (CodegenError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not _works(folder, preload):
        print("error: a wrong call was not reported: is all of it built so?", file=sys.stderr)
        return 2
    tests = options.tests or [HERE / name for name in TESTS if (HERE / name).is_file()]
    print(_ROW.format("tests", "passed", "failed", "reports", "seconds"), flush=True)
    started = time.monotonic()
    passed = failed = 0
    found: Counter[Report] = Counter()
    for test in tests:
        good, bad, reports = one(test.resolve(), folder.resolve(), preload)
        passed += good
        failed += bad
        found += reports
    seconds = f"{time.monotonic() - started:.0f}"
    print(_ROW.format(f"{len(tests)} files", passed, failed, sum(found.values()), seconds))
    ours = [report for report in found if UPSTREAM.get(report) is None]
    for report, count in found.most_common():
        why = UPSTREAM.get(report)
        print(f"{count:6} x {report.place} {report.kind}" + (f" (upstream: {why})" if why else ""))
    kinds: Counter[str] = Counter()
    for report, count in found.items():
        kinds[report.kind] += count
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "none"
    print(f"reports: {by_kind}; {len(found)} places, {len(found) - len(ours)} upstream's own")
    return 1 if ours or failed else 0


def build() -> Path:
    """The folder of the build, made first where there is none."""
    tag = source.pinned_tag()
    tree = source.fetch(tag)
    final = _cache.cache_root() / tag / "sanitize"
    # CMake goes on where it was interrupted, so this is no `_cache.publish`.
    final.mkdir(parents=True, exist_ok=True)
    number = f"-DLLAMA_BUILD_NUMBER={tag[1:]}"
    subprocess.run(["cmake", "-S", tree, "-B", final, number, *_CMAKE], check=True)
    subprocess.run(["cmake", "--build", final, "--target", "llama", "mtmd"], check=True)
    return final


def _runtime(name: str) -> str:
    """The runtime that gcc links: the process has to have it from its start."""
    done = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    path = Path(done.stdout.strip())
    if not path.is_file():
        raise CodegenError(f"gcc has no {name}: install its sanitizers")
    return str(path.resolve())


_WRONG = """if True:
    from llama_cpp import LlamaLibrary
    LlamaLibrary.default().short.ggml_op_name(100_000)
"""


def _works(folder: Path, preload: list[str]) -> bool:
    """Whether both sanitizers see what is wrong: a place far behind the end of an array."""
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        done = subprocess.run(
            [sys.executable, "-c", _WRONG],
            cwd=HERE.parent, env=_env(folder, preload, Path(name)), capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        # One writes to its log; the other, beside it, to stderr whatever it is told.
        text = done.stderr + "".join(
            log.read_text("utf-8", "replace") for log in Path(name).iterdir()
        )
    return _UB.search(text) is not None and _ASAN.search(text) is not None


def one(test: Path, folder: Path, preload: list[str]) -> tuple[int, int, Counter[Report]]:
    """Run a file of tests. How many tests passed and failed, and what was reported."""
    started = time.monotonic()
    found: Counter[Report] = Counter()
    counts: Counter[str] = Counter()
    lines: list[str] = []
    crashed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        logs = Path(name)
        while True:
            code, out = _pytest(test, folder, preload, logs, crashed)
            found += _reports(out)
            outcomes = _OUTCOME.findall(out)
            if code in (0, 1):
                break
            running = _TEST.findall(out)
            culprit = running[-1] if running else ""
            lines += [f"    CRASHED {culprit or test.name} (exit {code})"]
            if not culprit or culprit in crashed:
                lines += [f"    | {line}" for line in out.splitlines()[-30:]]
                break
            crashed.append(culprit)
        for log in logs.glob("report.*"):
            found += _reports(log.read_text("utf-8", "replace"))
    counts.update(outcome for _, outcome in outcomes)
    lines += [f"    FAILED {name}" for name, outcome in outcomes if outcome != "PASSED"]
    lines += [f"    | {line}" for line in re.findall(r"^E  .*", out, re.M)[:20]]
    bad = counts["FAILED"] + counts["ERROR"] + len(crashed)
    seconds = f"{time.monotonic() - started:.0f}"
    row = _ROW.format(test.name, counts["PASSED"], bad, sum(found.values()), seconds)
    print("\n".join([row, *lines]), flush=True)
    return counts["PASSED"], bad + (code not in (0, 1) and not crashed), found


def _env(folder: Path, preload: list[str], logs: Path) -> dict[str, str]:
    shared = f"log_path={logs / 'report'}:print_stacktrace=1"
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(preload),
        "LLAMA_CPP_LIB": str(folder / "bin"),
        # Python frees little at its end. Memory that cannot be had is an answer that we test.
        "ASAN_OPTIONS": f"{shared}:detect_leaks=0:allocator_may_return_null=1:handle_segv=1",
        "UBSAN_OPTIONS": shared,
        "PYTHONMALLOC": "malloc",  # what it reads beyond Python's own objects is found too
        "OMP_WAIT_POLICY": "passive",
    }


def _pytest(
    test: Path, folder: Path, preload: list[str], logs: Path, without: list[str]
) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "-p",
                "no:faulthandler", "--tb=short", "--capture=no", "-k", _WITHOUT,
                test.relative_to(HERE.parent),
                *(f"--deselect={name}" for name in without),
            ],
            cwd=HERE.parent, env=_env(folder, preload, logs), capture_output=True, text=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return 124, (error.stdout or b"").decode("utf-8", "replace")
    return done.returncode, done.stdout + done.stderr


def _reports(text: str) -> Counter[Report]:
    """What is reported; addresses and numbers left out."""
    found: Counter[Report] = Counter()
    for match in _UB.finditer(text):
        kind = re.sub(r"0x[0-9a-f]+|-?\d+", "N", match["what"])
        found[Report(_inside(match["place"]), kind)] += 1
    for match in _ASAN.finditer(text):
        frame = next(
            (f for f in _FRAME.finditer(match[0]) if "/source/" in f["place"]),
            _FRAME.search(match[0]),
        )
        where = f"{_inside(frame['place'])} in {frame['function']}" if frame else "somewhere"
        found[Report(where, match["what"])] += 1
    return found


def _inside(place: str) -> str:
    return place.rpartition("/source/")[2].lstrip("/")


if __name__ == "__main__":
    sys.exit(main())
