"""Samples of CPU time, memory and a count of events; figures are taken between 10 % and 90 % of the run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psutil


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB (10^6 bytes)."""
    return float(psutil.Process(pid).memory_info().rss / 1e6)


@dataclass
class Watch:
    """Counts and CPU over time; `count` says how many events have reached the sink."""

    count: Callable[[], Awaitable[int]]
    pids: dict[str, int]
    samples: list[tuple[float, int, dict[str, float]]] = field(default_factory=list)

    async def sample(self) -> int:
        """Takes a sample; returns the count."""
        count = await self.count()
        self.samples.append((time.perf_counter(), count, {n: cpu_seconds(pid) for n, pid in self.pids.items()}))
        return count

    async def until(self, total: int, timeout: float, every: float = 0.1) -> None:
        """Samples until `total` events have come. Raises TimeoutError, which says how far the count got."""
        end = time.perf_counter() + timeout
        while (count := await self.sample()) < total:
            if time.perf_counter() > end:
                raise TimeoutError(f"{count} of {total} events within {timeout} s")
            await asyncio.sleep(every)

    def figures(self) -> tuple[float, dict[str, float]]:
        """Events per second, and CPU-microseconds per event by process, in the middle of the run."""
        first, last = self.samples[0][1], self.samples[-1][1]
        low, high = first + 0.1 * (last - first), first + 0.9 * (last - first)
        inner = [sample for sample in self.samples if low <= sample[1] <= high]
        begin, end = (inner[0], inner[-1]) if len(inner) >= 2 else (self.samples[0], self.samples[-1])
        events = end[1] - begin[1]
        if events <= 0:
            raise ValueError("nothing moved between the samples")
        cpu = {name: 1e6 * (end[2][name] - begin[2][name]) / events for name in self.pids}
        return events / (end[0] - begin[0]), cpu
