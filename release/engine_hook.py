"""hatchling's part: an engine into the wheel, where the environment names one.

`LLAMA_PY_ENGINE` is its folder, with no links in it, and `LLAMA_PY_PLATFORM` the platform that it
is for, such as linux_x86_64. Without them the wheel is pure.
"""

from __future__ import annotations

import os
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EngineHook(BuildHookInterface[Any]):
    """Known to hatchling by pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        engine = os.environ.get("LLAMA_PY_ENGINE")
        if version == "editable" or not engine:
            return
        here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        # Nothing in it depends on the version of Python.
        build_data["tag"] = f"py3-none-{os.environ.get('LLAMA_PY_PLATFORM') or here}"
        build_data["pure_python"] = False
        build_data["force_include"][engine] = "llama_cpp/lib"
