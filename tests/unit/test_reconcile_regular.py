"""The regular comparison: its metric and its note say what differs, until it does not, and a note why it failed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY

from penstock.errors import Refused
from penstock.rpc.messages import Reconcile, Reconciled, Reconciliation, StoreDifference
from penstock.services.operator.reconcile import regular as regularly
from penstock.services.operator.reconcile.regular import NOT_COMPARED, Regular
from penstock.stopping import end_tasks

NOW = datetime(2026, 11, 29, 12, 0, 0, 123_456, tzinfo=UTC)


def difference(store: str) -> float | None:
    labels = {"dataset": "logs", "store": store}
    return REGISTRY.get_sample_value("penstock_reconcile_difference_events", labels)


def differing(missing: int) -> Reconciliation:
    found = {"indexed": StoreDifference(missing=missing), "stored": StoreDifference()}
    row = Reconciled(dataset="logs", period="2026-11-29T11", accepted=9, repeated=0, **found)
    return Reconciliation(since="2026-11-22T00:00:00Z", until="2026-11-29T12:00:00Z", rows=[row])


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


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Refused("QUERY_INVALID", "too many"), "QUERY_INVALID: too many"), (KeyError("a defect"), "KeyError")],
)
async def test_a_comparison_that_fails_is_noted_beside_what_differed_until_one_succeeds(
    error: Exception, reason: str
) -> None:
    results: list[Reconciliation | Exception] = [differing(2), error, differing(0)]

    async def compare(_: Reconcile) -> Reconciliation:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    regular = Regular(compare)
    await regular.compare(NOW)
    found = regular.note()
    assert found.startswith("events differ")
    await regular.compare(NOW)
    assert regular.note().startswith(f"{NOT_COMPARED}: {reason}")
    assert regular.note().endswith(found)
    await regular.compare(NOW)
    assert regular.note() == ""


async def test_a_replica_that_no_longer_leads_shows_nothing_also_when_it_was_comparing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(regularly, "FIRST_AFTER", 0.0)
    monkeypatch.setattr(regularly, "EVERY", 0.0)
    results, again = [differing(2)], asyncio.Event()

    async def compare(_: Reconcile) -> Reconciliation:
        if results:
            return results.pop()
        again.set()
        await asyncio.Event().wait()
        raise AssertionError

    regular = Regular(compare)
    comparing = asyncio.create_task(regular.run(asyncio.Event()))
    await again.wait()
    assert (bool(regular.note()), difference("index")) == (True, 2)
    await end_tasks(comparing)
    assert (regular.note(), difference("index")) == ("", 0)
