"""An engine built from a llama.cpp source tree with cmake and ninja."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from ..errors import LlamaEngineError
from .find import BACKENDS, EngineInfo, cpu_features, engine_folder, family, program
from .folders import capture, collect, ready, strip, take_headers, try_out, write_manifest
from .machine import memory_limit, usable_threads
from .progress import Progress, say
from .publish import publish

# The targets of a build: the first four must exist in a tag, the others may.
_TARGETS = ("llama", "mtmd", "llama-server", "ggml-rpc-server")
_OPTIONAL_TARGETS = ("llama-simple", "llama-quantize")
PROGRAMS = frozenset([*_TARGETS, *_OPTIONAL_TARGETS])
"""The programs that an engine has, or may have."""

# The compiler of each backend, its places besides PATH, and how to install it.
_TOOLKITS = {
    "cuda": (
        "nvcc",
        ("CUDACXX", "/usr/local/cuda/bin/nvcc"),
        "install NVIDIA's CUDA toolkit (Debian: apt install nvidia-cuda-toolkit)",
    ),
    "vulkan": (
        "glslc",
        ("VULKAN_SDK",),
        "install the Vulkan SDK (from Debian 13 on: apt install libvulkan-dev glslc spirv-headers)",
    ),
    "hip": ("hipconfig", ("HIP_PATH", "/opt/rocm/bin/hipconfig"), "install AMD's ROCm"),
    "sycl": (
        "icpx",
        ("ONEAPI_ROOT",),
        "install Intel's oneAPI toolkit, and run its setvars.sh in this shell",
    ),
    "musa": ("mcc", ("MUSA_PATH",), "install Moore Threads' MUSA SDK"),
}

# Each backend is a file of its own, which is passed over where its driver is missing. The CPU's are
# then for every CPU, as ggml tunes none of several files for this one.
_IN_FILES = {"GGML_NATIVE": "OFF", "GGML_BACKEND_DL": "ON", "GGML_CPU_ALL_VARIANTS": "ON"}
_PORTABLE = {
    **_IN_FILES,
    "GGML_CCACHE": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "CMAKE_PLATFORM_NO_VERSIONED_SONAME": "ON",  # a wheel cannot hold links
}
# As upstream's releases are: Metal, and one kind of code for each architecture.
_PORTABLE_MAC = {
    "GGML_BACKEND_DL": "OFF",
    "GGML_CPU_ALL_VARIANTS": "OFF",
    "GGML_METAL": "ON" if platform.machine() == "arm64" else "OFF",
    "GGML_METAL_EMBED_LIBRARY": "ON",
    "CMAKE_OSX_DEPLOYMENT_TARGET": "13.3",
}

_COMPILER_HELP = {
    "linux": "Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; Alpine: apk add g++",
    "darwin": "run: xcode-select --install",
    "win32": "install the Visual Studio Build Tools (workload: Desktop development with C++) and "
    'run this from the "x64 Native Tools Command Prompt"',
}


def build(source: Path, tag: str, *, jobs: int | None = None, backend: str | None = None) -> Path:
    """Build the engine from the llama.cpp tree `source` and return its folder in the cache.

    `tag` names the folder; `jobs` is the number of compilers at once (default: as many as cores
    and memory allow); `backend` adds a GPU backend such as "cuda" or "vulkan", whose toolkit must
    be installed. Without a backend the code is tuned for this machine's CPU. A backend other than
    Metal is a file of its own, and the engine runs without it where the GPU's driver is missing;
    the code for CPUs is then chosen at run time. CUDA's is for the cards in this machine, or for
    those in CMake's environment variable CUDAARCHS, such as "86;90". A suitable engine that is
    already there is left alone. The build log is kept next to the folder, as `engine-build.log`.

    Raises `LlamaEngineError` without a compiler, cmake, ninja or the backend's toolkit, if
    `source` is not a llama.cpp tree, and if the build fails, with the end of its log.
    """
    final = engine_folder(tag, backend)
    if backend is not None and backend not in BACKENDS:
        raise LlamaEngineError(
            f"{backend}: a build uses the installed {family(backend)} toolkit; use "
            f"backend={family(backend)!r}"
        )
    if jobs is not None and jobs < 1:
        raise LlamaEngineError(f"jobs must be at least 1, not {jobs}")
    log = final.with_name(f"{final.name}-build.log")
    with publish(final, label=f"engine {tag}", ready=ready(backend)) as work:
        if work is None:
            return final
        if not (source / "CMakeLists.txt").is_file() or not (source / "include/llama.h").is_file():
            raise LlamaEngineError(f"{source}: not a llama.cpp source tree (no include/llama.h)")
        _tool("cmake")
        _tool("ninja")
        compiler = system_compiler()
        if backend is not None:
            _check_toolkit(backend)
        jobs = jobs or _default_jobs()
        say(f"engine {tag}: building from {source} with {compiler}, {jobs} at a time; log: {log}")
        options = cmake_options(source, tag, backend)
        tree = work / ".build"
        compile_tree(source, tree, options, log, jobs=jobs, label=f"engine {tag}")
        collect(tree / "bin", work, programs=PROGRAMS)
        shutil.rmtree(tree)
        take_headers(source, work)
        strip(work)
        info = EngineInfo(
            tag, "source", backend=backend, version=try_out(work), compiler=compiler,
            options=options,
            cpu_features=sorted(cpu_features()) if "-DGGML_NATIVE=ON" in options else [],
        )  # fmt: skip
        write_manifest(work, info)
    return final


def compile_tree(
    source: Path,
    tree: Path,
    options: list[str],
    log: Path,
    *,
    jobs: int | None = None,
    label: str,
    environment: dict[str, str] | None = None,
    targets: Sequence[str] = (),
) -> None:
    """Compile the llama.cpp in `source` in the folder `tree`, with `options` for CMake.

    The libraries and programs are then in `tree / "bin"`, and the output is in `log`. `targets` are
    those of CMake to build, by default all of an engine.
    """
    cmake, ninja = _tool("cmake"), _tool("ninja")
    with log.open("w", encoding="utf-8", errors="replace") as stream:
        runner = _Runner(stream, log, environment or {})
        configure = [
            *(cmake, "-G", "Ninja", "-S", str(source.resolve()), "-B", str(tree)),
            f"-DCMAKE_MAKE_PROGRAM={ninja}",
            f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={Path(__file__).with_name('build.cmake')}",
            *options,
        ]
        runner.run("cmake", configure)
        command = [ninja, "-C", str(tree), "-j", str(jobs or _default_jobs())]
        command += targets or _engine_targets(tree)
        _run_ninja(runner, command, configure, label=label)


def _engine_targets(tree: Path) -> list[str]:
    known = (tree / "build.ninja").read_text(encoding="utf-8")
    return [*_TARGETS, *(t for t in _OPTIONAL_TARGETS if f"\nbuild {t}: phony " in known)]


def _run_ninja(runner: _Runner, command: list[str], configure: list[str], *, label: str) -> None:
    apart: list[str] = []
    while True:
        try:
            runner.run("ninja", command, progress=Progress(label))
            return
        except LlamaEngineError:
            clash = re.search(r"FAILED: .*/([\w.-]+)\.dir/Unity/unity_", runner.tail())
            if clash is None or clash[1] in apart:
                raise
        # Sources of this tag clash when they are compiled together. All other files are kept.
        apart.append(clash[1])
        say(f"{label}: a group of sources did not compile; compiling {clash[1]}'s one by one")
        runner.run("cmake", [*configure, f"-DLLAMA_PY_APART={';'.join(apart)}"])


def cmake_options(
    source: Path, tag: str, backend: str | None = None, *, portable: bool = False
) -> list[str]:
    """CMake's options for the engine. A `portable` one runs on all machines of a platform: it has
    code for every CPU, chosen when it is loaded, and files that need no links."""
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "BUILD_SHARED_LIBS": "ON",
        # Libraries are found next to the files that need them, so that the folder can move.
        "CMAKE_INSTALL_RPATH": "@loader_path" if sys.platform == "darwin" else "$ORIGIN",
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        "GGML_NATIVE": "ON",
        "GGML_RPC": "ON",
        "GGML_CCACHE": "ON",
        "LLAMA_ALL_WARNINGS": "OFF",
        "LLAMA_BUILD_APP": "OFF",
        "LLAMA_BUILD_EXAMPLES": "ON",
        "LLAMA_BUILD_SERVER": "ON",
        "LLAMA_BUILD_TESTS": "OFF",
        "LLAMA_BUILD_TOOLS": "ON",
        "LLAMA_BUILD_UI": "OFF",
        "LLAMA_USE_PREBUILT_UI": "OFF",  # would be downloaded during the build
        "LLAMA_OPENSSL": "OFF",
    }
    if re.fullmatch(r"b\d+", tag):
        options["LLAMA_BUILD_NUMBER"] = tag[1:]
    if not (source / ".git").exists():
        # Otherwise llama.cpp takes the commit of any repository around the source.
        options["LLAMA_BUILD_COMMIT"] = "unknown"
    if backend not in (None, "metal"):
        options |= _IN_FILES
        if not portable:  # the toolkit's libraries, where the loader does not look by itself
            options["CMAKE_INSTALL_RPATH_USE_LINK_PATH"] = "ON"
    if portable:
        options |= _PORTABLE
        if sys.platform != "linux":
            options["GGML_OPENMP"] = "OFF"  # its runtime would have to come along
        if sys.platform == "darwin":
            options |= _PORTABLE_MAC
    if sys.platform == "win32" and platform.machine() == "ARM64":
        options.pop("GGML_CPU_ALL_VARIANTS", None)  # there is only one
    if backend is not None:
        options[f"GGML_{backend.upper()}"] = "ON"
    if backend == "cuda" and not portable:  # elsewhere upstream's long list, of all that there are
        options["CMAKE_CUDA_ARCHITECTURES"] = os.environ.get("CUDAARCHS", "native")
    if backend == "sycl":
        options |= {"CMAKE_C_COMPILER": "icx", "CMAKE_CXX_COMPILER": "icpx"}
    return [f"-D{name}={value}" for name, value in options.items()]


def _check_toolkit(backend: str) -> None:
    """Raise `LlamaEngineError` with a hint if the backend's toolkit is not installed."""
    if backend == "metal" and sys.platform != "darwin":
        raise LlamaEngineError("the backend metal is for macOS alone")
    if backend not in _TOOLKITS:
        return
    name, places, help_text = _TOOLKITS[backend]
    # CMake searches these places itself and reports if it finds nothing.
    if program(name) or any(os.environ.get(place) or Path(place).is_file() for place in places):
        return
    raise LlamaEngineError(
        f"the backend {backend} needs {name}, which is not installed: {help_text}"
    )


