"""The contents of a GGUF file besides the weights, read by the library's own functions.

They refuse a damaged file. But they abort if a value has another type than the requested one, so
everything here checks the type first.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from .. import _raw
from .. import _std as std
from ..engine.machine import address_space
from ..errors import LlamaError, LlamaModelError
from ..native import log
from ..native.arguments import check_type
from ..native.calls import call, unguarded
from ..native.library import LlamaLibrary
from ..native.resource import Resource, owned

if TYPE_CHECKING:
    import hashlib
    from pathlib import Path

T = TypeVar("T")

_MAGIC = b"GGUF"
# The weights of a model are known by this many pieces of its file.
_N_PIECES = 64
_PIECE = 4096
N_DIGEST = 16
"""The bytes of a hash."""
SPLIT = r"-(\d{5})-of-(\d{5})\.gguf$"


class Tensor(NamedTuple):
    """A tensor's place in the file."""

    type: int
    shape: tuple[int, int, int, int]
    """In ggml's order: the fastest dimension first."""
    offset: int
    """From the start of the file, in bytes."""
    size: int


# A short string takes this many times as much in memory as in the file.
_GROWTH = 4
_MOST = 1 << 28


def _check_memory(path: Path, error: type[LlamaError]) -> None:
    """Raise ``error`` if a limit (``ulimit -v``) leaves no room for the header: the library would
    end the process."""
    if not address_space(available=False):
        return
    size = min(max(1, _GROWTH * path.stat().st_size), _MOST)
    try:
        import mmap  # here: few programs have such a limit. It may leave no room for this, either

        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ).close()  # room, but no memory
    except (OSError, ImportError) as reason:
        raise error(f"{path} cannot be read: not enough memory") from reason


_OTHER_FILES = {
    b"version https://git-lfs": "a Git LFS pointer, which stands for it; run git lfs pull",
    b"<!doctype html": "a web page, as of a login or an error; download the file itself",
    b"<html": "a web page, as of a login or an error; download the file itself",
    b'{"error': "the error that a server sent instead of it; download it again",
    b"pk\x03\x04": "a zip archive or PyTorch's weights; convert them (convert_hf_to_gguf.py)",
    b"lmgg": "of the old format GGML; take a .gguf file of the model",
    b"tjgg": "of the old format GGJT; take a .gguf file of the model",
    b"\x1f\x8b": "compressed; unpack it with gunzip",
}
_OTHER_USES = {
    "adapter": ": it is a LoRA adapter, for LlamaModel.load_lora",
    "imatrix": ": it is an importance matrix, for quantize",
    "mmproj": ": it is a projector, for LlamaMultimodal",
}


