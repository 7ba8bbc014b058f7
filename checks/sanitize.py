"""The engine tests on a libllama with AddressSanitizer and UndefinedBehaviorSanitizer.

    python -m checks.sanitize [--build FOLDER] [tests ...]

Builds the pinned llama.cpp with both into the cache (once, a quarter of an hour; needs gcc, cmake
and ninja) unless ``--build`` has such a build, runs each file of tests in a process with the
sanitizers' runtime, and prints what each found, by the place in the source: in the processes that
the tests start too, whatever becomes of their output. AddressSanitizer ends a process at its first
report: where it was pytest's, the test that it was in is named, and the rest of the file runs
without it. 0 no report but upstream's known ones and no failure, 1 some, 2 something cannot be had.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from codegen import source
from codegen.errors import CodegenError
from llama_cpp.engine.find import cache_root
from tests.support.python import ROOT

# Those that load the library, and neither compare speeds nor start servers.
TESTS = (
    "project/test_tiny.py",
    "context/test_context.py",
    "context/test_context_outputs.py",
    "context/test_context_encoder.py",
    "context/test_kv_cache.py",
    "context/test_state.py",
    "context/test_sequence.py",
    "sampling/test_sampler.py",
    "sampling/test_custom_sampler.py",
    "sampling/test_backend_sampler.py",
    "sampling/test_greedy.py",
    "generate/test_logprobs.py",
    "generate/test_embedding.py",
    "model/test_lora.py",
    "generate/test_parallel.py",
    "generate/test_parked.py",
    "generate/test_speculative.py",
    "model/test_model.py",
    "model/test_model_load.py",
    "model/test_quantize.py",
    "generate/test_multimodal.py",
    "generate/test_llama.py",
    "generate/test_generation.py",
    "generate/test_infill.py",
    "model/test_text.py",
    "generate/test_aio.py",
    "native/test_devices.py",
    "misuse/test_misuse.py",
    "project/test_stress.py",
    "native/test_faults.py",
)


class Report(NamedTuple):
    """A sanitizer's report."""

    file: str
    """In llama.cpp's source."""
    line: int
    function: str
    kind: str

    @property
    def why_upstream(self) -> str:
        """Why it is upstream's own, if it is known to be; else empty."""
        return UPSTREAM.get((self.file, self.function, self.kind), "")


Found = dict[Report, list[str]]
"""The reports, with the text of each occurrence."""

