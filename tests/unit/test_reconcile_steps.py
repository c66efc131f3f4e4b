"""Which commands `penstock reconcile` names for a difference, and when it is none."""

from __future__ import annotations

import pytest

from penstock.rpc.messages import Reconciled, StoreDifference
from penstock.services.operator.reconcile.accepted import is_behind
from penstock.services.operator.reconcile.next_step import BACKUP, REBUILD, next_steps

FIRST = "2026-11-29T09:00:00.5Z"
LOST, WHOLE = StoreDifference(missing=2), StoreDifference()
ON_ITS_WAY = StoreDifference(missing=2, in_flight=True)


def row(
    indexed: StoreDifference, stored: StoreDifference, *, period: str = "2026-11-29", first: str = FIRST
) -> Reconciled:
    return Reconciled(
        dataset="logs", period=period, accepted=9, repeated=0, first_stored=first, indexed=indexed, stored=stored
    )


def test_the_store_is_filled_before_the_index_that_is_filled_from_it() -> None:
    steps = next_steps(row(LOST, LOST), "day")
    assert steps[0] == REBUILD
    assert [step.split(" --reason")[0] for step in steps[1:]] == [
        f"penstock replay plan writer --dataset logs --from {FIRST}",
        "penstock replay plan indexer --source store --dataset logs"
        " --from 2026-11-29T00:00:00Z --to 2026-11-30T00:00:00Z",
    ]


def test_an_hour_is_filled_by_itself() -> None:
    [step] = next_steps(row(LOST, WHOLE, period="2026-11-29T23"), "hour")
    assert "--from 2026-11-29T23:00:00Z --to 2026-11-30T00:00:00Z" in step


def test_what_the_streams_no_longer_hold_is_in_a_backup() -> None:
    assert next_steps(row(WHOLE, LOST, first=""), "day") == [BACKUP]


@pytest.mark.parametrize("stored", [ON_ITS_WAY, WHOLE])
def test_what_may_be_on_its_way_is_no_difference(stored: StoreDifference) -> None:
    found = row(ON_ITS_WAY, stored)
    assert next_steps(found, "day") == []
    assert not found.differs
    assert row(LOST, stored).differs


def test_a_worker_is_behind_until_it_has_handled_the_last_event_of_a_period() -> None:
    floors = {"EVENTS_HTTP": 10, "EVENTS_NATS": 5}
    assert not is_behind({"EVENTS_HTTP": 10}, floors)
    assert is_behind({"EVENTS_HTTP": 3, "EVENTS_NATS": 6}, floors)
