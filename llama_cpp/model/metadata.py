"""The metadata of a model or an adapter, read when asked for."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ..native.arguments import c_string
from ..native.library import LlamaLibrary


class _Owner(Protocol):
    @property
    def handle(self) -> Any: ...

    @property
    def library(self) -> LlamaLibrary: ...


class Metadata(Mapping[str, str]):
    """Key -> value, both strings. ``functions`` is how the names of the C functions begin."""

    def __init__(self, owner: _Owner, functions: str) -> None:
        self._owner = owner
        calls = owner.library.short
        self._value = getattr(calls, f"{functions}_val_str")
        self._count = getattr(calls, f"{functions}_count")
        self._key = getattr(calls, f"{functions}_key_by_index")

    def __getitem__(self, key: str) -> str:
        # A damaged file may have keys that are no UTF-8: what is iterated over can be looked up.
        value = self._read(self._value, c_string(key, "surrogateescape"))
        if value is None:
            raise KeyError(key)
        return value.decode("utf-8", "replace")

    def __len__(self) -> int:
        return int(self._count(self._owner.handle))

    def __iter__(self) -> Iterator[str]:
        for i in range(len(self)):
            yield (self._read(self._key, i) or b"").decode("utf-8", "surrogateescape")

    def _read(self, function: Any, which: bytes | int) -> bytes | None:
        room, size = 0, 256
        while size >= room:
            room = size + 1
            buffer = ctypes.create_string_buffer(room)
            size = function(self._owner.handle, which, buffer, room)
        return buffer.raw[:size] if size >= 0 else None

    def __repr__(self) -> str:
        return repr(dict(self))
