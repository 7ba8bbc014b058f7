"""How long tests wait for a process."""

from __future__ import annotations

import os


def patience(seconds: float) -> float:
    """The time limit for what should take less than ``seconds``: sanitize.py runs all of it many
    times as slowly, and says so in ``LLAMA_PY_PATIENCE``."""
    return seconds * float(os.environ.get("LLAMA_PY_PATIENCE", "1"))
