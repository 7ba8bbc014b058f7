"""The steps in their one direction: tree -> api -> text -> files."""

from __future__ import annotations

import difflib
import hashlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .api import Api, api_file, load
from .defaults import with_defaults
from .errors import CodegenError
from .parse import parse
from .render import API_JSON, DATA, PACKAGE, documents
from .seal import GENERATED
from .source import PROJECT, Binding, Tree, bindings, pinned_tag


def read_api(tree: Tree) -> Api:
    """The API of ``tree``, under its tag, for the first set of bindings."""
    return _tagged([_read_first(tree)], tree)[0]


def read_apis(tree: Tree, *, whole: bool = False) -> list[Api]:
    """The API of ``tree`` for each set of bindings.

    Another tree than the pin's may lack the headers of any but the first one: then that one is
    left out, with a note on stderr. Where the tree has to be ``whole`` that is a CodegenError.
    """
    base = _read_first(tree)
    apis = [base]
    for binding in bindings()[1:]:
        if (tree.root / binding.header).is_file():
            apis.append(_read_other(tree, binding, base))
            continue
        text = f"{tree.tag or 'the tree'} has no {binding.header}"
        if whole or tree.tag == pinned_tag():
            raise CodegenError(f"{text}, which {binding.module} is made from")
        print(f"note: {text}: {binding.module} is left out", file=sys.stderr)
    return _tagged(apis, tree)


def _read_first(tree: Tree) -> Api:
    unit = tree.unit
    binding = bindings()[0]
    api = replace(parse(unit, tree.tag or ""), module=binding.module, library=binding.library)
    return with_defaults(api, unit)


def _read_other(tree: Tree, binding: Binding, base: Api) -> Api:
    """What the headers of ``binding`` declare beyond those of ``base``."""
    unit = tree.unit_of(binding)
    api = parse(unit, base.tag)
    there = {h.name: h for h in base.headers}
    for header in api.headers:
        if there.get(header.name, header) != header:
            raise CodegenError(f"{binding.header} includes another {header.name} than the base")
    if not any(header.name not in there for header in api.headers):
        raise CodegenError(f"{binding.header} is in {base.module} already: no set for itself")
    own: dict[str, Any] = {
        kind: tuple(v for v in getattr(api, kind) if v.place.header not in there)
        for kind in ("macros", "enums", "structs", "typedefs", "functions", "omissions")
    }
    api = replace(
        api,
        headers=tuple(h for h in api.headers if h.name not in there),
        **own,
        module=binding.module,
        library=binding.library,
        base=base,
    )
    return with_defaults(api, unit)


def _tagged(apis: list[Api], tree: Tree) -> list[Api]:
    """``apis`` under the tag of ``tree``. One without a tag gets that of the committed API if it
    has the same headers, and otherwise one made from their content, the same everywhere."""
    if tree.tag:
        return apis
    committed = {api.module: api for api in committed_apis()}
    if all(a.module in committed and a.headers == committed[a.module].headers for a in apis):
        tag = committed[apis[0].module].tag
    else:
        hashes = "".join(h.sha256 for api in apis for h in api.headers)
        tag = f"local-{hashlib.sha256(hashes.encode()).hexdigest()[:12]}"
    base = replace(apis[0], tag=tag)
    return [base, *(replace(api, tag=tag, base=base) for api in apis[1:])]


def committed_apis() -> list[Api]:
    """The project's API data, as far as it is there."""
    files = [API_JSON.with_name(api_file(b.module)) for b in bindings()]
    return [load(file) for file in files if file.is_file()]


def write(apis: Sequence[Api], out: Path | None) -> list[Path]:
    """Write the generated files and return those that changed: into the project, or those of the
    package into ``out``. What ``apis`` do not give any more is removed."""
    files = _files(apis)
    if out is None:
        files = {PROJECT / path: text for path, text in files.items()}
    else:
        files = {
            out / path.relative_to(PACKAGE): text
            for path, text in files.items()
            if path.is_relative_to(PACKAGE)
        }
    changed = []
    for path, text in files.items():
        if text is None and path.is_file():
            path.unlink()
            changed.append(path)
        elif text is not None and (not path.is_file() or path.read_bytes() != text.encode()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            changed.append(path)
    return changed


def _files(apis: Sequence[Api]) -> dict[Path, str | None]:
    """Every generated file of the project with its text, None for those of the sets of bindings
    that are not in ``apis``."""
    files: dict[Path, str | None] = {}
    given = {api.module for api in apis}
    for module in (b.module for b in bindings() if b.module not in given):
        names = [PACKAGE / f"{module}.py", PACKAGE / f"{module}.pyi", DATA / api_file(module)]
        files |= dict.fromkeys(names)
    return files | documents(apis)


def package(apis: Sequence[Api], folder: Path) -> Path:
    """A copy of ``llama_cpp`` in ``folder``, its generated files made from ``apis``."""
    here = PROJECT / "llama_cpp"
    there = folder / here.name
    there.mkdir(parents=True)
    for path in here.rglob("*.py"):
        name = path.relative_to(here)
        if name.as_posix() not in GENERATED:
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there / name)
    write(apis, there)
    return there


def stale(apis: Sequence[Api]) -> str:
    """A unified diff from the project's generated files to what ``apis`` give; empty if equal."""
    chunks: list[str] = []
    for path, wanted in _files(apis).items():
        try:
            present = (PROJECT / path).read_bytes().decode("utf-8", "backslashreplace")
        except FileNotFoundError:
            present = ""
        except OSError as error:
            raise CodegenError(f"{path}: {error}") from error
        chunks += difflib.unified_diff(
            present.splitlines(keepends=True),
            (wanted or "").splitlines(keepends=True),
            f"{path} (as it is)",
            f"{path} (as generated)",
        )
    return "".join(chunk if chunk.endswith("\n") else chunk + "\n" for chunk in chunks)