def _tool(name: str) -> str:
    """The path of cmake or ninja: in this Python environment, else on PATH."""
    found = program(name, str(Path(sys.executable).parent)) or program(name)
    if found is None:
        raise LlamaEngineError(
            f"{name} is needed to build the engine: pip install 'libllama-py[engine]'"
        )
    return found


def system_compiler() -> str:
    """The first line of the C++ compiler's version. Raises `LlamaEngineError` unless there are
    compilers for C and C++."""
    _compiler("C", "CC", "cc gcc clang cl")
    return _compiler("C++", "CXX", "c++ g++ clang++ cl")


def _compiler(language: str, variable: str, names: str) -> str:
    wanted = shlex.split(os.environ.get(variable, ""))[:1]
    for name in wanted or names.split():
        found = name if Path(name).is_absolute() else program(name)
        if found is not None and Path(found).is_file():
            # macOS has a stub of that name that only offers to install the real one.
            done = capture(found, *([] if Path(found).stem.lower() == "cl" else ["--version"]))
            if done.returncode == 0:
                lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
                return lines[0] if lines else name
    tried = f"{variable}={os.environ[variable]}" if wanted else names.replace(" ", ", ")
    raise LlamaEngineError(
        f"no {language} compiler found (tried {tried}). "
        + _COMPILER_HELP.get(sys.platform, "install one, such as gcc or clang")
    )


