"""The user's cache folder: downloads, archives, and folders that appear whole or not at all.

Standard library only. Heavy modules (ssl, tarfile, zipfile) are imported where they are used, so
that asking whether something is already in the cache costs next to nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TextIO
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import LlamaDownloadError, LlamaError, LlamaHashError
from .find import make_folder

if TYPE_CHECKING:
    import gzip
    import http.client
    import lzma
    import tarfile
    import zipfile
    from urllib.request import Request

_CHUNK = 1 << 20
_LARGEST_READ = 16 << 20
_USER_AGENT = "llama-py"
_RETRY_DELAY = 0.5  # seconds; doubles with each attempt


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Progress:
    """What a long task says on stderr: nothing for two seconds, then how far it is.

    On a terminal one line is rewritten; elsewhere a plain line appears now and then, so that a
    log stays readable.
    """

    def __init__(self, label: str, *, stream: TextIO | None = None, delay: float = 2.0) -> None:
        self._label = label
        self._stream = stream if stream is not None else sys.stderr
        self._terminal = self._stream.isatty()
        self._next = time.monotonic() + delay
        self._shown = False

    def show(self, state: str) -> None:
        """Show the state, unless something was shown only a moment ago."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._terminal else 15.0)
        self._shown = True
        line = f"{self._label}: {state}"
        if self._terminal:
            width = max(shutil.get_terminal_size().columns - 1, 20)
            self._stream.write(f"\r\x1b[K{line[:width]}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        """Take the line off the terminal."""
        if self._shown and self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


# --- downloads --------------------------------------------------------------------------------


class _Dropped(Exception):
    """The connection failed in a way that another attempt may cure."""


def download(
    url: str,
    dest: Path,
    *,
    sha256: str,
    label: str | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
    max_bytes: int = 4 << 30,
) -> Path:
    """Fetch `url` (https; http from this machine alone) into the file `dest` and return `dest`.

    `sha256` is the promised digest in hexadecimal. A `dest` that already has it is returned at
    once. The file appears complete or not at all. A dropped connection is resumed where it broke,
    up to `attempts` times; `timeout` is in seconds, for connecting and for each read. More than
    `max_bytes` are refused: they are on the disk before their digest is known.

    Raises `LlamaHashError` when the content is not the promised one, and `LlamaDownloadError`
    for everything else that goes wrong on the network or on the disk.
    """
    wanted = sha256.lower()
    if len(wanted) != 64 or set(wanted) - set("0123456789abcdef"):
        raise LlamaDownloadError(
            f"{shown_url(url)}: {sha256!r} is not a SHA-256 digest (64 hexadecimal digits)",
            url=shown_url(url),
        )
    if dest.is_file() and sha256_of(dest) == wanted:
        return dest
    make_folder(dest.parent)
    progress = Progress(label or f"download {dest.name}")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{dest.name}.", suffix=".part", dir=dest.parent)
    except OSError as error:
        raise LlamaDownloadError(f"cannot write in {dest.parent}: {error}") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "r+b") as stream:
            _fetch(url, stream, max_bytes, timeout=timeout, attempts=attempts, progress=progress)
            stream.flush()
            os.fsync(stream.fileno())
        got = sha256_of(part)
        if got != wanted:
            raise LlamaHashError(
                f"{shown_url(url)}: expected SHA-256 {wanted}, got {got}; the file was removed",
                url=shown_url(url),
                expected=wanted,
                got=got,
            )
        part.replace(dest)
    except OSError as error:
        raise LlamaDownloadError(
            f"{shown_url(url)}: cannot write {dest}: {error}", url=shown_url(url)
        ) from error
    finally:
        progress.close()
        part.unlink(missing_ok=True)
    _sync_folder(dest.parent)
    return dest


def read_url(
    url: str, *, timeout: float = 5.0, deadline: float = 10.0, limit: int = 8 << 20
) -> bytes:
    """The content of a small page, of at most `limit` bytes; one attempt.

    `timeout` holds for connecting and for each read, `deadline` for everything together,
    name lookup included, both in seconds: on a machine without a network the answer is quick.
    Raises `LlamaDownloadError`.
    """
    outcome: list[bytes | BaseException] = []

    def fetch() -> None:
        try:
            with _open(url, timeout=timeout) as response:
                outcome.append(response.read(limit + 1))
        except BaseException as error:  # handed to the caller's thread, which raises it
            outcome.append(error)

    # No timeout of urllib covers the name lookup, hence a thread that may be left behind.
    thread = threading.Thread(target=fetch, daemon=True, name="llama-py-read-url")
    thread.start()
    thread.join(deadline)
    if not outcome:
        raise LlamaDownloadError(
            f"{shown_url(url)}: no answer within {deadline:g} s", url=shown_url(url)
        )
    result = outcome[0]
    if isinstance(result, bytes):
        if len(result) > limit:
            raise LlamaDownloadError(
                f"{shown_url(url)}: more than {limit} bytes", url=shown_url(url)
            )
        return result
    if isinstance(result, LlamaDownloadError):
        raise result
    raise LlamaDownloadError(f"{shown_url(url)}: {_reason(result)}", url=shown_url(url)) from result


def shown_url(url: str) -> str:
    """The URL without the credentials it may carry, fit for a message."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_safe(url: str) -> bool:
    """Whether nobody on the way can change what comes from there: https, or this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    )


def is_loopback(host: str) -> bool:
    """Whether the name or address ``host`` is this machine's own, by itself and for itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fetch(
    url: str,
    stream: IO[bytes],
    max_bytes: int,
    *,
    timeout: float,
    attempts: int,
    progress: Progress,
) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _receive(url, stream, max_bytes, timeout=timeout, progress=progress)
            return
        except _Dropped as error:
            if attempt == attempts:
                raise LlamaDownloadError(
                    f"{shown_url(url)}: {error} ({attempts} attempts)", url=shown_url(url)
                ) from error
            progress.show(f"{error}; trying again")
            time.sleep(_RETRY_DELAY * 2 ** (attempt - 1))


