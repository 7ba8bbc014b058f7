"""Build a companion package, a GPU backend for the engine inside the wheel, into dist/:

    python -m release.companion vulkan|cuda12|cuda13|rocm [--jobs N]

Such a wheel has one file, which it puts beside those of the wheel: ggml's plug-in for the backend,
which the engine loads when it finds it there, and passes over where the driver is missing. It is
for exactly one version of `libllama-py`, whose structs it shares. Linux only. The toolkit must be
installed: the Vulkan SDK, CUDA's of that major version, ROCm.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from codegen import source
from codegen.errors import CodegenError
from llama_cpp import __version__
from llama_cpp.engine.building import cmake_options, compile_tree
from llama_cpp.engine.find import cache_root
from llama_cpp.engine.folders import strip
from llama_cpp.errors import LlamaError

from .wheel import PROJECT, hatchling, into_dist, named


class Companion(NamedTuple):
    """A companion package."""

    backend: str
    needs: tuple[str, ...] = ()
    """The packages with the toolkit's libraries; those of the driver are the system's."""
    folders: tuple[str, ...] = ()
    """Where those are: folders of site-packages, or the system's."""


COMPANIONS = {
    "vulkan": Companion("vulkan"),
    "cuda12": Companion(
        "cuda",
        ("nvidia-cublas-cu12>=12.4", "nvidia-cuda-runtime-cu12>=12.4"),
        ("nvidia/cublas/lib", "nvidia/cuda_runtime/lib"),
    ),
    "cuda13": Companion(
        "cuda", ("nvidia-cublas>=13,<14", "nvidia-cuda-runtime>=13,<14"), ("nvidia/cu13/lib",)
    ),
    "rocm": Companion("hip", folders=("/opt/rocm/lib",)),
}
# Of the engine, the driver and the toolkit.
_ELSEWHERE = (
    *("libggml-base.so*", "libvulkan.so*", "libcuda.so*", "libcudart.so*", "libcublas*.so*"),
    *("libamdhip64.so*", "libhipblas*.so*", "librocblas.so*", "libnccl.so*"),
)

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "libllama-py-{name}"
version = "{version}"
description = "The {backend} backend for the llama.cpp engine inside libllama-py"
license = "MIT"
license-files = ["LICENSE*"]
requires-python = ">=3.10"
dependencies = {dependencies}

[tool.hatch.build.targets.wheel]
bypass-selection = true

[tool.hatch.build.targets.wheel.hooks.custom]
path = "engine_hook.py"
"""


def main() -> int:
    """Run the command line; the exit code is 0, or 1 if something cannot be fetched or built."""
    parser = argparse.ArgumentParser(description="Build a GPU backend's package into dist/.")
    parser.add_argument("name", choices=COMPANIONS)
    parser.add_argument("--jobs", type=int, help="how many compilers run at once")
    options = parser.parse_args()
    try:
        plugin = build(options.name, options.jobs)
        with tempfile.TemporaryDirectory() as folder:
            built = package(options.name, plugin, Path(folder))
            made = into_dist(named(built, Path(folder, "named"), *_ELSEWHERE))
    except (CodegenError, LlamaError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: {error}\n{error.stdout or ''}", file=sys.stderr)
        return 1
    print(f"{made.relative_to(PROJECT)}: {made.stat().st_size / 1e6:.1f} MB")
    return 0


def build(name: str, jobs: int | None = None) -> Path:
    """The folder with the plug-in of the companion ``name`` alone. An interrupted build resumes."""
    companion, tag = COMPANIONS[name], source.pinned_tag()
    tree = source.fetch(tag)
    work = cache_root() / tag / f"companion-{platform.machine()}-{name}"
    work.mkdir(parents=True, exist_ok=True)
    inside = [f"$ORIGIN/../../{folder}" for folder in companion.folders if folder[0] != "/"]
    beyond = [folder for folder in companion.folders if folder[0] == "/"]
    options = [
        *cmake_options(tree, tag, companion.backend, portable=True),
        f"-DCMAKE_INSTALL_RPATH={';'.join(['$ORIGIN', *inside, *beyond])}",
        "-DGGML_CPU=OFF",
        "-DGGML_CPU_ALL_VARIANTS=OFF",
        "-DGGML_RPC=OFF",
        "-DLLAMA_BUILD_TOOLS=OFF",
        "-DLLAMA_BUILD_SERVER=OFF",
    ]
    target = f"ggml-{companion.backend}"
    log = work.with_name(f"{work.name}-build.log")
    print(f"building {target}; log: {log}", file=sys.stderr, flush=True)
    compile_tree(tree, work, options, log, jobs=jobs, label=target, targets=[target])
    plugin = work / "plugin"
    shutil.rmtree(plugin, ignore_errors=True)
    plugin.mkdir()
    shutil.copyfile(work / "bin" / f"lib{target}.so", plugin / f"lib{target}.so")
    strip(plugin)
    return plugin


def package(name: str, plugin: Path, folder: Path) -> Path:
    """The wheel of the companion ``name`` with the files of ``plugin``, made in ``folder``."""
    companion = COMPANIONS[name]
    project = folder / "project"
    project.mkdir()
    dependencies = [f"libllama-py=={__version__}", *companion.needs]
    text = _PROJECT.format(
        name=name, version=__version__, backend=companion.backend, dependencies=dependencies
    )
    (project / "pyproject.toml").write_text(text, "utf-8")
    for file in (PROJECT / "LICENSE", PROJECT / "release" / "engine_hook.py"):
        shutil.copyfile(file, project / file.name)
    shutil.copyfile(source.fetch(source.pinned_tag()) / "LICENSE", project / "LICENSE-ggml")
    hatchling(folder / "built", "wheel", engine=plugin, project=project)
    (built,) = (folder / "built").iterdir()
    return built


if __name__ == "__main__":
    sys.exit(main())
