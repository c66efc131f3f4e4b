"""The regular comparison: its metric and its note say what differs, until it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prometheus_client import REGISTRY

from penstock.rpc.messages import Reconcile, Reconciled, Reconciliation, StoreDifference
from penstock.services.operator.reconcile.regular import Regular

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def difference(store: str) -> float | None:
    labels = {"dataset": "logs", "store": store}
    return REGISTRY.get_sample_value("penstock_reconcile_difference_events", labels)


async def test_what_differs_is_noted_and_measured_until_it_is_whole() -> None:
    asked: list[Reconcile] = []
    found: dict[str, Any] = {}

    async def compare(wanted: Reconcile) -> Reconciliation:
        asked.append(wanted)
        row = Reconciled(dataset="logs", period="2026-11-29T11", accepted=9, repeated=0, **found)
        return Reconciliation(since=wanted.begin, until=wanted.end, rows=[row])

    regular = Regular(compare)
    found |= {"indexed": StoreDifference(missing=3), "stored": StoreDifference(missing=2, in_flight=True)}
    await regular.compare(NOW)
    assert regular.note() == (
        "events differ from what was accepted: 3 of logs in the index: `penstock reconcile --from 2026-11-29T10:00:00Z`"
    )
    assert (difference("index"), difference("store")) == (3, 0)
    assert (asked[0].begin, asked[0].end) == ("2026-11-29T10:00:00+00:00", "2026-11-29T12:00:00+00:00")

    found |= {"indexed": StoreDifference(), "stored": StoreDifference()}
    await regular.compare(NOW)
    assert regular.note() == ""
    assert difference("index") == 0
