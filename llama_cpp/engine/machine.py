"""The machine's cores and memory that this process may use."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache

from .. import _std as std

_CGROUP = "/sys/fs/cgroup"
_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def usable_cores() -> int:
    """The cores that this process may use: physical ones, within its affinity and its cgroup's
    quota. At least 1. The library's own default is 4, whatever the machine has."""
    # Two hardware threads of one core share its arithmetic, which is all that a decode needs.
    return min(len({_siblings(cpu) for cpu in _cpus()}), _quota())


def usable_threads() -> int:
    """The hardware threads that this process may use, within the same limits. At least 1."""
    return min(len(_cpus()), _quota())


def _cpus() -> Collection[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # macOS, Windows
        return range(os.cpu_count() or 1)


def _siblings(cpu: int) -> str:
    try:
        return std.Path(_TOPOLOGY.format(cpu)).read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """The CPU limit of the process's cgroup, rounded up; very large without one."""
    try:
        quota, period = std.Path(_CGROUP, "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = std.Path(_CGROUP, "cpu", "cpu.cfs_quota_us").read_text()
            period = std.Path(_CGROUP, "cpu", "cpu.cfs_period_us").read_text()
        except OSError:
            return 1 << 16
    try:
        cores = math.ceil(int(quota) / int(period))
    except ValueError:  # "max"
        return 1 << 16
    return cores if cores > 0 else 1 << 16


def memory_limit(*, available: bool) -> int | None:
    """The bytes of main memory that this process can have: all of them, or those that nothing else
    uses now. None where the system does not say."""
    try:
        lines = std.Path("/proc/meminfo").read_text().splitlines()
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
            most = int(std.Path(_CGROUP, limit).read_text())
            limits.append(most - int(std.Path(_CGROUP, usage).read_text()) if available else most)
        except (OSError, ValueError):  # no such file, or "max"
            continue
    limits += address_space(available)
    return max(0, min(limits))


def address_space(available: bool) -> list[int]:
    """The address space that ``ulimit -v`` leaves to this process, or gives it; empty without such
    a limit."""
    try:
        import resource
    except ImportError:  # not on Windows; elsewhere there is no room for it
        return [] if sys.platform == "win32" else [0]
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return []
    pages = int(std.Path("/proc/self/statm").read_text().split()[0])
    return [most - pages * resource.getpagesize() if available else most]


def give_back() -> None:
    """Return freed memory to the system: glibc keeps the megabytes that a model's header or a long
    text took."""
    if sys.platform == "linux" and (trim := _malloc_trim()):
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    found: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found


# How often a thread of GCC's OpenMP looks whether there is work before it sleeps. By default it
# looks for milliseconds, for which another program could have the core: beside programs that
# compute a token takes many times as long. 1,000 is as fast on an idle machine, 300 is slower;
# `bench spin` compares. Each thread of a program that computes has such threads; where all together
# are more than the cores, OpenMP takes 100, unless they are to be active.
_SPIN = {"GOMP_SPINCOUNT": "1000", "OMP_WAIT_POLICY": "active"}


def spin() -> dict[str, str]:
    """The environment for a program that computes with OpenMP: nothing where the user has set how
    its threads wait."""
    named = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    return {} if any(name in os.environ for name in named) else dict(_SPIN)


@contextmanager
def spinning_briefly() -> Iterator[None]:
    """While OpenMP is loaded, which is when it reads its environment; it has no function for this.
    A program that another thread starts in this moment may get the variable, too. ggml then sets
    another one, to the default of the OpenMP that reads it."""
    names = spin()
    unset = [*names, *{"KMP_BLOCKTIME"}.difference(os.environ)]
    for name, value in names.items():
        os.putenv(name, value)
    try:
        yield
    finally:
        for name in unset:
            os.unsetenv(name)
