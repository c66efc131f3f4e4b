"""identities.yaml → what each identity may publish and subscribe to, as explicit allow lists, and nothing besides.

Rules that hold for every list (docs/adr/0002-accounts-and-permissions.md says what each one closes):

- No `allow_responses`: it would let a caller choose any subject for the reply. A service may publish to the inboxes of
  exactly those identities that may send it requests, or whose events it replies to.
- An identity may subscribe to its own inbox only, `_INBOX.<name>.>`.
- Identities of APP reach the streams only through the service imports of nats.conf (provisioning/nats_conf.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.contracts import (
    Contracts,
    api_prefix,
    bucket_stream,
    bucket_subjects,
    consumers,
    nats_subjects,
    operations,
    subjects,
    subscribers,
)
from penstock.contracts.identities import Identity
from penstock.contracts.topology import REPLAY_STREAM


@dataclass(frozen=True, slots=True)
class Permissions:
    """Allow lists of one identity. Whatever is on neither list is denied by the server."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def all_permissions(contracts: Contracts) -> dict[str, Permissions]:
    """Those of every identity. Raises Refused CONTRACT_INVALID when the contracts name what does not exist."""
    return {name: permissions_of(contracts, name) for name in contracts.identities}


def permissions_of(contracts: Contracts, name: str) -> Permissions:
    """Those of one identity."""
    identity = contracts.identities[name]
    return Permissions(
        publish=_unique(_publish(contracts, name, identity)),
        subscribe=_unique(_subscribe(name, identity)),
    )


def permissions_of_roles(contracts: Contracts, name: str, roles: Iterable[str]) -> Permissions:
    """Those of a caller without an entry in identities.yaml: to publish, in its own name, what its roles allow.

    Its requests go through the ingress: services may publish replies to the inboxes of listed identities only.
    """
    sends = [contracts.roles[role] for role in roles if "send" in contracts.roles[role].may]
    types = _unique(type for role in sends for type in role.types)
    return Permissions(
        publish=_unique(subjects.events_from(name, type) for type in types),
        subscribe=(f"{nats_subjects.inbox(name)}.>",),
    )


def answers_to(contracts: Contracts, name: str) -> tuple[str, ...]:
    """The identities to whose inboxes this one may publish: its callers, and the publishers of events it replies to."""
    identity = contracts.identities[name]
    doors = {door for entry in identity.consumes if (door := _reads_events_of(contracts, entry)) is not None}
    found = []
    for other, them in contracts.identities.items():
        asked = any(service in identity.serves for service, _ in operations(contracts, them.requests))
        surveyed = "survey" in them.may and bool(identity.serves)
        if asked or surveyed or them.door in doors:
            found.append(other)
    return tuple(found)


def _publish(contracts: Contracts, name: str, identity: Identity) -> Iterator[str]:
    if identity.door == "http":
        yield from (subjects.events_over_http(type) for type in identity.publishes)
    elif identity.door == "nats":
        yield from (subjects.events_from(name, type) for type in identity.publishes)
    if "score" in identity.may:
        yield subjects.SCORES
    if "dead_letter" in identity.may:
        yield subjects.dead_letter(name, ">")
    if "audit" in identity.may:
        yield subjects.audit(name, ">")
    fed = subscribers(contracts)
    if "feed_replay" in identity.may:
        workers = (each for each in contracts.streams[REPLAY_STREAM].consumers if each not in fed)
        yield from (subjects.replay(worker, ">") for worker in workers)
    if "feed_subscribers" in identity.may:
        yield from (subjects.replay(subscriber, ">") for subscriber in fed)
    if "log_replay" in identity.may:
        yield subjects.replay_log(name, ">")
    yield from (subjects.notification(what) for what in identity.notifies)
    for service, operation in operations(contracts, identity.requests):
        yield subjects.ask(service, operation, name)
    yield from _publish_api(contracts, name, identity)
    yield from (f"{nats_subjects.inbox(other)}.>" for other in answers_to(contracts, name))
    if "survey" in identity.may:
        for verb in nats_subjects.DISCOVERY:
            yield from (nats_subjects.discovery(verb), nats_subjects.discovery(verb, ">"))
    if "check_servers" in identity.may:
        yield nats_subjects.SERVER_SETTINGS
    if "list_connections" in identity.may:
        yield nats_subjects.SERVER_CONNECTIONS
    if "authorize" in identity.may:
        yield from (nats_subjects.SERVER_INBOX, nats_subjects.SERVER_KICK)


