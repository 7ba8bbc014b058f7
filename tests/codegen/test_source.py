"""Where a tree comes from: folders, checkouts, the package index, archives, git; and the cache."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import tomli

from codegen import lag, origins, source
from codegen.__main__ import main
from codegen.errors import CodegenError
from tests.support.httpserver import Served, serve

pytestmark = pytest.mark.quick

FILES = {
    "include/llama.h": "int llama(void);\n",
    "ggml/include/ggml.h": "int ggml(void);\n",
    "src/llama.cpp": "int x;\n",
    "src/deep/other.cpp": "int y;\n",
    "docs/page.md": "text\n",
}
READ = ["include", "ggml/include", "src"]


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as server:
        yield server


@pytest.fixture(autouse=True)
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served) -> dict[str, Any]:
    """The content of ``upstream.toml``, for a test to set its sources; nothing is in the cache."""
    data = {"tag": "b7", "commit": "", "files": "", "archives": {}, "read": READ, "sources": []}
    monkeypatch.setattr(source, "upstream", lambda: data)
    monkeypatch.setattr(lag, "upstream", lambda: data)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{served.url}/simple/")
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.delenv(origins.MIRROR, raising=False)
    return data


def _git(folder: Path, *arguments: str) -> str:
    who = {f"GIT_{a}_{b}": "x@y" for a in ("AUTHOR", "COMMITTER") for b in ("NAME", "EMAIL")}
    when = {"GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=os.environ | who | when, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def _write(root: Path, files: dict[str, str] = FILES) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with the tags b7 and b9, and master three commits after that."""
    root = _write(tmp_path / "upstream")
    _git(root, "init", "--quiet", "--initial-branch=master")
    for commit in range(7, 13):
        (root / "src" / "llama.cpp").write_text(f"int x{commit};\n")
        _git(root, "add", "--all")
        _git(root, "commit", "--quiet", "--message", str(commit))
        if commit in (7, 9):
            _git(root, "tag", f"b{commit}")
    _git(root, "tag", "b9-other")
    return root


@pytest.fixture
def bare(repository: Path, tmp_path: Path, upstream: dict[str, Any]) -> Path:
    """The same as a bare repository, which is the source."""
    path = tmp_path / "bare.git"
    _git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(path))
    _git(path, "config", "uploadpack.allowFilter", "true")
    upstream["sources"] = [{"kind": "git", "url": f"file://{path}"}]
    return path


def _archive(folder: str, files: dict[str, str] = FILES) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


INDEX = {
    "kind": "index",
    "project": "trees",
    "file": r"trees-\d+\.(\d+)\.tar\.gz",
    "folder": "{stem}/thirdparty/llama.cpp",
}


def _upload(served: Served, name: str, content: bytes, sha256: str | None = None) -> str:
    """Put a file of the project ``trees`` on the index; its SHA-256."""
    served.files[f"/files/{name}"] = content
    page = served.files.get("/simple/trees/", b"<html>").decode()
    real = hashlib.sha256(content).hexdigest()
    page += f'<a href="/files/{name}#sha256={sha256 or real}">{name}</a>'
    served.files["/simple/trees/"] = page.encode()
    served.headers["/simple/trees/"] = {"Content-Type": "text/html"}
    return real


def _names(root: Path) -> set[str]:
    names = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    return names - {source.RECORD}


# -- folders


@pytest.mark.parametrize(
    ("change", "tag"),
    [
        (lambda root: _git(root, "checkout", "--quiet", "b9"), r"b9"),
        (lambda root: None, r"b9-3-g[0-9a-f]{9}"),
        (lambda root: _write(root, {"include/llama.h": "int other;\n"}), r"b9-3-g\w{9}-dirty"),
        (lambda root: _git(root, "tag", "--delete", "b7", "b9"), "None"),
        (lambda root: (root / ".git").rename(root / "nothing"), "None"),
    ],
    ids=["a tag", "after a tag", "edited", "without tags", "no checkout"],
)
def test_a_checkout_is_named_by_git(
    repository: Path, change: Callable[[Path], object], tag: str
) -> None:
    change(repository)
    tree = source.resolve(str(repository))
    assert (tree.root, (tree.commit is None)) == (repository, tag == "None")
    assert re.fullmatch(tag, str(tree.tag))


def test_an_engine_is_built_from_the_tree_that_the_bindings_were_made_from(
    repository: Path, bare: Path
) -> None:
    tag = "local-123"
    with pytest.raises(CodegenError, match=r"the folder is not .* LLAMA_CPP=folder first"):
        source.made_from(tag)
    assert source.made_from("b9") == source.fetch("b9")
    for other in (tag, "b9", "b9-3-g123456789-dirty"):
        source.keep(source.Tree(repository, None), other)
        assert source.made_from(other) == repository
    _write(repository, {"include/llama.h": "int other;\n"})
    assert source.made_from("b9") == source.fetch("b9")
    with pytest.raises(CodegenError, match=f"run make regen LLAMA_CPP={repository} first"):
        source.made_from(tag)


