"""What workers write to SCORES, DLQ and AUDIT, held to contracts/records."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.broker import StoredMessage
from penstock.contracts import load
from penstock.events.records import Record, read_record


def records_of(messages: Iterable[StoredMessage]) -> list[Record]:
    """The messages as records. Raises Refused RECORD_INVALID for one that breaks its contract."""
    contracts = load()
    return [read_record(contracts, each.subject, each.headers or {}, each.data) for each in messages]
