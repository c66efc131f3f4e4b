"""What each operator says of the dead letters; all replicas say the same."""

from __future__ import annotations

import asyncio
import math

from penstock.services.operator.dead_letters.fullness import fullness
from penstock.services.operator.dead_letters.index import Index
from penstock.stopping import set_within
from penstock.telemetry import gauge

EVERY = 5.0  # seconds

OPEN = gauge("penstock_dead_letters_open", "worker", "code")
BYTES = gauge("penstock_dead_letters_bytes")
FULL = gauge("penstock_dead_letters_full_ratio")
FULL_IN = gauge("penstock_dead_letters_full_in_seconds")


async def report(index: Index, stop: asyncio.Event) -> None:
    """Sets the gauges until `stop`."""
    known: set[tuple[str, str]] = set()
    while not stop.is_set():
        if index.complete and index.info is not None:
            known = _report_open(index, known)
            found = fullness(index, index.info)
            BYTES.set(found.bytes)
            FULL.set(found.share)
            FULL_IN.set(math.inf if found.full_in_hours is None else found.full_in_hours * 3600)
        await set_within(stop, EVERY)


def _report_open(index: Index, known: set[tuple[str, str]]) -> set[tuple[str, str]]:
    counts: dict[tuple[str, str], int] = dict.fromkeys(known, 0)
    for (group, state), (_, messages) in index.totals().items():
        if state == "open":
            key = (group.worker, group.code)
            counts[key] = counts.get(key, 0) + messages
    for (worker, code), count in counts.items():
        OPEN.labels(worker, code).set(count)
    return set(counts)
