"""Python values as C arguments, checked first: ctypes itself truncates integers silently,
and C reads past the end of a short buffer."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any

_FLOATS = (ctypes.c_float, ctypes.c_double)
_FLOAT_MAX = 3.4028234663852886e38


def check_type(value: object, kind: type[Any]) -> None:
    """Raise TypeError unless ``value`` is a ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, not {type(value).__name__}: {value!r}")


def check_callable(value: object, name: str) -> None:
    """Raise TypeError unless ``value`` is callable or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable, not {value!r}")


def check_text(value: object, name: str) -> None:
    """Raise TypeError unless ``value`` is a string or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")


def check_count(value: object, name: str, least: int = 0) -> None:
    """Raise TypeError unless ``value`` is an integer, ValueError if it is less than ``least``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def text_bytes(text: object, name: str) -> bytes:
    """UTF-8 of a text for the model, or the bytes that it is: it may have NULs. TypeError for
    anything else and ValueError for half a character (a lone surrogate), naming ``name``."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string or bytes, not {type(text).__name__}")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        part = text[max(0, error.start - 9) : error.end + 9]
        raise ValueError(
            f"{name} has half a character at {error.start}, in {part!r}: it was cut, or decoded "
            "with surrogateescape. Pass complete text"
        ) from None


def c_string(value: str, errors: str = "strict") -> bytes:
    """``const char *``: UTF-8. TypeError for anything but a string, ValueError for a NUL inside."""
    if not isinstance(value, str):
        raise TypeError(f"expected a string, not {type(value).__name__}: {value!r}")
    if "\0" in value:
        raise ValueError(f"a string for C cannot contain a NUL character: {value!r}")
    return text_bytes(value, "a string") if errors == "strict" else value.encode("utf-8", errors)


def c_strings(values: Sequence[str]) -> Any:
    """``const char **``. TypeError for one string in place of several."""
    if isinstance(values, str | bytes):
        raise TypeError(f"expected a sequence of strings, not one string: {values!r}")
    return (ctypes.c_char_p * len(values))(*[c_string(v) for v in values])


def c_array(ctype: Any, values: Sequence[Any] | Mapping[Any, Any]) -> Any:
    """An array of numbers, or of structs from tuples or from a mapping's items."""
    items: Iterable[Any] = values.items() if isinstance(values, Mapping) else values
    if issubclass(ctype, ctypes.Structure):
        fields = [field[1] for field in ctype._fields_]
        items = [_record(fields, item) for item in items]
    else:
        items = [c_number(ctype, item, "an element") for item in items]
    return (ctype * len(values))(*items)


def _record(fields: Sequence[Any], item: Any) -> tuple[Any, ...]:
    if not isinstance(item, tuple | list) or len(item) != len(fields):
        raise TypeError(f"expected a tuple of {len(fields)} numbers, not {item!r}")
    return tuple(c_number(t, v, "an element") for t, v in zip(fields, item, strict=True))


def c_number(ctype: Any, value: Any, name: str) -> Any:
    """``value`` as a number for ``ctype`` (or an enumeration). Raises TypeError for other types and
    NaN, ValueError if it does not fit, naming ``name``. Other ctypes pass unchanged."""
    if ctype is ctypes.c_bool:  # the most frequent ones first
        if not isinstance(value, bool) and value not in (0, 1):
            raise TypeError(f"{name} must be True or False, not {value!r}")
        return bool(value)
    if ctype in _FLOATS:
        try:
            number = math.nan if isinstance(value, str | bytes) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isnan(number):
            raise TypeError(f"{name} must be a number, not {value!r}")
        if ctype is ctypes.c_float and _FLOAT_MAX < abs(number) < math.inf:
            raise ValueError(f"{name}={number} is outside -{_FLOAT_MAX} to {_FLOAT_MAX}")
        return number
    if isinstance(ctype, type) and issubclass(ctype, IntEnum):
        value = integer(value, name)
        try:
            return ctype(value)
        except ValueError:
            known = ", ".join(f"{m.name} ({m.value})" for m in ctype)
            raise ValueError(f"{name}={value} is not one of {known}") from None
    if isinstance(ctype, type) and issubclass(ctype, IntFlag):
        return integer(value, name)
    limits = integer_limits(ctype)
    if limits is None:
        return value
    number = integer(value, name)
    low, high = limits
    if not low <= number <= high:
        raise ValueError(f"{name}={number} is outside {low} to {high}")
    return number


@cache
def integer_limits(ctype: Any) -> tuple[int, int] | None:
    """The least and the greatest value of an integer ctype, None for any other."""
    code = getattr(ctype, "_type_", None)
    if not isinstance(code, str) or code not in "bBhHiIlLqQ":
        return None
    bits = 8 * ctypes.sizeof(ctype)
    return (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def integer(value: Any, name: str) -> int:
    """``value`` as a plain int. Raises TypeError, naming ``name``, if it is not an integer."""
    try:
        return int(value.__index__())
    except AttributeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