class GGUFFile:
    """The metadata and the list of tensors of a GGUF file.

    Raises FileNotFoundError and the like, and ``error`` for an incomplete header.
    """

    def __init__(
        self, library: LlamaLibrary, path: Path, error: type[LlamaError] = LlamaModelError
    ) -> None:
        check_type(library, LlamaLibrary)
        check_file(path, error)
        _check_memory(path, error)
        self._error = error
        self.path = path
        self._calls = library.short
        params = _raw.gguf_init_params(no_alloc=True)

        def read() -> Resource | None:
            handle = library.gguf_init_from_file(file_name(path), params)
            return owned(handle, library.gguf_free)

        what = f"{path} cannot be read as GGUF"
        self._resource = call(library, read, what, error=error, guard=unguarded)
        self._handle = self._resource.handle

    def _value(self, key: str, kind: _raw.gguf_type, get: Callable[..., T]) -> T | None:
        """The value of ``key`` by ``get``; None if it is missing or has another type."""
        found = self._calls.gguf_find_key(self._handle, key.encode())
        if found < 0 or self._calls.gguf_get_kv_type(self._handle, found) != kind:
            return None
        return get(self._handle, found)

    def has(self, key: str) -> bool:
        """Whether ``key`` exists, with any type."""
        return bool(self._calls.gguf_find_key(self._handle, key.encode()) >= 0)

    def string(self, key: str) -> str | None:
        """A string, or None."""
        get = self._calls.gguf_get_val_str
        value = self._value(key, _raw.gguf_type.GGUF_TYPE_STRING, get)
        return None if value is None else value.decode("utf-8", "replace")

    def float32(self, key: str) -> float | None:
        """A float, or None."""
        return self._value(key, _raw.gguf_type.GGUF_TYPE_FLOAT32, self._calls.gguf_get_val_f32)

    def uint16(self, key: str) -> int | None:
        """A number of 16 bits, or None."""
        return self._value(key, _raw.gguf_type.GGUF_TYPE_UINT16, self._calls.gguf_get_val_u16)

    def floats(self) -> Iterator[tuple[str, float]]:
        """Its keys whose values are floats."""
        calls, handle = self._calls, self._handle
        for i in range(calls.gguf_get_n_kv(handle)):
            if calls.gguf_get_kv_type(handle, i) == _raw.gguf_type.GGUF_TYPE_FLOAT32:
                key = (calls.gguf_get_key(handle, i) or b"").decode("utf-8", "replace")
                yield key, float(calls.gguf_get_val_f32(handle, i))

    def types(self) -> dict[str, int]:
        """The types of its tensors by name."""
        calls, handle = self._calls, self._handle
        return {
            (calls.gguf_get_tensor_name(handle, i) or b"").decode("utf-8", "replace"): int(
                calls.gguf_get_tensor_type(handle, i)
            )
            for i in range(calls.gguf_get_n_tensors(handle))
        }

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name, in the order of the file."""
        calls, handle = self._calls, self._handle
        start = int(calls.gguf_get_data_offset(handle))
        found = {}
        for i in range(calls.gguf_get_n_tensors(handle)):
            name = (calls.gguf_get_tensor_name(handle, i) or b"").decode("utf-8", "replace")
            ne = calls.gguf_get_tensor_ne(handle, i)
            found[name] = Tensor(
                int(calls.gguf_get_tensor_type(handle, i)),
                (int(ne[0]), int(ne[1]), int(ne[2]), int(ne[3])),
                start + int(calls.gguf_get_tensor_offset(handle, i)),
                int(calls.gguf_get_tensor_size(handle, i)),
            )
        return found

    def check_whole(self) -> None:
        """Raise LlamaModelError for a file that ends before its last tensor."""
        end = max((t.offset + t.size for t in self.tensors().values()), default=0)
        size = self.path.stat().st_size
        if size < end:
            raise self._error(f"{self.path} is cut off: {size} bytes of at least {end}")


def check_file(path: Path, error: type[LlamaError] = LlamaModelError) -> None:
    """Refuse a file that is not GGUF, with a better message than the library's."""
    if path.is_dir():
        raise error(f"{path} is a folder, not a GGUF file")
    if path.is_fifo():  # opening it would wait for a writer
        raise error(f"{path} is a pipe, not a GGUF file")
    with path.open("rb") as file:  # FileNotFoundError, PermissionError
        head = file.read(64)
    start, version = head[: len(_MAGIC)], head[len(_MAGIC) : 8]
    if start != _MAGIC:
        what = "empty" if not start else f"it starts with {start!r} instead of {_MAGIC!r}"
        for begin, kind in _OTHER_FILES.items():
            what = kind if head.lstrip().lower().startswith(begin) else what
        raise error(f"{path} is not a GGUF file: {what}. Models for llama.cpp come as .gguf files")
    if version[:3] == b"\0\0\0" and version[3:] > b"\0":
        raise error(
            f"{path} is a big-endian GGUF file: convert it for this machine (gguf-py has a "
            "script, gguf_convert_endian.py), or take another file of the model"
        )
    if version == b"\1\0\0\0":
        raise error(f"{path} is GGUF version 1, of 2023: take a newer file of the model")
    if path.stat().st_size < 24:
        raise error(f"{path} is cut off after {path.stat().st_size} bytes: download it again")


