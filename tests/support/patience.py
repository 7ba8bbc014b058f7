"""How long tests wait for a process."""

from __future__ import annotations

import os


def patience(seconds: float) -> float:
    """The time limit for work that should take less than ``seconds``: sanitize.py slows everything
    down, by the factor in ``LLAMA_PY_PATIENCE``."""
    return seconds * float(os.environ.get("LLAMA_PY_PATIENCE", "1"))
