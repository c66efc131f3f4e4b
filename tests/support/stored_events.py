"""Events and scores on the streams of a rig, as the ingress and the scorer put them there."""

from __future__ import annotations

import time
from typing import Any

from penstock.broker import Stored
from penstock.events import Event
from penstock.publish import GroupCommitter, Outgoing
from tests.support.broker_rig import Rig
from tests.support.deliveries import CHECKER, score_delivery

PUBLISHER = "web_shop"


async def store_events(rig: Rig, raws: list[bytes]) -> list[Event]:
    """Puts events on EVENTS_HTTP; as a worker has them, but for the time at which they were stored."""
    now = time.time_ns()
    events = [CHECKER.at_ingress(raw, publisher=PUBLISHER, door="http", now_ns=now) for raw in raws]
    places = await _commit(rig, "ingress", [Outgoing(event.subject, event.raw) for event in events])
    for event, place in zip(events, places, strict=True):
        event.stream, event.sequence, event.stored_at_ns = place.stream, place.sequence, now
    return events


async def store_scores(rig: Rig, events: list[Event], **members: Any) -> list[int]:
    """Puts a score of each event on SCORES; their sequences there."""
    deliveries = [score_delivery(event, **members) for event in events]
    return [place.sequence for place in await _commit(rig, "scorer", [Outgoing(d.subject, d.data) for d in deliveries])]


async def _commit(rig: Rig, identity: str, messages: list[Outgoing]) -> list[Stored]:
    broker = await rig.broker(identity)
    committer = GroupCommitter(broker)
    await committer.start()
    results = await committer.submit(messages)
    await committer.stop()
    await broker.drain()
    stored = [result for result in results if isinstance(result, Stored)]
    assert len(stored) == len(messages)
    return stored
