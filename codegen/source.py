"""Where a llama.cpp tree comes from: a folder, a tag, or the pin."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import tomli

from llama_cpp.engine.archive import unpack
from llama_cpp.engine.downloads import download
from llama_cpp.engine.find import cache_root
from llama_cpp.engine.publish import publish
from llama_cpp.errors import LlamaError

from . import package_index
from .errors import CodegenError
from .parse import Unit

PROJECT = Path(__file__).parents[1]
UPSTREAM = Path(__file__).with_name("upstream.toml")


@dataclass(frozen=True)
class Tree:
    """A llama.cpp source tree. ``tag`` is None where only the tree's content can tell."""

    root: Path
    tag: str | None

    @property
    def unit(self) -> Unit:
        """What to parse of it for the first set of bindings."""
        return self.unit_of(bindings()[0])

    def unit_of(self, binding: Binding) -> Unit:
        """What to parse of it for ``binding``."""
        return Unit(self.root, binding.header, binding.include)


@dataclass(frozen=True)
class Binding:
    """A set of bindings: a module, the library that it is for, and what it is made from."""

    module: str
    library: str
    header: str
    include: tuple[str, ...]


def bindings() -> tuple[Binding, ...]:
    """The sets of bindings, the base of the others first."""
    return tuple(
        Binding(b["module"], b["library"], b["header"], tuple(b["include"]))
        for b in upstream()["bindings"]
    )


def upstream() -> dict[str, Any]:
    """The content of ``upstream.toml``."""
    return tomli.loads(UPSTREAM.read_text("utf-8"))


def pinned_tag() -> str:
    """The tag that the committed bindings are for."""
    return str(upstream()["tag"])


def resolve(folder: str | None = None, tag: str | None = None) -> Tree:
    """The tree to work on. The first of these that there is: ``folder``, ``tag``, the folder in
    the environment variable LLAMA_CPP, a llama.cpp checkout that the project stands in, the pin.

    Raises CodegenError for a folder that is no llama.cpp tree and for a tag that cannot be had.
    """
    folder = folder or (None if tag else os.environ.get("LLAMA_CPP"))
    if folder:
        root = Path(folder).resolve()
        if not is_tree(root):
            raise CodegenError(f"{folder} is not a llama.cpp tree: it has no include/llama.h")
        return Tree(root, None)
    if tag is None:
        for parent in PROJECT.parents:
            if is_tree(parent):
                return Tree(parent, None)
    tag = tag or pinned_tag()
    return Tree(fetch_headers(tag), tag)


def is_tree(root: Path) -> bool:
    """Whether ``root`` is a llama.cpp tree, or a prefix that one was installed under."""
    ggml = root / "ggml" / "include" / "ggml.h", root / "include" / "ggml.h"
    return (root / "include" / "llama.h").is_file() and any(path.is_file() for path in ggml)


def fetch(tag: str) -> Path:
    """The whole tree of ``tag`` in the cache, which is filled first when it is not there.

    The archive comes from the package index and has to have the pinned hash, or for a tag that is
    not the pin the one that the index states. Nothing in it is run.
    """
    return _fetch(tag, "source", None)


def fetch_headers(tag: str) -> Path:
    """As `fetch`, but of the tree only what the generator reads: the headers and the sources with
    the defaults. The whole tree serves as well where it is already there."""
    _number(tag)
    whole = cache_root() / tag / "source"
    read = {PurePosixPath(folder) for folder in upstream()["archive"]["read"]}
    return whole if is_tree(whole) else _fetch(tag, "headers", lambda p: p.parent in read)


def _fetch(tag: str, name: str, only: Callable[[PurePosixPath], bool] | None) -> Path:
    number = _number(tag)
    try:
        final = cache_root() / tag / name
        if is_tree(final):
            return final
        with publish(final, label=f"llama.cpp {tag}", ready=is_tree) as work:
            if work is not None:
                _download(tag, number, work, only)
    except LlamaError as error:
        raise CodegenError(str(error)) from error
    return final


def _number(tag: str) -> str:
    match = re.fullmatch(r"b(\d{1,9})", tag)
    if not match:
        raise CodegenError(f"{tag!r} is not a tag of llama.cpp: they look like {pinned_tag()}")
    return match[1]


def _download(
    tag: str, number: str, work: Path, only: Callable[[PurePosixPath], bool] | None
) -> None:
    archive = upstream()["archive"]
    name = archive["file"].format(number=number)
    found = package_index.find_file(archive["project"], name)
    sha256 = archive["sha256"] if tag == pinned_tag() else found.sha256
    with tempfile.TemporaryDirectory(prefix=".archive-", dir=work.parent) as folder:
        label = f"llama.cpp {tag}"
        path = download(found.url, Path(folder) / name, sha256=sha256, label=label)
        unpack(path, work, member=archive["folder"].format(number=number), only=only)


def tags() -> list[str]:
    """Every tag that the package index has, the oldest first."""
    archive = upstream()["archive"]
    pattern = re.compile(re.escape(archive["file"]).replace(r"\{number\}", r"(\d+)"))
    names = package_index.list_files(archive["project"])
    numbers = sorted(int(match[1]) for name in names if (match := pattern.fullmatch(name)))
    if not numbers:
        raise CodegenError(f"the package index has no tag in {archive['project']!r}")
    return [f"b{number}" for number in numbers]


def move_pin(tag: str) -> None:
    """Make ``tag`` the pin: its name and its archive's hash in ``upstream.toml``."""
    archive = upstream()["archive"]
    number = tag.removeprefix("b")
    found = package_index.find_file(archive["project"], archive["file"].format(number=number))
    text = UPSTREAM.read_text("utf-8")
    text = text.replace(f'tag = "{pinned_tag()}"', f'tag = "{tag}"')
    text = text.replace(archive["sha256"], found.sha256)
    UPSTREAM.write_text(text, "utf-8")