def _receive(
    url: str, stream: IO[bytes], max_bytes: int, *, timeout: float, progress: Progress
) -> None:
    """One attempt: append what is missing in `stream`, from its current end."""
    import http.client

    start = stream.seek(0, os.SEEK_END)
    with _open(url, timeout=timeout, start=start) as response:
        if start and (response.status != 206 or _range_start(response) != start):
            # The server does not resume: what it sends begins at the beginning.
            start = 0
            stream.seek(0)
            stream.truncate()
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        done = start
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _Dropped(f"connection lost after {done} bytes: {_reason(error)}") from error
            if not chunk:
                break
            done += len(chunk)
            if done > max_bytes:
                raise LlamaDownloadError(
                    f"{shown_url(url)}: refused, more than {max_bytes} bytes", url=shown_url(url)
                )
            stream.write(chunk)
            progress.show(_amount(done, total))
        # http.client reports a body that ends too early as a plain end.
        if total is not None and done < total:
            raise _Dropped(f"connection closed after {done} of {total} bytes")


def _range_start(response: http.client.HTTPResponse) -> int | None:
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else None


def _open(url: str, *, timeout: float, start: int = 0) -> http.client.HTTPResponse:
    """Send the request; `start` asks for the rest from that byte on."""
    import http.client
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, build_opener

    class _Redirects(HTTPRedirectHandler):
        def redirect_request(
            self,
            req: Request,
            fp: IO[bytes],
            code: int,
            msg: str,
            headers: http.client.HTTPMessage,
            newurl: str,
        ) -> Request | None:
            before = urlsplit(req.full_url).scheme
            if urlsplit(newurl).scheme != "https" and (before == "https" or not is_safe(newurl)):
                raise LlamaDownloadError(
                    f"{shown_url(url)}: refused a redirect from {before} to {shown_url(newurl)}",
                    url=shown_url(url),
                )
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    try:
        response = build_opener(_Redirects).open(_request(url, start), timeout=timeout)
    except HTTPError as error:
        error.close()
        message = f"HTTP {error.code} {error.reason}"
        if error.code in (408, 429) or error.code >= 500:
            raise _Dropped(message) from error
        raise LlamaDownloadError(f"{shown_url(url)}: {message}", url=shown_url(url)) from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise _Dropped(_reason(error)) from error
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _request(url: str, start: int) -> Request:
    from urllib.request import Request

    parts = urlsplit(url)
    if not is_safe(url):
        raise LlamaDownloadError(
            f"{shown_url(url)!r} is not an https address (http is only for this machine's own)",
            url=shown_url(url),
        )
    user, at, host = parts.netloc.rpartition("@")
    # Identity: a compressed transfer would have another length and could not be resumed.
    headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = Request(urlunsplit(parts._replace(netloc=host, fragment="")), headers=headers)
    if at:
        import base64

        token = base64.b64encode(unquote(user).encode()).decode()
        # Unredirected: another host must not see the password.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return str(reason if reason is not None else error) or type(error).__name__