def _publish_api(contracts: Contracts, name: str, identity: Identity) -> Iterator[str]:
    api = api_prefix(identity)
    fed = subscribers(contracts) if "feed_subscribers" in identity.may else ()
    private = [f"{REPLAY_STREAM}/{each}" for each in fed]
    for stream, consumer in consumers(contracts, (*identity.consumes, *private)):
        yield nats_subjects.pull(stream, consumer)
        yield nats_subjects.ack_prefix(stream, consumer) + ">"
    # A subscriber may not see the state of REPLAY: it names the subjects of other targets.
    consumes = () if name in subscribers(contracts) else identity.consumes
    for entry in (*consumes, *identity.reads_streams, *identity.monitors):
        yield f"{api}.STREAM.INFO.{entry.partition('/')[0]}"
    for stream, consumer in consumers(contracts, (*identity.consumes, *identity.monitors)):
        yield f"{api}.CONSUMER.INFO.{stream}.{consumer}"
    behind = [bucket_stream(contracts, bucket) for bucket in (*identity.reads_buckets, *identity.writes_buckets)]
    for stream in (*identity.reads_streams, *behind):
        yield from (f"{api}.DIRECT.GET.{stream}", f"{api}.DIRECT.GET.{stream}.>")
    for bucket in identity.writes_buckets:
        stream = bucket_stream(contracts, bucket)
        yield from (*bucket_subjects(contracts, bucket), f"{api}.STREAM.INFO.{stream}")
        if contracts.buckets[bucket].kind == "objects":
            yield f"{api}.STREAM.PURGE.{stream}"  # the only way to remove the chunks of an old object
    if "inspect_streams" in identity.may:
        for stream in contracts.streams:
            yield from (f"{api}.STREAM.INFO.{stream}", f"{api}.CONSUMER.INFO.{stream}.*")
            yield from (f"{api}.DIRECT.GET.{stream}", f"{api}.DIRECT.GET.{stream}.>")
    if "drive_replays" in identity.may:
        for stream, body in contracts.streams.items():
            for consumer in body.replay_consumers():
                yield from (f"{api}.CONSUMER.{verb}.{stream}.{consumer}" for verb in ("CREATE", "DELETE"))
    if "provision" in identity.may:
        yield from (f"{api}.STREAM.{verb}.*" for verb in ("CREATE", "UPDATE", "INFO"))
        yield from (f"{api}.CONSUMER.CREATE.*.*", f"{api}.CONSUMER.CREATE.*.*.>", f"{api}.CONSUMER.INFO.*.*")
        yield from (f"{api}.STREAM.NAMES", f"{api}.CONSUMER.NAMES.*")


def _subscribe(name: str, identity: Identity) -> Iterator[str]:
    yield f"{nats_subjects.inbox(name)}.>"
    yield from (subjects.tail_of(type) for type in identity.follows)
    yield from (subjects.notification(what) for what in identity.listens)
    if "authorize" in identity.may:
        yield nats_subjects.AUTHORIZATION_REQUEST
    for service in identity.serves:
        yield subjects.ask(service, "*", "*")
        for verb in nats_subjects.DISCOVERY:
            yield from (nats_subjects.discovery(verb, *which) for which in ((), (service,), (service, "*")))


def _reads_events_of(contracts: Contracts, entry: str) -> str | None:
    """The door whose events a consumer delivers with payload, so that it may reply; None where it withholds them."""
    stream, _, consumer = entry.partition("/")
    body = contracts.streams[stream]
    return None if body.consumers[consumer].headers_only else body.door


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
