"""The user's cache folder, and the engines installed in it.

Every program that loads the library imports this module, so it imports little itself.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import _std as std
from .._dataclasses import dataclass, field
from ..errors import LlamaEngineError, LlamaError

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "engine.json"
INSTALL = "`python -m llama_cpp.engine install` (in a checkout: `make engine`)"
"""How to install an engine, for messages."""
_FORMAT = 1

# The GPU backends; CMake's option for one is GGML_CUDA and so on.
BACKENDS = ("blas", "cann", "cuda", "hip", "metal", "musa", "opencl", "sycl", "vulkan")

# The CPU flags for instructions; others (power, security, virtualisation) depend on the kernel.
_X86_FEATURES = (
    *("mmx", "sse", "ssse3", "avx", "fma", "f16c", "bmi", "amx", "gfni", "vaes", "vpclmul"),
    *("pclmul", "aes", "sha", "popcnt", "abm", "lzcnt", "movbe", "adx"),
)


def cache_root() -> Path:
    """The folder for all of llama-py's files: `$XDG_CACHE_HOME/llama-py`.

    It is `~/.cache/llama-py` if that variable is unset or relative (the XDG specification says to
    ignore it then). The folder is created if absent, private to the user.

    Raises `LlamaError` if there is no home folder, if the folder cannot be created, and if other
    users can write to it: libraries in it are loaded and run.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        parent = (
            std.Path(base) if base and std.Path(base).is_absolute() else std.Path.home() / ".cache"
        )
    except RuntimeError as error:
        raise LlamaError(f"no home folder for the cache ({error}); set XDG_CACHE_HOME") from error
    root = parent / "llama-py"
    make_folder(root)
    _check_private(root)
    return root


def _check_private(root: Path) -> None:
    """Raise `LlamaError` if others than the user and root own the folder or may write to it."""
    if sys.platform == "win32":
        return  # a user's profile is private there
    try:
        found = root.stat()
    except OSError as error:
        raise LlamaError(f"cannot look at the folder {root}: {error}") from error
    if found.st_uid not in (os.geteuid(), 0):
        raise LlamaError(
            f"the cache {root} belongs to user {found.st_uid}, who can put any program there: "
            "set XDG_CACHE_HOME to a folder of your own"
        )
    if found.st_mode & 0o022:
        raise LlamaError(
            f"other users may write to the cache {root}, and programs in it are run: if you trust "
            f"its content, `chmod go-w {std.shlex.quote(str(root))}`, else remove it"
        )


def program(name: str, path: str | None = None) -> str | None:
    """Where the program ``name`` is on ``path`` (default: `$PATH`), or None. Never the current
    folder, even if the path names it or the system looks there first."""
    import shutil

    if path is None:
        path = os.environ.get("PATH", os.defpath)
    for folder in path.split(os.pathsep):
        if std.Path(folder).is_absolute():
            found = shutil.which(str(std.Path(folder, name)))
            if found is not None:
                return found
    return None


def make_folder(path: Path) -> None:
    """Create the folder, private to the user, with its parents."""
    if path.is_dir():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LlamaError(f"cannot create the folder {path}: {error}") from error


