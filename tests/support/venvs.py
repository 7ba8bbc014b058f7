"""Environments with the packages of a file in requirements/, apart from that of the tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.python import ROOT


def environment(folder: Path, lock: str) -> Path:
    """The interpreter in ``folder`` with the packages of ``requirements/lock``; made on first use,
    and when the file has changed. OSError or subprocess.SubprocessError if they cannot be had."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    requirements, ready = ROOT / "requirements" / lock, folder / "ready"
    if not ready.is_file() or ready.read_bytes() != requirements.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", requirements]
        subprocess.run([*pip, *locked], check=True, capture_output=True, text=True, timeout=1800)
        shutil.copy(requirements, ready)
    return python
