"""The steps in their one direction: tree -> api -> text -> files."""

from __future__ import annotations

import difflib
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from .api import Api, load
from .defaults import with_defaults
from .errors import CodegenError
from .parse import parse
from .render import API_JSON, documents
from .seal import GENERATED
from .source import PROJECT, Tree


def read_api(tree: Tree) -> Api:
    """The API of ``tree``, under its tag."""
    unit = tree.unit
    api = with_defaults(parse(unit, tree.tag or ""), unit)
    return api if tree.tag else replace(api, tag=_tag_of(api))


def _tag_of(api: Api) -> str:
    """A name for headers that came without a tag: that of the committed API if they are its
    headers, and otherwise one made from their content, so that it is the same everywhere."""
    committed = load(API_JSON) if API_JSON.is_file() else None
    if committed and committed.headers == api.headers:
        return committed.tag
    digest = hashlib.sha256("".join(h.sha256 for h in api.headers).encode())
    return f"local-{digest.hexdigest()[:12]}"


def write(api: Api, out: Path | None) -> list[Path]:
    """Write the generated files and return those that changed: into the project, or those of the
    package into ``out``."""
    if out is None:
        files = {PROJECT / path: text for path, text in documents(api).items()}
    else:
        package = {path.name: text for path, text in documents(api).items()}
        files = {out / name: package[name] for name in GENERATED}
        out.mkdir(parents=True, exist_ok=True)
    changed = []
    for path, text in files.items():
        if not path.is_file() or path.read_bytes() != text.encode():
            path.write_bytes(text.encode())
            changed.append(path)
    return changed


def package(api: Api, folder: Path) -> Path:
    """A copy of ``llama_cpp`` in ``folder``, its generated files made from ``api``."""
    here = PROJECT / "llama_cpp"
    there = folder / here.name
    there.mkdir(parents=True)
    for path in here.glob("*.py"):
        if path.name not in GENERATED:
            shutil.copy2(path, there)
    write(api, there)
    return there


def stale(api: Api) -> str:
    """A unified diff from the project's generated files to what ``api`` gives; empty if equal."""
    chunks: list[str] = []
    for path, wanted in documents(api).items():
        try:
            present = (PROJECT / path).read_bytes().decode("utf-8", "backslashreplace")
        except FileNotFoundError:
            present = ""
        except OSError as error:
            raise CodegenError(f"{path}: {error}") from error
        chunks += difflib.unified_diff(
            present.splitlines(keepends=True),
            wanted.splitlines(keepends=True),
            f"{path} (as it is)",
            f"{path} (as generated)",
        )
    return "".join(chunk if chunk.endswith("\n") else chunk + "\n" for chunk in chunks)
