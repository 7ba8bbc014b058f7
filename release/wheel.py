"""Build the packages into dist/: a wheel for this platform, with the engine inside, and with --pure
the wheel without one and the source.

    python -m release.wheel [--zig] [--jobs N]
    python -m release.wheel --pure

On Linux auditwheel determines the platform of a wheel. With the system's compiler it depends on the
system's age: manylinux_2_35 on Debian 12, manylinux_2_28 in the image of that name. zig builds for
all systems since glibc 2.17, but without OpenMP: ggml's own threads wait by spinning, which is as
fast if each thread has a core to itself, and many times slower on a busy machine.

An interrupted build resumes, in the cache: `<cache>/<tag>/wheel-...`.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from codegen import source
from codegen.errors import CodegenError
from llama_cpp.engine.building import cmake_options, compile_tree, system_compiler
from llama_cpp.engine.find import EngineInfo, cache_root
from llama_cpp.engine.folders import collect, strip, take_headers, try_out, write_manifest
from llama_cpp.errors import LlamaError

from . import contents, licenses, zig

PROJECT = Path(__file__).parents[1]
DIST = PROJECT / "dist"

_LICENSES = ("LICENSE", "licenses/LICENSE-*", "vendor/*/LICENSE*")


def main() -> int:
    """Run the command line; the exit code is 0, or 1 if something cannot be fetched or built."""
    parser = argparse.ArgumentParser(description="Build the packages into dist/.")
    parser.add_argument("--pure", action="store_true", help="the wheel without an engine, source")
    parser.add_argument("--zig", action="store_true", help="for old systems (Linux)")
    parser.add_argument("--jobs", type=int, help="how many compilers run at once")
    options = parser.parse_args()
    try:
        made = pure() if options.pure else [wheel(build_engine(options.jobs, with_zig=options.zig))]
    except (CodegenError, LlamaError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: {error}\n{error.stdout or ''}", file=sys.stderr)
        return 1
    for path in made:
        print(f"{path.relative_to(PROJECT)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def pure() -> list[Path]:
    """The wheel for every platform and the source."""
    with tempfile.TemporaryDirectory() as name:
        hatchling(Path(name), "wheel", "sdist")
        return [into_dist(path) for path in sorted(Path(name).iterdir())]


def build_engine(jobs: int | None = None, *, with_zig: bool = False) -> Path:
    """The engine for the wheel of this platform, rebuilt if it is out of date."""
    tag = source.pinned_tag()
    tree = source.fetch(tag)
    machine = platform.machine()
    work = cache_root() / tag / f"wheel-{machine}{'' if with_zig else '-system'}"
    options = cmake_options(tree, tag, portable=True)
    environment: dict[str, str] = {}
    if with_zig:
        options += zig.options(machine)
        environment = zig.environment()
    compiler = zig.version() if with_zig else system_compiler()
    # CMake resumes an interrupted build, so this does not use `publish`.
    work.mkdir(parents=True, exist_ok=True)
    log = work.with_name(f"{work.name}-build.log")
    print(f"building with {compiler}; log: {log}", file=sys.stderr, flush=True)
    compile_tree(
        tree, work, options, log, jobs=jobs, label=f"engine {tag}", environment=environment
    )
    engine = work / "engine"
    shutil.rmtree(engine, ignore_errors=True)
    engine.mkdir()
    collect(work / "bin", engine, programs=contents.PROGRAMS)
    take_headers(tree, engine)
    if sys.platform == "win32":
        _add_runtime(engine)
    contents.leave_out(engine)
    strip(engine)
    for name in (name for pattern in _LICENSES for name in tree.glob(pattern)):
        target = engine / "licenses" / name.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(name, target)
    info = EngineInfo(
        tag, "source", version=try_out(engine), compiler=compiler, options=_shown(options)
    )
    write_manifest(engine, info)
    return engine


def _shown(options: list[str]) -> list[str]:
    """The options without folders of the build machine."""
    return [option for option in options if "_COMPILER=" not in option]


def _add_runtime(engine: Path) -> None:
    """Add Visual C++'s own libraries, which a system may lack; `contents` removes unneeded ones."""
    redist = os.environ.get("VCTOOLSREDISTDIR")  # names have no case there
    arch = {"AMD64": "x64", "ARM64": "arm64"}[platform.machine()]
    found = sorted(Path(redist, arch).glob("Microsoft.VC*/*.dll")) if redist else []
    if not found:
        raise LlamaError('no libraries of Visual C++: run this from its "Native Tools Prompt"')
    for path in found:
        shutil.copyfile(path, engine / path.name)


def wheel(engine: Path) -> Path:
    """The wheel with ``engine``, in dist/, named after the oldest systems that it supports."""
    with tempfile.TemporaryDirectory() as name:
        made = _made(engine, Path(name, "first"))
        if licenses.add(made, engine):  # of the libraries that auditwheel has added
            made = _made(engine, Path(name, "second"))
        contents.check(made)
        return into_dist(made)


def _made(engine: Path, folder: Path) -> Path:
    hatchling(folder / "built", "wheel", engine=engine)
    (built,) = (folder / "built").iterdir()
    return named(built, folder / "named")


def named(wheel: Path, folder: Path, *exclude: str) -> Path:
    """``wheel`` in ``folder``, named on Linux by the oldest system that it runs on.

    auditwheel does it by the system's symbols that it uses, and adds OpenMP's runtime, which a
    system may lack. ``exclude`` are patterns of the libraries that come from elsewhere.
    """
    if sys.platform != "linux":
        return wheel
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(
        [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel,
         *(f"--exclude={pattern}" for pattern in exclude)],
        env={**os.environ, "PATH": programs},  # for patchelf
        check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    (made,) = folder.iterdir()
    return made


def _platform() -> str:
    """The platform of a wheel, on Linux before auditwheel has named it."""
    if sys.platform == "darwin":
        # The engine is for macOS 13.3, and a platform has no second number any more.
        return f"macosx_14_0_{platform.machine()}"
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def hatchling(
    folder: Path, *targets: str, engine: Path | None = None, project: Path = PROJECT
) -> None:
    """Build ``project`` into ``folder``; ``engine`` is the content of its ``llama_cpp/lib``."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LLAMA_PY_")}
    if engine is not None:
        environment |= {"LLAMA_PY_ENGINE": str(engine), "LLAMA_PY_PLATFORM": _platform()}
    wanted = [option for target in targets for option in ("--target", target)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", folder, *wanted],
        cwd=project, env=environment, check=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def into_dist(path: Path) -> Path:
    """Move a package into dist/."""
    DIST.mkdir(exist_ok=True)
    return Path(shutil.move(path, DIST / path.name))


if __name__ == "__main__":
    sys.exit(main())
