"""Engines of other tags, to test with: prebuilt ones, out of wheels on the package index.

The wheels of `xllamacpp` hold one shared object that exports the C API; the last number of their
version is llama.cpp's tag. Nothing of a wheel is installed or run, and its hash is checked against
the one that the index states.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from codegen import generate, origins, package_index, source
from codegen.errors import CodegenError
from llama_cpp.engine.archive import unpack
from llama_cpp.engine.downloads import download
from llama_cpp.engine.find import cache_root, engine_dir
from llama_cpp.engine.publish import publish
from llama_cpp.errors import LlamaError
from tests.support.python import ROOT

PROJECT = "xllamacpp"
# Functions of llama.h that these engines were linked without, because nothing in them calls them.
WITHOUT = (
    "llama_max_parallel_sequences",
    "llama_model_quantize",
    "llama_model_quantize_default_params",
)


@cache
def _wheels() -> dict[str, str]:
    """Tag -> file name of the wheel with its engine for this machine."""
    here = frozenset(sys_tags())
    found = {}
    for name in (file.name for file in package_index.list_files(PROJECT)):
        match = re.match(r"xllamacpp-\d{4}\.\d+\.(\d+)-.*\.whl$", name)
        if match and not here.isdisjoint(parse_wheel_filename(name)[3]):
            found[f"b{match[1]}"] = name
    return found


def tags() -> list[str]:
    """The tags that there are both an engine and the headers of, the oldest first."""
    return [tag for tag in source.tags(origins.Index) if tag in _wheels()]


def engine(tag: str) -> Path:
    """The library of ``tag``: our own engine for the pin, otherwise a prebuilt one in the cache.

    Raises CodegenError where there is none.
    """
    if tag == source.pinned_tag():
        own = engine_dir(tag)
        if own is None:
            raise CodegenError(f"no engine {tag} in the cache: run make engine")
        return own
    final = cache_root() / "engines-for-tests" / tag
    try:
        with publish(final, label=f"engine {tag}") as work:
            if work is not None:
                name = _wheels().get(tag)
                if name is None:
                    raise CodegenError(f"no prebuilt engine {tag}: there are {', '.join(tags())}")
                found = package_index.find_file(PROJECT, name)
                with tempfile.TemporaryDirectory(dir=work.parent, prefix=".wheel-") as folder:
                    wheel = Path(folder) / name
                    download(found.url, wheel, sha256=found.sha256, label=name)
                    unpack(wheel, work, member=PROJECT, only=lambda p: p.suffix == ".so")
    except LlamaError as error:
        raise CodegenError(str(error)) from error
    (library,) = final.glob("*.so")
    return library


def package(tag: str, folder: Path) -> Path:
    """Write a `llama_cpp` for ``tag`` into ``folder``, which is returned."""
    generate.package(generate.read_apis(source.resolve(tag=tag)), folder)
    return folder


def run(
    folder: Path, library: Path, *arguments: str, timeout: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """Python with the package in ``folder`` and, as its default, ``library``."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "LLAMA_CPP_LIB": str(library),
        "GGML_NO_BACKTRACE": "1",
    }
    environment.pop("LLAMA_CPP", None)
    environment.pop("LLAMA_CPP_WITHOUT", None)
    if library.is_file():  # a prebuilt one; our own is named by its folder
        environment["LLAMA_CPP_WITHOUT"] = ",".join(WITHOUT)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
