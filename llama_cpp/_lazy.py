"""Tables of contents: packages whose names are imported when they are first used."""

from __future__ import annotations

import importlib
import os
import sys

TYPE_CHECKING = False  # as type checkers know it: importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def contents(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of ``package``, whose public names are imported
    on first use: module -> its names, with spaces between them.

    Type checkers and editors read the same table from ``__init__.pyi``, which is generated.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}
    namespace = vars(sys.modules[package])

    def __getattr__(name: str) -> Any:
        module = homes.get(name)
        if module is None:
            # llama-cpp-python has the C functions at its top level.
            c = name.lower().startswith(("llama_", "ggml_"))
            hint = f"; the C API is {package}._raw, as in {package}._raw.{name}" if c else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}", name=name)
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        namespace[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*namespace, *homes})

    return __getattr__, __dir__, sorted(name for name in homes if not name.startswith("_"))


class Later:
    """A module that is imported when something of it is first asked for. Type checkers are told the
    module itself, where they are told of it."""

    def __init__(self, package: str, module: str) -> None:
        """``module`` is its name from ``package``, as in ``..model.hub``."""
        self._names = module, package

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(*self._names), name)


def refuse_mixture(folder: str) -> None:
    """ImportError if ``folder``, this package's, also has files of llama-cpp-python: pip installs
    both into one folder without a word. (With os.path: pathlib would take longer than the rest.)"""
    if os.path.exists(os.path.join(folder, "llama_cpp.py")):  # noqa: PTH110, PTH118
        raise ImportError(
            f"llama-py and llama-cpp-python are both installed in {folder}: they have the same "
            "import name, and have overwritten files of each other. Keep each in a virtual "
            "environment of its own. To mend this one: pip uninstall -y llama-cpp-python "
            "libllama-py, and then pip install the one that you want",
            name="llama_cpp",
            path=folder,
        )