def other_use(library: LlamaLibrary, path: Path) -> str:
    """The kind of a GGUF file that is not a model, for an error; "" if the file has no kind."""
    try:
        file = GGUFFile(library, path)
    except (LlamaError, OSError):
        return ": its beginning is cut off or damaged; download it again"
    return _OTHER_USES.get(file.string("general.type") or "", "")


def file_name(path: Path) -> bytes:
    """A path in the library's encoding: UTF-8 on Windows, the file system's bytes elsewhere.
    Raises ValueError for one with a NUL, at which C would end it."""
    name = str(path).encode() if sys.platform == "win32" else os.fsencode(path)
    if b"\0" in name:
        raise ValueError(f"a file name cannot contain a NUL character: {str(path)!r}")
    return name


def parts(library: LlamaLibrary, path: Path) -> list[Path]:
    """The files of the model that begins with ``path``: those that the library will look for."""
    check_file(path)
    match = re.search(SPLIT, path.name)
    if match is None:
        return [path]
    count = GGUFFile(library, path).uint16("split.count")
    if count is None or count < 2 or int(match[1]) != 1 or int(match[2]) != count:
        return [path]  # not split, or the library reports the fault
    return [path.with_name(name) for name in part_names(path.name)]


def part_names(first: str) -> list[str]:
    """The names of the parts of a split model whose first one is ``first``."""
    match = re.search(SPLIT, first)
    if match is None:
        return [first]
    stem, count = first[: match.start()], int(match[2])
    return [f"{stem}-{i + 1:05}-of-{count:05}.gguf" for i in range(count)]


def check_parts(library: LlamaLibrary, paths: Sequence[Path]) -> None:
    """Refuse a file that is not GGUF, and a part whose number would make the library abort."""
    for i, path in enumerate(paths):
        check_file(path)
        if i > 0 and GGUFFile(library, path).uint16("split.no") is None:
            raise LlamaModelError(f"{path} is not a part of a split model: it has no split.no")


def check_target(target: Path) -> None:
    """Raise ValueError for a device or a pipe: the new file would replace it, even /dev/null for
    all programs."""
    if target.exists() and not target.is_file():
        raise ValueError(f"{target} is not a regular file: choose another output")


@contextmanager
def written(target: Path, sources: Sequence[Path]) -> Iterator[Path]:
    """A path to write to. At the end of the block the file replaces ``target``, and files next to
    it are moved next to ``target``; after an exception all of them are removed.

    Raises ValueError if ``target`` is one of ``sources``, or not a regular file.
    """
    if target.is_dir():
        raise ValueError(f"{target} is a folder: give the name of a file")
    check_target(target)
    if target.exists() and any(s.exists() and target.samefile(s) for s in sources):
        raise ValueError(f"{target} is the input file: choose another output")
    # In the same folder: a file can be moved into place only on the same disk.
    import tempfile  # here: few programs need it, and it imports much

    file_name(target)
    folder = tempfile.TemporaryDirectory(prefix=".llama-", dir=target.parent)
    try:
        yield std.Path(folder.name) / target.name
        for file in std.Path(folder.name).iterdir():
            file.replace(target.with_name(file.name))
    finally:
        with log.interruptible():  # so that Ctrl-C does not leave it half removed
            folder.cleanup()


def new_digest() -> hashlib.blake2b:
    """The beginning of a hash."""
    import hashlib  # here: it loads OpenSSL, which only programs with states or adapters need

    return hashlib.blake2b(digest_size=N_DIGEST)


def weights(path: Path) -> str:
    """A hash of the weights, to tell models of one shape apart. Raises OSError."""
    digest = new_digest()
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        for i in range(_N_PIECES):
            stream.seek(max(0, size - _PIECE) * i // (_N_PIECES - 1))
            digest.update(stream.read(_PIECE))
    return digest.hexdigest()
