"""How many threads are worth starting."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


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