def _amount(done: int, total: int | None) -> str:
    if not total:
        return f"{done / 1e6:.1f} MB"
    return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB ({100 * done // total}%)"


# --- archives ---------------------------------------------------------------------------------


class _Member(NamedTuple):
    """One entry of an archive, whatever its format."""

    name: str
    kind: str  # "file", "folder", "symlink", "hardlink", "other"
    size: int
    executable: bool
    link: str
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path,
    dest: Path,
    *,
    member: str | None = None,
    only: Callable[[PurePosixPath], bool] | None = None,
    max_bytes: int = 4 << 30,
    max_members: int = 100_000,
) -> Path:
    """Unpack a .tar.gz, .tgz, .tar.xz, .zip or .whl into the folder `dest` and return it.

    With `member`, a folder inside the archive such as "name-1.0/src", only what lies under it is
    unpacked, without that prefix; with `only`, of that what it says yes to (it gets the path
    without the prefix). Nothing may leave `dest`: absolute names, "..", links that point outside
    and device nodes are refused, and so is a name that is there twice; permissions are reduced to
    plain and executable. More than `max_members` entries or `max_bytes` of content (a
    decompression bomb) are refused.

    Raises `LlamaDownloadError`; what was unpacked until then stays, so unpack into a fresh folder
    (see `publish`).
    """
    import gzip
    import lzma
    import tarfile
    import zipfile
    import zlib

    prefix = PurePosixPath(member).parts if member else ()
    try:
        make_folder(dest)
        if archive.name.endswith((".zip", ".whl")):
            with zipfile.ZipFile(archive) as zipped:
                members = _zip_members(zipped)
                found = _extract(archive, members, dest, prefix, only, max_bytes, max_members)
        else:
            # Beside the content there is a header for each member, and padding.
            limit = max_bytes + 4096 * max_members + _CHUNK
            compression = lzma if archive.name.endswith(".xz") else gzip
            with compression.open(archive) as stream:
                plain: Any = _Limited(stream, limit)
                with tarfile.open(fileobj=plain, mode="r:") as tar:
                    members = _tar_members(tar)
                    found = _extract(archive, members, dest, prefix, only, max_bytes, max_members)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        gzip.BadGzipFile,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        ValueError,  # a name that no file can have
        RuntimeError,  # zipfile: an encrypted member
        NotImplementedError,  # zipfile: an unknown compression
    ) as error:
        raise LlamaDownloadError(f"{archive}: damaged or not an archive: {error}") from error
    except OSError as error:
        raise LlamaDownloadError(f"{archive}: cannot unpack into {dest}: {error}") from error
    if not found:
        what = f"nothing under {member!r}" if member else "nothing"
        raise LlamaDownloadError(f"{archive}: {what} in the archive")
    return dest


