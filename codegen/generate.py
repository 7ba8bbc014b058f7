"""The steps of the generator, in order: tree -> api -> text -> files."""

from __future__ import annotations

import difflib
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import verify
from .api import Api, api_file, load
from .defaults import with_defaults
from .errors import CodegenError
from .parse import parse
from .render import API_JSON, DATA, PACKAGE, documents, render, reserved
from .rules import bindable, require
from .seal import GENERATED, OF_THE_FIRST, OF_THE_SERVER, sealed_files
from .server import read as server_read
from .source import PROJECT, Binding, Tree, bindings, pinned_tag


def read_api(tree: Tree) -> Api:
    """The API of ``tree``, under its tag, for the first set of bindings."""
    return _with_server(_tagged([_read_first(tree)], tree), tree, whole=False)[0]


def read_own(tree: Tree, sets: Sequence[Binding]) -> list[Api]:
    """The API of ``tree`` for a user's own sets of bindings. A base may be a module of the
    project, by its full name: llama_cpp._raw."""
    bases = {f"llama_cpp.{api.module}": api for api in committed_apis()}
    bases = {name: replace(api, module=name, base=None) for name, api in bases.items()}
    apis: list[Api] = []
    for binding in sets:
        if not (tree.root / binding.header).is_file():
            raise CodegenError(f"{tree.root} has no {binding.header}")
        there = bases | {api.module: api for api in apis}
        if binding.base and binding.base not in there:
            raise CodegenError(
                f"{binding.module}: its base {binding.base} is not a set of bindings"
            )
        apis.append(_read_other(tree, binding, there.get(binding.base)))
    hashes = "".join(h.sha256 for api in apis for h in api.headers)
    tag = tree.tag or f"local-{hashlib.sha256(hashes.encode()).hexdigest()[:12]}"
    return [replace(api, tag=tag) for api in apis]


def read_apis(tree: Tree, *, whole: bool = False) -> list[Api]:
    """The API of ``tree`` for each set of bindings.

    A tree other than the pin's may lack the headers of any set but the first: that set is then
    left out, with a note on stderr. If the tree must be ``whole``, it is a CodegenError.
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
    return _with_server(_tagged(apis, tree), tree, whole=whole)


def _with_server(apis: list[Api], tree: Tree, *, whole: bool) -> list[Api]:
    """``apis``, the first with the server of ``tree``. If the tree lacks the server's sources, or
    is older than their tables of fields, the project's server stays, with a note."""
    lacking = [name for name in server_read.needed() if not (tree.root / name).is_file()]
    base, *others = apis
    if not lacking:
        constants = {c: v for e in base.enums for c, v in e.constants}
        server = server_read.server(tree.root, base.tag, constants)
        return [replace(base, server=server), *others]
    text = f"{tree.tag or 'the tree'} has no {lacking[0]}"
    if whole:  # the pin's tree has them: its hash covers them
        raise CodegenError(f"{text}, which server.json is made from")
    print(f"note: {text}: the server's fields and options stay as they are", file=sys.stderr)
    present = next((api.server for api in committed_apis()), None)
    return [replace(base, server=present), *others]


def _read_first(tree: Tree) -> Api:
    return _read_other(tree, bindings()[0], None)


def _read_other(tree: Tree, binding: Binding, base: Api | None) -> Api:
    """The declarations in the headers of ``binding`` that ``base`` does not have."""
    unit = tree.unit_of(binding)
    api = parse(unit, base.tag if base else tree.tag or "")
    api = replace(api, module=binding.module, library=binding.library, unstable=binding.unstable)
    if base:
        api = _beyond(api, base, binding)
    api = bindable(api, reserved())
    require(api, binding.require)
    return with_defaults(api, unit)


def _beyond(api: Api, base: Api, binding: Binding) -> Api:
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
    # A struct that is declared here and defined there is the one that is there.
    known = {s.name for s in base.structs}
    own["structs"] = tuple(s for s in own["structs"] if not (s.opaque and s.name in known))
    headers = tuple(h for h in api.headers if h.name not in there)
    return replace(api, headers=headers, **own, base=base)


def _tagged(apis: list[Api], tree: Tree) -> list[Api]:
    """``apis`` under the tag of ``tree``. Without a tag they get that of the committed API if the
    headers are the same, and otherwise one made from the headers' content, the same everywhere."""
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
    """The project's existing API data."""
    files = [API_JSON.with_name(api_file(b.module)) for b in bindings()]
    return [load(file) for file in files if file.is_file()]


