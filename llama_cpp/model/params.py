"""Keyword arguments in C's form: params structs, and the arrays that these point to."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import _raw
from .._params import KEYWORDS, POINTERS
from .._params import LlamaModelParams as LlamaModelParams
from ..native.arguments import c_number, c_string
from ..native.library import LlamaLibrary
from ..native.peers import unknown_keyword
from .device import devices

_ROOM = 127
"""Bytes for a key or a string, in the struct; one more is the NUL."""
_PATTERN = 2000
"""Characters of a regular expression: the library's compiler recurses, and the stack ends."""


def set_params(
    struct: ctypes.Structure, given: Mapping[str, Any], owner: str, others: Iterable[str] = ()
) -> None:
    """Set the fields of a params struct from keyword arguments; ``owner`` takes ``others`` too.

    Raises TypeError for a name that is not there, with the nearest that is, and TypeError or
    ValueError for a value that does not fit.
    """
    kind = type(struct).__name__
    keywords = KEYWORDS[kind]
    for name, value in given.items():
        if name in POINTERS.get(kind, ()):
            raise TypeError(f"{owner}: {name!r} is a C pointer, not a plain value")
        if name not in keywords:
            raise unknown_keyword(name, [*keywords, *others], owner)
        number = keywords[name]
        if isinstance(number, str):
            number = getattr(_raw, number)
        setattr(struct, name, c_number(number, value, name))


def kv_overrides(values: Mapping[str, bool | int | float | str]) -> ctypes.Array[Any]:
    """Metadata that replaces the file's. Raises ValueError for a key or string that is too long."""
    if not isinstance(values, Mapping):
        raise TypeError(f"kv_overrides must be a mapping of keys to values, not {values!r}")
    array = (_raw.llama_model_kv_override * (len(values) + 1))()
    for entry, (key, value) in zip(array, values.items(), strict=False):
        name = c_string(key)
        what = f"kv_overrides[{key!r}]"
        if not 0 < len(name) <= _ROOM:
            raise ValueError(f"{what}: a key has 1 to {_ROOM} bytes, not {len(name)}")
        if key.startswith("split."):
            raise ValueError(f"{what}: how a model is split cannot be overridden")
        entry.key = name
        if isinstance(value, bool):
            entry.tag, entry.val_bool = _raw.LLAMA_KV_OVERRIDE_TYPE_BOOL, value
        elif isinstance(value, int):
            # The library silently reduces it to this.
            entry.tag = _raw.LLAMA_KV_OVERRIDE_TYPE_INT
            entry.val_i64 = c_number(ctypes.c_uint32, value, what)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{what} must be finite, not {value}")
            if value < 0 and key.endswith("epsilon"):
                raise ValueError(f"{what} must not be negative: {value}")  # a decode would abort
            entry.tag = _raw.LLAMA_KV_OVERRIDE_TYPE_FLOAT
            entry.val_f64 = c_number(ctypes.c_float, value, what)
        elif isinstance(value, str):
            text = c_string(value)
            if len(text) > _ROOM:
                raise ValueError(f"{what}: a string has at most {_ROOM} bytes, not {len(text)}")
            entry.tag, entry.val_str = _raw.LLAMA_KV_OVERRIDE_TYPE_STR, text
        else:
            raise TypeError(f"{what} must be a bool, int, float or str, not {value!r}")
    return array


def tensor_buft_overrides(library: LlamaLibrary, values: Mapping[str, str]) -> ctypes.Array[Any]:
    """The kinds of memory for tensors, by a regular expression that is found in their names."""
    if not isinstance(values, Mapping):
        raise TypeError(f"tensor_buft_overrides must be a mapping of regex to name, not {values!r}")
    most = int(library.short.llama_max_tensor_buft_overrides()) - 1
    if len(values) > most:
        raise ValueError(f"{len(values)} tensor_buft_overrides: the library takes {most} at most")
    known = {device.buffer_type: device._buffer_type() for device in devices(library)}
    array = (_raw.llama_model_tensor_buft_override * (len(values) + 1))()
    for entry, (pattern, name) in zip(array, values.items(), strict=False):
        if name not in known:
            raise ValueError(f"there is no buffer type {name!r}; there are {', '.join(known)}")
        entry.pattern = c_pattern(pattern)
        entry.buft = known[name]
    return array


def c_pattern(pattern: str) -> bytes:
    """A regular expression for the library, which reads ECMAScript's with C++ and not Python's.

    Raises ValueError for a pattern that Python cannot compile. The few that only C++ refuses make
    the library fail with its own message.
    """
    text = c_string(pattern)
    if len(text) > _PATTERN:
        raise ValueError(f"a regular expression of {len(text)} bytes: {_PATTERN} at most")
    try:
        re.compile(pattern)
    except (re.error, RecursionError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return text


def tensor_split(library: LlamaLibrary, values: Sequence[float]) -> ctypes.Array[ctypes.c_float]:
    """In C's form: one number for each possible device."""
    most = int(library.short.llama_max_devices())
    if len(values) > most:
        raise ValueError(f"tensor_split has {len(values)} values for at most {most} devices")
    numbers = [c_number(ctypes.c_float, v, "tensor_split") for v in values]
    if any(not 0 <= n < math.inf for n in numbers):
        raise ValueError(f"tensor_split must be proportions, 0 or more: {list(values)!r}")
    return (ctypes.c_float * most)(*numbers)
