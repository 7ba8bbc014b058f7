"""The stubs of the package's tables of contents, for type checkers and editors.

A package imports its public names when they are first used, from the table in its ``__init__.py``;
here the same table becomes an ``__init__.pyi``, so that each name is written once.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from .errors import CodegenError

PACKAGE = Path(__file__).parents[1] / "llama_cpp"

_HEAD = '''"""The public names of `{package}`, for type checkers.

Generated from the table in __init__.py by ``python -m codegen regen``. Do not edit.
"""

'''


def stubs(package: Path = PACKAGE) -> dict[str, str]:
    """Place in the package -> text, for each folder whose ``__init__.py`` has a table."""
    found = {}
    for init in sorted(package.rglob("__init__.py")):
        table = _table(init)
        if table is not None:
            place = init.relative_to(package).with_suffix(".pyi")
            name = ".".join(("llama_cpp", *place.parent.parts))
            found[place.as_posix()] = _HEAD.format(package=name) + _stub(table)
    return found


def _table(init: Path) -> dict[str, str] | None:
    """The table that ``init`` gives to ``contents``: module -> names."""
    for node in ast.walk(ast.parse(init.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "contents":
            try:
                table = dict(ast.literal_eval(node.args[1]))
                names = Counter(name for some in table.values() for name in some.split())
            except (IndexError, ValueError, TypeError, AttributeError) as error:
                raise CodegenError(f"{init}: the table of contents is not plain data") from error
            twice = [name for name, count in names.items() if count > 1]
            if twice:
                raise CodegenError(f"{init}: {twice[0]} is there twice")
            return table
    return None


def _stub(table: dict[str, str]) -> str:
    lines = []
    for module, names in table.items():
        for name in names.split():
            lines.append(f"from .{module} import {name} as {name}")
    return "\n".join(lines) + "\n"
