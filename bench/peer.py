"""llama-cpp-python on the same libllama, to compare with: its own Python code, nothing compiled.

Its source archive is unpacked into the cache and not built: with LLAMA_CPP_LIB_PATH its loader
takes the engine's libllama. It lives in an environment of its own, because both packages are called
``llama_cpp``.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from codegen.errors import CodegenError
from codegen.package_index import find_file
from llama_cpp.engine.downloads import download
from llama_cpp.engine.find import cache_root
from llama_cpp.errors import LlamaError
from tests.support import venvs

from .build import CannotMeasure
from .measure import Worker

VERSION = "0.3.36"
"""The release whose structs and functions are nearest to the pinned llama.cpp's."""
_HERE = Path(__file__).parent


@cache
def environment() -> tuple[Path, Path]:
    """The interpreter, and the folder that has llama-cpp-python in it; made on first use."""
    root = cache_root() / "bench" / f"llama-cpp-python-{VERSION}"
    code = root / "code"
    try:
        if not (root / "ready").is_file():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            _unpack(code)
            (root / "ready").touch()
        return venvs.environment(root / "venv", "peer.txt"), code
    except (CodegenError, LlamaError, OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        last = said.strip().splitlines()[-1:] or [type(error).__name__]
        raise CannotMeasure(f"llama-cpp-python {VERSION} cannot be had: {last[0]}") from error


def _unpack(target: Path) -> None:
    name = f"llama_cpp_python-{VERSION}"
    found = find_file("llama-cpp-python", f"{name}.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        download(found.url, archive, sha256=found.sha256, label=name)
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if m.name.startswith(f"{name}/llama_cpp/")]
            tar.extractall(folder, members, filter="data")
        shutil.move(Path(folder) / name, target)


def worker(library: Path, *given: object) -> Worker:
    """llama-cpp-python at the work of `theirs.py`, on the libllama at ``library``."""
    python, code = environment()
    return Worker(
        [python, _HERE / "theirs.py", *given],
        {"LLAMA_CPP_LIB_PATH": str(library.parent), "PYTHONPATH": str(code)},
    )