# -- git


def test_git_has_tags_the_newest_branches_and_commits(repository: Path, bare: Path) -> None:
    assert source.tags() == ["b7", "b9"]
    after = _git(repository, "describe", "--tags", "--match=b?", "--abbrev=9", "master")
    commits = {name: _git(repository, "rev-parse", name) for name in ("b9", "master", "master~1")}
    for asked, tag, content in (
        ("b9", "b9", "int x9;\n"),
        ("latest", "b9", "int x9;\n"),
        (commits["b9"], "b9", "int x9;\n"),
        ("master", after, "int x12;\n"),
        (commits["master"], after, "int x12;\n"),
        (commits["master~1"], None, "int x11;\n"),
    ):
        tree = source.resolve(tag=asked)
        assert tag is None or tree.tag == tag
        assert (tree.root / "src" / "llama.cpp").read_text() == content
        assert "docs/page.md" not in _names(tree.root)
    assert _names(source.fetch("b9")) == set(FILES)
    (origin,) = origins.origins(source.upstream()["sources"])
    assert str(origin.date("b9")) == "2026-01-02 03:04:05+00:00"


def test_a_cached_tree_needs_no_network(repository: Path, bare: Path) -> None:
    commit = _git(repository, "rev-parse", "master")
    trees = [source.resolve(tag=tag) for tag in ("b9", commit)]
    bare.rename(bare.with_name("gone"))
    assert [source.resolve(tag=tag) for tag in ("b9", commit)] == trees
    assert source.resolve(tag=trees[1].tag).root == trees[1].root
    with pytest.raises(CodegenError, match=r"no source knows master: the repository file:"):
        source.resolve(tag="master")


def test_a_mirror_takes_the_place_of_the_address(
    bare: Path, upstream: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream["sources"] = [{"kind": "git", "url": "https://127.0.0.1:1/nothing"}]
    monkeypatch.setenv(origins.MIRROR, str(bare))
    assert source.newest() == "b9"


# -- archives over HTTP


@pytest.fixture
def host(served: Served, upstream: dict[str, Any]) -> Served:
    """A repository's host with an archive of b9, at the end of a redirect."""
    upstream["sources"] = [
        {
            "kind": "archive",
            "url": f"{served.url}/llama.cpp",
            "file": "{url}/archive/{revision}.tar.gz",
            "folder": "llama.cpp-{revision}",
        }
    ]
    served.redirects["/llama.cpp/archive/b9.tar.gz"] = "/store/1"
    served.files["/store/1"] = _archive("llama.cpp-b9")
    return served


def test_an_archive_is_fetched_through_a_redirect_and_once(host: Served) -> None:
    assert _names(source.fetch_headers("b9")) == {n for n in FILES if n.rpartition("/")[0] in READ}
    asked = len(host.requests)
    assert _names(source.fetch("b9")) == set(FILES)
    source.fetch_headers("b9")
    source.fetch("b9")
    assert len(host.requests) == 2 * asked


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda s: s.files.clear(), "404"),
        (lambda s: s.statuses.update({"/store/1": [500]}), "500"),
        (lambda s: s.redirects.update({"/store/1": "http://10.1.2.3/x"}), "refused a redirect"),
        (lambda s: s.files.update({"/store/1": b"<html>"}), "cannot unpack"),
        (lambda s: s.files.update({"/store/1": _archive("other")}), "nothing under 'llama.cpp-b9'"),
        (
            lambda s: s.files.update({"/store/1": _archive("llama.cpp-b9", {"src/a.c": ""})}),
            "has no llama.cpp tree for b9",
        ),
    ],
)
def test_a_refused_tag_says_why_and_leaves_no_folder(
    host: Served, fault: Callable[[Served], object], why: str, tmp_path: Path
) -> None:
    fault(host)
    with pytest.raises(CodegenError, match=f"no source has b9: .*{why}"):
        source.fetch("b9")
    assert [p.name for p in (tmp_path / "cache").rglob("*")] == ["llama-py", ".fetch.lock"]


# -- the package index


def test_the_sources_are_tried_in_their_order(host: Served, upstream: dict[str, Any]) -> None:
    upstream["sources"].insert(0, INDEX)
    sha256 = _upload(host, "trees-1.8.tar.gz", _archive("trees-1.8/thirdparty/llama.cpp"))
    _upload(host, "trees-1.8.zip", b"")
    assert source.resolve(tag="b8").archives == {"trees-1.8.tar.gz": sha256}
    assert not any("archive/b8" in path for path, _ in host.requests)
    assert source.resolve(tag="b9").archives == {}
    assert source.tags() == ["b8"]
    with pytest.raises(
        CodegenError, match=r"trees on the package index has no b6: its newest is b8; "
    ):
        source.resolve(tag="b6")


