"""Work that outlives many tokens: nothing is lost, and nothing is there twice by its key."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from penstock.auth.token_sources import TokenFile
from penstock.broker import Broker, Stored, Token
from penstock.broker.server_connections import Connection, disconnect, list_connections
from penstock.consume import DeadLetters, Delivery, Done, Lane, LaneOptions, Outcome
from penstock.errors import Unavailable
from penstock.publish import GroupCommitter, Outgoing
from penstock.rpc.client import ask
from penstock.rpc.server import serve
from penstock.stack import up
from tests.support.authority_rig import AuthorityRig, FixedToken
from tests.support.broker_rig import Working
from tests.support.mint import Mint
from tests.support.place_factory import PlaceFactory
from tests.support.until import BOUND, until


@pytest.fixture(scope="module")
async def rig(place_factory: PlaceFactory) -> AsyncIterator[AuthorityRig]:
    place = place_factory.make("renewal", auth="callout")
    rig = await AuthorityRig(place, Mint(place.state / "mint")).open()
    yield rig
    await rig.close()
    up.clean(place)


@pytest.fixture(autouse=True)
async def closed(rig: AuthorityRig) -> AsyncIterator[None]:
    yield
    await rig.close_clients()


class Load:
    """Publishes numbered messages without a pause, each until it is stored, and notes what a lane gets."""

    def __init__(self) -> None:
        self.sent: set[bytes] = set()
        self.got: Counter[bytes] = Counter()
        self.again = 0  # publishes that had to be repeated
        self.redelivered = 0

    async def single(self, broker: Broker, end: float) -> None:
        """One by one, each awaited."""
        for number in itertools.count():
            if time.monotonic() > end:
                return
            payload = b"single %d" % number
            while True:
                try:
                    await broker.publish("evt.00.nats.billing.log.line.v1", payload, timeout=5.0)
                    break
                except Unavailable:
                    self.again += 1
            self.sent.add(payload)

    async def grouped(self, broker: Broker, end: float) -> None:
        """In groups, as the ingress does it."""
        committer = GroupCommitter(broker)
        await committer.start()
        for number in itertools.count():
            if time.monotonic() > end:
                break
            left = [b"group %d %d" % (number, each) for each in range(20)]
            self.sent.update(left)
            while left:
                items = [Outgoing("evt.00.http.shop.log.line.v1", payload) for payload in left]
                results = await committer.submit(items)
                failed = [payload for payload, result in zip(left, results, strict=True) if type(result) is not Stored]
                self.again += len(failed)
                left = failed
            await asyncio.sleep(0.005)
        await committer.stop()

    async def handle(self, batch: list[Delivery]) -> list[Outcome]:
        self.got.update(delivery.data for delivery in batch)
        self.redelivered += sum(delivery.delivered > 1 for delivery in batch)
        return [Done()] * len(batch)


async def run(rig: AuthorityRig, seconds: float, life: float) -> tuple[Load, int]:
    """The load for a while, with tokens of `life` seconds; and how many tokens that took."""
    mint, load = rig.mint, Load()
    billing = await rig.token("billing", lambda: mint.token(life=life))
    ingress = await rig.token("ingress", lambda: mint.token("penstock-ingress", life=life))
    indexer = await rig.token("indexer", lambda: mint.token("penstock-indexer", life=life))
    options = LaneOptions(batch=100, linger=0.01)
    lanes = [
        Lane(indexer, stream, "indexer", load.handle, options, dead_letters=DeadLetters(indexer, "x"))
        for stream in ("EVENTS_NATS", "EVENTS_HTTP")
    ]
    end = time.monotonic() + seconds
    async with Working(*lanes):
        await asyncio.gather(load.single(billing, end), load.grouped(ingress, end))
        await until(lambda: load.got.keys() >= load.sent, bound=45.0)
    return load, sum(source.given for source in rig.sources)


async def check(rig: AuthorityRig, seconds: float, life: float, stored_before: int) -> None:
    load, tokens = await run(rig, seconds, life)
    stored = await messages(rig) - stored_before
    print(
        f"{len(load.sent)} sent, {stored} stored, {load.again} again, {load.redelivered} redelivered, {tokens} tokens"
    )
    assert tokens > 3 * seconds / life * 0.8  # three connections, and each of them got on
    assert set(load.got) == load.sent
    # A publish that was given up may have been stored all the same; nothing else is there twice.
    assert len(load.sent) <= stored <= len(load.sent) + load.again
    assert sum(load.got.values()) - len(load.got) <= load.again + load.redelivered


async def messages(rig: AuthorityRig) -> int:
    return sum([(await rig.reader.jetstream.stream_info(name)).messages for name in ("EVENTS_NATS", "EVENTS_HTTP")])


async def test_load_over_twelve_token_lives_loses_nothing(rig: AuthorityRig) -> None:
    await check(rig, 36.0, 3, await messages(rig))


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_minutes_of_load_with_twenty_second_tokens_lose_nothing(rig: AuthorityRig) -> None:
    await check(rig, 600.0, 20, await messages(rig))


async def test_requests_are_answered_while_both_sides_renew_their_tokens(rig: AuthorityRig) -> None:
    indexer = await rig.token("indexer", lambda: rig.mint.token("penstock-indexer", life=3))
    ingress = await rig.token("ingress", lambda: rig.mint.token("penstock-ingress", life=3))

    async def count(request: dict[str, object], _: object) -> dict[str, object]:
        return request

    responder = await serve(indexer, "search", {"count": count}, concurrency=8)
    asked = failed = 0
    first_expiry = shown_expiry("ingress")
    end = time.monotonic() + 12
    while time.monotonic() < end:
        asked += 1
        try:
            assert await ask(ingress, "search", "count", {"number": asked}, timeout=2.0) == {"number": asked}
        except Unavailable:
            failed += 1
    await responder.stop()
    print(f"{asked} asked, {failed} to be asked again")
    assert failed <= asked / 100
    assert shown_expiry("ingress") > first_expiry + 3  # several tokens later


def shown_expiry(identity: str) -> float:
    """Unix seconds at which the token of this process's connection expires, by its metric."""
    expiry = REGISTRY.get_sample_value("penstock_broker_token_expiry_timestamp_seconds", {"identity": identity})
    assert expiry is not None
    return expiry


