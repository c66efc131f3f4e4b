"""Entries of identities.yaml → the streams, consumers, subjects and operations that they stand for."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.contracts import nats_subjects
from penstock.contracts.identities import Identity
from penstock.contracts.load import Contracts
from penstock.contracts.topology import REPLAY_STREAM


def api_prefix(identity: Identity) -> str:
    """The prefix of the JetStream API as the identity sees it."""
    return nats_subjects.API if identity.account == "CORE" else nats_subjects.CORE_API


def bucket_stream(contracts: Contracts, bucket: str) -> str:
    """The name of the stream behind a bucket."""
    if contracts.buckets[bucket].kind == "keys":
        return nats_subjects.key_stream(bucket)
    return nats_subjects.object_stream(bucket)


def bucket_subjects(contracts: Contracts, bucket: str) -> tuple[str, ...]:
    """The subjects of the stream behind a bucket, as every NATS client lays them out."""
    if contracts.buckets[bucket].kind == "keys":
        return (nats_subjects.key(bucket, ">"),)
    return (nats_subjects.object_chunks(bucket, ">"), nats_subjects.every_object_info(bucket))


def operations(contracts: Contracts, asks: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(service, operation) of each entry like `search.query` or `search.*`."""
    found = []
    for entry in asks:
        service, operation = entry.split(".")
        known = contracts.services[service].operations
        found += [(service, each) for each in known if operation in ("*", each)]
    return tuple(found)


def subscribers(contracts: Contracts) -> tuple[str, ...]:
    """The identities to which an operator may replay the events that they follow."""
    return tuple(
        name
        for name, identity in contracts.identities.items()
        if identity.follows and f"{REPLAY_STREAM}/{name}" in identity.consumes
    )


def consumers(contracts: Contracts, entries: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(stream, consumer on the server) of each entry like `EVENTS_HTTP/scorer`; a stream alone gives none."""
    found = []
    for entry in entries:
        stream, _, consumer = entry.partition("/")
        if consumer:
            found += [(stream, member) for member in contracts.streams[stream].members(consumer)]
    return tuple(found)
