"""The version: two numbers of our own, and llama.cpp's tag as the third: b11549 gives 0.1.11549,
and 0.1.11549.post1 for a fix for the same tag.

Read from the text of ``_raw.py``, so that the build of a package need not import it.
"""

from __future__ import annotations

import re
from pathlib import Path

_SERIES = "0.1"
# Releases of one tag after the first: ("b11549", 1) gives .post1. For another tag it says nothing.
_POST = ("b0", 0)


def _version(raw: str, post: tuple[str, int]) -> str:
    match = re.search(r'^TAG = "b(\d+)"$', raw, re.MULTILINE)
    number = match[1] if match else "0"  # made from a tree that is not of a tag
    again = f".post{post[1]}" if post[0] == f"b{number}" and post[1] else ""
    return f"{_SERIES}.{number}{again}"


__version__ = _version(Path(__file__).with_name("_raw.py").read_text("utf-8"), _POST)