def planned(apis: Sequence[Api], out: Path | None = None) -> dict[Path, str | None]:
    """Every generated file with its text: those of the project, or those of the package in the
    folder ``out``. None stands for a file that ``apis`` no longer need."""
    files: dict[Path, str | None] = {**documents(apis)}
    if out is not None:
        texts = {
            out / p.relative_to(PACKAGE): t for p, t in files.items() if p.parts[0] != "codegen"
        }
        return dict.fromkeys(set(sealed_files(out)) - texts.keys()) | texts
    texts = {PROJECT / path: text for path, text in files.items()}
    there = {*sealed_files(PROJECT / PACKAGE), *(PROJECT / DATA).glob("api*.json")}
    return dict.fromkeys(sorted(there - texts.keys())) | texts


def planned_own(apis: Sequence[Api], out: Path) -> dict[Path, str | None]:
    """The modules of ``apis`` in the folder ``out``, each with its text."""
    return {out / name: text for api in apis for name, text in render(api).items()}


def write(files: Mapping[Path, str | None]) -> list[Path]:
    """Write ``files`` and return those that changed. After an error or interruption none of them
    is changed."""
    before = {path: path.read_bytes() if path.is_file() else None for path in files}
    after = {path: None if text is None else text.encode() for path, text in files.items()}
    changed = [path for path in files if before[path] != after[path]]
    try:
        for path in changed:
            _put(path, after[path])
    except BaseException as error:
        for path in changed:
            if path.is_file() or before[path] is not None:
                _put(path, before[path])
        if isinstance(error, OSError):
            raise CodegenError(f"nothing was written: {error}") from error
        raise
    return changed


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def package(apis: Sequence[Api], folder: Path) -> Path:
    """A copy of ``llama_cpp`` in ``folder``, its generated files made from ``apis``."""
    return _package(documents(apis), folder)


def publish(apis: Sequence[Api], folder: Path) -> Path:
    """Like `package`, but complete or not at all, and replacing an earlier one."""
    there = folder / "llama_cpp"
    if there.exists() and not sealed_files(there):
        raise CodegenError(f"{there} is not a package of this generator: choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bindings-", dir=folder) as work:
            made = package(apis, Path(work))
            faults = unusable(apis)
            if faults:
                raise CodegenError(f"nothing was written: {'; '.join(faults[:5])}")
            if there.exists():
                there.rename(Path(work) / "before")
            made.rename(there)
    except OSError as error:
        raise CodegenError(f"{folder}: {error}") from error
    return there


def _package(files: Mapping[Path, str | None], folder: Path) -> Path:
    here = PROJECT / "llama_cpp"
    there = folder / here.name
    there.mkdir(parents=True)
    for path in here.rglob("*.*"):
        name = path.relative_to(here)
        generated = name.as_posix() in GENERATED or path.suffix == ".pyc"
        if path.is_file() and name.parts[0] != "lib" and not generated:  # lib: a wheel's engine
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there / name)
    write({folder / p: text for p, text in files.items() if p.parts[0] == PACKAGE.name})
    return there


# Imports the generated modules of the package in the current folder, each of which must be there.
_IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


def unusable(apis: Sequence[Api], files: Mapping[Path, str | None] | None = None) -> list[str]:
    """The faults of the package for ``apis``: errors of its import, and sizes, offsets and values
    on which ctypes and C disagree. ``files`` are those of `planned` for the project, if known."""
    if files is not None:
        files = {path.relative_to(PROJECT): text for path, text in files.items()}
    with tempfile.TemporaryDirectory(prefix="llama-py-") as folder:
        there = _package(files or documents(apis), Path(folder))
        # A user's own header may lack names that the project's other modules use.
        names = [f"{api.module}.py" for api in apis] + list(OF_THE_FIRST if files else ())
        names += OF_THE_SERVER if apis[0].server is not None else ()
        modules = [f"llama_cpp.{name[:-3].replace('/', '.')}" for name in names]
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT, *modules],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
            return [f"the generated package cannot be imported: {said[-1]}"]
        raws = [verify.import_raw(there / f"{api.module}.py") for api in apis]
    return [fault for report in map(verify.by_ctypes, apis, raws) for fault in report.faults]


def stale(files: Mapping[Path, str | None]) -> str:
    """A unified diff from the project's generated files to ``files``; empty if equal."""
    chunks: list[str] = []
    for path, wanted in files.items():
        name = path.relative_to(PROJECT)
        try:
            present = path.read_bytes().decode("utf-8", "backslashreplace")
        except FileNotFoundError:
            present = ""
        except OSError as error:
            raise CodegenError(f"{name}: {error}") from error
        chunks += difflib.unified_diff(
            present.splitlines(keepends=True),
            (wanted or "").splitlines(keepends=True),
            f"{name} (as it is)",
            f"{name} (as generated)",
        )
    return "".join(chunk if chunk.endswith("\n") else chunk + "\n" for chunk in chunks)
