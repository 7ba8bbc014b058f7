"""How many threads are worth starting, and how long they wait in a loop."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


# How often a thread of GCC's OpenMP looks whether there is work before it sleeps. By default it
# looks for milliseconds, for which another program could have the core: beside two programs that
# compute a decode takes twice the time of this, or many times.
_SPIN = {"GOMP_SPINCOUNT": "10000"}


def spin() -> dict[str, str]:
    """The environment for a program that computes with OpenMP: nothing where the user has set how
    its threads wait."""
    named = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    return {} if any(name in os.environ for name in named) else dict(_SPIN)


@contextmanager
def spinning_briefly() -> Iterator[None]:
    """While OpenMP is loaded, which is when it reads its environment; it has no function for this.
    A program that another thread starts in this moment may get the variable, too."""
    names = spin()
    for name, value in names.items():
        os.putenv(name, value)
    try:
        yield
    finally:
        for name in names:
            os.unsetenv(name)


def usable_cores() -> int:
    """The cores that this process may use: physical ones, within its affinity and its cgroup's
    quota. At least 1. The library's own default is 4, whatever the machine has."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # macOS, Windows
        return max(1, os.cpu_count() or 1)
    # Two hardware threads of one core share its arithmetic, which is all that a decode needs.
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota()))


def _siblings(cpu: int) -> str:
    try:
        return Path(_TOPOLOGY.format(cpu)).read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """The CPU limit of the process's cgroup, rounded up; very large without one."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (_CGROUP / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (_CGROUP / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return 1 << 16
    try:
        cores = math.ceil(int(quota) / int(period))
    except ValueError:  # "max"
        return 1 << 16
    return cores if cores > 0 else 1 << 16
