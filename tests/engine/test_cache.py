"""Downloads, archives and published folders, against a local server and small archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llama_cpp.engine import find as _installed
from llama_cpp.engine.archive import unpack
from llama_cpp.engine.downloads import download, read_url
from llama_cpp.engine.progress import Progress
from llama_cpp.engine.publish import publish
from llama_cpp.errors import LlamaDownloadError, LlamaError, LlamaHashError
from tests.support.httpserver import Served, serve
from tests.support.python import PROGRAMS

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[Served]:
    with serve() as served:
        served.files["/file.bin"] = CONTENT
        yield served


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llama_cpp.engine.downloads._RETRY_DELAY", 0.01)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# --- the root ---------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_the_root_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "made" / "here"))
    root = _installed.cache_root()
    assert root == tmp_path / "made" / "here" / "llama-py"
    assert root.stat().st_mode & 0o777 == 0o700


def test_a_relative_cache_home_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert _installed.cache_root() == tmp_path / ".cache" / "llama-py"


def test_a_root_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(LlamaError, match="llama-py"):
        _installed.cache_root()


def test_importing_is_cheap_and_alone() -> None:
    code = (
        "import sys, types; package = types.ModuleType('llama_cpp'); "
        f"package.__path__ = [{str(Path(_installed.__file__).parents[1])!r}]; "
        "sys.modules['llama_cpp'] = package; import llama_cpp.engine.publish; "
        "print(*sorted(n for n in sys.modules if n.startswith('llama_cpp.')), "
        "*(n for n in ('ssl', 'tarfile', 'zipfile', 'urllib.request') if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "llama_cpp._dataclasses",
        "llama_cpp._lazy",
        "llama_cpp._std",
        "llama_cpp.engine",
        "llama_cpp.engine.find",
        "llama_cpp.engine.progress",
        "llama_cpp.engine.publish",
        "llama_cpp.errors",
    ]


# --- download ---------------------------------------------------------------------------------


def test_download_puts_the_file_there(server: Served, tmp_path: Path) -> None:
    dest = tmp_path / "new" / "file.bin"
    assert download(f"{server.url}/file.bin", dest, sha256=DIGEST.upper()) == dest
    assert dest.read_bytes() == CONTENT
    assert names(dest.parent) == ["file.bin"]


def test_a_file_that_is_there_is_fetched_if_it_is_another(server: Served, tmp_path: Path) -> None:
    dest = tmp_path / "file.bin"
    dest.write_bytes(CONTENT)
    download(f"{server.url}/file.bin", dest, sha256=DIGEST)
    assert server.requests == []
    dest.write_bytes(b"old")
    download(f"{server.url}/file.bin", dest, sha256=DIGEST)
    assert dest.read_bytes() == CONTENT


def test_a_hash_mismatch_names_everything_and_leaves_nothing(
    server: Served, tmp_path: Path
) -> None:
    url = f"{server.url}/file.bin"
    with pytest.raises(LlamaHashError) as caught:
        download(url, tmp_path / "file.bin", sha256="0" * 64)
    assert (caught.value.url, caught.value.expected, caught.value.got) == (url, "0" * 64, DIGEST)
    for part in (url, "0" * 64, DIGEST):
        assert part in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("digest", ["", "abc", "z" * 64])
def test_an_invalid_digest_is_refused(server: Served, tmp_path: Path, digest: str) -> None:
    with pytest.raises(LlamaDownloadError, match="SHA-256"):
        download(f"{server.url}/file.bin", tmp_path / "file.bin", sha256=digest)
    assert server.requests == []


def test_a_dropped_connection_is_resumed(server: Served, tmp_path: Path) -> None:
    server.drop_after["/file.bin"] = [100_000, 50_000]
    download(f"{server.url}/file.bin", tmp_path / "file.bin", sha256=DIGEST)
    assert [headers.get("Range") for _, headers in server.requests] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
    ]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_all_again(server: Served, tmp_path: Path) -> None:
    server.ranges = False
    server.drop_after["/file.bin"] = [100_000]
    download(f"{server.url}/file.bin", tmp_path / "file.bin", sha256=DIGEST)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server: Served, tmp_path: Path) -> None:
    server.statuses["/file.bin"] = [503, 429]
    download(f"{server.url}/file.bin", tmp_path / "file.bin", sha256=DIGEST)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("path", "max_bytes", "message", "requests"),
    [
        ("file.bin", 1 << 30, "closed after 4000 of 512000 bytes", 4),
        ("none", 1 << 30, "404", 1),
        ("away", 1 << 30, "refused a redirect from http to http://example", 1),
        ("moved", 1000, "refused, more than 1000 bytes", 2),
    ],
)
def test_a_failed_download_leaves_nothing(
    server: Served, tmp_path: Path, path: str, max_bytes: int, message: str, requests: int
) -> None:
    server.redirects["/away"] = "http://example.com/file.bin"
    server.redirects["/moved"] = f"{server.url}/file.bin"
    if requests == 4:
        server.drop_after["/file.bin"] = [1000] * 4
    with pytest.raises(LlamaDownloadError, match=message):
        download(f"{server.url}/{path}", tmp_path / "x", sha256=DIGEST, max_bytes=max_bytes)
    assert len(server.requests) == requests
    assert names(tmp_path) == []


def test_a_redirect_is_followed_but_not_from_https_to_http(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No certificate at hand: let a plain connection stand in for the https one.
    import http.client
    import urllib.request

    def https_open(self: urllib.request.HTTPSHandler, req: urllib.request.Request) -> object:
        return self.do_open(http.client.HTTPConnection, req)

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", https_open)
    secure = server.url.replace("http://", "https://")
    server.redirects["/down"] = f"{server.url}/file.bin"
    server.redirects["/level"] = f"{secure}/file.bin"
    download(f"{server.url}/down", tmp_path / "plain", sha256=DIGEST)
    download(f"{secure}/level", tmp_path / "level", sha256=DIGEST)
    with pytest.raises(LlamaDownloadError, match="refused a redirect from https"):
        download(f"{secure}/down", tmp_path / "down", sha256=DIGEST)
    assert names(tmp_path) == ["level", "plain"]


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/hostname", "ftp://127.0.0.1/x", "nonsense", "https:///x"),
        *("http://example.com/x", "http://127.0.0.1.example.com/x", "http://10.0.0.1/x"),
    ],
)
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(LlamaDownloadError, match="not an https address"):
        download(url, tmp_path / "x", sha256=DIGEST)


def test_credentials_are_sent_but_never_shown(server: Served, tmp_path: Path) -> None:
    with serve() as other:
        other.files["/file.bin"] = b"short"
        server.redirects["/moved"] = f"{other.url}/file.bin"
        url = f"{server.url}/moved".replace("http://", "http://user:p%40ss@")
        with pytest.raises(LlamaHashError) as caught:
            download(url, tmp_path / "x", sha256=DIGEST)
        assert server.requests[0][1]["Authorization"] == "Basic dXNlcjpwQHNz"
        assert "Authorization" not in other.requests[0][1]
    assert "p%40ss" not in str(caught.value)
    assert "p%40ss" not in str(caught.value.url)


def test_nobody_listening_is_told(tmp_path: Path) -> None:
    with pytest.raises(LlamaDownloadError, match=r"http://127\.0\.0\.1:9/x: .*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "x", sha256=DIGEST)


def test_a_small_page_is_read_within_its_deadline(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/page"] = b"hello"
    assert read_url(f"{server.url}/page") == b"hello"
    with pytest.raises(LlamaDownloadError, match="more than 4 bytes"):
        read_url(f"{server.url}/page", limit=4)
    answered = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answered.wait())
    with pytest.raises(LlamaDownloadError, match="no answer within"):
        read_url("https://slow-names.invalid/page", deadline=0.2)
    answered.set()


class _Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_progress_is_silent_at_first_then_sparse_or_one_line() -> None:
    quiet, plain, terminal = _Stream(False), _Stream(False), _Stream(True)
    for stream, delay in ((quiet, 60.0), (plain, 0.0), (terminal, 0.0)):
        progress = Progress("task", stream=stream, delay=delay)
        for step in range(3):
            progress.show(f"step {step}")
        progress.close()
    assert quiet.getvalue() == ""
    assert plain.getvalue() == "task: step 0\n"
    assert terminal.getvalue() == "\r\x1b[Ktask: step 0\r\x1b[K"


# --- unpack -----------------------------------------------------------------------------------


def tar_of(path: Path, *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "gz") -> Path:
    with tarfile.open(path, f"w:{mode}") as tar:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                info.mode = 0o6755 if member[0].endswith("run") else 0o666
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


@pytest.fixture(params=["Python's filter", "an older Python"])
def each_filter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "an older Python":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    elif not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has none")


@pytest.mark.usefixtures("each_filter")
@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar.gz", "gz"), ("a.tgz", "gz"), ("a.tar.xz", "xz")]
)
def test_unpack_tar(tmp_path: Path, name: str, mode: str) -> None:
    archive = tar_of(
        tmp_path / name,
        ("top/src/run", b"#!"),
        ("./top/src/deep/data", b"data"),
        link("top/src/lib.so", "lib.so.1"),
        ("top/src/lib.so.1", b"lib"),
        link("top/src/same", "top/src/run", tarfile.LNKTYPE),
        ("top/other", b"not wanted"),
        mode=mode,
    )
    dest = unpack(archive, tmp_path / "out", member="top/src/")
    assert names(dest) == ["deep", "lib.so", "lib.so.1", "run", "same"]
    assert (dest / "deep/data").read_bytes() == b"data"
    assert (dest / "lib.so").is_symlink()
    assert (dest / "lib.so").read_bytes() == b"lib"
    assert (dest / "same").read_bytes() == b"#!"
    if os.name == "posix":
        assert (dest / "run").stat().st_mode & 0o7777 == 0o755  # the setuid bit is gone
        assert (dest / "deep/data").stat().st_mode & 0o7777 == 0o644


@pytest.mark.usefixtures("each_filter")
@pytest.mark.parametrize("name", ["a.zip", "a.whl"])
def test_unpack_zip(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("top/", "")
        zipped.writestr("top/data", "data" * 1000)
        run = zipfile.ZipInfo("top/run")
        run.external_attr = 0o104755 << 16
        zipped.writestr(run, "#!")
        soname = zipfile.ZipInfo("top/lib.so")
        soname.external_attr = 0o120777 << 16
        zipped.writestr(soname, "run")
    dest = unpack(tmp_path / name, tmp_path / "out", member="top")
    assert names(dest) == ["data", "lib.so", "run"]
    assert (dest / "data").read_text() == "data" * 1000
    assert (dest / "lib.so").is_symlink()
    if os.name == "posix":
        assert (dest / "run").stat().st_mode & 0o7777 == 0o755


def test_only_the_selected_members_are_unpacked(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tgz", ("top/a/x.h", b""), ("top/a/b/y.h", b""), ("top/z.h", b""))
    dest = unpack(
        archive, tmp_path / "out", member="top", only=lambda p: p.parent.as_posix() == "a"
    )
    assert [p.name for p in dest.rglob("*.h")] == ["x.h"]
    with pytest.raises(LlamaDownloadError, match="nothing"):
        unpack(archive, tmp_path / "none", only=lambda p: False)


def device(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.CHRTYPE
    return info


@pytest.mark.usefixtures("each_filter")
@pytest.mark.parametrize(
    "members",
    [
        [link("evil", "..")],
        [link("evil", "/")],
        [link("sub/evil", "../../x")],
        [device("evil")],
        # A link that is harmless until the one that it goes through exists.
        [link("b", "a/.."), link("a", ".")],
        [link("b", "a/.."), link("a", "."), ("b/evil", b"x")],
        [link("d", "."), link("d/d2", ".."), ("d/d2/evil", b"x")],
        [link("a", "."), ("a/evil", b"x")],
        [link("evil", "..\\..\\secret")],
        [link("evil", "c:secret")],
    ],
    ids=lambda members: " ".join(
        m.name if isinstance(m, tarfile.TarInfo) else m[0] for m in members
    ),
)
def test_nothing_leaves_the_folder(
    tmp_path: Path, members: list[tarfile.TarInfo | tuple[str, bytes]]
) -> None:
    (tmp_path / "secret").write_text("secret")
    archive = tar_of(tmp_path / "evil.tar.gz", *members)
    with pytest.raises(LlamaDownloadError, match=r"evil\.tar\.gz"):
        unpack(archive, tmp_path / "out")
    assert names(tmp_path) == ["evil.tar.gz", "out", "secret"]
    assert not (tmp_path / "out" / "evil").exists()


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/..", "/x", "c:x", "..\\x"])
@pytest.mark.parametrize("kind", ["tar", "zip", "hardlink"])
def test_unsafe_names_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    archive = tmp_path / f"a.{'zip' if kind == 'zip' else 'tar.gz'}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr(name, "x")
    else:
        tar_of(archive, link("y", name, tarfile.LNKTYPE) if kind == "hardlink" else (name, b"x"))
    with pytest.raises(LlamaDownloadError, match="unsafe name"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("target", ["top/missing", "top/soft", "other", "top"])
def test_a_hard_link_leads_to_a_file_unpacked_before(tmp_path: Path, target: str) -> None:
    archive = tar_of(
        tmp_path / "a.tar.gz",
        ("other", b"o"),
        ("top/er", b"t"),
        link("top/soft", "er"),
        link("top/hard", target, tarfile.LNKTYPE),
    )
    with pytest.raises(LlamaDownloadError, match="not a file unpacked before it"):
        unpack(archive, tmp_path / "out", member="top")


@pytest.mark.usefixtures("each_filter")
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../secret", "'evil'.*outside"),
        ("/etc/hostname", "'evil'.*(absolute|outside)"),
        ("", "'evil' has a target of 0 bytes"),
        ("x" * 5000, "'evil' has a target of 5000 bytes"),
    ],
)
def test_a_zip_link_may_not_point_outside(tmp_path: Path, target: str, reason: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        info = zipfile.ZipInfo("evil")
        info.external_attr = 0o120777 << 16
        zipped.writestr(info, target)
    with pytest.raises(LlamaDownloadError, match=reason):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", ["tar", "zip", "link"])
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / ("a.zip" if kind == "zip" else "a.tar.gz")
    if kind == "zip":
        with warnings.catch_warnings(), zipfile.ZipFile(archive, "w") as zipped:
            warnings.simplefilter("ignore")
            zipped.writestr("x", "1")
            zipped.writestr("x", "2")
    else:
        tar_of(archive, ("y", b"0"), link("x", "y") if kind == "link" else ("x", b"1"), ("x", b"2"))
    with pytest.raises(LlamaDownloadError, match="'x' is in it twice"):
        unpack(archive, tmp_path / "out")


def test_headers_cannot_be_bombs(tmp_path: Path) -> None:
    """A header of 64 MB of zeros, and members that are only passed over."""
    large = tarfile.TarInfo("././@PaxHeader")
    large.type, large.size = tarfile.XHDTYPE, 64 << 20
    passed = tarfile.TarInfo("other/a")
    passed.type, passed.size = b"7", 64 << 20  # of a kind that tarfile does not know
    for i, (info, reason) in enumerate(
        [(large, "a header of 67108864 bytes"), (passed, "refused, more than")]
    ):
        with gzip.open(tmp_path / f"{i}.tar.gz", "wb") as stream:
            stream.write(info.tobuf())
            stream.write(bytes(64 << 20))
        with pytest.raises(LlamaDownloadError, match=reason):
            unpack(tmp_path / f"{i}.tar.gz", tmp_path / "out", max_bytes=1000, member="x")
    with gzip.open(tmp_path / "behind.tar.gz", "wb") as stream:
        stream.write(bytes(600 << 20))  # the end, and then much more
    with pytest.raises(LlamaDownloadError, match="refused, more than"):
        unpack(tmp_path / "behind.tar.gz", tmp_path / "out", max_bytes=1000)


def test_bombs_are_refused(tmp_path: Path) -> None:
    big = tar_of(tmp_path / "big.tar.gz", ("a", bytes(600)), ("b", bytes(600)))
    with pytest.raises(LlamaDownloadError, match="refused, more than"):
        unpack(big, tmp_path / "out", max_bytes=1000)
    with pytest.raises(LlamaDownloadError, match="refused, more than"):
        unpack(big, tmp_path / "out", max_members=1)
    unpack(big, tmp_path / "out", max_bytes=1200, max_members=2)
    with zipfile.ZipFile(tmp_path / "big.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a", bytes(5000))
    with pytest.raises(LlamaDownloadError, match="refused, more than"):
        unpack(tmp_path / "big.zip", tmp_path / "out", max_bytes=1000)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [truncated, flipped, lambda _: b"text", lambda _: b""])
@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "zip"])
def test_a_damaged_archive_is_a_typed_error(
    tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    archive = tmp_path / f"a.{kind}"
    noise = random.Random(0).randbytes(300_000)
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("a", noise)
    else:
        tar_of(archive, ("a", noise), mode=kind[-2:])
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(LlamaDownloadError, match=r"a\.(tar|zip)"):
        unpack(archive, tmp_path / "out")


def test_a_folder_that_is_not_in_the_archive(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", ("top/a", b"a"), ("topping/b", b"b"))
    with pytest.raises(LlamaDownloadError, match="nothing under 'none'"):
        unpack(archive, tmp_path / "out", member="none")
    assert names(unpack(archive, tmp_path / "out", member="top")) == ["a"]


# --- publish ----------------------------------------------------------------------------------


def test_publish_shows_the_folder_only_when_it_is_done(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "final"
    with publish(final, label="it") as work:
        assert work is not None
        (work / "a").touch()
        assert not final.exists()
        assert work.parent == final.parent
    assert names(final) == ["a"]
    with publish(final, label="it") as again:
        assert again is None
    assert names(final.parent) == [".final.lock", "final"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_publish_leaves_nothing_of_a_failure(tmp_path: Path, error: type[BaseException]) -> None:
    final = tmp_path / "final"

    def fail() -> None:
        with publish(final, label="it") as work:
            assert work is not None
            (work / "half").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == [".final.lock"]


def test_publish_replaces_an_unfinished_folder_and_keeps_it_on_failure(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(ValueError, match="no"), publish(final, label="it", ready=_never):
        raise ValueError("no")
    assert names(final) == ["old"]
    with publish(final, label="it", ready=_never) as work:
        assert work is not None
        (work / "new").touch()
    assert names(final) == ["new"]
    assert names(tmp_path) == [".final.lock", "final"]


def _never(_: Path) -> bool:
    return False


def builder(final: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROGRAMS / "publishes_a_folder.py", str(final), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_process_waits_and_finds_it_finished(tmp_path: Path) -> None:
    final = tmp_path / "final"
    first = builder(final, 1.0)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = builder(final, 1.0)
    output, noise = second.communicate(timeout=20)
    assert output == "found it\n"
    assert noise == "it: waiting for another process to finish it\n"
    assert first.communicate(timeout=20)[1] == ""
    assert names(final) == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_process_releases_the_lock_and_is_cleaned_up_after(tmp_path: Path) -> None:
    final = tmp_path / "final"
    first = builder(final, 60)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert len(list(tmp_path.glob(".final.tmp-*"))) == 1
    output, _ = builder(final, 0).communicate(timeout=20)
    assert output == "building\n"
    assert names(tmp_path) == [".final.lock", "final"]
