"""The engine: libllama, ggml, libmtmd and llama.cpp's programs for one tag, in the user's cache.

Official release binaries where they can be had, otherwise built from a llama.cpp source tree with
cmake and ninja. One relocatable folder holds the libraries and the programs together:
`<cache>/<tag>/engine/`, with an `engine.json` that says where they came from.

    python -m llama_cpp.engine install --tag b11434 [--source DIR]
    python -m llama_cpp.engine where --tag b11434
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from . import _cache
from ._installed import (
    MANIFEST,
    EngineInfo,
    cpu_features,
    engine_dir,
    engine_folder,
    engine_info,
    missing_features,
    program,
)
from .errors import LlamaDownloadError, LlamaEngineError, LlamaError

RELEASES = "https://github.com/ggml-org/llama.cpp/releases/download"
RELEASES_API = "https://api.github.com/repos/ggml-org/llama.cpp/releases/tags"

# What a build makes: the first four must exist in a tag, the others are taken where they do.
_TARGETS = ("llama", "mtmd", "llama-server", "ggml-rpc-server")
_OPTIONAL_TARGETS = ("llama-simple", "llama-quantize")

_BACKENDS = {
    "blas": "GGML_BLAS",
    "cann": "GGML_CANN",
    "cuda": "GGML_CUDA",
    "hip": "GGML_HIP",
    "metal": "GGML_METAL",
    "musa": "GGML_MUSA",
    "opencl": "GGML_OPENCL",
    "sycl": "GGML_SYCL",
    "vulkan": "GGML_VULKAN",
}

_COMPILER_HELP = {
    "linux": "Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; Alpine: apk add g++",
    "darwin": "run: xcode-select --install",
    "win32": "install the Visual Studio Build Tools (workload: Desktop development with C++) and "
    'run this from the "x64 Native Tools Command Prompt"',
}


# --- official releases ------------------------------------------------------------------------


def release_asset(tag: str, backend: str | None = None) -> str:
    """The name of the official release file for this machine.

    Raises `LlamaEngineError` where upstream publishes none.
    """
    machine = platform.machine().lower()
    arch = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine)
    system, suffix, cpu, archs = {
        "linux": ("ubuntu", ".tar.gz", "", ("x64", "arm64", "s390x")),
        "darwin": ("macos", ".tar.gz", "", ("x64", "arm64")),
        "win32": ("win", ".zip", "cpu-", ("x64", "arm64")),
    }.get(sys.platform, ("", "", "", ()))
    if backend == "vulkan" and system in ("ubuntu", "win"):
        cpu = "vulkan-"
    elif backend is not None:
        raise LlamaEngineError(
            f"no release binaries for the backend {backend!r} here; build it from source"
        )
    if arch not in archs:
        raise LlamaEngineError(
            f"no release binaries for {sys.platform} on {machine}; build from source"
        )
    return f"llama-{tag}-bin-{system}-{cpu}{arch}{suffix}"


def install_release(
    tag: str,
    *,
    backend: str | None = None,
    base_url: str | None = None,
    api_url: str | None = None,
) -> Path:
    """Install the official release binaries of `tag` and return the engine's folder.

    The file comes from `<base_url>/<tag>/<file>` (default: `$LLAMA_PY_RELEASES`, else GitHub) and
    its SHA-256 from the release description `<api_url>/<tag>` (default: `$LLAMA_PY_RELEASES_API`,
    else GitHub's API), so a mirror of the files need not be trusted. An engine that is already
    there, of whatever origin, is left alone.

    Raises `LlamaDownloadError` when the release cannot be had or its digest is missing or
    wrong, and `LlamaEngineError` when it does not run on this machine.
    """
    final = engine_folder(tag)
    asset = release_asset(tag, backend)
    files = base_url or os.environ.get("LLAMA_PY_RELEASES") or RELEASES
    api = api_url or os.environ.get("LLAMA_PY_RELEASES_API") or RELEASES_API
    with _cache.publish(final, label=f"engine {tag}", ready=_ready(backend)) as work:
        if work is None:
            return final
        digest = _release_digest(f"{api.rstrip('/')}/{tag}", asset)
        url = f"{files.rstrip('/')}/{tag}/{asset}"
        _say(f"engine {tag}: downloading {_cache.shown_url(url)}")
        archive = _cache.download(
            url, work / ".download" / asset, sha256=digest, label=asset, timeout=15
        )
        unpacked = _cache.unpack(archive, work / ".unpacked")
        _collect(_library_folder(unpacked), work, programs=None)
        _remove(work / ".download")
        _remove(unpacked)
        version = _try_out(work)
        info = EngineInfo(
            tag, "release", backend=backend, version=version, source=_cache.shown_url(url)
        )
        _write_manifest(work, info)
    return final


def _release_digest(url: str, asset: str) -> str:
    """The SHA-256 that the release description promises for a file."""
    shown = _cache.shown_url(url)
    page = _cache.read_url(url)
    try:
        release = json.loads(page)
        digests = {entry["name"]: entry.get("digest") for entry in release["assets"]}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LlamaDownloadError(f"{shown}: not a release description", url=shown) from error
    if asset not in digests:
        raise LlamaDownloadError(f"{shown}: the release has no file {asset}", url=shown)
    kind, _, digest = str(digests[asset] or "").partition(":")
    if kind != "sha256" or not digest:
        raise LlamaDownloadError(
            f"{shown}: refused, the release states no SHA-256 for {asset}", url=shown
        )
    return digest


def _library_folder(unpacked: Path) -> Path:
    """The folder in a release archive that holds libllama: the top one or the one inside it."""
    for path in sorted(unpacked.rglob("*")):
        if re.fullmatch(r"(lib)?llama(\.\d+)*\.(so|dylib|dll)(\.\d+)*", path.name):
            return path.parent
    raise LlamaEngineError("the release file holds no libllama")


# --- building from source ---------------------------------------------------------------------


def build(source: Path, tag: str, *, jobs: int | None = None, backend: str | None = None) -> Path:
    """Build the engine from the llama.cpp tree `source` and return its folder in the cache.

    `tag` names the folder; `jobs` is how many compilers run at once (default: as many as cores
    and memory allow); `backend` adds a GPU backend such as "cuda" or "vulkan", whose toolkit must
    be installed. Tuned for this machine's CPU. An engine that is already there and fits is left
    alone. The build log is kept as `<cache>/<tag>/engine-build.log`.

    Raises `LlamaEngineError`: no compiler, no cmake or ninja, not a llama.cpp tree, or a build
    that failed, with the end of its log.
    """
    final = engine_folder(tag)
    if backend is not None and backend not in _BACKENDS:
        raise LlamaEngineError(
            f"unknown backend {backend!r}; there are: {', '.join(sorted(_BACKENDS))}"
        )
    if jobs is not None and jobs < 1:
        raise LlamaEngineError(f"jobs must be at least 1, not {jobs}")
    log = final.with_name("engine-build.log")
    with _cache.publish(final, label=f"engine {tag}", ready=_ready(backend)) as work:
        if work is None:
            return final
        if not (source / "CMakeLists.txt").is_file() or not (source / "include/llama.h").is_file():
            raise LlamaEngineError(f"{source}: not a llama.cpp source tree (no include/llama.h)")
        cmake, ninja = _tool("cmake"), _tool("ninja")
        compiler = _compiler()
        jobs = jobs or _default_jobs()
        _say(f"engine {tag}: building from {source} with {compiler}, {jobs} at a time; log: {log}")
        options = _cmake_options(source, tag, backend)
        tree = work / ".build"
        with log.open("w", encoding="utf-8", errors="replace") as stream:
            runner = _Runner(stream, log)
            configure = [
                *(cmake, "-G", "Ninja", "-S", str(source.resolve()), "-B", str(tree)),
                f"-DCMAKE_MAKE_PROGRAM={ninja}",
                f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={_injected_cmake()}",
                *options,
            ]
            runner.run("cmake", configure)
            _build_targets(runner, ninja, configure, tree, jobs, label=f"engine {tag}")
        _collect(tree / "bin", work, programs={*_TARGETS, *_OPTIONAL_TARGETS})
        _remove(tree)
        _strip(work)
        version = _try_out(work)
        features = sorted(cpu_features())
        info = EngineInfo(
            tag,
            "source",
            backend=backend,
            version=version,
            compiler=compiler,
            options=options,
            cpu_features=features,
        )
        _write_manifest(work, info)
    return final


def _build_targets(
    runner: _Runner, ninja: str, configure: list[str], tree: Path, jobs: int, *, label: str
) -> None:
    known = (tree / "build.ninja").read_text(encoding="utf-8")
    targets = [
        *_TARGETS,
        *(name for name in _OPTIONAL_TARGETS if f"\nbuild {name}: phony " in known),
    ]
    command = [ninja, "-C", str(tree), "-j", str(jobs), *targets]
    try:
        runner.run("ninja", command, progress=_cache.Progress(label))
    except LlamaEngineError:
        if "Unity/unity_" not in runner.tail():
            raise
        # Sources of this tag clash when they are compiled together; what is done stays done.
        _say(f"{label}: a group of sources did not compile; compiling them one by one")
        runner.run("cmake", [*configure, "-DLLAMA_PY_UNITY=OFF"])
        runner.run("ninja", command, progress=_cache.Progress(label))


def _cmake_options(source: Path, tag: str, backend: str | None) -> list[str]:
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "BUILD_SHARED_LIBS": "ON",
        # Libraries are looked for beside whoever needs them, so that the folder can move.
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
        # Otherwise llama.cpp takes the commit of whatever repository lies around the source.
        options["LLAMA_BUILD_COMMIT"] = "unknown"
    if backend is not None:
        options[_BACKENDS[backend]] = "ON"
    return [f"-D{name}={value}" for name, value in options.items()]


def _injected_cmake() -> Path:
    return Path(__file__).with_name("_engine.cmake")


def _tool(name: str) -> str:
    """cmake or ninja: of the Python environment we run in, else from PATH."""
    found = program(name, str(Path(sys.executable).parent)) or program(name)
    if found is None:
        raise LlamaEngineError(
            f"{name} is needed to build the engine: pip install 'llama-py[engine]'"
        )
    return found


def _compiler() -> str:
    """The first line of what the C++ compiler says of itself, having checked C and C++."""
    description = ""
    for language, variable, names in (
        ("C", "CC", ("cc", "gcc", "clang", "cl")),
        ("C++", "CXX", ("c++", "g++", "clang++", "cl")),
    ):
        wanted = os.environ.get(variable)
        candidates = [shlex.split(wanted)[0]] if wanted and wanted.strip() else list(names)
        for name in candidates:
            found = name if Path(name).is_absolute() else program(name)
            if found is not None and Path(found).is_file():
                # macOS has a stub of that name that only offers to install the real one.
                done = subprocess.run(
                    [found] if Path(found).stem.lower() == "cl" else [found, "--version"],
                    capture_output=True,
                    text=True,
                    errors="replace",
                    stdin=subprocess.DEVNULL,
                    check=False,
                )
                if done.returncode == 0:
                    text = (done.stdout.strip() or done.stderr.strip()).splitlines()
                    description = text[0] if text else name
                    break
        else:
            tried = f"{variable}={wanted}" if wanted else ", ".join(names)
            raise LlamaEngineError(
                f"no {language} compiler found (tried {tried}). "
                + _COMPILER_HELP.get(sys.platform, "install one, such as gcc or clang")
            )
    return description


def _default_jobs() -> int:
    """As many compilers as this process may use cores, with 1.5 GB of memory for each."""
    jobs = os.cpu_count() or 1
    if sys.platform == "linux":
        jobs = len(os.sched_getaffinity(0))
        quota, _, period = _control_group("cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            jobs = min(jobs, max(1, round(int(quota) / int(period))))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = _control_group("memory.max")
        if limit.isdigit():
            memory = min(memory, int(limit))
        jobs = min(jobs, max(1, int(memory / 1.5e9)))
    return jobs


def _control_group(name: str) -> str:
    """A limit that a container puts on us; empty where there is none."""
    try:
        return (Path("/sys/fs/cgroup") / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""  # no control groups, or version 1 of them


class _Runner:
    """Runs the build's commands: output into the log, progress on stderr, no orphans."""

    _STEP = re.compile(r"\[(\d+)/(\d+)\]")

    def __init__(self, log: TextIO, path: Path) -> None:
        self._log = log
        self._path = path
        self._tail: deque[str] = deque(maxlen=4000)

    def tail(self) -> str:
        """The last output of the last command."""
        return "".join(self._tail)

    def run(
        self, name: str, command: list[str], *, progress: _cache.Progress | None = None
    ) -> None:
        """Run a command; raise `LlamaEngineError` with the end of its output if it fails."""
        self._tail.clear()
        self._log.write(f"$ {shlex.join(command)}\n")
        environment = {**os.environ, "NINJA_STATUS": "[%f/%t] ", "LC_ALL": "C"}
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Its own group: Ctrl-C then reaches it through us, once, and is waited for.
            start_new_session=os.name == "posix",
        )
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
        """The part of the output that says why: from the first error on, at most 25 lines."""
        lines = self.tail().splitlines()
        first = next(
            (
                index
                for index, line in enumerate(lines)
                if re.search(r"\b(fatal )?error\b|^FAILED:|CMake Error|Killed", line)
            ),
            max(len(lines) - 25, 0),
        )
        return "\n".join(f"  | {line[:200]}" for line in lines[first : first + 25])


