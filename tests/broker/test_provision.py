"""`penstock provision` against the real server: what it makes, changes back, leaves alone and refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.auth import nkey_files
from penstock.broker import EPOCH, Broker
from penstock.contracts import Contracts, load
from penstock.contracts.nats_subjects import API
from penstock.errors import Refused
from penstock.provisioning import provision, stream_config
from penstock.provisioning.provision import Report
from penstock.stack import nats as stack_nats
from penstock.stack import up
from penstock.stack.place import Place
from tests.support.place_factory import PlaceFactory

CONTRACTS = load()
SUBJECT = "evt.01.http.shop.log.line.v1"
DAY = 86_400 * 10**9


class Server:
    """An open server, and the JetStream API of CORE."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def provision(
        self, contracts: Contracts = CONTRACTS, *, dry_run: bool = False, now: datetime | None = None
    ) -> Report:
        return await provision.provision(self.broker.jetstream, contracts, dry_run=dry_run, now=now)

    async def api(self, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self.broker.jetstream.api(verb, body)

    async def config(self, stream: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api(f"STREAM.INFO.{stream}"))["config"]
        return found

    async def change(self, stream: str, **properties: object) -> None:
        """A change by hand."""
        await self.api(f"STREAM.UPDATE.{stream}", await self.config(stream) | properties)

    async def consumer(self, stream: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api(f"CONSUMER.INFO.{stream}.{name}"))["config"]
        return found

    async def change_consumer(self, stream: str, name: str, **properties: object) -> None:
        config = await self.consumer(stream, name) | properties
        body = {"stream_name": stream, "config": config, "action": "update"}
        await self.api(f"CONSUMER.CREATE.{stream}.{name}", body)


@pytest.fixture(scope="module")
def open_server(place_factory: PlaceFactory) -> Iterator[Place]:
    """A server without accounts or rights, for this module alone."""
    place = place_factory.make("provision")
    stack_nats.wait_ready(place, stack_nats.start(place, stack_nats.minimal_conf(place)))
    nkey_files.ensure(
        CONTRACTS, place.credentials_folder
    )  # an open server does not ask for them; every client has them
    yield place
    up.clean(place)


@pytest.fixture
async def server(open_server: Place) -> AsyncIterator[Server]:
    """An empty server."""
    server = Server(await Broker.connect(open_server.nats, "provision", open_server.credentials_folder, prefix=API))
    for name in (await server.api("STREAM.NAMES")).get("streams") or ():
        await server.api(f"STREAM.DELETE.{name}")
    yield server
    await server.broker.drain()


@pytest.fixture
async def provisioned(server: Server) -> Server:
    """A server that is as the contracts want it."""
    await server.provision()
    return server


def with_stream(name: str, **properties: object) -> Contracts:
    """The contracts with another line for a stream."""
    stream = CONTRACTS.streams[name].model_copy(update=properties)
    return replace(CONTRACTS, streams={**CONTRACTS.streams, name: stream})


async def test_an_empty_server_gets_everything_and_a_second_run_changes_nothing(server: Server) -> None:
    first = await server.provision()
    assert {change.action for change in first.changes} == {"created"}
    assert first.unknown == []
    names = {change.name for change in first.changes}
    assert {*CONTRACTS.streams, "KV_registry", "OBJ_models"} <= names
    assert {f"EVENTS_NATS/scorer_{lane}" for lane in range(8)} <= names

    second = await server.provision()
    assert second.changes == []
    assert second.unchanged == len(first.changes)


async def test_what_the_limits_promise_is_what_the_server_has(provisioned: Server) -> None:
    for name in CONTRACTS.streams:
        config = await provisioned.config(name)
        assert config["retention"] == ("workqueue" if name == "REPLAY" else "limits")
        assert config["discard"] == ("old" if name in ("ADMIN", "SESSIONS") else "new")
        assert config["storage"] == "file"
        assert config["deny_delete"]
        assert config["deny_purge"]
        assert config["allow_direct"]
        assert config["max_age"] >= 7 * DAY
        assert config["max_bytes"] > 0
        assert not config["allow_rollup_hdrs"]
        assert not config.get("allow_msg_ttl")
        assert not config.get("allow_msg_schedules")
    assert (await provisioned.config("EVENTS_HTTP"))["allow_atomic"]
    assert not (await provisioned.config("EVENTS_NATS")).get("allow_atomic")
    assert (await provisioned.config("EVENTS_NATS"))["max_msg_size"] == 264 * 1024
    consumer = await provisioned.consumer("EVENTS_HTTP", "scorer_7")
    assert consumer["ack_policy"] == "explicit"
    assert consumer["max_deliver"] == -1
    assert consumer["filter_subjects"] == [f"evt.{pp:02x}.http.>" for pp in range(56, 64)]


async def test_a_dry_run_says_all_and_changes_nothing(server: Server) -> None:
    planned = await server.provision(dry_run=True)
    assert (await server.api("STREAM.NAMES")).get("streams") is None
    assert planned.changes == (await server.provision()).changes


@pytest.mark.parametrize(
    ("stream", "properties"),
    [
        ("EVENTS_HTTP", {"discard": "old"}),
        ("EVENTS_HTTP", {"max_age": 30 * DAY}),
        ("EVENTS_HTTP", {"max_bytes": 1 << 20}),
        ("EVENTS_HTTP", {"allow_direct": False}),
        ("EVENTS_HTTP", {"duplicate_window": 120 * 10**9}),
        ("EVENTS_NATS", {"allow_atomic": True}),
        ("EVENTS_NATS", {"republish": {"src": ">", "dest": "elsewhere.>"}}),
        ("EVENTS_NATS", {"republish": None}),
        ("EVENTS_NATS", {"subject_transform": {"src": "evt.*.nats.>", "dest": "evt.{{wildcard(1)}}.http.>"}}),
        ("SCORES", {"sources": [{"name": "EVENTS_HTTP"}]}),
        ("DLQ", {"max_msg_size": 100}),
        ("KV_registry", {"max_msgs_per_subject": 1}),
        ("OBJ_models", {"allow_rollup_hdrs": True}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
async def test_a_change_by_hand_is_put_back_and_reported(
    provisioned: Server, stream: str, properties: dict[str, Any]
) -> None:
    before = await provisioned.config(stream)
    given = {name: value for name, value in properties.items() if value is not None}
    current = {name: value for name, value in before.items() if name not in properties}
    await provisioned.api(f"STREAM.UPDATE.{stream}", current | given)

    report = await provisioned.provision()
    assert await provisioned.config(stream) == before
    (change,) = report.changes
    assert (change.kind, change.name, change.action) == ("stream", stream, "updated")
    assert set(change.properties) == set(properties)


@pytest.mark.parametrize(
    "properties",
    [{"ack_wait": 10**9}, {"max_ack_pending": 1}, {"max_deliver": 3}, {"filter_subjects": ["evt.00.http.>"]}],
    ids=lambda value: next(iter(value)),
)
async def test_a_consumer_changed_by_hand_is_put_back_and_reported(
    provisioned: Server, properties: dict[str, Any]
) -> None:
    before = await provisioned.consumer("EVENTS_HTTP", "writer")
    await provisioned.change_consumer("EVENTS_HTTP", "writer", **properties)
    report = await provisioned.provision()
    assert await provisioned.consumer("EVENTS_HTTP", "writer") == before
    (change,) = report.changes
    assert (change.kind, change.name) == ("consumer", "EVENTS_HTTP/writer")
    assert set(change.properties) == set(properties)


async def test_a_paused_consumer_stays_paused(provisioned: Server) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await provisioned.api("CONSUMER.PAUSE.EVENTS_HTTP.writer", {"pause_until": until})
    await provisioned.change_consumer("EVENTS_HTTP", "writer", max_ack_pending=1)
    await provisioned.provision()
    assert (await provisioned.api("CONSUMER.INFO.EVENTS_HTTP.writer"))["paused"]


async def test_a_deleted_consumer_is_made_again(provisioned: Server) -> None:
    await provisioned.api("CONSUMER.DELETE.SCORES.indexer")
    report = await provisioned.provision()
    assert [(change.name, change.action) for change in report.changes] == [("SCORES/indexer", "created")]


async def test_what_is_not_in_the_contracts_is_reported_and_left_alone(provisioned: Server) -> None:
    await provisioned.api("STREAM.CREATE.EXTRA", {"name": "EXTRA", "subjects": ["extra.>"], "storage": "file"})
    config = {"durable_name": "spy", "name": "spy", "ack_policy": "explicit"}
    await provisioned.api("CONSUMER.CREATE.DLQ.spy", {"stream_name": "DLQ", "config": config})
    report = await provisioned.provision()
    assert report.changes == []
    assert report.unknown == ["EXTRA", "DLQ/spy"]
    assert await provisioned.config("EXTRA")


@pytest.mark.parametrize(
    ("contracts", "said"),
    [
        (with_stream("EVENTS_HTTP", subjects=("evt.*.http.a.>",)), r"no longer captures evt\.\*\.http\.>"),
        (with_stream("EVENTS_HTTP", max_bytes=1000), "max_bytes"),
    ],
    ids=["a subject less", "less room than is taken"],
)
async def test_a_contract_that_would_lose_messages_is_refused_before_any_change(
    provisioned: Server, contracts: Contracts, said: str
) -> None:
    for _ in range(10):
        await provisioned.broker.publish(SUBJECT, b"x" * 200)
    await provisioned.change("DLQ", max_msg_size=100)
    before = await provisioned.config("EVENTS_HTTP")
    with pytest.raises(Refused, match=said) as refusal:
        await provisioned.provision(contracts)
    assert refusal.value.code == "PROVISION_REFUSED"
    assert await provisioned.config("EVENTS_HTTP") == before
    assert (await provisioned.config("DLQ"))["max_msg_size"] == 100


async def test_a_shorter_age_is_refused_only_while_it_would_drop_messages(provisioned: Server) -> None:
    await provisioned.broker.publish(SUBJECT, b"kept")
    shorter = with_stream("EVENTS_HTTP", max_age=timedelta(days=1))
    in_two_days = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(Refused, match="max_age"):
        await provisioned.provision(shorter, now=in_two_days)
    await provisioned.provision(shorter)
    assert (await provisioned.config("EVENTS_HTTP"))["max_age"] == DAY


async def test_dead_letters_are_not_deleted_by_a_lower_limit(provisioned: Server) -> None:
    """The refusal says what the stream holds, and what to do; nothing is changed."""
    for _ in range(20):
        await provisioned.broker.publish("dlq.indexer.evt.00.http.shop.log.line.v1", b"x" * 1000)
    held = await provisioned.broker.jetstream.stream_info("DLQ")
    before = await provisioned.config("DLQ")
    numbers = rf"DLQ: max_bytes 4,096 is less than the {held.bytes:,} bytes of the {held.messages:,} messages"
    with pytest.raises(Refused, match=f"{numbers}.*give at least {held.bytes:,}"):
        await provisioned.provision(with_stream("DLQ", max_bytes=4096))
    in_two_days = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(Refused, match=r"DLQ: max_age 3,600 s is less than the 172,8\d\d s.*give at least"):
        await provisioned.provision(with_stream("DLQ", max_age=timedelta(hours=1)), now=in_two_days)
    assert await provisioned.config("DLQ") == before
    assert (await provisioned.broker.jetstream.stream_info("DLQ")).messages == held.messages
    await provisioned.provision(with_stream("DLQ", max_bytes=held.bytes))


async def test_another_retention_is_refused(provisioned: Server) -> None:
    await provisioned.api("STREAM.CREATE.X", {"name": "X", "subjects": ["x"], "storage": "file"})
    await provisioned.change("AUDIT", retention="interest")
    with pytest.raises(Refused, match="AUDIT: retention is 'interest' and cannot become 'limits'"):
        await provisioned.provision()


async def test_a_consumer_that_starts_elsewhere_is_refused(provisioned: Server) -> None:
    await provisioned.api("CONSUMER.DELETE.SCORES.writer")
    config = {"durable_name": "writer", "name": "writer", "ack_policy": "explicit", "deliver_policy": "new"}
    await provisioned.api("CONSUMER.CREATE.SCORES.writer", {"stream_name": "SCORES", "config": config})
    with pytest.raises(Refused, match="SCORES/writer: deliver_policy"):
        await provisioned.provision()


async def test_a_stream_made_anew_goes_on_above_its_predecessor(provisioned: Server) -> None:
    """Also when no trace of the first is left: the stores compare (epoch << 48) | sequence."""

    async def version() -> int:
        stored = await provisioned.broker.publish(SUBJECT, b"event")
        epoch = int((await provisioned.config("EVENTS_HTTP"))["metadata"][EPOCH])
        return epoch << 48 | stored.sequence

    for _ in range(50):
        first = await version()
    await provisioned.api("STREAM.DELETE.EVENTS_HTTP")
    later = datetime.now(UTC) + timedelta(seconds=1)
    await provisioned.provision(now=later)
    assert first < await version() < 1 << 63


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-11-21T00:00:00", "2026-11-21T00:00:01"),
        ("2026-11-21T23:59:59", "2026-11-22T00:00:00"),
        ("2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    ],
)
def test_the_version_grows_with_the_moment_of_creation(earlier: str, later: str) -> None:
    def start(moment: str) -> int:
        birth = stream_config.birth(datetime.fromisoformat(moment).replace(tzinfo=UTC))
        return int(birth["metadata"][EPOCH]) << 48 | int(birth["first_seq"])

    assert start(later) - start(earlier) >= 1_000_000


def test_epoch_and_sequence_keep_to_their_bits_until_2113() -> None:
    birth = stream_config.birth(datetime(2113, 9, 17, 23, 59, 59, tzinfo=UTC))
    assert int(birth["metadata"][EPOCH]) < 1 << 15
    assert birth["first_seq"] + 10**14 < 1 << 48


async def test_a_lost_epoch_is_given_again_and_a_kept_one_stays(provisioned: Server) -> None:
    before = (await provisioned.config("EVENTS_HTTP"))["metadata"]
    await provisioned.change("EVENTS_HTTP", description="by hand")
    await provisioned.provision()
    assert (await provisioned.config("EVENTS_HTTP"))["metadata"] == before
    await provisioned.change("EVENTS_HTTP", metadata={})
    await provisioned.provision()
    assert EPOCH in (await provisioned.config("EVENTS_HTTP"))["metadata"]
