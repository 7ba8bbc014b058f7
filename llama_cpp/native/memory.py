"""How much memory this process can have, and giving back what it does not need."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def memory_limit(*, available: bool) -> int | None:
    """The bytes of main memory that this process can have: all of them, or those that nothing else
    uses now. None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {
        name: int(rest.split()[0]) * 1024 for name, rest in (line.split(":") for line in lines)
    }
    limits = [sizes["MemAvailable"] if available else sizes["MemTotal"] + sizes["SwapTotal"]]
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = int((_CGROUP / limit).read_text())
            limits.append(most - int((_CGROUP / usage).read_text()) if available else most)
        except (OSError, ValueError):  # no such file, or "max"
            continue
    limits += _address_space(available)
    return max(0, min(limits))


def _address_space(available: bool) -> list[int]:
    """What ``ulimit -v`` leaves to this process."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return []
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return [most - pages * resource.getpagesize() if available else most]


def give_back() -> None:
    """Have the C library give to the system what was allocated and is freed, as for reading a
    model's header or tokenizing a long text: glibc keeps it."""
    if sys.platform == "linux" and (trim := _malloc_trim()):
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    found: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
