"""Events at both stores, and documents that are lost again."""

from __future__ import annotations

from typing import Any

from elasticsearch import AsyncElasticsearch

from penstock.broker import Broker, Keys
from penstock.events import Event
from penstock.replay import rebuild
from penstock.replay.run import BUCKET
from tests.support.broker_rig import Rig
from tests.support.stored_events import store_events, store_scores
from tests.support.until import until

# The request for a plan that rebuilds the index of the logs of 2026.
REBUILD: dict[str, Any] = {
    "target": "indexer",
    "source": "store",
    "effect": "rebuild",
    "period": "2026",
    "match": {"datasets": ["logs"]},
}
PATIENCE = 90.0  # seconds: the first event of a period waits until its index is made


async def everywhere(rig: Rig, raws: list[bytes]) -> list[Event]:
    """Puts events on EVENTS_HTTP; returns when they are at both stores."""
    events = await store_events(rig, raws)
    await _settled(rig, "EVENTS_HTTP")
    return events


async def scores_everywhere(rig: Rig, events: list[Event], **members: Any) -> None:
    """Puts a score of each event on SCORES; returns when they are at both stores."""
    await store_scores(rig, events, **members)
    await _settled(rig, "SCORES")


async def _settled(rig: Rig, stream: str) -> None:
    async def settled() -> bool:
        infos = [await rig.core.jetstream.consumer_info(stream, name) for name in ("writer", "indexer")]
        return not any(info.pending or info.ack_pending for info in infos)

    await until(settled, PATIENCE)


async def sources(client: AsyncElasticsearch, alias: str, events: list[Event]) -> dict[str, Any]:
    """Versions and documents, by key."""
    answer = await client.mget(index=alias, ids=[event.key for event in events])
    return {doc["_id"]: (doc["_version"], doc["_source"]) for doc in answer.body["docs"] if doc.get("found")}


async def rebuild_revision(operator: Broker, alias: str) -> int:
    """Of the last rebuild's document; 0 when there was none."""
    entries = await Keys(operator, BUCKET).all(rebuild.key(alias))
    return max((entry.revision for entry in entries.values()), default=0)


async def forget(client: AsyncElasticsearch, alias: str, events: list[Event]) -> None:
    """Deletes documents, and with them what Elasticsearch would remember of their versions."""
    await client.indices.put_settings(index=alias, settings={"gc_deletes": "0s"})
    deletes = [{"delete": {"_index": alias, "_id": event.key}} for event in events]
    await client.bulk(operations=deletes, refresh=True)