# What is upstream's own, by file, function and kind, and why it is harmless: it comes of what every
# caller does, and nothing that we pass changes it.
UPSTREAM: dict[tuple[str, str, str], str] = {
    # In a damaged file, or one that ends there, the type of a value is any number or still -1. It
    # is only compared: the switch's default refuses it. C++ promises that for the values that the
    # enumerators' bits can hold; gcc, clang and MSVC do it for every number of the type below it
    # (gcc and clang not with -fstrict-enums, which llama.cpp is never built with).
    (
        "ggml/src/gguf.cpp",
        "gguf_init_from_reader",
        "load of value N, which is not a valid value for type 'gguf_type'",
    ): "a damaged file's type is compared, and refused, as the number that it is",
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
_UB = re.compile(
    r"^(?P<file>[^\s:]+):(?P<line>\d+):\d+: runtime error: (?P<what>.*)"
    r"(?:\n(?!\S+: runtime error: ).+)*",
    re.M,
)
_ASAN = re.compile(r"ERROR: AddressSanitizer: (?P<what>[\w-]+).*?(?=\n\n|\Z)", re.S)
_FRAME = re.compile(r"#\d+ \S+ in (?P<function>.+?) (?P<file>/\S*?):(?P<line>\d+)")
_NOWHERE = ("?", 0, "?")
_LINES = 12
"""Of the text of a report that is no known one, so many are printed."""
# pytest writes a test's name, then what the test prints, in the same line too, then how it ended.
_TEST = re.compile(r"^(tests/\S+?::\w+(?:\[.*?\](?= |$))?)", re.M)
_OUTCOME = re.compile(_TEST.pattern + r" (?:(?!^tests/)[\s\S])*?\b(PASSED|FAILED|ERROR)\b", re.M)
_LEFT_OUT = re.compile(r"(\d+) deselected")
_ROW = "{:26} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8}"
_SECONDS = 3600
# Left out, and counted: a sanitizer keeps what was freed, to see who still uses it; it needs memory
# itself when there is none; and what ends a process on purpose would be a report.
_WITHOUT = "not leak and not without_memory and not a_crash_ and not that_crashes"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the engine tests with sanitizers.")
    parser.add_argument("--build", type=Path, metavar="FOLDER", help="a build that is there")
    parser.add_argument("tests", nargs="*", type=Path, help="default: every engine test")
    options = parser.parse_args()
    try:
        folder = (options.build or build()).resolve()
        preload = [_runtime(name) for name in ("libasan.so", "libubsan.so", "libstdc++.so.6")]
    except (CodegenError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        preload.append(own_log(preload[1], Path(name)))
        if not _works(folder, preload):
            print("error: a wrong call was not reported: is all of it built so?", file=sys.stderr)
            return 2
        return run(options.tests or [ROOT / "tests" / name for name in TESTS], folder, preload)


def run(tests: Sequence[Path], folder: Path, preload: list[str]) -> int:
    """Run files of tests and print the outcome."""
    heads = ("tests", "passed", "failed", "left out", "reports", "upstream", "seconds")
    print(_ROW.format(*heads), flush=True)
    started = time.monotonic()
    total: Counter[str] = Counter()
    found: Found = {}
    for test in tests:
        counts, reports = one(test.resolve(), folder, preload)
        total += counts
        for report, texts in reports.items():
            found.setdefault(report, []).extend(texts)
    _row(f"{len(tests)} files", total, found, started)
    for report, texts in sorted(found.items(), key=lambda item: -len(item[1])):
        file, line, function, kind = report
        why = report.why_upstream
        print(f"{len(texts):6} x {file}:{line} in {function}: {kind}")
        print(f"         upstream's, known: {why}" if why else _short(texts[0]))
    bad = any(not report.why_upstream for report in found)
    print("reports that are not upstream's known ones: " + ("SEE ABOVE" if bad else "none"))
    return 1 if bad or total["failed"] else 0


def _row(name: str, counts: Mapping[str, int], found: Found, started: float) -> None:
    known = sum(len(texts) for report, texts in found.items() if report.why_upstream)
    ours = sum(map(len, found.values())) - known
    numbers = (counts.get(key, 0) for key in ("passed", "failed", "left out"))
    print(_ROW.format(name, *numbers, ours, known, f"{time.monotonic() - started:.0f}"), flush=True)


def _short(text: str) -> str:
    return "\n".join(f"         | {line}" for line in text.splitlines()[:_LINES])


def build() -> Path:
    """The folder of the build, made first where there is none."""
    tag = source.pinned_tag()
    tree = source.fetch(tag)
    final = cache_root() / tag / "sanitize"
    # CMake goes on where it was interrupted, so this is not a `publish`.
    final.mkdir(parents=True, exist_ok=True)
    # It mends a fault of GCC's, without which no prompt is computed on a CPU with AMX.
    mends = ROOT / "llama_cpp/engine/build.cmake"
    options = [
        f"-DLLAMA_BUILD_NUMBER={tag[1:]}",
        *_CMAKE,
        f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={mends}",
    ]
    if ninja := shutil.which("ninja"):  # the build may have begun with one that is gone
        options.append(f"-DCMAKE_MAKE_PROGRAM={ninja}")
    subprocess.run(["cmake", "-S", tree, "-B", final, *options], check=True)
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


# Both runtimes have this function, and the first one that is loaded answers for both: without this
# UBSan's reports go to stderr, where a test may look at them or nobody does.
_OWN_LOG = """
#include <dlfcn.h>
#include <stdlib.h>
__attribute__((constructor)) static void own_log(void) {
    void * ubsan = dlopen(UBSAN, RTLD_LAZY | RTLD_NOLOAD);
    void * address = dlsym(ubsan, "__sanitizer_set_report_path");
    void (*set)(const char *) = (void (*)(const char *)) address;
    const char * path = getenv("LLAMA_PY_UBSAN_LOG");
    if (path) set(path);
}
"""


def own_log(ubsan: str, folder: Path) -> str:
    """A library to be loaded last, with which UBSan has a log of its own in every process."""
    (folder / "own_log.c").write_text(_OWN_LOG)
    target = folder / "own_log.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f'-DUBSAN="{ubsan}"', folder / "own_log.c", "-o", target],
        check=True,
    )
    return str(target)


_WRONG = """if True:
    from llama_cpp import LlamaLibrary
    LlamaLibrary.default().short.ggml_op_name(100_000)
"""


def _works(folder: Path, preload: list[str]) -> bool:
    """Whether both sanitizers find a planted fault: an access far beyond the end of an array."""
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        subprocess.run(
            [sys.executable, "-c", _WRONG],
            cwd=ROOT, env=environment(folder, preload, Path(name)), capture_output=True,
            timeout=300, check=False,
        )  # fmt: skip
        kinds = {report.kind for report in logged(Path(name))}
    return {"global-buffer-overflow", "index N out of bounds for type 'char *[N]'"} <= kinds


def one(test: Path, folder: Path, preload: list[str]) -> tuple[Counter[str], Found]:
    """Run a file of tests. Counts of passed, failed and omitted tests; and the reports."""
    started = time.monotonic()
    lines: list[str] = []
    crashed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="llama-py-") as name:
        logs = Path(name)
        while True:
            code, out = _pytest(test, folder, preload, logs, crashed)
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
        found = logged(logs)
    lines += [f"    FAILED {name}" for name, outcome in outcomes if outcome != "PASSED"]
    lines += [f"    | {line}" for line in re.findall(r"^E  .*", out, re.M)[:20]]
    left_out = _LEFT_OUT.search(out)
    passed = sum(outcome == "PASSED" for _, outcome in outcomes)
    failed = len(outcomes) - passed + len(crashed)
    counts = Counter(
        {
            "passed": passed,
            "failed": failed or int(code != 0),
            "left out": int(left_out[1]) - len(crashed) if left_out else 0,
        }
    )
    _row(test.name, counts, found, started)
    for line in lines:
        print(line, flush=True)
    return counts, found