def _default_jobs() -> int:
    """One compiler for each usable hardware thread, with 1.5 GB of memory for each."""
    memory = memory_limit(available=True)
    jobs = usable_threads()
    return jobs if memory is None else max(1, min(jobs, int(memory / 1.5e9)))


class _Runner:
    """Runs the build's commands, with output in the log and progress on stderr. Leaves no
    process behind."""

    _STEP = re.compile(r"\[(\d+)/(\d+)\]")

    def __init__(self, log: TextIO, path: Path, environment: dict[str, str]) -> None:
        self._log = log
        self._path = path
        self._environment = environment
        self._tail: deque[str] = deque(maxlen=4000)

    def tail(self) -> str:
        """The last output of the last command."""
        return "".join(self._tail)

    def run(self, name: str, command: list[str], *, progress: Progress | None = None) -> None:
        """Run a command; raise `LlamaEngineError` with the end of its output if it fails."""
        self._tail.clear()
        self._log.write(f"$ {shlex.join(command)}\n")
        environment = {**os.environ, **self._environment, "NINJA_STATUS": "[%f/%t] ", "LC_ALL": "C"}
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
            # Its own group: Ctrl-C then reaches it only through `_stop`, which waits for its end.
            start_new_session=os.name == "posix",
        )  # fmt: skip
        try:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    self._log.write(line)
                    self._tail.append(line)
                    step = self._STEP.match(line)
                    if progress and step:
                        done, total = int(step[1]), int(step[2])
                        progress.show(f"{done} of {total} ({100 * done // total}%)")
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
        finally:
            if progress:
                progress.close()
            self._log.flush()
        if code:
            raise LlamaEngineError(
                f"{name} failed with exit status {code}; log: {self._path}\n{self._explain()}"
            )

    def _explain(self) -> str:
        """The output from the first error on, at most 25 lines."""
        lines = self.tail().splitlines()
        pattern = re.compile(r"\b(fatal )?error\b|^FAILED:|CMake Error|Killed")
        errors = [index for index, line in enumerate(lines) if pattern.search(line)]
        first = errors[0] if errors else max(len(lines) - 25, 0)
        return "\n".join(f"  | {line[:200]}" for line in lines[first : first + 25])


def _stop(process: subprocess.Popen[str]) -> None:
    """End a command and its children. ninja passes SIGINT on to its compilers and waits."""
    if process.poll() is not None:
        return
    if os.name == "posix":
        process.send_signal(signal.SIGINT)
    else:
        process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
