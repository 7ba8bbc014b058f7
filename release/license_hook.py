"""hatchling's metadata hook: the licence expression of the wheel, with that of OpenMP's runtime
where the engine in it brings one (see `release/licenses.py`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_OF_GCC = "GPL-3.0-or-later WITH GCC-exception-3.1"


class LicenseHook(MetadataHookInterface):
    """Named in pyproject.toml."""

    def update(self, metadata: dict[str, Any]) -> None:
        licenses = Path(os.environ.get("LLAMA_PY_ENGINE") or "/nowhere", "licenses")
        with_openmp = any(licenses.glob("libgomp*"))
        metadata["license"] = f"MIT AND ({_OF_GCC})" if with_openmp else "MIT"
