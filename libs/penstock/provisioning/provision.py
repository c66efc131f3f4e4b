"""contracts/streams.yaml → streams, consumers and buckets on the server. Idempotent; undoes changes made by hand.

Nothing is ever deleted, and a change that would lose messages or move a stream is refused before anything is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import orjson

from penstock.auth.connect import connect_as
from penstock.broker import EPOCH
from penstock.contracts import Contracts, bucket_stream, bucket_subjects, load
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.provisioning import stream_config
from penstock.settings import Settings, load_settings

_NOT_FOUND = {10059, 10014}  # stream, consumer
_TIMEOUT = 10.0
_NEVER = {"retention", "storage", "deliver_policy", "ack_policy", "replay_policy"}


class _Reply(Protocol):
    @property
    def data(self) -> bytes: ...


class Api(Protocol):
    """What this module needs of a connection in CORE; penstock.broker.connection.Broker has it."""

    async def request(self, subject: str, payload: bytes, *, timeout: float) -> _Reply: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One thing made or mended. `properties` are those that differed, with what the server had and what it has now."""

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
        return await provision(broker, load(), dry_run=dry_run, replicas=replicas)
    finally:
        await broker.drain()


async def provision(
    api: Api, contracts: Contracts, *, dry_run: bool = False, replicas: int = 1, now: datetime | None = None
) -> Report:
    """Makes the server match the contracts over a connection in CORE.

    Raises Refused PROVISION_REFUSED, before any change, when one would lose messages or is not possible in place;
    Unavailable when the server does not answer.
    """
    job = _Job(api, Report(dry_run), now or datetime.now(UTC))
    wanted = _wanted_streams(contracts, replicas)
    found = {name: await job.find(f"STREAM.INFO.{name}") for name in wanted}
    for name, config in wanted.items():
        if (info := found[name]) is not None:
            refuse_loss(name, config, info, job.now)
    consumers = {
        (stream, name): stream_config.consumer_config(name, filters, consumer)
        for stream, body in contracts.streams.items()
        for family, consumer in body.consumers.items()
        for name, filters in body.filters(family).items()
    }
    present = {
        key: await job.find(f"CONSUMER.INFO.{key[0]}.{key[1]}") if found[key[0]] is not None else None
        for key in consumers
    }
    for (stream, name), config in consumers.items():
        if (info := present[stream, name]) is not None:
            refuse_fixed(f"{stream}/{name}", config, info["config"])
    for name, config in wanted.items():
        await job.stream(name, config, found[name])
    for (stream, name), config in consumers.items():
        await job.consumer(stream, name, config, present[stream, name])
    transient = {(name, each) for name, stream in contracts.streams.items() for each in stream.replay_consumers()}
    job.report.unknown = await _unknown(job, set(wanted), consumers.keys() | transient)
    return job.report


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Properties whose value on the server is another; the server leaves out what is false, zero or empty."""
    return {
        name: (found.get(name), value)
        for name, value in wanted.items()
        if found.get(name) != value and (found.get(name) or value)
    }


def refuse_fixed(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises Refused for a property that cannot be changed in place."""
    for key, (old, new) in differences(wanted, found).items():
        if key in _NEVER:
            raise Refused("PROVISION_REFUSED", f"{name}: {key} is {old!r} and cannot become {new!r} in place")


