"""What crosses the wire, as data: event types, streams, services, identities, errors, and every subject."""

from penstock.contracts.expand import api_prefix, bucket_stream, bucket_subjects, consumers, operations
from penstock.contracts.load import (
    Contracts,
    EventType,
    FieldKind,
    Indexed,
    ScoreInput,
    dig,
    duration,
    find_root,
    load,
    period_of,
)
from penstock.contracts.problems import problem

__all__ = [
    "Contracts",
    "EventType",
    "FieldKind",
    "Indexed",
    "ScoreInput",
    "api_prefix",
    "bucket_stream",
    "bucket_subjects",
    "consumers",
    "dig",
    "duration",
    "find_root",
    "load",
    "operations",
    "period_of",
    "problem",
]