@pytest.mark.parametrize(
    ("server", "service", "operation", "is_idempotent"),
    [("indexer", "search", "count", True), ("operator", "registry", "activate", False)],
)
async def test_only_an_idempotent_request_outlives_the_connection_it_was_sent_on(
    rig: AuthorityRig, server: str, service: str, operation: str, is_idempotent: bool
) -> None:
    """It takes longer than a hand-over waits for answers: it is sent again, once, and not if that could do harm."""
    serving = await rig.token(server, lambda: rig.mint.token(f"penstock-{server}", life=3600))
    ingress = await rig.token("ingress", lambda: rig.mint.token("penstock-ingress", life=4))
    handed_over, seen = asyncio.Event(), []
    ingress.on_reconnect(handed_over.set)

    async def slow(request: dict[str, object], _: object) -> dict[str, object]:
        seen.append(request)
        async with asyncio.timeout(BOUND):
            await handed_over.wait()
        return request

    responder = await serve(serving, service, {operation: slow}, concurrency=8)
    asking = ask(ingress, service, operation, {"number": 1}, timeout=BOUND)
    if is_idempotent:
        assert await asking == {"number": 1}
    else:
        with pytest.raises(Unavailable, match="before the connection was renewed"):
            await asking
    await responder.stop()
    assert len(seen) == (2 if is_idempotent else 1)


async def test_work_resumes_after_a_while_without_tokens(rig: AuthorityRig) -> None:
    issuing = True

    def make() -> str:
        if not issuing:
            raise Unavailable("ISSUER_UNAVAILABLE", "on trial")
        return rig.mint.token(life=2)

    billing = await rig.token("billing", make)
    issuing = False
    await until(lambda: not billing.connected)  # the token is over, and there is none
    issuing = True
    await billing.wait_connected(15)
    assert (await billing.publish("evt.00.nats.billing.log.line.v1", b"{}")).stream == "EVENTS_NATS"


