"""An engine's folder: filled, tried out, and described by its engine.json."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Set
from dataclasses import asdict
from pathlib import Path

from ..errors import LlamaEngineError
from .find import MANIFEST, EngineInfo, engine_info, family, missing_features, program
from .progress import say


def has_backend(info: EngineInfo, backend: str | None) -> bool:
    """Whether the engine has the requested backend. "cuda" is any version, "cuda-12.8" that one."""
    if backend is None or info.backend is None:
        return backend == info.backend
    return info.backend == backend or backend == family(info.backend)


def ready(backend: str | None) -> Callable[[Path], bool]:
    """The check for `publish`: a complete engine that runs here and has the backend."""

    def check(folder: Path) -> bool:
        info = engine_info(folder)
        if info is None or not has_backend(info, backend):
            return False
        missing = missing_features(info)
        if missing:
            say(
                f"engine {info.tag}: was built for another CPU (this one lacks "
                f"{', '.join(missing[:8])}{' …' if len(missing) > 8 else ''}); replacing it"
            )
        return not missing

    return check


def collect(source: Path, dest: Path, *, programs: Set[str] | None) -> None:
    """Copy the libraries and the named programs from `source`; with None, all programs."""
    for path in sorted(source.iterdir()):
        library = re.search(r"\.(so|dylib|dll)(\.\d+)*$", path.name)
        wanted = programs is None or path.name.removesuffix(".exe") in programs
        if (library or wanted) and (path.is_file() or path.is_symlink()):
            # Links stay links: libllama.so -> libllama.so.0 -> libllama.so.0.6.0.
            shutil.copy2(path, dest / path.name, follow_symlinks=False)


def take_headers(source: Path, engine: Path) -> None:
    """Copy the headers of the tree ``source`` that the bindings are made from, for `help`."""
    (engine / "include").mkdir()
    for folder in ("include", "ggml/include", "tools/mtmd"):
        for path in sorted((source / folder).glob("*.h")):
            shutil.copyfile(path, engine / "include" / path.name)


def strip(folder: Path) -> None:
    """Remove the symbols that only a debugger uses, if `strip` is installed."""
    tool = program("strip")
    if sys.platform != "linux" or tool is None:
        return  # on macOS it would break the code signature
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.is_symlink()]
    done = capture(tool, "--strip-unneeded", *files)
    if done.returncode:
        say(f"engine: not stripped, so the files are larger: {done.stderr.strip()[:200]}")


def try_out(folder: Path) -> str:
    """Start the folder's llama-server and return the line with its version.

    Shows at once whether the libraries load here: a release may need a newer C library.
    Raises `LlamaEngineError`.
    """
    server = folder / ("llama-server.exe" if sys.platform == "win32" else "llama-server")
    try:
        # It looks for backends in the current folder.
        done = capture(server, "--version", cwd=folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LlamaEngineError(f"llama-server does not start on this machine: {error}") from error
    text = (done.stderr + done.stdout).strip()
    if done.returncode:
        last = text.splitlines()[-1] if text else "no message"
        raise LlamaEngineError(
            f"llama-server does not run on this machine (exit status {done.returncode}): {last}"
        )
    return next((line for line in text.splitlines() if line.startswith("version")), text[:200])


def capture(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command for at most a minute, without input, and return its output."""
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", timeout=60, check=False,
    )  # fmt: skip


def write_manifest(folder: Path, info: EngineInfo) -> None:
    text = json.dumps(asdict(info), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