class _Limited:
    """What a compressed tar holds, as far as ``limit`` bytes of it: headers can be bombs too."""

    def __init__(self, stream: gzip.GzipFile | lzma.LZMAFile, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def read(self, size: int) -> bytes:
        if size > _LARGEST_READ:  # only a header is read as a whole
            raise ValueError(f"a header of {size} bytes")
        data = self._stream.read(size)
        self._check(self.tell())
        return data

    def seek(self, position: int) -> int:
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise ValueError(f"refused, more than {self._limit} bytes")


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        kinds = (
            ("file", info.isreg()),
            ("folder", info.isdir()),
            ("symlink", info.issym()),
            ("hardlink", info.islnk()),
        )
        kind = next((name for name, holds in kinds if holds), "other")
        yield _Member(
            info.name,
            kind,
            info.size,
            bool(info.mode & 0o100),
            info.linkname,
            lambda info=info: tar.extractfile(info),  # type: ignore[misc]
        )
    # The checksum of the compressed stream is only compared at its very end.
    while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
        pass


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[_Member]:
    for info in zipped.infolist():
        mode = info.external_attr >> 16
        kind = "folder" if info.is_dir() else "symlink" if stat.S_ISLNK(mode) else "file"
        # A zip keeps a link's target as the member's content.
        link = zipped.read(info).decode() if kind == "symlink" and info.file_size < 4096 else ""
        yield _Member(
            info.filename,
            kind,
            info.file_size if kind == "file" else 0,
            bool(mode & 0o100),
            link,
            lambda info=info: zipped.open(info),  # type: ignore[misc]
        )


def _extract(
    archive: Path,
    members: Iterator[_Member],
    dest: Path,
    prefix: tuple[str, ...],
    only: Callable[[PurePosixPath], bool] | None,
    max_bytes: int,
    max_members: int,
) -> int:
    """Write the members under `prefix` that `only` wants into `dest`; how many there were."""
    root = Path(os.path.realpath(dest))
    links: list[Path] = []
    written: set[Path] = set()
    total = found = 0
    for count, item in enumerate(members, 1):
        total += item.size
        if count > max_members or total > max_bytes:
            raise LlamaDownloadError(
                f"{archive}: refused, more than {max_members} members or {max_bytes} bytes"
            )
        parts = _safe_parts(archive, item.name)
        if parts[: len(prefix)] != prefix or parts == prefix:
            continue
        if only is not None and not only(PurePosixPath(*parts[len(prefix) :])):
            continue
        found += 1
        target = root.joinpath(*parts[len(prefix) :])
        # A link that was unpacked earlier may lead elsewhere, hence the real path.
        if not _inside(target.parent, root):
            raise LlamaDownloadError(f"{archive}: {item.name!r} would be written outside {dest}")
        if item.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
            continue
        # Which of two is meant depends on who reads it.
        if target in written:
            raise LlamaDownloadError(f"{archive}: refused, {item.name!r} is in it twice")
        written.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # of an earlier time
        if item.kind == "file":
            _write(archive, item, target)
        elif item.kind == "symlink":
            if not item.link or not _inside(target.parent / item.link, root):
                raise LlamaDownloadError(
                    f"{archive}: link {item.name!r} points outside, to {item.link!r}"
                )
            target.symlink_to(item.link)
            links.append(target)
        elif item.kind == "hardlink":
            origin = _safe_parts(archive, item.link)
            source = root.joinpath(*origin[len(prefix) :])
            known = origin[: len(prefix)] == prefix and _inside(source, root)
            if not known or source.is_symlink() or not source.is_file():
                raise LlamaDownloadError(
                    f"{archive}: link {item.name!r} points to {item.link!r}, which is not a file "
                    "unpacked before it"
                )
            shutil.copy2(source, target)
        else:
            raise LlamaDownloadError(
                f"{archive}: {item.name!r} is a device or another special file"
            )
    # A link can turn outwards through one that was made after it.
    for link in links:
        if not _inside(link, root):
            raise LlamaDownloadError(f"{archive}: link {link.name!r} points outside")
    return found


def _safe_parts(archive: Path, name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    # A backslash or a colon is a separator or a drive on Windows; no archive of ours has one.
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name:
        raise LlamaDownloadError(f"{archive}: refused the unsafe name {name!r}")
    return parts


def _inside(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _write(archive: Path, item: _Member, target: Path) -> None:
    source = item.open()
    if source is None:
        raise LlamaDownloadError(f"{archive}: {item.name!r} has no content")
    with source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, _CHUNK)
        written = stream.tell()
    if written != item.size:
        raise LlamaDownloadError(f"{archive}: {item.name!r} ends after {written} bytes")
    target.chmod(0o755 if item.executable else 0o644)


# --- folders that appear whole ----------------------------------------------------------------


@contextlib.contextmanager
def publish(
    final: Path, *, label: str, ready: Callable[[Path], bool] = Path.is_dir
) -> Iterator[Path | None]:
    """A fresh folder to fill, which becomes `final` when the block ends without an error.

    `ready(final)` says whether there is nothing to do; then the block gets None. One process at
    a time: another one waits, saying so on stderr with `label`, and finds the work done. An
    exception, KeyboardInterrupt included, removes the unfinished folder and leaves a `final`
    that was there before untouched. Raises `LlamaError` when the folder cannot be written.
    """
    make_folder(final.parent)
    with locked(final.with_name(f".{final.name}.lock"), label=label):
        if ready(final):
            yield None
            return
        prefix = f".{final.name}.tmp-"
        # We hold the lock, so these are what a killed process left behind.
        for stale in final.parent.glob(f"{prefix}*"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
        try:
            yield work
            # The new one goes beside the old one first: a folder cannot be replaced in one step,
            # but the gap is two renames long and an interruption leaves one of them in place.
            old = work.with_name(f"{work.name}-old")
            if final.exists():
                final.rename(old)
            try:
                work.rename(final)
            except BaseException:
                if old.exists():
                    old.rename(final)
                raise
            shutil.rmtree(old, ignore_errors=True)
            _sync_folder(final.parent)
        finally:
            # What cannot be removed must not hide the error; the next run tries again.
            shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path, *, label: str) -> Iterator[None]:
    """Hold the lock file `path`; wait, saying so on stderr, while another process does.

    The operating system releases it when the process ends, however it ends. The file itself
    stays: removing it would let two processes hold a lock on two files of that name.
    """
    try:
        stream = path.open("a+b")
    except OSError as error:
        raise LlamaError(f"cannot lock {path}: {error}") from error
    with stream:
        if not _try_lock(stream, path):
            print(f"{label}: waiting for another process to finish it", file=sys.stderr)
            while not _try_lock(stream, path):
                time.sleep(0.2)
        try:
            yield
        finally:
            _unlock(stream)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(stream: IO[bytes], path: Path) -> bool:
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError as error:
            raise LlamaError(f"cannot lock {path}: {error}") from error
        return True

    def _unlock(stream: IO[bytes]) -> None:
        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(stream: IO[bytes], path: Path) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LlamaError(f"cannot lock {path}: {error}") from error
        return True

    def _unlock(stream: IO[bytes]) -> None:
        fcntl.flock(stream, fcntl.LOCK_UN)


def _sync_folder(path: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
