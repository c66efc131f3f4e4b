"""Records of a rebuild, chosen at random, and whether a document of the new index is one of them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import Any

from penstock.broker import Broker
from penstock.events import timestamps
from penstock.replay.run import Run
from penstock.rpc.messages import MAX_CHECKED, StoreSelection
from penstock.scoring import vectors
from penstock.services.operator.replay import store_pages
from penstock.services.operator.replay.bounds import of_period

Json = dict[str, Any]
TOLERANCE = 1e-4  # of the numbers of a vector, which Elasticsearch keeps by direction and length
LOOKS = 20  # rows of a partition from a random place on, of which one must match


async def take(broker: Broker, run: Run) -> dict[str, Json]:
    """Records of the run by key, about one of each partition, at random times within its bounds."""
    selection: StoreSelection | None = run.store
    if selection is None:
        return {}
    pages, streams = store_pages.Pages(broker), store_pages.bounds_of(run.ranges, selection)
    places = store_pages.partitions(selection)
    records: dict[str, Json] = {}
    for place in random.sample(places, min(len(places), MAX_CHECKED)):
        page = await pages.ask(place, _key_at(_moment(selection, place[0])), streams, selection, most=LOOKS, show=True)
        if not page.records:
            page = await pages.ask(place, None, streams, selection, most=LOOKS, show=True)
        records |= dict(list(page.records.items())[:1])
    return records


def holds(document: Json | None, record: Json) -> bool:
    """Whether the document is the record, or a later one of its key."""
    if document is None:
        return False
    if timestamps.parse(document["stored_at"]) > timestamps.parse(record["stored_at"]):
        return True
    return _same_vector(document, record) and _without_vector(document) == _without_vector(record)


def _same_vector(document: Json, record: Json) -> bool:
    """Of scores; that of a record is text, and that of a document numbers."""
    if "vector" not in record:
        return "vector" not in document
    found: Sequence[float] = document.get("vector", ())
    wanted = vectors.from_text(record["vector"])
    return len(found) == len(wanted) and all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in zip(found, wanted, strict=True)
    )


def _without_vector(body: Json) -> Json:
    return {name: value for name, value in body.items() if name != "vector"}


def _moment(selection: StoreSelection, period: str) -> int:
    """Unix milliseconds within the bounds of a selection and a period of it."""
    begin, end = of_period(period)
    if selection.match.begin:
        begin = max(begin, timestamps.parse(selection.match.begin))
    if selection.match.end:
        end = min(end, timestamps.parse(selection.match.end))
    return random.randint(begin, max(min(end, time.time_ns()), begin)) // 1_000_000  # noqa: S311 - a sample


def _key_at(ms: int) -> str:
    """The lowest key of a millisecond."""
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-8000-8000-000000000000"
