"""A process's /metrics before and after → what a histogram has seen between them."""

from __future__ import annotations

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from penstock.stack import http_probe

Buckets = dict[float, float]  # upper bound → observations up to it


async def buckets(port: int, name: str) -> Buckets:
    """The histogram `name` (without labels) of the process on `port`. Raises LookupError when it has none."""
    answer = await asyncio.to_thread(http_probe.get, port, "/metrics", timeout=10)
    for family in text_string_to_metric_families(answer[1].decode() if answer else ""):
        if family.name == name:
            return {float(s.labels["le"]): s.value for s in family.samples if s.name.endswith("_bucket")}
    raise LookupError(f"no histogram {name} on port {port}")


def quantile(before: Buckets, after: Buckets, share: float) -> float:
    """The value that `share` of the observations between the two looks stay below; within a bucket, by its width.

    Raises ValueError when there were none.
    """
    counts = [(bound, after[bound] - before.get(bound, 0.0)) for bound in sorted(after)]
    total = counts[-1][1]
    if not total:
        raise ValueError("nothing was observed")
    low = below = 0.0
    for bound, count in counts:
        if count >= share * total:
            inside = (share * total - below) / (count - below)
            return low if bound == float("inf") else low + inside * (bound - low)
        low, below = bound, count
    raise AssertionError("the last bucket holds all")
