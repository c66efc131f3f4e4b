"""svc.index.count and svc.store_replay.count as the operator asks them → what each store holds"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from penstock.broker import Broker
from penstock.contracts import subjects
from penstock.errors import Unavailable
from penstock.events import timestamps
from penstock.rpc.client import ask
from penstock.rpc.messages import HeldCounts
from penstock.services.operator.reconcile.accepted import Group, Window
from penstock.services.operator.replay import store_pages

TIMEOUT = 30.0  # seconds for the count of a dataset in Elasticsearch


@dataclass(slots=True)
class Held:
    """By dataset and period: events that were accepted in the window, and before."""

    now: Counter[Group] = field(default_factory=Counter)
    older: Counter[Group] = field(default_factory=Counter)

    def add(self, answer: HeldCounts) -> None:
        """The counts of one answer."""
        for each in answer.counts:
            self.now[each.dataset, each.period] += each.held
            self.older[each.dataset, each.period] += each.older


async def indexed(broker: Broker, datasets: Iterable[str], window: Window) -> Held:
    """In Elasticsearch. Raises PenstockError."""
    held = Held()
    for dataset in datasets:
        body = {**_body(window), "dataset": dataset}
        held.add(HeldCounts.model_validate(await ask(broker, "index", "count", body, timeout=TIMEOUT)))
    return held


async def stored(broker: Broker, window: Window, deadline: float) -> Held:
    """In Cassandra, page by page. Raises PenstockError, among them Unavailable TIMED_OUT after `deadline`."""
    held, body = Held(), _body(window)
    periods = await store_pages.periods(broker, body["begin"], body["end"])

    async def count(place: store_pages.Partition) -> None:
        page = HeldCounts(counts=[], end=False)
        while not page.end:
            if time.monotonic() > deadline:
                raise Unavailable("TIMED_OUT", "there is too much to compare at once: give less time by --from")
            after = {"after": page.after} if page.after is not None else {}
            request = body | {"period": place[0], "pp": place[1]} | after
            answer = await ask(broker, "store_replay", "count", request, timeout=store_pages.TIMEOUT)
            page = HeldCounts.model_validate(answer)
            held.add(page)

    await store_pages.each(((period, pp) for period in periods for pp in range(subjects.PARTITIONS)), count)
    return held


def _body(window: Window) -> dict[str, Any]:
    times = {name: timestamps.text(getattr(window, name)) for name in ("begin", "end", "since", "until")}
    return {**times, "per": window.per}