def test_the_pin_has_its_hashes_from_wherever_it_comes(
    host: Served, upstream: dict[str, Any], tmp_path: Path
) -> None:
    content = _archive("trees-1.7/thirdparty/llama.cpp")
    upstream["sources"] = [INDEX, *upstream["sources"]]
    upstream["files"] = source.digest(_write(tmp_path / "tree"))
    upstream["archives"] = {"trees-1.7.tar.gz": _upload(host, "trees-1.7.tar.gz", content)}
    root = source.resolve().root
    (root / "src" / "llama.cpp").write_text("edited")
    with pytest.raises(CodegenError, match=r"not those of the pinned b7.* remove the folder"):
        source.resolve()
    # Another content, which the index states the hash of
    (root / "include" / "llama.h").unlink()
    host.files.pop("/simple/trees/")
    other = _archive("trees-1.7/thirdparty/llama.cpp", FILES | {"src/llama.cpp": "other"})
    _upload(host, "trees-1.7.tar.gz", other)
    with pytest.raises(CodegenError, match="expected SHA-256"):
        source.resolve()
    upstream["archives"] = {}
    with pytest.raises(CodegenError, match="not those of the pinned b7"):
        source.resolve()
    host.files["/llama.cpp/archive/b7.tar.gz"] = _archive("llama.cpp-b7")
    assert source.resolve().root == root


@pytest.mark.parametrize(
    "tag", ["11434", "b", "main", "b11434; ls", "../b11434", "b1" * 9, "b1-2-gx", "f" * 39]
)
def test_a_name_that_is_not_a_revision_is_refused(tag: str) -> None:
    with pytest.raises(CodegenError, match=r"is not a tag of llama.cpp: they look like b7; "):
        source.resolve(tag=tag)


def test_a_moved_pin_has_the_hashes_of_its_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _write(tmp_path / "tree")
    tree = source.Tree(root, "b9-1-g123456789", "1" * 40, {"x-9.tar.gz": "ab"})
    data = tomli.loads(source.moved_pin(tree))
    assert data["tag"] == tree.tag
    assert (data["commit"], data["files"]) == (tree.commit, source.digest(root))
    assert data["archives"] == tree.archives
    source.keep(tree, str(tree.tag))
    monkeypatch.setattr(source, "upstream", lambda: data | {"read": READ})
    assert source.resolve().root == tmp_path / "cache" / "llama-py" / str(tree.tag) / "sources"


# -- how far behind


def test_lag_says_how_far_each_source_is_and_fails_beyond_a_limit(
    bare: Path, upstream: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lag", "--max-age", "99999"]) == 0
    said = capsys.readouterr()
    assert re.search(r"bare.git +b9 of 2026-01-02 +1 +0\nbehind: 1 tags, 0 days", said.out)
    assert said.err == ""
    for limits, why in (
        (["--max-tags", "0", "--max-age", "99999"], "the pin is 1 tags behind, more than 0"),
        (["--max-age", "3"], r"no source has had a newer tag for \d+ days, more than 3"),
    ):
        assert main(["lag", *limits]) == 1
        assert re.fullmatch(f"error: {why}.*\n", capsys.readouterr().err)
    # One that cannot be asked does not hide the others; without any there is no answer.
    upstream["sources"].insert(0, INDEX)
    assert main(["lag", "--max-age", "99999"]) == 0
    assert "has no project 'trees'" in capsys.readouterr().out
    bare.rename(bare.with_name("gone"))
    assert main(["lag"]) == 2
    assert "error: no source lists its tags: " in capsys.readouterr().err


def test_lag_counts_the_days_from_the_pin_to_the_newest_tag() -> None:
    day = datetime(2026, 1, 1, tzinfo=timezone.utc)
    known = [
        lag.Known("a", "b7", frozenset(), day, day),
        lag.Known("b", "b9", frozenset(["b8", "b9"]), day + timedelta(9)),
    ]
    now = day + timedelta(10)
    assert lag.summary(known, lag.Limits(2, 9, 1), now) == (
        "behind: 2 tags, 9 days; the newest tag known is 1 days old",
        [],
    )
    faults = lag.summary(known, lag.Limits(1, 8, 0), now)[1]
    assert [fault.partition(", ")[0] for fault in faults] == [
        "the pin is 2 tags behind",
        "the pin is 9 days behind",
        "no source has had a newer tag for 1 days",
    ]