def _stop(process: subprocess.Popen[str]) -> None:
    """End a command and what it started. ninja passes SIGINT on to its compilers and waits."""
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


# --- the folder -------------------------------------------------------------------------------


def _ready(backend: str | None) -> Callable[[Path], bool]:
    """The check of `publish`: a complete engine that runs here and has the backend asked for."""

    def ready(folder: Path) -> bool:
        info = engine_info(folder)
        if info is None or (backend is not None and info.backend != backend):
            return False
        missing = missing_features(info)
        if missing:
            _say(
                f"engine {info.tag}: was built for another CPU (this one lacks "
                f"{', '.join(missing[:8])}{' …' if len(missing) > 8 else ''}); replacing it"
            )
        return not missing

    return ready


def _collect(source: Path, dest: Path, *, programs: set[str] | None) -> None:
    """Copy the libraries and programs from `source`; all programs where none are named."""
    for path in sorted(source.iterdir()):
        library = re.search(r"\.(so|dylib|dll)(\.\d+)*$", path.name)
        wanted = programs is None or path.name.removesuffix(".exe") in programs
        if (library or wanted) and (path.is_file() or path.is_symlink()):
            # Links stay links: libllama.so -> libllama.so.0 -> libllama.so.0.6.0.
            shutil.copy2(path, dest / path.name, follow_symlinks=False)


