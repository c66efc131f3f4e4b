"""How many processors this process may use: those of its affinity, and no more than its control group's quota."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # within a container, its own
_V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


def processors(cgroup: Path = _CGROUP) -> float:
    """A part of one where the quota is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _quota(cgroup))


def _quota(cgroup: Path) -> float:
    """Quota and period are in one file of version 2 of control groups, and in two of version 1."""
    match _words(cgroup / "cpu.max") or [word for name in _V1 for word in _words(cgroup / name)]:
        case [quota, period] if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            return int(quota) / int(period)
    return float("inf")  # "max" or -1: no quota


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
