"""A hook of mkdocs: names in code in the text become links.

A name of the C API goes to its line in llama.cpp's header, at the tag that the bindings are for;
a name of this package to its entry in the reference. In a docstring a name is looked for as Python
would: in the object, in its class, in the package. The page ``c-names.md`` gets its table here.
"""

from __future__ import annotations

import ast
import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from codegen import generate, source  # noqa: E402  (needs the project on the path)
from codegen.api import Api  # noqa: E402

HEADERS = "https://github.com/ggml-org/llama.cpp/blob"
TABLE = "<!-- the C API -->"

_PART = re.compile(
    r'<h\d id="(?P<anchor>llama_cpp[^"]*)"[^>]*>.*?</h\d>'
    r"|<(?P<skip>a|pre|h\d|nav)\b.*?</(?P=skip)>"
    r"|<code>(?P<code>[^<]*)</code>|<[^>]+>|\b(?P<word>Llama[A-Z]\w+)",
    re.DOTALL,
)
_PROTOTYPE = re.compile(r"^[\w\s*]*?[\s*](\w+)\(")
_NAME = re.compile(r"^[A-Za-z_][\w.]*$")


def header_links() -> dict[str, str]:
    """Every name that the headers declare, with the address of its line."""
    links: dict[str, str] = {}
    for api, binding in zip(generate.committed_apis(), source.bindings(), strict=True):
        for name, place in _places(api):
            folder = _folder(place.header, binding)
            address = f"{HEADERS}/{api.tag}/{folder}/{place.header}#L{place.line}"
            links.setdefault(name, address)
    return links


def _places(api: Api) -> Iterator[tuple[str, Any]]:
    for kind in (api.functions, api.structs, api.enums, api.typedefs, api.macros):
        for declared in kind:
            yield declared.name, declared.place
    for enum in api.enums:
        for constant, _ in enum.constants:
            yield constant, enum.place


def _folder(header: str, binding: source.Binding) -> str:
    """Which of its folders a header is in: ggml's are by name, the others beside the first."""
    if header.startswith("gg"):
        return "ggml/include"
    return str(Path(binding.header).parent)


class Linker:
    """Puts links into pages. ``c`` is name -> address, ``python`` name -> page and anchor."""

    def __init__(self, c: dict[str, str], python: dict[str, str]) -> None:
        self.c = c
        self.python = python

    def link(self, text: str, page: str) -> str:
        """``text``, the HTML of the page at the address ``page``, with links."""
        scope = ""

        def replace(match: re.Match[str]) -> str:
            nonlocal scope
            if match["anchor"]:
                scope = match["anchor"]
            code = match["code"] or match["word"]
            address = code and self._address(html.unescape(code), scope, page)
            return f'<a href="{html.escape(address)}">{match[0]}</a>' if address else match[0]

        return _PART.sub(replace, text)

    def _address(self, code: str, scope: str, page: str) -> str | None:
        prototype = _PROTOTYPE.match(code)
        name = prototype[1] if prototype else code
        name = name.removeprefix("_raw.").removeprefix("_raw_mtmd.").removeprefix("struct ")
        bare = name.removesuffix("()")
        if bare in self.c:
            return self.c[bare]
        name = code.partition("(")[0]
        if not _NAME.match(name):
            return None
        parts = scope.split(".")
        for n in range(len(parts), 0, -1):
            found = ".".join([*parts[:n], name])
            if scope and found in self.python and found != scope:
                return _relative(self.python[found], page)
        for found in (name, f"llama_cpp.{name}"):
            if found in self.python and found != scope:
                return _relative(self.python[found], page)
        return None


def _relative(target: str, page: str) -> str:
    """The way from the page at the address ``page`` to ``target``; both end in a slash."""
    path, _, anchor = target.partition("#")
    if path == page:
        return f"#{anchor}"
    return "../" * page.count("/") + f"{path}#{anchor}"


