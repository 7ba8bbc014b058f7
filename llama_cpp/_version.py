"""The version: two numbers of our own, and llama.cpp's tag as the third: b11434 gives 0.1.11434.

Read from the text of ``_raw.py``, so that the build of a package need not import it.
"""

from __future__ import annotations

import re
from pathlib import Path

_SERIES = "0.1"


def _number() -> str:
    text = Path(__file__).with_name("_raw.py").read_text("utf-8")
    match = re.search(r'^TAG = "b(\d+)"$', text, re.MULTILINE)
    return match[1] if match else "0"  # made from a tree that is not of a tag


__version__ = f"{_SERIES}.{_number()}"
