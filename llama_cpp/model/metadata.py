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
        name = c_string(key, "surrogateescape")
        room = 256
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = self._value(self._owner.handle, name, buffer, room)
            if size < 0:
                raise KeyError(key)
            if size < room:
                return buffer.raw[:size].decode("utf-8", "replace")
            room = size + 1

    def __len__(self) -> int:
        return int(self._count(self._owner.handle))

    def __iter__(self) -> Iterator[str]:
        for i in range(len(self)):
            room = 256
            while True:
                buffer = ctypes.create_string_buffer(room)
                size = self._key(self._owner.handle, i, buffer, room)
                if size < room:
                    break
                room = size + 1
            yield buffer.raw[: max(size, 0)].decode("utf-8", "surrogateescape")

    def __repr__(self) -> str:
        return repr(dict(self))