def environment(folder: Path, preload: list[str], logs: Path) -> dict[str, str]:
    """The environment in which every started process writes its reports to ``logs``."""
    asan_log = f"log_path={logs / 'asan'}"
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(preload),
        "LLAMA_CPP_LIB": str(folder / "bin"),
        # Python frees little at its end. Memory that cannot be had is an answer that we test, and
        # so is a mapped file that was cut off: SIGBUS.
        "ASAN_OPTIONS": f"{asan_log}:detect_leaks=0:allocator_may_return_null=1:handle_sigbus=0",
        # UBSan sets this for AddressSanitizer: see _OWN_LOG.
        "UBSAN_OPTIONS": f"{asan_log}:print_stacktrace=1",
        "LLAMA_PY_UBSAN_LOG": str(logs / "ubsan"),
        "LLAMA_PY_PATIENCE": "10",
        "PYTHONMALLOC": "malloc",  # so that reads beyond Python's own objects are found too
        "OMP_WAIT_POLICY": "passive",
    }


def logged(logs: Path) -> Found:
    """The processes' reports, without addresses and numbers."""
    found: Found = {}
    for log in sorted(logs.iterdir()):
        for report, text in _reports(log.read_text("utf-8", "replace")):
            found.setdefault(report, []).append(text)
    return found


def _pytest(
    test: Path, folder: Path, preload: list[str], logs: Path, without: list[str]
) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "-p",
                "no:faulthandler", "--tb=short", "--capture=no", "-k", _WITHOUT,
                test.relative_to(ROOT),
                *(f"--deselect={name}" for name in without),
            ],
            cwd=ROOT, env=environment(folder, preload, logs), capture_output=True, text=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return 124, (error.stdout or b"").decode("utf-8", "replace")
    return done.returncode, done.stdout + done.stderr


def _reports(text: str) -> Iterator[tuple[Report, str]]:
    for match in _UB.finditer(text):
        kind = re.sub(r"0x[0-9a-f]+|-?\d+", "N", match["what"])
        frame = _FRAME.search(match[0])
        function = _function(frame) if frame else "?"
        yield Report(_inside(match["file"]), int(match["line"]), function, kind), match[0]
    for match in _ASAN.finditer(text):
        frames = list(_FRAME.finditer(match[0]))
        frame = next((f for f in frames if "/source/" in f["file"]), frames[0] if frames else None)
        place = (
            (_inside(frame["file"]), int(frame["line"]), _function(frame)) if frame else _NOWHERE
        )
        yield Report(*place, match["what"]), match[0]


def _function(frame: re.Match[str]) -> str:
    """Its name, without its parameters."""
    return frame["function"].partition("(")[0]


def _inside(file: str) -> str:
    return file.rpartition("/source/")[2].lstrip("/")


if __name__ == "__main__":
    sys.exit(main())
