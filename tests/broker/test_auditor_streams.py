"""What the auditor records of streams that are deleted and made anew, with sequences that it has recorded before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.contracts import load
from penstock.provisioning import provision
from tests.support.auditors import Auditors
from tests.support.broker_rig import STREAM, Rig, subject
from tests.support.dead_letters import fail
from tests.support.until import until


@pytest.fixture(scope="module")
async def auditors(rig: Rig) -> Auditors:
    auditors = Auditors(rig, 1)
    await asyncio.to_thread(auditors.start)
    return auditors


async def made_anew(rig: Rig, second: int) -> None:
    """Deletes the streams and provisions them as of so many seconds after midnight, as on the next day."""
    for stream in (STREAM, "DLQ"):
        await rig.core.jetstream.api(f"STREAM.DELETE.{stream}", {})
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await provision.provision(rig.core.jetstream, load(), now=midnight.replace(second=second))


async def windows(auditors: Auditors, stored: list[int]) -> list[dict[str, Any]]:
    """Those from the first of these sequences on, as soon as they go to the last."""

    async def look() -> list[dict[str, Any]] | None:
        found = await auditors.records(f"published.{STREAM}")
        begin = next((place for place, window in enumerate(found) if window["from"] == stored[0]), None)
        return found[begin:] if begin is not None and found[-1]["to"] == stored[-1] else None

    return await until(look, 60)


async def test_streams_made_anew_below_their_predecessors_are_recorded_from_their_first_message(
    rig: Rig, auditors: Auditors
) -> None:
    indexer = await rig.broker("indexer")

    async def happen(count: int) -> None:
        """Publishes and dead letters, and that they are recorded, once each."""
        stored = await rig.store([b"x"] * count)
        letter = await rig.next_sequence("DLQ")
        await fail(indexer, subject("till"), [b"x"])
        found = await windows(auditors, stored)
        assert sum(window["count"] for window in found) == count
        assert not any("missing" in window for window in found)
        await auditors.entry("dead_letters", dead_letter=letter)

    await happen(20)
    before = await rig.next_sequence(STREAM)
    await made_anew(rig, 1)
    assert await rig.next_sequence(STREAM) < before
    await happen(30)
    await asyncio.to_thread(auditors.kill)
    before = await rig.next_sequence(STREAM)
    await made_anew(rig, 0)
    assert await rig.next_sequence(STREAM) < before
    await asyncio.to_thread(auditors.start)
    await happen(10)
