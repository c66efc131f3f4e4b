"""streams.yaml → the configuration of streams and consumers, in the words of the JetStream API. Pure functions.

Every property that could let a message vanish, or let one be written by another way than a publish, is spelled out, so
that `penstock provision` sees and undoes any change made by hand.

Epoch. An event's version is (epoch << 48) | sequence, compared by stores that outlive a stream, so a stream made anew
must go on above whatever its predecessor reached, even when the broker lost everything. The epoch is therefore the day
of creation, counted from 2024-01-01 (15 bits last until 2113), and the first sequence the second of that day times a
million, plus one: unique and growing without any state, as long as a stream takes less than a million messages a second
between two creations and the clock does not go back over one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from penstock.broker import EPOCH
from penstock.contracts import Contracts
from penstock.contracts.topology import Bucket, Consumer, Stream

_ZERO = datetime(2024, 1, 1, tzinfo=UTC)
_SEQUENCES_A_SECOND = 1_000_000
_NS = 1_000_000_000
# Deduplication by Nats-Msg-Id cannot be switched off; this is the shortest window that the server takes.
_SHORTEST_WINDOW = _NS // 10

_COMMON: Mapping[str, Any] = {
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "discard_new_per_subject": False,
    "max_consumers": -1,
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "duplicate_window": _SHORTEST_WINDOW,
    "compression": "none",
    "allow_direct": True,
    "deny_delete": True,
    "deny_purge": True,
    "allow_rollup_hdrs": False,
    "allow_msg_ttl": False,
    "allow_msg_schedules": False,
    "allow_msg_counter": False,
    "allow_atomic": False,
    "allow_batched": False,
    "mirror_direct": False,
    "sealed": False,
    "no_ack": False,
    "persist_mode": None,
    "mirror": None,
    "sources": None,
    "subject_transform": None,
    "republish": None,
}


def stream_config(name: str, stream: Stream, replicas: int) -> dict[str, Any]:
    """The configuration of a stream, without its epoch."""
    return {
        **_COMMON,
        "name": name,
        "description": stream.meaning,
        "subjects": list(stream.subjects),
        "max_bytes": stream.max_bytes,
        "max_age": int(stream.max_age.total_seconds()) * _NS,
        "max_msg_size": stream.max_message,
        "discard": stream.discard,
        "retention": stream.retention,
        "num_replicas": replicas,
        "allow_atomic": stream.atomic,
        "republish": {"src": ">", "dest": stream.republish} if stream.republish else None,
    }


def bucket_config(name: str, subjects: tuple[str, ...], bucket: Bucket, replicas: int) -> dict[str, Any]:
    """The configuration of the stream behind a bucket. Without roll-ups: a header could otherwise empty all of it."""
    return {
        **_COMMON,
        "name": name,
        "description": bucket.meaning,
        "subjects": list(subjects),
        "max_bytes": bucket.max_bytes,
        "max_age": int(bucket.max_age.total_seconds()) * _NS,
        "max_msg_size": bucket.max_message,
        "max_msgs_per_subject": bucket.history if bucket.kind == "keys" else -1,
        "num_replicas": replicas,
        "deny_purge": bucket.kind == "keys",
    }


def consumer_config(name: str, filters: tuple[str, ...], consumer: Consumer) -> dict[str, Any]:
    """The configuration of a durable pull consumer: every message, until it is acknowledged."""
    return {
        "name": name,
        "durable_name": name,
        "description": consumer.meaning,
        "deliver_policy": "all",
        "ack_policy": consumer.ack,
        "replay_policy": "instant",
        "ack_wait": int(consumer.ack_wait.total_seconds()) * _NS,
        "max_deliver": -1,
        "max_ack_pending": consumer.max_ack_pending,
        "max_waiting": 512,
        "filter_subjects": list(filters),
        "backoff": None,
        "headers_only": consumer.headers_only,
        "rate_limit_bps": 0,
        "deliver_subject": None,
        "num_replicas": 0,
        "mem_storage": False,
        "inactive_threshold": 0,
    }


def consumer_configs(contracts: Contracts) -> dict[tuple[str, str], dict[str, Any]]:
    """Those of all durable consumers, by stream and name; the runs of replays have their own."""
    return {
        (stream, name): consumer_config(name, filters, consumer)
        for stream, body in contracts.streams.items()
        for family, consumer in body.consumers.items()
        for name, filters in body.filters(family).items()
    }


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Properties whose value on the server is another; the server leaves out what is false, zero or empty."""
    return {
        name: (found.get(name), value)
        for name, value in wanted.items()
        if found.get(name) != value and (found.get(name) or value)
    }


def birth(now: datetime) -> dict[str, Any]:
    """What a stream gets once, when it is made: its epoch and its first sequence."""
    since = now.astimezone(UTC) - _ZERO
    return {"first_seq": since.seconds * _SEQUENCES_A_SECOND + 1, "metadata": {EPOCH: str(since.days)}}