@dataclass(frozen=True)
class EngineInfo:
    """The description of an installed engine, kept in its engine.json."""

    tag: str
    """The llama.cpp tag, such as "b11549"."""
    origin: str
    """"release" or "source"."""
    backend: str | None = None
    """The requested GPU backend, such as "vulkan" or "cuda-12.8"; None for the CPU (and Metal on
    macOS)."""
    version: str = ""
    """The output of `llama-server --version`."""
    source: str = ""
    """The release file's address; empty for a build from source."""
    compiler: str = ""
    """The C++ compiler of a build from source."""
    options: list[str] = field(default_factory=list)
    """The cmake options of a build from source."""
    cpu_features: list[str] = field(default_factory=list)
    """The CPU features that the code needs; empty if the code is chosen at run time."""
    format: int = _FORMAT
    """The format of engine.json."""


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The fields of the `EngineInfo` of the engine in a folder, or None as in `engine_info`."""
    try:
        data: dict[str, Any] = std.json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = {"tag", "origin"} <= data.keys() <= EngineInfo.__annotations__.keys()
        return data if whole and data.get("format") == _FORMAT else None
    except (OSError, ValueError, AttributeError):
        # Missing, written by another version of llama-py, or edited: treated as not installed.
        return None


def engine_info(folder: Path) -> EngineInfo | None:
    """The description of the engine in a folder, or None if there is no complete engine."""
    data = _manifest(folder)
    return None if data is None else EngineInfo(**data)


def engine_dir(tag: str, backend: str | None = None) -> Path | None:
    """The folder of the complete engine for `tag` and a GPU backend in the cache, or None.

    Also None for an engine built for another CPU, which would die of an illegal instruction here.
    """
    folder = engine_folder(tag, backend)
    data = _manifest(folder)  # an EngineInfo would import dataclasses
    return folder if data and not _missing(data.get("cpu_features")) else None


def missing_features(info: EngineInfo) -> list[str]:
    """The CPU features that the engine needs and this machine lacks, sorted."""
    return _missing(info.cpu_features)


def _missing(needed: Sequence[str] | None) -> list[str]:
    return sorted(set(needed) - cpu_features()) if needed else []


def cpu_features() -> frozenset[str]:
    """The instruction-set features of this machine's CPU, by the system's own names.

    Windows lists none, so there the processor's model stands for them. Empty if unknown.
    """
    if sys.platform == "linux":
        try:
            with std.Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
                found = (line.partition(":") for line in lines)
                pairs = ((name.strip(), values) for name, _, values in found)
                name, values = next((p for p in pairs if p[0] in ("flags", "Features")), ("", ""))
        except OSError:  # a locked-down container
            return frozenset()
        names = values.split()
        return frozenset(n for n in names if name == "Features" or n.startswith(_X86_FEATURES))
    if sys.platform == "darwin":
        import subprocess

        command = ["/usr/sbin/sysctl", "machdep.cpu", "hw.optional"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return _darwin_features(done.stdout)
    import platform

    model = platform.processor()
    return frozenset([model] if model else [])


def _darwin_features(text: str) -> frozenset[str]:
    features: set[str] = set()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
            features.update(f for f in value.lower().split() if f.startswith(_X86_FEATURES))
        elif name.startswith("hw.optional.arm.FEAT_") and value.strip() == "1":
            features.add(name.rpartition(".")[2])
    return frozenset(features)


def engine_folder(tag: str, backend: str | None = None) -> Path:
    """The path of the engine for ``tag``, installed or not. Each kind of GPU backend has its own;
    "cuda-12.8" shares that of "cuda"."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", tag):
        raise LlamaEngineError(f"{tag!r} is not a llama.cpp tag such as b11549")
    return cache_root() / tag / ("engine" if backend is None else f"engine-{family(backend)}")


def family(backend: str) -> str:
    """The kind of a backend, without the version of its toolkit."""
    kind = backend.partition("-")[0]
    if kind not in BACKENDS:
        raise LlamaEngineError(f"unknown backend {backend!r}; use one of {', '.join(BACKENDS)}")
    return kind


def preferred_engine(tag: str, *, packaged: bool = True) -> Path | None:
    """The folder of the engine to use by default, or None.

    The order: an engine with a GPU backend in the cache (the user has asked for it, and it computes
    on the CPU too), the one inside the package, the one in the cache. ``packaged`` is whether the
    one inside the package is of ``tag``.
    """
    home = engine_folder(tag).parent
    for backend in BACKENDS:
        if (home / f"engine-{backend}").is_dir() and (found := engine_dir(tag, backend)):
            return found
    return (engine_inside() if packaged else None) or engine_dir(tag)


def engine_inside() -> Path | None:
    """The folder of the engine inside the package, as in a wheel for a platform, or None."""
    inside = std.Path(__file__).parents[1] / "lib"
    # A companion's plug-in may be there alone.
    return inside if any(inside.glob("*llama.*")) else None


def installed_engines() -> list[tuple[Path, EngineInfo]]:
    """The complete engines in the cache, by tag."""
    folders = sorted(file.parent for file in cache_root().glob(f"*/engine*/{MANIFEST}"))
    found = [(folder, engine_info(folder)) for folder in folders]
    return [(folder, info) for folder, info in found if info is not None]