def _strip(folder: Path) -> None:
    """Leave out the symbols that only a debugger wants, where a `strip` is at hand."""
    strip = program("strip")
    if sys.platform != "linux" or strip is None:
        return  # on macOS it would break the code signature
    files = [str(p) for p in sorted(folder.iterdir()) if p.is_file() and not p.is_symlink()]
    done = subprocess.run(
        [strip, "--strip-unneeded", *files], capture_output=True, text=True, check=False
    )
    if done.returncode:
        _say(f"engine: not stripped, only larger for it: {done.stderr.strip()[:200]}")


def _try_out(folder: Path) -> str:
    """Start llama-server from the folder and return what it says of its version.

    Shows at once whether the libraries load here: a release may want a newer C library.
    """
    server = folder / ("llama-server.exe" if sys.platform == "win32" else "llama-server")
    try:
        done = subprocess.run(
            [str(server), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
            cwd=folder,  # it looks for backends in the current folder
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LlamaEngineError(f"llama-server does not start on this machine: {error}") from error
    text = (done.stderr + done.stdout).strip()
    if done.returncode:
        last = text.splitlines()[-1] if text else "no message"
        raise LlamaEngineError(
            f"llama-server does not run on this machine (exit status {done.returncode}): {last}"
        )
    return next((line for line in text.splitlines() if line.startswith("version")), text[:200])


def _write_manifest(folder: Path, info: EngineInfo) -> None:
    text = json.dumps(asdict(info), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


# --- the command line -------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 1 failed (2, by argparse: usage)."""
    parser = argparse.ArgumentParser(
        prog="python -m llama_cpp.engine", description="Install llama.cpp's engine in the cache."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    tag_help = "llama.cpp's tag, such as b11434 (default: the one the bindings are for)"
    install = commands.add_parser("install", help="release binaries, or a build from source")
    install.add_argument("--tag", default=None, help=tag_help)
    install.add_argument("--source", type=Path, help="a llama.cpp tree of that tag to build from")
    install.add_argument(
        "--from",
        dest="origin",
        choices=("auto", "release", "source"),
        default="auto",
        help="auto (default): the official release, else a build from --source",
    )
    install.add_argument("--backend", help="a GPU backend, such as vulkan or cuda")
    install.add_argument("--jobs", type=int, help="how many compilers run at once")
    where = commands.add_parser("where", help="print the folder of an installed engine")
    where.add_argument("--tag", default=None, help=tag_help)
    args = parser.parse_args(arguments)
    if args.tag is None:
        from ._raw import TAG

        args.tag = TAG
    if args.command == "install" and args.origin == "source" and args.source is None:
        parser.error("--from source needs --source DIR")
    try:
        with _ended_cleanly():
            if args.command == "where":
                return _where(args.tag)
            return _install(args)
    except LlamaError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; nothing was left behind")
        return 130


def _where(tag: str) -> int:
    folder = engine_dir(tag)
    if folder is None:
        info = engine_info(engine_folder(tag))
        why = "is built for another CPU" if info else "is not installed"
        raise LlamaEngineError(
            f"the engine {tag} {why}; run: python -m llama_cpp.engine install --tag {tag}"
        )
    print(folder)
    return 0


def _install(args: argparse.Namespace) -> int:
    folder = engine_folder(args.tag)
    info = engine_info(folder)
    if info and not missing_features(info) and args.backend in (None, info.backend):
        print(f"engine {args.tag}: already in {folder} (from {info.origin})")
        return 0
    if args.origin == "source":
        build(args.source, args.tag, jobs=args.jobs, backend=args.backend)
    else:
        try:
            install_release(args.tag, backend=args.backend)
        except LlamaError as error:
            if args.origin == "release" or args.source is None:
                hint = "" if args.origin == "release" else " (and no --source DIR to build from)"
                raise LlamaEngineError(f"no release binaries{hint}: {error}") from error
            _say(f"engine {args.tag}: no release binaries: {error}")
            build(args.source, args.tag, jobs=args.jobs, backend=args.backend)
    installed = engine_info(folder)
    size = sum(p.stat().st_size for p in folder.iterdir() if not p.is_symlink())
    print(
        f"engine {args.tag}: installed in {folder} "
        f"(from {installed.origin if installed else '?'}, {size / 1e6:.0f} MB)"
    )
    return 0


@contextlib.contextmanager
def _ended_cleanly() -> Iterator[None]:
    """Make a polite end (SIGTERM, a closed terminal) clean up as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    names = ("SIGTERM", "SIGHUP")
    before = {
        getattr(signal, name): signal.signal(getattr(signal, name), interrupt)
        for name in names
        if hasattr(signal, name)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
