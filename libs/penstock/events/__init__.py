"""What an event is: the CloudEvent, its key, and the one check that ingress and workers share."""

from penstock.events.checker import MAX_EVENT_BYTES, Checker, Delivered
from penstock.events.event import Event, record
from penstock.events.event_key import event_key, is_key, key_partition, key_time_ms
from penstock.events.stamps import Stamps

__all__ = [
    "MAX_EVENT_BYTES",
    "Checker",
    "Delivered",
    "Event",
    "Stamps",
    "event_key",
    "is_key",
    "key_partition",
    "key_time_ms",
    "record",
]