On = Callable[[Broker, Callable[[], None]], None]  # which moment of a broker's


class Hasty(FixedToken):
    """Tokens that are good for minutes, and are taken to be over after a moment: renewals without a pause."""

    async def _fetch(self) -> Token:
        token = await super()._fetch()
        now = time.time()
        return Token(token.value, now, now + 0.02)


async def test_what_is_closed_at_any_moment_leaves_nothing_behind(rig: AuthorityRig) -> None:
    """While its token is renewed, after a loss, while the server refuses it, and while it connects for the first time:
    every time at some moments more, among them those when a connection is just being made."""
    tasks, numbers, place = asyncio.all_tasks(), itertools.count(), rig.place

    def connect(identity: str, source: FixedToken) -> Coroutine[None, None, Broker]:
        return Broker.connect(place.nats, identity, place.credentials_folder, token_source=source)

    async def close(identity: str, source: FixedToken, on: On, wait: float) -> None:
        broker, moment = await connect(identity, source), asyncio.Event()
        on(broker, moment.set)
        rig.brokers.append(broker)
        async with asyncio.timeout(BOUND):
            await moment.wait()
        await asyncio.sleep(wait)  # the moment, not something to wait for
        await broker.drain()

    async def give_up(wait: float) -> None:
        connecting = asyncio.create_task(connect("billing", FixedToken(rig.mint.token)))
        await asyncio.sleep(wait)
        connecting.cancel()
        with suppress(asyncio.CancelledError):
            await (await connecting).drain()

    def steady() -> FixedToken:
        return FixedToken(lambda: rig.mint.token("penstock-indexer"))

    def hasty() -> Hasty:
        return Hasty(lambda: rig.mint.token(jti=f"hasty {next(numbers)}"))

    def soon_refused() -> Hasty:
        tokens = itertools.chain([rig.mint.token()], itertools.repeat(rig.mint.token(life=-60)))
        return Hasty(lambda: next(tokens))

    authority = await rig.nkey("authority")
    closing = asyncio.gather(
        *[close("indexer", steady(), Broker.on_disconnect, number * 0.004) for number in range(16)],
        *[close("billing", hasty(), Broker.on_reconnect, number * 0.003) for number in range(24)],
        *[close("billing", soon_refused(), Broker.on_disconnect, number * 0.06) for number in range(8)],
        *[give_up(number * 0.002) for number in range(16)],
    )

    async def connected(identity: str) -> list[Connection]:
        return await list_connections(authority, identity)

    def all_steady() -> bool:
        return sum(broker.identity == "indexer" for broker in rig.brokers) == 16

    await until(all_steady)
    for connection in await connected("indexer"):
        await disconnect(authority, connection)
    await closing

    async def gone() -> bool:
        return not (await connected("billing") + await connected("indexer"))

    await until(gone)
    rig.brokers.remove(authority)
    await authority.drain()
    assert all(broker.closed.is_set() and not broker.connected for broker in rig.brokers)
    await until(lambda: not asyncio.all_tasks() - tasks)


async def test_a_token_file_is_read_again(rig: AuthorityRig, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(rig.mint.token(life=3))
    billing = await Broker.connect(
        rig.place.nats, "billing", rig.place.credentials_folder, token_source=TokenFile(path)
    )
    rig.brokers.append(billing)
    first = await rig.next_audit()
    path.write_text(rig.mint.token(life=300, jti="the second"))
    renewed = asyncio.Event()
    billing.on_reconnect(renewed.set)
    async with asyncio.timeout(BOUND):
        await renewed.wait()
    # Of another one: the authority may still write what an earlier client did.
    records = [record for record in await rig.audited(first) if record.get("identity") == "billing"]
    assert [record["token_id"] for record in records] == ["the second"]
