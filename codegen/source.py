"""Where a llama.cpp tree comes from: a folder, a tag, a commit, or the pin; and their cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import tomli

from llama_cpp.engine.find import cache_root, make_folder
from llama_cpp.engine.publish import locked
from llama_cpp.errors import LlamaError

from .clang import Unit
from .errors import CodegenError
from .origins import TAG, Origin, Revision, checkout, number, origins

PROJECT = Path(__file__).parents[1]
UPSTREAM = Path(__file__).with_name("upstream.toml")
# In a fetched tree: who has sent it. In the cache's folder of a tag: the folder with its tree.
RECORD = ".llama-py.json"

T = TypeVar("T")


@dataclass(frozen=True)
class Tree:
    """A llama.cpp source tree. ``tag`` is None where only the tree's content can tell; of a commit
    it is the tag before it with a number, as git describes it."""

    root: Path
    tag: str | None
    commit: str | None = None
    archives: Mapping[str, str] = field(default_factory=dict)

    @property
    def pinnable(self) -> bool:
        """Whether others can have the same tree: it is of a tag or of a commit."""
        return self.tag is not None and not self.tag.endswith("-dirty")

    @property
    def unit(self) -> Unit:
        """The parser's input for the first set of bindings."""
        return self.unit_of(bindings()[0])

    def unit_of(self, binding: Binding) -> Unit:
        """The parser's input for ``binding``."""
        return Unit(
            self.root,
            binding.header,
            binding.include,
            define=binding.define,
            language=binding.language,
            own=binding.own,
            system=binding.system,
        )


@dataclass(frozen=True)
class Binding:
    """A set of bindings: a module, its library, and its header.

    ``base`` is the module whose types it imports instead of declaring them again, "" for none.
    `Unit` describes the header. Names that match ``require`` must be bound. An ``unstable`` set is
    marked as such in its module.
    """

    module: str
    library: str
    header: str
    include: tuple[str, ...] = ()
    base: str = ""
    language: str = "c"
    define: tuple[str, ...] = ("LLAMA_SHARED", "GGML_SHARED")
    own: tuple[str, ...] = ("*",)
    system: bool = False
    require: tuple[str, ...] = ()
    unstable: bool = False


