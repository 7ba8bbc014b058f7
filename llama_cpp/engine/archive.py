"""Archives, unpacked so that no member leaves the folder or fills the disk."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import LlamaDownloadError
from .find import make_folder

_CHUNK = 1 << 20
_LARGEST_READ = 16 << 20
_LONGEST_TARGET = 4096

# ValueError is also our own; zipfile raises RuntimeError for encryption and an unknown compression.
_FAILURES = (
    *(OSError, EOFError, ValueError, RuntimeError),
    *(tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error),
)
# A member as tar describes it, also one of a zip, and a function that opens its content.
_Member = tuple[tarfile.TarInfo, Callable[[], "IO[bytes] | None"]]


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

    `member` is a folder inside the archive, such as "name-1.0/src": only its content is unpacked,
    without that prefix. `only` selects from it by the path without the prefix. Refused are
    absolute names, "..", links that lead outside `dest`, members under a link, device nodes, a
    name that occurs twice, and an archive with more than `max_members` entries or `max_bytes` of
    content (a decompression bomb). Permissions are reduced to plain and executable.

    Raises `LlamaDownloadError`; the members unpacked until then stay, so unpack into a fresh
    folder (see `publish`).
    """
    prefix = PurePosixPath(member).parts if member else ()
    # Besides the content, a tar has a header for each member, and padding.
    limit = max_bytes + 4096 * max_members + _CHUNK
    found: dict[tuple[str, ...], Path] = {}
    total = 0
    try:
        make_folder(dest)
        root = Path(os.path.realpath(dest))
        with closing(_members(archive, limit)) as members:
            for count, (info, source) in enumerate(members, 1):
                total += info.size
                if count > max_members or total > max_bytes:
                    raise ValueError(
                        f"refused, more than {max_members} members or {max_bytes} bytes"
                    )
                parts = _parts(info.name)
                inside = PurePosixPath(*parts[len(prefix) :])
                if parts[: len(prefix)] != prefix or parts == prefix:
                    continue
                if only is None or only(inside):
                    info.name = str(inside)
                    _write(parts, _checked(info, root), source, root, found)
    except _FAILURES as error:
        raise LlamaDownloadError(f"{archive}: cannot unpack into {dest}: {error}") from error
    if not found:
        place = f" under {member!r}" if member else ""
        raise LlamaDownloadError(f"{archive}: nothing{place} in the archive")
    return dest


def _members(archive: Path, limit: int) -> Generator[_Member]:
    if archive.name.endswith((".zip", ".whl")):
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                yield _as_tar(zipped, entry), partial(zipped.open, entry)
        return
    compression = lzma if archive.name.endswith(".xz") else gzip
    with compression.open(archive) as stream:
        plain: Any = _Limited(stream, limit)
        with tarfile.open(fileobj=plain, mode="r:") as tar:
            for info in tar:
                yield info, partial(tar.extractfile, info)
            # The checksum of the compressed stream is only compared at its very end.
            while plain.read(_CHUNK):
                pass


def _as_tar(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.filename)
    info.mode = entry.external_attr >> 16
    if entry.is_dir():
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(info.mode):
        # A zip keeps a link's target as the member's content.
        if not 0 < entry.file_size <= _LONGEST_TARGET:
            raise ValueError(f"link {info.name!r} has a target of {entry.file_size} bytes")
        info.type, info.linkname = tarfile.SYMTYPE, zipped.read(entry).decode()
    else:
        info.size = entry.file_size
    return info


class _Limited:
    """The first ``limit`` bytes of a decompressed tar: headers can be bombs too."""

    def __init__(self, stream: gzip.GzipFile | lzma.LZMAFile, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        if size > _LARGEST_READ:  # only a header is read as a whole
            raise ValueError(f"a header of {size} bytes")
        data = self._stream.read(size)
        self._check(self.tell())
        return data

    def seek(self, position: int) -> int:
        self._check(position)
        return self._stream.seek(position)

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise ValueError(f"refused, more than {self._limit} bytes")


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    # A backslash or a colon is a separator or a drive on Windows; no archive of ours has one.
    if name.startswith("/") or ".." in parts or set(name) & {"\\", ":", "\0"}:
        raise ValueError(f"refused the unsafe name {name!r}")
    return parts


def _checked(info: tarfile.TarInfo, root: Path) -> tarfile.TarInfo:
    """A member that Python's own filter (PEP 706) lets pass, and that cannot leave ``root`` later.

    The filter follows links as they are on the disk. Two more rules make that hold for links that
    are added later: nothing lies under a link, and a link's ".." come first in its target.
    """
    if any(root.joinpath(parent).is_symlink() for parent in PurePosixPath(info.name).parents):
        raise ValueError(f"{info.name!r} would be written through a link")
    if info.islnk():
        _parts(info.linkname)
    target = PurePosixPath(info.linkname).parts if info.issym() else ()
    up = next((i for i, part in enumerate(target) if part != ".."), len(target))
    if ".." in target[up:] or set(info.linkname) & {"\\", ":"}:
        raise ValueError(f"link {info.name!r} leads back through {info.linkname!r}")
    if hasattr(tarfile, "data_filter"):
        return tarfile.data_filter(info, str(root))
    # Before Python 3.10.12 and 3.11.4 there is no filter.
    if not (info.isreg() or info.isdir() or info.issym() or info.islnk()):
        raise ValueError(f"{info.name!r} is a device or another special file")
    if info.issym() and (target[:1] == ("/",) or up >= len(PurePosixPath(info.name).parts)):
        raise ValueError(f"link {info.name!r} leads outside, to {info.linkname!r}")
    return info


def _write(
    parts: tuple[str, ...],
    info: tarfile.TarInfo,
    open_source: Callable[[], IO[bytes] | None],
    root: Path,
    found: dict[tuple[str, ...], Path],
) -> None:
    """Write a member whose name in the archive is ``parts``, and add it to ``found``."""
    target = root / info.name
    if info.isdir():
        target.mkdir(parents=True, exist_ok=True)
        found[parts] = target
        return
    if parts in found:  # readers of archives differ in which of the two they take
        raise ValueError(f"refused, {info.name!r} is in it twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # of an earlier time
    if info.issym():
        target.symlink_to(info.linkname)
    elif info.islnk():
        origin = found.get(_parts(info.linkname))
        if origin is None or origin.is_symlink() or not origin.is_file():
            raise ValueError(
                f"link {info.name!r} points to {info.linkname!r}, which is not a file unpacked "
                "before it"
            )
        shutil.copy2(origin, target)
    else:
        source = open_source()
        assert source is not None
        with source, target.open("xb") as stream:
            shutil.copyfileobj(source, stream, _CHUNK)
            written = stream.tell()
        if written != info.size:
            raise ValueError(f"{info.name!r} ends after {written} bytes")
        target.chmod(0o755 if (info.mode or 0) & 0o100 else 0o644)
    found[parts] = target