def refuse_loss(name: str, wanted: Mapping[str, Any], info: Mapping[str, Any], now: datetime) -> None:
    """Raises Refused when updating the stream would drop messages that it holds or subjects that it takes."""
    config, state = info["config"], info["state"]
    refuse_fixed(name, wanted, config)
    gone = set(config.get("subjects") or ()) - set(wanted["subjects"])
    if gone:
        raise Refused("PROVISION_REFUSED", f"{name}: the contract no longer takes {', '.join(sorted(gone))}")
    if not state["messages"]:
        return
    if state["bytes"] > wanted["max_bytes"]:
        raise Refused(
            "PROVISION_REFUSED", f"{name}: max_bytes {wanted['max_bytes']} is less than the {state['bytes']} it holds"
        )
    age_limit = wanted["max_age"]
    oldest = datetime.fromisoformat(state["first_ts"])
    if (
        age_limit
        and (now - oldest).total_seconds() * 1e9 > age_limit
        and age_limit < (config.get("max_age") or 1 << 63)
    ):
        raise Refused("PROVISION_REFUSED", f"{name}: max_age {age_limit} ns is less than the age of its oldest message")
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
    """One run: the connection, what was done so far, and the moment that counts as now."""

    def __init__(self, api: Api, report: Report, now: datetime) -> None:
        self.api = api
        self.report = report
        self.now = now

    async def ask(self, verb: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        reply = await self.api.request(f"$JS.API.{verb}", orjson.dumps(body or {}), timeout=_TIMEOUT)
        answer: dict[str, Any] = orjson.loads(reply.data)
        error = answer.get("error")
        if error is not None:
            code = error.get("err_code")
            if error.get("code") == 503:
                raise Unavailable("BROKER_UNAVAILABLE", f"{verb}: {error.get('description')} ({code})")
            raise _ApiError(code, f"{verb}: {error.get('description')} ({code})")
        return answer

    async def find(self, verb: str) -> dict[str, Any] | None:
        try:
            return await self.ask(verb)
        except _ApiError as error:
            if error.number in _NOT_FOUND:
                return None
            raise

    async def stream(self, name: str, wanted: dict[str, Any], info: dict[str, Any] | None) -> None:
        if info is None:
            await self._write(
                "stream", name, "created", {}, f"STREAM.CREATE.{name}", _set(wanted | stream_config.birth(self.now))
            )
            return
        found = info["config"]
        metadata = found.get("metadata") or {}
        if EPOCH not in metadata:  # made by hand; its messages keep their sequences
            wanted = wanted | {"metadata": metadata | stream_config.birth(self.now)["metadata"]}
        changed = differences(wanted, found)
        if not changed:
            self.report.unchanged += 1
            return
        await self._write("stream", name, "updated", changed, f"STREAM.UPDATE.{name}", _set(found | wanted))

    async def consumer(self, stream: str, name: str, wanted: dict[str, Any], info: dict[str, Any] | None) -> None:
        found = info["config"] if info else {}
        changed = differences(wanted, found) if info else {}
        if info and not changed:
            self.report.unchanged += 1
            return
        body = {"stream_name": stream, "config": _set(found | wanted), "action": "update" if info else "create"}
        action: Literal["created", "updated"] = "updated" if info else "created"
        await self._write("consumer", f"{stream}/{name}", action, changed, f"CONSUMER.CREATE.{stream}.{name}", body)

    async def _write(
        self,
        kind: Literal["stream", "consumer"],
        name: str,
        action: Literal["created", "updated"],
        changed: dict[str, tuple[Any, Any]],
        verb: str,
        body: dict[str, Any],
    ) -> None:
        if not self.report.dry_run:
            await self.ask(verb, body)
        self.report.changes.append(Change(kind, name, action, changed))


class _ApiError(PenstockError):
    """The JetStream API said no, with the number of its error."""

    def __init__(self, number: int | None, detail: str) -> None:
        super().__init__("PROVISION_REFUSED", detail)
        self.number = number


async def _unknown(job: _Job, streams: set[str], consumers: set[tuple[str, str]]) -> list[str]:
    present = set((await job.ask("STREAM.NAMES")).get("streams") or ())
    extra = sorted(present - streams)
    for stream in sorted(present & streams):
        names = (await job.ask(f"CONSUMER.NAMES.{stream}")).get("consumers") or ()
        extra += [f"{stream}/{name}" for name in sorted(names) if (stream, name) not in consumers]
    return extra
