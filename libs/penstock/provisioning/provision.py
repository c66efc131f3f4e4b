"""contracts/streams.yaml → streams, consumers and buckets on the server. Idempotent; undoes changes made by hand.

Nothing is ever deleted, and a change that would lose messages or move a stream is refused before anything is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from penstock.auth.connect import connect_as
from penstock.broker import EPOCH, ConsumerInfo, JetStream, StreamInfo, if_there
from penstock.contracts import Contracts, bucket_stream, bucket_subjects, load
from penstock.errors import Refused
from penstock.provisioning import stream_config
from penstock.settings import Settings, load_settings

_TIMEOUT = 10.0  # seconds, for each look
# Properties that cannot be changed in place.
_FIXED = {"retention", "storage", "persist_mode", "deliver_policy", "ack_policy", "replay_policy"}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing made or changed. `properties` are those that differed, with what the server had and what it has now."""

    kind: Literal["stream", "consumer"]
    name: str
    action: Literal["created", "updated"]
    properties: dict[str, tuple[Any, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What provisioning did, or would do (`dry_run`). `unknown`: on the server, not in the contracts; left alone."""

    dry_run: bool
    changes: list[Change] = field(default_factory=list)
    unchanged: int = 0
    unknown: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def run(settings: Settings | None = None, *, dry_run: bool = False, replicas: int = 1) -> Report:
    """Connects as `provision` and makes the server match the contracts. Not for use inside an event loop."""
    return asyncio.run(apply(settings or load_settings(), dry_run=dry_run, replicas=replicas))


async def apply(settings: Settings, *, dry_run: bool = False, replicas: int = 1) -> Report:
    """The same, inside an event loop."""

    broker = await connect_as("provision", settings)
    try:
        return await provision(broker.jetstream, load(), dry_run=dry_run, replicas=replicas)
    finally:
        await broker.drain()


async def provision(
    jetstream: JetStream, contracts: Contracts, *, dry_run: bool = False, replicas: int = 1, now: datetime | None = None
) -> Report:
    """Makes the server match the contracts over a connection in CORE.

    Raises Refused PROVISION_REFUSED, before any change, when one would lose messages or is not possible in place;
    Unavailable when the server does not answer.
    """
    job = _Job(jetstream, Report(dry_run), now or datetime.now(UTC))
    wanted = _wanted_streams(contracts, replicas)
    found = {name: await job.find_stream(name) for name in wanted}
    for name, config in wanted.items():
        if (info := found[name]) is not None:
            refuse_loss(name, config, info, job.now)
    consumers = stream_config.consumer_configs(contracts)
    present = {key: await job.find_consumer(*key) if found[key[0]] is not None else None for key in consumers}
    for (stream, name), config in consumers.items():
        if (consumer_info := present[stream, name]) is not None:
            refuse_fixed(f"{stream}/{name}", config, consumer_info.config)
    for name, config in wanted.items():
        await job.stream(name, config, found[name])
    for (stream, name), config in consumers.items():
        await job.consumer(stream, name, config, present[stream, name])
    transient = {(name, each) for name, stream in contracts.streams.items() for each in stream.replay_consumers()}
    job.report.unknown = await _unknown(job, set(wanted), consumers.keys() | transient)
    return job.report


def refuse_fixed(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises Refused for a property that cannot be changed in place."""
    for key, (old, new) in stream_config.differences(wanted, found).items():
        if key in _FIXED:
            raise Refused("PROVISION_REFUSED", f"{name}: {key} is {old!r} and cannot become {new!r} in place")


def refuse_loss(name: str, wanted: Mapping[str, Any], info: StreamInfo, now: datetime) -> None:
    """Raises Refused when updating the stream would drop messages that it holds or subjects that it captures."""
    config = info.config
    refuse_fixed(name, wanted, config)
    gone = set(config.get("subjects") or ()) - set(wanted["subjects"])
    if gone:
        raise Refused("PROVISION_REFUSED", f"{name}: the contract no longer captures {', '.join(sorted(gone))}")
    if not info.messages:
        return
    if info.bytes > wanted["max_bytes"]:
        raise Refused(
            "PROVISION_REFUSED",
            f"{name}: max_bytes {wanted['max_bytes']:,} is less than the {info.bytes:,} bytes of the {info.messages:,}"
            f" messages that it holds; give at least {info.bytes:,}, or lower it when older ones have expired",
        )
    age_limit = wanted["max_age"]
    age = (now - datetime.fromisoformat(info.first_time)).total_seconds()
    if age_limit and age * 1e9 > age_limit and age_limit < (config.get("max_age") or 1 << 63):
        raise Refused(
            "PROVISION_REFUSED",
            f"{name}: max_age {age_limit / 1e9:,.0f} s is less than the {age:,.0f} s since its oldest message was"
            f" stored, which would be deleted at once; give at least {age:,.0f} s, or lower it when the old are gone",
        )
    kept, wants = config.get("max_msgs_per_subject", -1), wanted["max_msgs_per_subject"]
    if wants > 0 and not 0 < kept <= wants:
        raise Refused("PROVISION_REFUSED", f"{name}: a history of {wants} is less than the {kept} a subject may hold")


def _wanted_streams(contracts: Contracts, replicas: int) -> dict[str, dict[str, Any]]:
    wanted = {name: stream_config.stream_config(name, stream, replicas) for name, stream in contracts.streams.items()}
    for name, bucket in contracts.buckets.items():
        stream = bucket_stream(contracts, name)
        wanted[stream] = stream_config.bucket_config(stream, bucket_subjects(contracts, name), bucket, replicas)
    return wanted


def _set(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}  # the server refuses null


class _Job:
    """One run: the API, what was done so far, and the moment that counts as now."""

    def __init__(self, jetstream: JetStream, report: Report, now: datetime) -> None:
        self.jetstream = jetstream
        self.report = report
        self.now = now

    async def find_stream(self, name: str) -> StreamInfo | None:
        return await if_there(self.jetstream.stream_info(name, timeout=_TIMEOUT))

    async def find_consumer(self, stream: str, name: str) -> ConsumerInfo | None:
        return await if_there(self.jetstream.consumer_info(stream, name, timeout=_TIMEOUT))

    async def stream(self, name: str, wanted: dict[str, Any], info: StreamInfo | None) -> None:
        if info is None:
            config = _set(wanted | stream_config.birth(self.now))
            await self._change(Change("stream", name, "created"), self.jetstream.create_stream, config)
            return
        metadata = info.config.get("metadata") or {}
        if EPOCH not in metadata:  # made by hand; its messages keep their sequences
            wanted = wanted | {"metadata": metadata | stream_config.birth(self.now)["metadata"]}
        changed = stream_config.differences(wanted, info.config)
        if not changed:
            self.report.unchanged += 1
            return
        config = _set(info.config | wanted)
        await self._change(Change("stream", name, "updated", changed), self.jetstream.update_stream, config)

    async def consumer(self, stream: str, name: str, wanted: dict[str, Any], info: ConsumerInfo | None) -> None:
        found = info.config if info else {}
        changed = stream_config.differences(wanted, found) if info else {}
        if info and not changed:
            self.report.unchanged += 1
            return
        change = Change("consumer", f"{stream}/{name}", "updated" if info else "created", changed)
        ensure = partial(self.jetstream.ensure_consumer, stream, action="update" if info else "create")
        await self._change(change, ensure, _set(found | wanted))

    async def _change(
        self, change: Change, call: Callable[[dict[str, Any]], Awaitable[object]], config: dict[str, Any]
    ) -> None:
        if not self.report.dry_run:
            await call(config)
        self.report.changes.append(change)


async def _unknown(job: _Job, streams: set[str], consumers: set[tuple[str, str]]) -> list[str]:
    present = set(await job.jetstream.stream_names(timeout=_TIMEOUT))
    extra = sorted(present - streams)
    for stream in sorted(present & streams):
        names = await job.jetstream.consumer_names(stream, timeout=_TIMEOUT)
        extra += [f"{stream}/{name}" for name in sorted(names) if (stream, name) not in consumers]
    return extra
