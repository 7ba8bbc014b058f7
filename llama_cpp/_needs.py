"""Packages that only a part of this one needs."""

from __future__ import annotations

import importlib
from typing import Any


def needs(package: str, what: str, *, extra: str = "agent") -> Any:
    """The module ``package``, or an ImportError that says how to get it for ``what``."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{what} needs {package}: pip install 'libllama-py[{extra}]'", name=package
        ) from error
