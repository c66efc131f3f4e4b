"""Every kind of subject, with the identities that may publish to it or subscribe to it.

Permissions are derived here from identities.yaml, not by the code that writes them.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.contracts import Contracts, bucket_stream, load
from penstock.contracts.identities import Identity

CONTRACTS: Contracts = load()
IDENTITIES = CONTRACTS.identities
ITEMS = tuple(IDENTITIES.items())
Probe = tuple[str, set[str]]  # a subject, and the identities that may
PRIVATE = {("REPLAY", "alerting")}  # consumers of subscribers


def publish_probes() -> Iterator[Probe]:
    yield from events()
    for name in IDENTITIES:
        yield (
            f"dlq.{name}.evt.1c.nats.billing.log.line.v1",
            {n for n, i in ITEMS if n == name and "dead_letter" in i.may},
        )
        yield f"replay_log.{name}.r1", {n for n, i in ITEMS if n == name and "log_replay" in i.may}
        yield f"audit.{name}.asked", {n for n, i in ITEMS if n == name and "audit" in i.may}
    yield "score.1c.lines.log.line.v1", {n for n, i in ITEMS if "score" in i.may}
    yield "replay.indexer.evt.1c.http.shop.log.line.v1", {n for n, i in ITEMS if "feed_replay" in i.may}
    # What is on its way to a subscriber: only the operator writes it, and takes it back.
    yield "replay.alerting.evt.1c.http.shop.log.line.v1", {"operator"}
    yield "replay.shop.evt.1c.http.shop.log.line.v1", set()
    yield from requests()
    yield from pulls()
    yield from replay_consumers()
    yield from apis()
    yield from buckets()
    for what in ("models", "denials", "replays"):
        yield f"ctl.{what}", {n for n, i in ITEMS if what in i.notifies}
    yield "$SYS.REQ.SERVER.PING.CONNZ", {n for n, i in ITEMS if "list_connections" in i.may}
    yield "$SYS.REQ.SERVER.NABC.KICK", {n for n, i in ITEMS if "authorize" in i.may}
    yield "$SYS._INBOX.abc", {n for n, i in ITEMS if "authorize" in i.may}
    yield "$SYS.REQ.SERVER.PING.VARZ", {n for n, i in ITEMS if "check_servers" in i.may}
    for verb in ("PING", "INFO", "STATS"):
        for tail in ("", ".search", ".search.abc"):
            yield f"$SRV.{verb}{tail}", {n for n, i in ITEMS if "survey" in i.may}
    for name in IDENTITIES:
        yield f"_INBOX.{name}.abc.def", inbox_writers(name)
    for subject in (
        "tail.evt.1c.http.shop.log.line.v1",
        "ctl.other",
        "_INBOX.shop.abc",
        "_R_.abc.def",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.USER.INFO",
        "$SYS.REQ.ACCOUNT.CORE.CONNZ",
        "$SYS.REQ.CLAIMS.UPDATE",
        "$SYS.REQ.USER.AUTH",
        "$JS.FC.EVENTS_HTTP.indexer.abc",
        "anything",
    ):
        yield subject, set()


def events() -> Iterator[Probe]:
    for type in CONTRACTS.types:
        for publisher in (*IDENTITIES, "shop"):
            yield f"evt.1c.http.{publisher}.{type}", {n for n, i in ITEMS if i.door == "http" and sends(i, type)}
            yield (
                f"evt.1c.nats.{publisher}.{type}",
                {n for n, i in ITEMS if i.door == "nats" and n == publisher and sends(i, type)},
            )
    for subject in (
        "evt.1c.nats.billing",
        "evt.1c.http",
        "evt.1c.nats.billing.no.such.v1",
        "evt.1c.tcp.billing.a.b.v1",
    ):
        yield subject, set()


def sends(identity: Identity, type: str) -> bool:
    return "*" in identity.publishes or type in identity.publishes


def requests() -> Iterator[Probe]:
    for service, body in CONTRACTS.services.items():
        for operation in body.operations:
            for caller in IDENTITIES:
                yield (
                    f"svc.{service}.{operation}.{caller}",
                    {
                        n
                        for n, i in ITEMS
                        if (n == caller and (f"{service}.{operation}" in i.requests or f"{service}.*" in i.requests))
                    },
                )


def inbox_writers(owner: str) -> set[str]:
    """Who answers the owner: the services it asks or surveys, and the workers that read its events."""
    them = IDENTITIES[owner]
    services = {entry.partition(".")[0] for entry in them.requests}
    streams = {name for name, stream in CONTRACTS.streams.items() if them.door is not None and stream.door == them.door}
    withheld = {
        f"{name}/{each}" for name in streams for each, c in CONTRACTS.streams[name].consumers.items() if c.headers_only
    }
    return {
        n
        for n, i in ITEMS
        if (
            services & set(i.serves)
            or ("survey" in them.may and i.serves)
            or streams & {entry.partition("/")[0] for entry in i.consumes if entry not in withheld}
        )
    }


def pulls() -> Iterator[Probe]:
    for stream, body in CONTRACTS.streams.items():
        for family in body.consumers:
            for member in body.members(family):
                eaters = {n for n, i in ITEMS if f"{stream}/{family}" in i.consumes}
                eaters |= {"operator"} if (stream, family) in PRIVATE else set()
                yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{member}", eaters
                yield f"$JS.ACK.{stream}.{member}.1.1.1.1.1", eaters
                yield f"$JS.core.API.CONSUMER.MSG.NEXT.{stream}.{member}", set()
                seers = {
                    n
                    for n, i in ITEMS
                    if f"{stream}/{family}" in (*i.consumes, *i.monitors) or "inspect_streams" in i.may
                }
                yield f"$JS.core.API.CONSUMER.INFO.{stream}.{member}", seers
                yield f"$JS.API.CONSUMER.INFO.{stream}.{member}", {n for n, i in ITEMS if "provision" in i.may}
        for other in ("other", "scorer"):
            if other not in body.consumers or body.consumers[other].shards:
                yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{other}", set()
                yield f"$JS.ACK.{stream}.{other}.1.1.1.1.1", set()


def replay_consumers() -> Iterator[Probe]:
    """Those that the operator creates and deletes: of every stream that a worker replays from, and of no other."""
    drivers = {n for n, i in ITEMS if "drive_replays" in i.may}
    provisions = {n for n, i in ITEMS if "provision" in i.may}
    for stream, body in CONTRACTS.streams.items():
        workers = [name for name, consumer in body.consumers.items() if consumer.replay]
        pulled = {f"{name}_{slot}" for name in workers for slot in "ab"}
        counting = {f"replay_count_{number}" for number in range(4)} if workers else set()
        names = {name + tail for name in pulled | counting for tail in ("", "_tail")}
        others = {"replay_indexer", "replay_indexer_c", "replay_indexer_a_tail_tail", "replay_count_4"}
        for name in sorted(names | others | {"replay_writer_a", "replay_count_0"}):
            allowed = drivers if name in names else set()
            for verb in ("CREATE", "DELETE"):
                yield f"$JS.core.API.CONSUMER.{verb}.{stream}.{name}", allowed
                yield f"$JS.API.CONSUMER.{verb}.{stream}.{name}", provisions if verb == "CREATE" else set()
            yield f"$JS.core.API.CONSUMER.CREATE.{stream}.{name}.evt.>", set()
            yield f"$JS.core.API.CONSUMER.PAUSE.{stream}.{name}", set()
            yield f"$JS.API.CONSUMER.CREATE.{stream}.{name}.evt.>", provisions
            if name not in pulled:
                yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", set()
                yield f"$JS.ACK.{stream}.{name}.1.1.1.1.1", set()


def apis() -> Iterator[Probe]:
    provisions = {n for n, i in ITEMS if "provision" in i.may}
    behind = [bucket_stream(CONTRACTS, bucket) for bucket in CONTRACTS.buckets]
    for stream in (*CONTRACTS.streams, *behind, "OTHER"):
        for verb in ("STREAM.CREATE", "STREAM.UPDATE", "STREAM.INFO", "CONSUMER.NAMES"):
            yield f"$JS.API.{verb}.{stream}", provisions
        for verb in ("STREAM.CREATE", "STREAM.UPDATE"):
            yield f"$JS.core.API.{verb}.{stream}", set()
        for api in ("$JS.API", "$JS.core.API"):
            for verb in (
                "STREAM.DELETE",
                "STREAM.SNAPSHOT",
                "STREAM.RESTORE",
                "STREAM.MSG.GET",
                "STREAM.MSG.DELETE",
                "STREAM.PEER.REMOVE",
                "STREAM.LEADER.STEPDOWN",
                "CONSUMER.LIST",
                "DIRECT.GET.OTHER",
            ):
                yield f"{api}.{verb}.{stream}", set()
            for verb in ("DELETE", "PAUSE", "RESET", "UNPIN", "DURABLE.CREATE", "LEADER.STEPDOWN"):
                yield f"{api}.CONSUMER.{verb}.{stream}.indexer", set()
        yield f"$JS.API.CONSUMER.CREATE.{stream}.indexer", provisions
        yield f"$JS.API.CONSUMER.CREATE.{stream}.spy.evt.>", provisions
        yield f"$JS.core.API.CONSUMER.CREATE.{stream}.spy", set()
        yield f"$JS.API.STREAM.PURGE.{stream}", set()
    for stream in CONTRACTS.streams:
        seers = {
            n
            for n, i in ITEMS
            if "inspect_streams" in i.may
            or any(
                e.partition("/")[0] == stream
                for e in (*i.consumes, *i.reads_streams, *i.monitors)
                if tuple(e.split("/")) not in PRIVATE
            )
        }
        yield f"$JS.core.API.STREAM.INFO.{stream}", seers
        yield f"$JS.core.API.STREAM.PURGE.{stream}", set()
        for tail in ("", ".evt.1c.http.shop.log.line.v1"):
            yield (
                f"$JS.core.API.DIRECT.GET.{stream}{tail}",
                {n for n, i in ITEMS if "inspect_streams" in i.may or stream in i.reads_streams},
            )
            yield f"$JS.API.DIRECT.GET.{stream}{tail}", set()
    yield "$JS.API.STREAM.NAMES", provisions
    for subject in ("$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.ACCOUNT.PURGE.CORE", "$JS.core.API.INFO"):
        yield subject, set()


def buckets() -> Iterator[Probe]:
    for name, bucket in CONTRACTS.buckets.items():
        stream = bucket_stream(CONTRACTS, name)
        writers = {n for n, i in ITEMS if name in i.writes_buckets}
        readers = {n for n, i in ITEMS if name in (*i.reads_buckets, *i.writes_buckets)}
        first = f"$KV.{name}.models.lines" if bucket.kind == "keys" else f"$O.{name}.C.abc"
        yield first, writers
        yield (f"$KV.{name}", set()) if bucket.kind == "keys" else (f"$O.{name}.M.abc", writers)
        yield f"$JS.core.API.STREAM.INFO.{stream}", writers
        yield f"$JS.core.API.STREAM.PURGE.{stream}", writers if bucket.kind == "objects" else set()
        for tail in ("", f".{first}"):
            yield f"$JS.core.API.DIRECT.GET.{stream}{tail}", readers
            yield f"$JS.API.DIRECT.GET.{stream}{tail}", set()
    yield "$KV.other.key", set()
    yield "$O.other.C.abc", set()


def subscribe_probes() -> Iterator[Probe]:
    for name in IDENTITIES:
        own = {name}
        yield f"_INBOX.{name}.>", own
        yield f"_INBOX.{name}.abc.*", own
        yield f"_INBOX.{name}", set()
        yield f"evt.*.nats.{name}.>", set()
    yield "tail.>", {n for n, i in ITEMS if "*" in i.follows}
    yield "tail.evt.1c.http.>", {n for n, i in ITEMS if "*" in i.follows}
    for type in CONTRACTS.types:
        followers = {n for n, i in ITEMS if "*" in i.follows or type in i.follows}
        yield f"tail.evt.*.*.*.{type}", followers
        yield f"tail.evt.1c.http.shop.{type}", followers
    for subject in ("replay.>", "replay.*.>", "replay.alerting.>", "replay_log.>", "replay_log.alerting.>"):
        yield subject, set()  # delivered by a consumer alone, not to whoever subscribes
    for what in ("models", "denials", "replays"):
        yield f"ctl.{what}", {n for n, i in ITEMS if what in i.listens}
    yield "$SYS.REQ.USER.AUTH", {n for n, i in ITEMS if "authorize" in i.may}
    for service, body in CONTRACTS.services.items():
        answerers = {n for n, i in ITEMS if service in i.serves}
        yield f"svc.{service}.*.*", answerers
        for operation in body.operations:
            yield f"svc.{service}.{operation}.*", answerers
            yield f"svc.{service}.{operation}.ingress", answerers
        yield f"svc.{service}.>", set()
        for verb in ("PING", "INFO", "STATS"):
            yield f"$SRV.{verb}.{service}", answerers
            yield f"$SRV.{verb}.{service}.abc", answerers
    for verb in ("PING", "INFO", "STATS"):
        yield f"$SRV.{verb}", {n for n, i in ITEMS if i.serves}
    for subject in (
        *(">", "*", "*.>", "*.*", "_INBOX.>", "_INBOX.*.>", "_INBOX.*.abc", "*.ingress.>", "_R_.>"),
        *("evt.>", "evt.1c.http.>", "score.>", "dlq.>", "audit.>", "ctl.>", "svc.>", "svc.*.*.*", "$SRV.>"),
        *("$JS.>", "$JS.API.>", "$JS.core.API.>", "$JS.ACK.>", "$JS.EVENT.>", "$KV.>", "$O.>"),
        *("$SYS.>", "$SYS.REQ.>", "$SYS.ACCOUNT.>"),
    ):
        yield subject, set()


def merged(probes: Iterator[Probe]) -> dict[str, set[str]]:
    """Some subjects come from two places, for example own and watched; whoever may by one of them may."""
    table: dict[str, set[str]] = {}
    for subject, names in probes:
        table.setdefault(subject, set()).update(names)
    return table


PUBLISH = merged(publish_probes())
SUBSCRIBE = merged(subscribe_probes())