def bindings(file: Path | None = None) -> tuple[Binding, ...]:
    """The sets of bindings, the base of the others first: the project's, or those in ``file``."""
    try:
        rows = tomli.loads(file.read_text("utf-8"))["bindings"] if file else upstream()["bindings"]
        first = rows[0]["module"]
        return tuple(
            Binding(
                **{"base": "" if row["module"] == first else first}
                | {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
            )
            for row in rows
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CodegenError(f"{file}: not a file with [[bindings]]: {error}") from error


def upstream() -> dict[str, Any]:
    """The content of ``upstream.toml``."""
    return tomli.loads(UPSTREAM.read_text("utf-8"))


def pinned_tag() -> str:
    """The tag that the committed bindings are for."""
    return str(upstream()["tag"])


def resolve(folder: str | None = None, tag: str | None = None) -> Tree:
    """The tree to work on. The first of these that there is: ``folder``, ``tag``, the folder in
    the environment variable LLAMA_CPP, a llama.cpp checkout that the project stands in, the pin.

    ``tag`` may also be ``latest``, ``master`` or a commit. A folder that is a git checkout has the
    tag that git says. Raises CodegenError for a folder that is not a llama.cpp tree and for a tag
    that cannot be had.
    """
    folder = folder or (None if tag else os.environ.get("LLAMA_CPP"))
    if folder:
        root = Path(folder).resolve()
        if not is_tree(root):
            raise CodegenError(f"{folder} is not a llama.cpp tree: it has no include/llama.h")
        return _as_it_is(root)
    if tag is None:
        for parent in PROJECT.parents:
            if is_tree(parent):
                return _as_it_is(parent)
    revision = find(tag or pinned_tag())
    return _recorded(_read(revision), revision)


def folder(name: str) -> Tree:
    """The folder ``name`` as it is, whatever it holds."""
    root = Path(name).resolve()
    if not root.is_dir():
        raise CodegenError(f"{name} is not a folder")
    return _as_it_is(root)


def _as_it_is(root: Path) -> Tree:
    found = checkout(root)
    return Tree(root, found.name, found.commit) if found else Tree(root, None)


def _recorded(root: Path, revision: Revision) -> Tree:
    try:
        record = json.loads((root / RECORD).read_text("utf-8"))
    except (OSError, ValueError):  # fetched before there were records
        record = {}
    commit = revision.commit or record.get("commit")
    return Tree(root, revision.name, commit, record.get("archives", {}))


def is_tree(root: Path) -> bool:
    """Whether ``root`` is a llama.cpp tree, or a prefix that one was installed under."""
    ggml = root / "ggml" / "include" / "ggml.h", root / "include" / "ggml.h"
    return (root / "include" / "llama.h").is_file() and any(path.is_file() for path in ggml)


def find(tag: str) -> Revision:
    """The revision that ``tag`` names: a tag, ``latest``, ``master`` or a commit.

    A tag, and a commit whose tree is in the cache, are not asked for anywhere.
    """
    if TAG.fullmatch(tag):
        return Revision(tag)
    if tag == "latest":
        return Revision(newest())
    if re.fullmatch(r"b\d{1,9}-\d+-g[0-9a-f]{9,40}", tag):
        return Revision(tag, upstream()["commit"] if tag == pinned_tag() else None)
    if tag != "master" and not re.fullmatch("[0-9a-f]{40}", tag):
        raise CodegenError(
            f"{tag!r} is not a tag of llama.cpp: they look like {pinned_tag()}; there are also "
            "latest, master, and commits by all their 40 digits"
        )
    for path in cache_root().glob(f"b*-g{tag[:9]}"):
        return Revision(path.name, tag)
    found = _first(lambda origin: origin.describe(tag), f"no source knows {tag}")
    return Revision(found.name) if TAG.fullmatch(found.name) else found


def fetch(tag: str) -> Path:
    """The whole tree of ``tag`` in the cache, which is filled first when it is not there.

    It comes from the first of the sources in ``upstream.toml`` that has it. The pin's has to have
    the pinned hashes, also in the cache; an archive of another tag the hash that the package index
    states, where it comes from there. Nothing in it is run.
    """
    return _fetch(find(tag), "source", ())


def made_from(tag: str) -> Path:
    """The whole tree that the bindings for ``tag`` were made from: a folder, if they were made from
    one and it still has the same headers, else as `fetch`."""
    root = None
    try:
        record = json.loads((cache_root() / tag / RECORD).read_text("utf-8"))
        root = Path(record["folder"])
        if is_tree(root) and digest(root) == record["files"]:
            return root
    except (OSError, ValueError):
        pass  # they were made from a fetched tree, or elsewhere
    if TAG.match(tag) and not tag.endswith("-dirty"):
        return fetch(tag)
    raise CodegenError(
        f"{root or 'the folder'} is not the llama.cpp that the bindings ({tag}) were made from: "
        f"run make regen LLAMA_CPP={root or 'folder'} first"
    )


def fetch_headers(tag: str) -> Path:
    """Like `fetch`, but only the files that the generator reads: the headers and the sources with
    the defaults. If the whole tree is already there, it is used."""
    return _read(find(tag))


def _read(revision: Revision) -> Path:
    whole = cache_root() / revision.name / "source"
    if is_tree(whole):
        return _checked(whole, revision.name)
    return _fetch(revision, "sources", tuple(upstream()["read"]))


def _fetch(revision: Revision, name: str, read: tuple[str, ...]) -> Path:
    tag = revision.name
    try:
        root = cache_root()
        final = root / tag / name
        with locked(root / ".fetch.lock", label=f"llama.cpp {tag}"):
            for stale in root.glob(".fetch-*"):  # of a killed process: we hold the lock
                shutil.rmtree(stale, ignore_errors=True)
            if not is_tree(final):
                with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as folder:
                    work = Path(folder) / name
                    _fill(revision, work, read)
                    make_folder(final.parent)
                    shutil.rmtree(final, ignore_errors=True)
                    work.rename(final)
    except (LlamaError, OSError) as error:
        raise CodegenError(str(error)) from error
    return _checked(final, tag)


def _fill(revision: Revision, work: Path, read: tuple[str, ...]) -> None:
    tag = revision.name
    pinned = upstream()["archives"] if tag == pinned_tag() else {}

    def put(origin: Origin) -> dict[str, str]:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        archives = origin.put(revision, work, read, pinned)
        if not is_tree(work):
            raise CodegenError(f"{origin.name} has no llama.cpp tree for {tag}")
        _checked(work, tag)
        return archives

    archives = _first(put, f"no source has {tag}")
    record = {"archives": archives, "commit": revision.commit}
    (work / RECORD).write_text(json.dumps(record), "utf-8")


def _first(ask: Callable[[Origin], T | None], failure: str) -> T:
    """The first answer of a source that is not None; CodegenError with the reason of each."""
    reasons = []
    for origin in origins(upstream()["sources"]):
        try:
            answer = ask(origin)
        except (CodegenError, LlamaError) as error:
            reasons.append(str(error))
        else:
            if answer is not None:
                return answer
    raise CodegenError(f"{failure}: {'; '.join(reasons) or 'none of them could'}")


def digest(root: Path) -> str:
    """The SHA-256 of the C and C++ files that the generator reads of a tree, names included. It is
    the same whoever has sent the tree."""
    lines = []
    for folder in upstream()["read"]:
        for path in sorted((root / folder).glob("*.*")):
            if path.suffix in (".h", ".c", ".cpp") and path.is_file():
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                lines.append(f"{sha256}  {folder}/{path.name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _checked(root: Path, tag: str) -> Path:
    if tag == pinned_tag() and digest(root) != upstream()["files"]:
        raise CodegenError(
            f"{root}: the files are not those of the pinned {tag}: their hash is another. If they "
            "were edited in the cache, remove the folder"
        )
    return root


def tags(kind: type[Origin] = Origin) -> list[str]:
    """Every tag that the sources of a ``kind`` list, the oldest first. Those that cannot be asked
    are left out, unless there is no other."""
    found: set[str] = set()

    def collect(origin: Origin) -> None:
        if isinstance(origin, kind):
            found.update(origin.tags())

    try:
        _first(collect, "no source lists its tags")
    except CodegenError:
        if not found:
            raise
    return sorted(found, key=number)


def newest() -> str:
    """The newest tag that any source lists."""
    return tags()[-1]


def moved_pin(tree: Tree) -> str:
    """The text of ``upstream.toml`` with ``tree`` as the pin: its tag, and the hashes of its files
    and archives."""
    archives = ", ".join(f'"{name}" = "{sha256}"' for name, sha256 in tree.archives.items())
    text = UPSTREAM.read_text("utf-8")
    commit = "" if TAG.fullmatch(tree.tag or "") else tree.commit or ""
    for key, value in {
        "tag": f'"{tree.tag}"',
        "commit": f'"{commit}"',
        "files": f'"{digest(tree.root)}"',
        "archives": f"{{ {archives} }}" if archives else "{}",
    }.items():
        line = f"{key} = {value}"
        text = re.sub(rf"^{key} = .*$", line.replace("\\", r"\\"), text, count=1, flags=re.M)
    return text


def keep(tree: Tree, tag: str) -> None:
    """Note in the cache which folder the bindings for ``tag`` are made from, for `made_from`; and
    keep the generator's input from it, if it can be the pin."""
    final = cache_root() / tag / "sources"
    if cache_root() not in tree.root.parents:
        make_folder(final.parent)
        record = {"folder": str(tree.root), "files": digest(tree.root)}
        (final.parent / RECORD).write_text(json.dumps(record), "utf-8")
    if not tree.pinnable:
        return
    if not is_tree(final) and not final.with_name("source").exists():
        for folder in upstream()["read"]:
            if (tree.root / folder).is_dir():
                (final / folder).mkdir(parents=True, exist_ok=True)
                for path in (tree.root / folder).iterdir():
                    if path.is_file():
                        shutil.copy(path, final / folder)