def anchors(text: str) -> list[str]:
    """The objects that a page of the reference describes."""
    return re.findall(r'<h\d id="(llama_cpp[^"]*)"', text)


def users(package: Path) -> dict[str, list[str]]:
    """C name -> the public names of the package with "C: ``name``" in their docstrings, or, without
    any, those that call it; "inside" if only private ones call it."""
    said: dict[str, list[str]] = {}
    called: dict[str, list[str]] = {}
    names = exported(package)
    for path in sorted(package.rglob("*.py")):
        if path.name.startswith("_raw"):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for name, node in _public(tree):
            if name.partition(".")[0] not in names:
                continue
            for code in re.findall(r"``([^`]+)``", _after_c(node)):
                prototype = _PROTOTYPE.match(code)
                _add(said, prototype[1] if prototype else code, name)
            if not isinstance(node, ast.ClassDef):
                for function in _called(node):
                    _add(called, function, name)
        for function in _called(tree):
            called.setdefault(function, [])
    return {name: public or ["inside"] for name, public in (called | said).items()}


def exported(package: Path) -> dict[str, str]:
    """The public names of the package's tables of contents, each with its shortest address."""
    names: dict[str, str] = {}
    for stub in sorted(package.rglob("__init__.pyi")):
        table = ".".join(stub.parent.relative_to(package.parent).parts)
        for name in re.findall(r" as ([A-Za-z]\w*)$", stub.read_text("utf-8"), re.MULTILINE):
            names.setdefault(name, f"{table}.{name}")
    return names


def _add(found: dict[str, list[str]], key: str, name: str) -> None:
    names = found.setdefault(key, [])
    if name not in names:
        names.append(name)


def _after_c(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("C: ")[2]


def _called(tree: ast.AST) -> Iterator[str]:
    """The library's functions in use: ``short.llama_decode``, ``self._ask("llama_n_ctx")``."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                if re.fullmatch(r"(llama|mtmd)_\w+", name):
                    yield name


# Classes in private modules, and the public classes with their methods.
_PUBLIC = {
    "SamplerMethods": "LlamaSampler",
    "ModelGetters": "LlamaModel",
    "VocabGetters": "LlamaVocab",
    "DeviceGetters": "LlamaDevice",
    "Outputs": "LlamaContext",
    "Computing": "LlamaContext",
    "ContextSettings": "LlamaContext",
    "ContextAdapters": "LlamaContext",
}


def _public(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            owner = _PUBLIC.get(node.name, node.name)
            yield owner, node
            for child in node.body:
                if not isinstance(child, ast.FunctionDef):
                    continue
                if child.name == "__init__":
                    yield owner, child
                elif not child.name.startswith("_"):
                    yield f"{owner}.{child.name}", child


def table() -> str:
    """Every function of llama.h and libmtmd, with its callers in this package, as Markdown."""
    by_name = users(ROOT / "llama_cpp")
    lines = []
    for api in generate.committed_apis():
        for header in api.headers:
            functions = [f for f in api.functions if f.place.header == header.name]
            if header.name.startswith("gg") or not functions:
                continue
            lines += [f"## {header.name}", "", "| C | Python |", "|---|---|"]
            for function in functions:
                names = ", ".join(f"`{name}`" for name in by_name.get(function.name, ()))
                names = names.replace("`inside`", "*inside*")
                note = " (deprecated)" if function.deprecated else ""
                lines.append(f"| `{function.name}`{note} | {names} |")
            lines.append("")
    return "\n".join(lines)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs: before a page is rendered."""
    return markdown.replace(TABLE, table()) if TABLE in markdown else markdown


def on_env(env: Any, files: Any, **_: Any) -> Any:
    """mkdocs: when all pages are rendered, and before they are written."""
    pages = [file.page for file in files.documentation_pages() if file.page]
    python = {
        anchor: f"{page.url}#{anchor}" for page in pages for anchor in anchors(page.content or "")
    }
    linker = Linker(header_links(), python)
    for page in pages:
        page.content = linker.link(page.content or "", page.url)
    return env
