"""Folders that appear complete or not at all, and locks between processes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import LlamaError
from .find import make_folder
from .progress import say


@contextmanager
def publish(
    final: Path, *, label: str, ready: Callable[[Path], bool] = Path.is_dir
) -> Iterator[Path | None]:
    """A fresh folder to fill, which becomes `final` when the block ends without an error.

    The block gets None if `ready(final)` says that nothing is left to do. One process works at a
    time: others wait, say so on stderr with `label`, and find the work done. An exception,
    KeyboardInterrupt included, removes the unfinished folder and leaves an earlier `final`
    untouched. Raises `LlamaError` when the folder cannot be written.
    """
    make_folder(final.parent)
    with locked(final.with_name(f".{final.name}.lock"), label=label):
        if ready(final):
            yield None
            return
        prefix = f".{final.name}.tmp-"
        # We hold the lock, so these were left behind by a killed process.
        for stale in final.parent.glob(f"{prefix}*"):
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=final.parent))
        try:
            yield work
            # A folder cannot be replaced in one step. The gap is two renames long, and an
            # interruption leaves one of the two folders in place.
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
            sync_folder(final.parent)
        finally:
            # A failure to remove it must not hide the error; the next run tries again.
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def locked(path: Path, *, label: str) -> Iterator[None]:
    """Hold the lock file `path`; while another process holds it, wait and say so on stderr.

    The operating system releases the lock when the process ends, however it ends. The file
    stays: if it were removed, two processes could lock two files of that name.
    """
    try:
        stream = path.open("a+b")
    except OSError as error:
        raise LlamaError(f"cannot lock {path}: {error}") from error
    with stream:
        try:
            if not _try_lock(stream):
                say(f"{label}: waiting for another process to finish it")
                while not _try_lock(stream):
                    time.sleep(0.2)
        except OSError as error:
            raise LlamaError(f"cannot lock {path}: {error}") from error
        try:
            yield
        finally:
            _unlock(stream)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(stream: IO[bytes]) -> bool:
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(stream: IO[bytes]) -> bool:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(stream: IO[bytes]) -> None:
        fcntl.flock(stream, fcntl.LOCK_UN)


def sync_folder(path: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
