"""hatchling's build hook: puts the engine that the environment names into the wheel.

`LLAMA_PY_ENGINE` is the engine's folder, without links, and `LLAMA_PY_PLATFORM` its platform, such
as linux_x86_64. Without them the wheel is pure.
"""

from __future__ import annotations

import os
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EngineHook(BuildHookInterface[Any]):
    """Named in pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        engine = os.environ.get("LLAMA_PY_ENGINE")
        if version == "editable" or not engine:
            return
        here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        # The engine does not depend on the version of Python.
        build_data["tag"] = f"py3-none-{os.environ.get('LLAMA_PY_PLATFORM') or here}"
        build_data["pure_python"] = False
        build_data["force_include"][engine] = "llama_cpp/lib"
