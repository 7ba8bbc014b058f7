"""A folder of computed prompts, which several processes share."""

from __future__ import annotations

import os
import stat
import time
import warnings
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .. import _std as std
from ..errors import LlamaStateError
from ..native.arguments import check_count, check_type
from . import state as states
from .adapters import ContextAdapters
from .cells import CellBooks
from .sequence import LlamaSequence

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

_END = ".state"
_PART = ".part"
_STALE = 3600.0  # seconds, after which nobody goes on with a part
# A state is worth reading for at least this share of its tokens.
_WORTH = 0.25
# The same prompt continues from so many tokens before its end, if the model cannot go back.
_BEFORE_END = 4


class PromptCache:
    """Keeps computed prompts in a folder, for ``prompt_cache`` of `Llama`: a prompt that begins
    like one of them, in this or another process, continues from there.

    A prompt is stored when ``min_tokens`` or more of it had to be computed, and read when that
    saves so many. What is used least recently goes when the files have more than ``max_bytes``
    together. Each file belongs to a model, an engine and the settings of a context that change the
    state. It is written under another name first, has a checksum, and is for its owner alone; files
    of other users, and damaged ones, are ignored. Nothing that goes wrong with a file stops a
    generation: the first such error is a warning.

    A recurrent or hybrid model, or one with a sliding window, cannot go back in a state. Of its
    prompts those beginnings are stored that two have in common.

    Raises OSError where the folder cannot be made, or is a file.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, max_bytes: int = 4 << 30, min_tokens: int = 256
    ) -> None:
        check_count(max_bytes, "max_bytes")
        check_count(min_tokens, "min_tokens", least=1)
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"prompt_cache must be a folder or a PromptCache, not {folder!r}")
        self.folder: Final = std.Path(folder).absolute()
        """Its folder."""
        self.max_bytes = max_bytes
        """The most bytes that its files have together."""
        self.min_tokens = min_tokens
        """The fewest tokens to store, or to read."""
        self._warned = False
        self.folder.mkdir(0o700, parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"<PromptCache {self.folder}>"

    def clear(self) -> None:
        """Remove all files of prompts."""
        self._trim(0)

    def entries(self, key: str = "") -> dict[str, os.stat_result]:
        """The names of the files whose names begin with ``key``, oldest use first."""
        found = {}
        with os.scandir(self.folder) as folder:
            for entry in folder:
                if entry.name.startswith(key) and entry.name.endswith(_END):
                    try:
                        found[entry.name] = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # another process has removed it
                        continue
        return dict(sorted(found.items(), key=lambda item: item[1].st_mtime_ns))

    def open(self, name: str) -> FileIO:
        """Open a file of it. OSError if it is not one of ours."""
        flags = os.O_RDONLY
        for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
            flags |= getattr(os, flag, 0)
        file = os.fdopen(os.open(self.folder / name, flags), "rb", buffering=0)
        about = os.fstat(file.fileno())
        mine = not hasattr(os, "getuid") or about.st_uid == os.getuid()
        if mine and stat.S_ISREG(about.st_mode):
            return file
        file.close()
        raise PermissionError(f"{name} is not a file of this user")

    def write(self, name: str, data: bytes) -> None:
        """Write a file; it is there as a whole or not at all."""
        if len(data) > self.max_bytes:
            return
        self._trim(self.max_bytes - len(data))
        part = self.folder / f"{name}.{os.urandom(4).hex()}{_PART}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            # Without fsync: after a crash of the machine the checksum is wrong.
            with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
                file.write(data)
            part.replace(self.folder / name)
        finally:
            part.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:  # one that is open, on Windows
            self.report(error)

    def report(self, error: Exception) -> None:
        """Warn of an error, once."""
        if not self._warned:
            self._warned = True
            warnings.warn(f"the prompt cache {self.folder} fails: {error}", stacklevel=2)

    def _trim(self, most: int) -> None:
        """Remove the files that were not used for longest, until the others have ``most`` bytes."""
        entries = self.entries()
        size = sum(about.st_size for about in entries.values())
        for name, about in entries.items():
            if size <= most:
                break
            self.remove(name)
            size -= about.st_size
        for part in self.folder.glob(f"*{_PART}"):
            with suppress(OSError):
                if not most or time.time() - part.stat().st_mtime > _STALE:
                    part.unlink()


class StoredPrompts:
    """The prompts of one context in a `PromptCache`."""

    def __init__(self, cache: PromptCache, books: CellBooks, adapters: ContextAdapters) -> None:
        check_type(cache, PromptCache)
        self._cache = cache
        self._books = books
        self._adapters = adapters
        # Whether a state is of use only as a whole: of a sliding window it has nothing before it.
        self._whole = books.core.forgets or books.core.n_swa > 0
        self._known: dict[str, bytes] = {}  # name -> tokens
        self._keys: dict[object, str] = {}

    def load(self, sequence: LlamaSequence, tokens: Sequence[int], n: int) -> bool:
        """Give ``sequence`` the longest stored beginning of ``tokens``, if that is enough more than
        the ``n`` tokens that are there already. Returns whether it has it."""
        cache = self._cache
        try:
            for common, name in sorted(self._common(tokens), reverse=True):
                size = len(self._known[name]) // _INT
                if common < n + cache.min_tokens or size > self._books.core.n_ctx_seq:
                    continue
                if common < size * (1 if self._whole else _WORTH):
                    continue
                if self._read(name, sequence):
                    sequence.rewind(common)
                    return True
        except (OSError, LlamaStateError) as error:
            cache.report(error)
        return False

    def marks(self, tokens: Sequence[int], n: int) -> set[int]:
        """Where to `save`, while ``tokens`` are computed of which ``n`` are there."""
        least = self._cache.min_tokens
        if len(tokens) - n < least:
            return set()
        if not self._whole:
            return {len(tokens)}
        try:
            marks = {common for common, _ in self._common(tokens)} | {len(tokens) - _BEFORE_END}
        except OSError as error:
            self._cache.report(error)
            return set()
        return {mark for mark in marks if mark - n >= least}

    def save(self, sequence: LlamaSequence) -> None:
        """Store ``sequence``, unless it is there."""
        cache, tokens = self._cache, _bytes(sequence.tokens)
        if not self._books.turned or sequence.reusable(sequence.tokens) < len(sequence):
            return
        key = self._key()
        name = f"{key}-{states.digest(tokens)}{_END}"
        try:
            if self._known.get(name) == tokens and name in cache.entries(key):
                self._touch(name)
                return
            cache.write(name, sequence.to_bytes())
            self._known[name] = tokens
            if not self._whole:
                for other, its in list(self._known.items()):
                    if other != name and other.startswith(key) and tokens.startswith(its):
                        cache.remove(other)
        except (OSError, LlamaStateError) as error:
            cache.report(error)

    def _key(self) -> str:
        """The hash of all that a state depends on, besides its tokens."""
        core, adapters = self._books.core, self._adapters.facts
        key = self._keys.get(adapters)
        if key is None:
            more = [getattr(core.params, name, None) for name in ("flash_attn_type", "swa_full")]
            facts = [states.facts(core), more, adapters, _files(core.model)]
            self._keys[adapters] = key = states.digest(std.json.dumps(facts).encode())
        return key

    def _common(self, tokens: Sequence[int]) -> list[tuple[int, str]]:
        """How many tokens each stored prompt has in common with ``tokens``, and its name."""
        if len(tokens) < self._cache.min_tokens:
            return []
        entries, wanted, found = self._cache.entries(self._key()), _bytes(tokens), []
        self._known = {name: known for name, known in self._known.items() if name in entries}
        for name in entries:
            its = self._known.get(name)
            if its is None:
                its = self._known[name] = self._tokens(name)
            found.append((_n_common(its, wanted) // _INT, name))
        return found

    def _tokens(self, name: str) -> bytes:
        """The tokens of a stored prompt, none if the file is damaged."""
        try:
            with self._cache.open(name) as file:
                return states.read_tokens(file)
        except (OSError, LlamaStateError):
            return b""

    def _read(self, name: str, sequence: LlamaSequence) -> bool:
        """Read a stored prompt into ``sequence``. Returns whether there was room for it, and
        removes a damaged one."""
        try:
            with self._cache.open(name) as file:
                data = bytearray(os.fstat(file.fileno()).st_size)
                del data[file.readinto(data) :]
        except FileNotFoundError:
            return False
        try:
            sequence.replace(data)
        except LlamaStateError as error:
            self._remove_damaged(name, data, sequence.id, error)
            return False
        self._touch(name)
        return True

    def _remove_damaged(
        self, name: str, data: bytearray, seq_id: int, error: LlamaStateError
    ) -> None:
        """Remove a stored prompt that was not restored, unless there was no room for it."""
        try:
            states.check(self._books.core, data, seq_id)
        except LlamaStateError:
            self._cache.report(error)
            self._cache.remove(name)

    def _touch(self, name: str) -> None:
        with suppress(OSError):
            os.utime(self._cache.folder / name)


_INT = 4


def _bytes(tokens: Sequence[int]) -> bytes:
    return array("i", tokens).tobytes()


def _n_common(a: bytes, b: bytes) -> int:
    """The length of the common beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _files(model: Any) -> list[Any]:
    """The files of the engine and the model, as they are now, and the model's overrides."""

    def about(path: Path) -> list[Any]:
        try:
            found = path.stat()
        except OSError:
            return [str(path)]
        return [str(path), found.st_size, found.st_mtime_ns]

    return [about(model.library.path), about(model.path), sorted(model.overrides.items())]
