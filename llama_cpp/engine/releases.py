"""An engine from llama.cpp's official release binaries."""

from __future__ import annotations

import fnmatch
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from ..errors import LlamaDownloadError, LlamaEngineError
from .archive import unpack
from .downloads import download, read_url, shown_url
from .find import EngineInfo, engine_folder, family
from .folders import collect, ready, try_out, write_manifest
from .progress import say
from .publish import publish

RELEASES = "https://github.com/ggml-org/llama.cpp/releases/download"
RELEASES_API = "https://api.github.com/repos/ggml-org/llama.cpp/releases/tags"

# Upstream's names for its files with a backend, and their machines; * is the toolkit's version.
_BACKENDS = {
    ("ubuntu", "cuda"): ("cuda-*", ("x64", "arm64")),
    ("ubuntu", "hip"): ("rocm-*", ("x64",)),
    ("ubuntu", "sycl"): ("sycl-fp32", ("x64",)),
    ("ubuntu", "vulkan"): ("vulkan", ("x64", "arm64")),
    ("win", "cuda"): ("cuda-*", ("x64", "arm64")),
    ("win", "hip"): ("rocm-*", ("x64",)),
    ("win", "opencl"): ("opencl-adreno", ("arm64",)),
    ("win", "sycl"): ("sycl", ("x64",)),
    ("win", "vulkan"): ("vulkan", ("x64", "arm64")),
}


def release_asset(tag: str, backend: str | None = None) -> str:
    """The name of the official release file for this machine.

    A * in the name stands for a toolkit's version, unless `backend` has one, as "cuda-12.8".
    Raises `LlamaEngineError` if upstream publishes no such file.
    """
    machine = platform.machine().lower()
    arch = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine)
    system, suffix, kind, archs = {
        "linux": ("ubuntu", ".tar.gz", "", ("x64", "arm64", "s390x")),
        "darwin": ("macos", ".tar.gz", "", ("x64", "arm64")),
        "win32": ("win", ".zip", "cpu-", ("x64", "arm64")),
    }.get(sys.platform, ("", "", "", ()))
    if arch not in archs:
        raise LlamaEngineError(
            f"no release binaries for {sys.platform} on {machine}; build from source"
        )
    if backend is not None and (system, arch, backend) != ("macos", "arm64", "metal"):
        name, archs = _BACKENDS.get((system, family(backend)), ("", ()))
        if arch not in archs:
            raise LlamaEngineError(
                f"no release binaries for the backend {backend!r} here; build it from source"
            )
        version = backend.partition("-")[2]
        kind = (f"{name.partition('-')[0]}-{version}" if version else name) + "-"
    return f"llama-{tag}-bin-{system}-{kind}{arch}{suffix}"


def install_release(
    tag: str, *, backend: str | None = None, base_url: str | None = None, api_url: str | None = None
) -> Path:
    """Install the official release binaries of `tag` and return the engine's folder.

    `backend` is for a GPU, such as "vulkan", "cuda" (the newest version) or "cuda-12.8". CUDA's
    libraries come with it; only the GPU's driver must be installed.

    The files come from `<base_url>/<tag>/<file>` (default: `$LLAMA_PY_RELEASES`, else GitHub) and
    their SHA-256 from the release description `<api_url>/<tag>` (default: `$LLAMA_PY_RELEASES_API`,
    else GitHub's API), so a mirror of the files need not be trusted. An engine that is already
    there is left alone, whatever its origin.

    Raises `LlamaDownloadError` when the release or its digest is missing or wrong, and
    `LlamaEngineError` when it does not run on this machine.
    """
    final = engine_folder(tag, backend)
    asset = release_asset(tag, backend)
    files = base_url or os.environ.get("LLAMA_PY_RELEASES") or RELEASES
    api = api_url or os.environ.get("LLAMA_PY_RELEASES_API") or RELEASES_API
    with publish(final, label=f"engine {tag}", ready=ready(backend)) as work:
        if work is None:
            return final
        assets = _digests(f"{api.rstrip('/')}/{tag}", asset)
        name = next(iter(assets))
        for file, digest in assets.items():
            url = f"{files.rstrip('/')}/{tag}/{file}"
            say(f"engine {tag}: downloading {shown_url(url)}")
            archive = download(
                url, work / ".download" / file, sha256=digest, label=file, timeout=15
            )
            unpacked = unpack(archive, work / ".unpacked" / file)
            collect(_library_folder(unpacked), work, programs=None)
            # Remove each before the next: CUDA's are large.
            shutil.rmtree(work / ".download")
            shutil.rmtree(work / ".unpacked")
        version = try_out(work)
        source = shown_url(f"{files.rstrip('/')}/{tag}/{name}")
        info = EngineInfo(tag, "release", backend=backend, version=version, source=source)
        write_manifest(work, info)
    return final


def _digests(url: str, asset: str) -> dict[str, str]:
    """The files to install, `asset` itself first, with their SHA-256 from the release
    description."""
    shown = shown_url(url)
    page = read_url(url)
    try:
        release = json.loads(page)
        digests = {entry["name"]: entry.get("digest") for entry in release["assets"]}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LlamaDownloadError(f"{shown}: not a release description", url=shown) from error
    found = fnmatch.filter(digests, asset)
    if not found:
        pattern = re.sub(r"-(cuda|rocm)-[\d.*]+-", r"-\1-*-", asset)
        other = ", ".join(sorted(fnmatch.filter(digests, pattern)))
        raise LlamaDownloadError(
            f"{shown}: the release has no file {asset}" + (f"; it has {other}" if other else ""),
            url=shown,
        )
    name = max(found, key=_version)
    tag = release.get("tag_name") or ""
    # The toolkit's libraries are in a separate file, whose name lacks the tag on Windows.
    beside = [f"cudart-{name}", f"cudart-{name.replace(f'{tag}-', '', 1)}"]
    wanted = [name, *(other for other in dict.fromkeys(beside) if other in digests)]
    return {file: _sha256(digests[file], file, shown) for file in wanted}


def _version(name: str) -> list[int]:
    """The numbers in a file's name."""
    return [int(number) for number in re.findall(r"\d+", name)]


def _sha256(digest: object, name: str, shown: str) -> str:
    kind, _, value = str(digest or "").partition(":")
    if kind != "sha256" or not value:
        raise LlamaDownloadError(
            f"{shown}: refused, the release states no SHA-256 for {name}", url=shown
        )
    return value


def _library_folder(unpacked: Path) -> Path:
    """The folder with the libraries in an unpacked release."""
    for path in sorted(unpacked.rglob("*")):
        if re.fullmatch(r"(lib)?(llama|cudart[\d_]*)(\.\d+)*\.(so|dylib|dll)(\.\d+)*", path.name):
            return path.parent
    raise LlamaEngineError("the release file contains no libllama")
