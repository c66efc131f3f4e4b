"""Events as the workers get them, without a stream: the same lines, checked, with a position on a stream."""

from __future__ import annotations

import time
from itertools import islice

from bench.events import events, lines
from penstock.contracts import load
from penstock.events import Checker, Event
from tests.support.data_folder import data_folder


def stored_events(count: int) -> list[Event]:
    """`count` new events, as if delivered."""
    checker, now_ns = Checker(load()), time.time_ns()
    found = []
    for number, raw in enumerate(islice(events(lines(data_folder()), now_ns), count), 1):
        event = checker.at_ingress(raw, publisher="bench", door="http", now_ns=now_ns)
        event.stream, event.sequence, event.stored_at_ns = "EVENTS_HTTP", number, now_ns
        found.append(event)
    return found
