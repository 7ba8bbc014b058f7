"""Imports go one way between the layers of `llama_cpp`, and no two modules import each other.

`DESIGN.md` has the picture. Every import counts: also those inside functions, and those for type
hints alone, and a name taken from a package's table of contents is one from its own module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import llama_cpp
from tests.support.python import ROOT

pytestmark = pytest.mark.quick

PACKAGE = Path(llama_cpp.__file__).parent
BASE = {
    "llama_cpp",
    "_raw",
    "_raw_mtmd",
    "_raw_rpc",
    "_raw_ext",
    "_params",
    "_lazy",
    "_needs",
    "_version",
}
BASE |= {"_dataclasses", "_display", "_std", "errors", "usage"}
BELOW = {
    "engine": BASE,
    "native": BASE | {"engine"},
    "model": BASE | {"engine", "native"},
    "sampling": BASE | {"engine", "native", "model"},
    "context": BASE | {"engine", "native", "model", "sampling"},
    "generate": BASE | {"engine", "native", "model", "sampling", "context"},
    "server": BASE | {"engine", "native"},
    "agent": BASE | {"engine", "native", "server"},
}
"""Layer -> those that its modules may import."""
TOP = {"__main__", "cli", "langchain", "lm_eval", "ray", "__pyinstaller"}
"""These may import every layer, and no layer imports them."""


def imports(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of ``package`` that it imports, wherever the import stands."""
    paths = {_name(package, path): path for path in package.rglob("*.py")}
    homes = {module: module for module in paths}
    for stub in package.rglob("__init__.pyi"):
        table = _name(package, stub)
        for node in ast.walk(ast.parse(stub.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                homes |= {f"{table}.{n.name}": f"{table}.{node.module}" for n in node.names}
    return {
        module: {homes[name] for name in _imported(module, path) if name in homes} - {module}
        for module, path in paths.items()
    }


def _name(package: Path, path: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(module: str, path: Path) -> Iterator[str]:
    folder = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = folder[: len(folder) + 1 - node.level] if node.level else []
            source = ".".join([*parts, *filter(None, [node.module])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def wrong_ways(graph: Mapping[str, set[str]]) -> list[str]:
    """The imports that go up, or to another branch."""
    found = []
    for module, names in graph.items():
        layer = _layer(module)
        for name in names:
            other = _layer(name)
            if other == layer or layer in TOP | {""}:
                continue
            if other and other not in BELOW.get(layer, BASE):
                found.append(f"{module} imports {name}")
    return sorted(found)


def _layer(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def cycles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The groups of modules that import each other, also by way of others."""
    reach = {module: set(names) for module, names in graph.items()}
    for middle in reach:
        for names in reach.values():
            if middle in names:
                names |= reach[middle]
    groups = [{n for n in reach[m] if m in reach[n]} for m in sorted(reach) if m in reach[m]]
    return [group for i, group in enumerate(groups) if group not in groups[:i]]


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return imports(PACKAGE)


def test_every_module_belongs_to_a_layer(graph: dict[str, set[str]]) -> None:
    assert {_layer(module) for module in graph} - {""} == BASE | set(BELOW) | TOP


def test_the_picture_in_the_design_has_every_layer() -> None:
    picture = (ROOT / "DESIGN.md").read_text("utf-8").partition("```text")[2].partition("```")[0]
    assert set(re.findall(r"\w+(?=/|\.py)", picture)) == BASE | set(BELOW) | TOP


def test_imports_go_down(graph: dict[str, set[str]]) -> None:
    assert wrong_ways(graph) == []


def test_no_modules_import_each_other(graph: dict[str, set[str]]) -> None:
    assert cycles(graph) == []


def test_an_import_that_goes_up_is_found_wherever_it_stands(tmp_path: Path) -> None:
    package = tmp_path / "llama_cpp"
    for name, text in {
        "__init__.py": "",
        "__init__.pyi": "from .context.core import Core as Core",
        "model/__init__.py": "",
        "model/model.py": "from llama_cpp import Core",
        "errors.py": "from . import usage",
        "usage.py": "import llama_cpp.native.log",
        "native/__init__.py": "",
        "native/log.py": "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ..context.core import Core\n",
        "context/__init__.py": "",
        "context/core.py": "from ..native import log\ndef f():\n    from . import cells\n",
        "context/cells.py": "from .core import Core\nfrom ..server.http import get\n",
        "server/__init__.py": "",
        "server/http.py": "from ..langchain import ChatLlama",
        "langchain.py": "from .context.cells import CellBooks",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    graph = imports(package)
    assert wrong_ways(graph) == [
        "llama_cpp.context.cells imports llama_cpp.server.http",
        "llama_cpp.model.model imports llama_cpp.context.core",
        "llama_cpp.native.log imports llama_cpp.context.core",
        "llama_cpp.server.http imports llama_cpp.langchain",
        "llama_cpp.usage imports llama_cpp.native.log",
    ]
    (group,) = cycles(graph)
    assert group == {
        f"llama_cpp.{name}"
        for name in ("native.log", "context.core", "context.cells", "server.http", "langchain")
    }
    assert cycles({"a": {"b"}, "b": set()}) == []


def test_no_test_module_is_a_helper() -> None:
    paths = [
        path for folder in ("tests", "checks", "bench") for path in (ROOT / folder).rglob("*.py")
    ]
    found = re.compile(r"^\s*(?:from|import) .*\btest_\w+ ?(?:import|$)", re.MULTILINE)
    assert len(paths) > 100
    assert [str(path) for path in paths if found.search(path.read_text("utf-8"))] == []
