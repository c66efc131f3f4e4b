"""What crosses the wire, as data: event types, streams, services, identities, errors, and every subject."""

from penstock.contracts.event_types import EventType, FieldKind, Indexed, ScoreInput
from penstock.contracts.expand import api_prefix, bucket_stream, bucket_subjects, consumers, operations, subscribers
from penstock.contracts.load import Contracts, find_root, load
from penstock.contracts.problems import problem, step_in_shell
from penstock.contracts.values import dig, duration, period_of

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
    "step_in_shell",
    "subscribers",
]
