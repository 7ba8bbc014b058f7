"""Every public name says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import llama_cpp

pytestmark = pytest.mark.quick

PACKAGE = Path(llama_cpp.__file__).parent
MODULES = sorted(path for path in PACKAGE.glob("*.py") if not path.name.startswith("_"))
_DEFINITION = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(source: str) -> list[str]:
    """What has no docstring of a module: itself, its public functions and classes, their methods,
    properties and annotated attributes."""
    tree = ast.parse(source)
    missing = [] if ast.get_docstring(tree) else ["the module"]
    return missing + list(_missing(tree, ""))


def _missing(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for i, node in enumerate(parent.body):
        if isinstance(node, _DEFINITION):
            if node.name.startswith("_") or _is_overload(node):
                continue
            if not ast.get_docstring(node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from _missing(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and prefix:
            after = parent.body[i + 1] if i + 1 < len(parent.body) else None
            if not node.target.id.startswith("_") and not _is_text(after):
                yield prefix + node.target.id


def _is_overload(node: _DEFINITION) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_public_name_is_documented(path: Path) -> None:
    assert undocumented(path.read_text()) == []


def test_everything_that_the_package_exports_is_documented() -> None:
    assert [name for name in llama_cpp.__all__ if not getattr(llama_cpp, name).__doc__] == []


def test_an_undocumented_name_is_found() -> None:
    source = '''
class Public:
    """Has a docstring."""
    field: int
    other: int
    """Documented."""
    def method(self): ...
    def _private(self): ...
    def __len__(self): ...

def function(): ...
def _hidden(): ...
class _Hidden: ...
'''
    assert undocumented(source) == ["the module", "Public.field", "Public.method", "function"]
