"""svc.operator.reconcile: streams, index and store, compared by dataset and period; any replica answers"""

from __future__ import annotations

import time
from typing import Any

from penstock.broker import Broker, StreamInfo
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import MAX_PERIODS, Reconcile, Reconciled, Reconciliation, StoreDifference
from penstock.services.operator.access import require
from penstock.services.operator.dead_letters.index import Index
from penstock.services.operator.reconcile import held
from penstock.services.operator.reconcile.accepted import (
    MS,
    SINKS,
    Accepted,
    Group,
    Reading,
    Window,
    is_behind,
    retained_since,
    whole_ms,
)
from penstock.services.operator.reconcile.next_step import next_steps

Json = dict[str, Any]
SECONDS = 100.0  # of a request


class ReconcileOperations:
    """It changes nothing, and reads what it compares page by page."""

    def __init__(self, broker: Broker, contracts: Contracts, dead_letters: Index) -> None:
        self._broker = broker
        self._contracts = contracts
        self._dead_letters = dead_letters

    async def reconcile(self, request: Json, caller: RequestCaller) -> Json:
        """Reconcile → Reconciliation. Raises Refused, Unavailable."""
        require(caller, "operator", "reconcile")
        return (await self.compare(Reconcile.read(request))).to_json()

    async def compare(self, wanted: Reconcile) -> Reconciliation:
        """Raises Refused QUERY_INVALID, Unavailable."""
        for dataset in wanted.datasets:
            if dataset not in self._contracts.datasets:
                raise Refused("QUERY_INVALID", f"{dataset} is no dataset of the contracts", pointer="/datasets")
        deadline = time.monotonic() + SECONDS
        infos = [await self._broker.jetstream.stream_info(name) for name in self._contracts.event_streams]
        now = time.time_ns() // MS * MS
        since = -(-retained_since(infos, now) // MS) * MS
        begin, end = whole_ms(timestamps.parse(wanted.begin), timestamps.parse(wanted.end))
        window = Window(begin, end, min(since, now), now, wanted.per, frozenset(wanted.datasets))
        if begin >= end:
            raise Refused("QUERY_INVALID", "`begin` must lie before `end`", pointer="/begin")
        reading = Reading(self._broker, self._contracts, self._dead_letters, deadline)
        await self._dead_letters.fresh()
        await reading.read(infos, window)
        # Before the stores are counted: what a worker has acknowledged is there then.
        floors = {sink: {info.name: await self._floor(info, sink) for info in infos} for sink in SINKS}
        found = {
            "indexer": await held.indexed(self._broker, wanted.datasets or self._contracts.datasets, window),
            "writer": await held.stored(self._broker, window, deadline),
        }
        places = set(reading.groups) | {place for each in found.values() for place in (*each.now, *each.older)}
        chosen = sorted(place for place in places if not wanted.datasets or place[0] in wanted.datasets)
        if len(chosen) > MAX_PERIODS:
            raise Refused("QUERY_INVALID", f"there are more than {MAX_PERIODS} periods; compare by day, or less time")
        rows = [_row(place, reading.groups.get(place, Accepted()), found, floors) for place in chosen]
        return Reconciliation(
            since=timestamps.text(window.since),
            until=timestamps.text(now),
            unreadable=reading.unreadable,
            rows=[each.model_copy(update={"next": next_steps(each, wanted.per)}) for each in rows],
        )

    async def _floor(self, info: StreamInfo, sink: str) -> int:
        """The sequence up to which a worker has handled a stream."""
        consumer = await self._broker.jetstream.consumer_info(info.name, sink)
        return consumer.settled_to(info.last_seq)


def _row(
    place: Group, accepted: Accepted, found: dict[str, held.Held], floors: dict[str, dict[str, int]]
) -> Reconciled:
    number, differences = len(accepted.keys), {}
    other = {"indexer": "writer", "writer": "indexer"}
    for sink in SINKS:
        has, refused = found[sink].now[place], accepted.refused[sink].number
        # Beyond what the streams hold, each store is compared with the other.
        older, wanted = found[sink].older[place], found[other[sink]].older[place]
        differences[sink] = StoreDifference(
            held=has,
            dead_letters=refused,
            older=older,
            missing=max(number - has - refused, 0) + max(wanted - older, 0),
            extra=max(has - number, 0),
            in_flight=is_behind(accepted.last, floors[sink]),
        )
    return Reconciled(
        dataset=place[0],
        period=place[1],
        accepted=number,
        repeated=accepted.messages - number,
        first_stored=timestamps.text(accepted.first_ns) if accepted.first_ns else "",
        indexed=differences["indexer"],
        stored=differences["writer"],
    )
