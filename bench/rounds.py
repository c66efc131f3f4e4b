"""Contestants measured in turn, round after round (A B A' A B A' …), so that a busy machine affects all alike.

The A/A control is the same contestant twice: a ratio may be off by as much as its two medians differ.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

Measure = Callable[[], Awaitable["Sample"]]


@dataclass
class Sample:
    """One measurement. `cpu_us` are CPU-microseconds per event by process."""

    rate: float
    cpu_us: dict[str, float] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    mb: float = 0.0


async def interleave(contestants: Mapping[str, Measure], rounds: int) -> dict[str, list[Sample]]:
    """Measures each contestant `rounds` times; every other round goes backwards. A first round warms up the
    code of servers and contestants, and creates indices and tables."""
    for measure in contestants.values():
        await measure()
    found: dict[str, list[Sample]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(await contestants[name]())
    return found


def middle(samples: list[Sample]) -> Sample:
    """The median of each figure."""
    names = samples[0].cpu_us
    return Sample(
        rate=median([sample.rate for sample in samples]),
        cpu_us={name: median([sample.cpu_us[name] for sample in samples]) for name in names},
        p50_ms=median([sample.p50_ms for sample in samples]),
        p99_ms=median([sample.p99_ms for sample in samples]),
        mb=max(sample.mb for sample in samples),
    )


def as_json(found: Mapping[str, list[Sample]]) -> dict[str, Any]:
    """Medians and every single sample."""
    return {
        name: {**asdict(middle(samples)), "samples": [asdict(sample) for sample in samples]}
        for name, samples in found.items()
    }
