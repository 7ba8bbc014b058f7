"""Every public name has a docstring."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import llama_cpp
from llama_cpp import AsyncLlama, Llama, LlamaContext, LlamaModel, _params
from llama_cpp.context import LlamaContextParams
from llama_cpp.generate import ChatGenerationOptions, GenerationOptions, LlamaParams
from llama_cpp.model import LlamaModelParams

pytestmark = pytest.mark.quick

PACKAGE = Path(llama_cpp.__file__).parent
PACKAGES = [
    importlib.import_module(".".join(stub.parent.relative_to(PACKAGE.parent).parts))
    for stub in sorted(PACKAGE.rglob("__init__.pyi"))
]
EXPORTED = [getattr(package, name) for package in PACKAGES for name in package.__all__]
# Those that a table of contents takes its names from, and those that programs import themselves.
MODULES = sorted(
    {"llama_cpp.errors", "llama_cpp.langchain", "llama_cpp.ray", "llama_cpp.usage"}
    | {package.__name__ for package in PACKAGES}
    | {found.__module__ for found in EXPORTED if hasattr(found, "__name__")}
)
_DEFINITION = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(source: str) -> list[str]:
    """The names without a docstring: the module, its public functions and classes, their methods,
    properties and annotated attributes."""
    tree = ast.parse(source)
    missing = [] if ast.get_docstring(tree) else ["the module"]
    return missing + list(_missing(tree, ""))


def _missing(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for i, node in enumerate(parent.body):
        if isinstance(node, _DEFINITION):
            if node.name.startswith("_") or _is_undescribed(node):
                continue
            if not ast.get_docstring(node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from _missing(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and prefix:
            after = parent.body[i + 1] if i + 1 < len(parent.body) else None
            if not node.target.id.startswith("_") and not _is_text(after):
                yield prefix + node.target.id


def _is_undescribed(node: _DEFINITION) -> bool:
    """Whether it is an overload or a setter, whose docstring stands elsewhere."""
    decorators = [ast.unparse(d) for d in node.decorator_list]
    return any(d == "overload" or d.endswith(".setter") for d in decorators)


def _is_text(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_documented(module: str) -> None:
    assert undocumented(inspect.getsource(importlib.import_module(module))) == []


def test_everything_that_the_package_exports_is_documented() -> None:
    assert len(MODULES) > 40
    assert [found for found in EXPORTED if not found.__doc__] == []


@pytest.mark.parametrize(
    ("function", "table"),
    [
        (Llama, LlamaParams),
        (Llama.generate, GenerationOptions),
        (Llama.chat, ChatGenerationOptions),
        (AsyncLlama, LlamaParams),
        (LlamaContext, LlamaContextParams),
        (LlamaModel.from_file, LlamaModelParams),
    ],
)
def test_help_and_completion_see_every_keyword(function: Any, table: Any) -> None:
    keywords = table.__annotations__.keys() & inspect.signature(function).parameters.keys()
    assert keywords == table.__annotations__.keys()
    assert all(keyword in pydoc.render_doc(function) for keyword in keywords)
    assert inspect.getsource(function)


def test_every_keyword_of_a_struct_has_its_meaning_default_and_c_name() -> None:
    tree = ast.parse(inspect.getsource(_params))
    texts = {
        f"{node.name}.{field.target.id}": " ".join(str(text.value.value).split())
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for field, text in pairwise(node.body)
        if isinstance(field, ast.AnnAssign)
        if node.name in ("LlamaModelParams", "LlamaContextParams", "LlamaModelQuantizeParams")
    }
    assert len(texts) > 50
    whole = r"[A-Z].+ Default: \S+\. C: ``llama_\w+_params\.(\w+)``\."
    assert [name for name, text in texts.items() if not re.fullmatch(whole, text)] == []


def test_an_undocumented_name_is_found() -> None:
    source = '''
class Public:
    """Has a docstring."""
    field: int
    other: int
    """Documented."""
    def method(self): ...
    @property
    def value(self):
        """Documented."""
    @value.setter
    def value(self, value): ...
    def _private(self): ...
    def __len__(self): ...

def function(): ...
def _hidden(): ...
class _Hidden: ...
'''
    assert undocumented(source) == ["the module", "Public.field", "Public.method", "function"]
