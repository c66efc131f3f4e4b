"""A provisioned server of its own, brokers of any identity on it, and streams and consumers set back for each test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

import nkeys  # type: ignore[import-untyped]

from penstock.broker import Broker, ConsumerInfo, Stored, StoredMessage
from penstock.consume import Delivery, Done, Lane, Outcome
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.provisioning import provision, stream_config
from penstock.publish import GroupCommitter, Outgoing
from penstock.stack import nats
from penstock.stack.place import Place
from tests.support.processes import Processes
from tests.support.until import BOUND, until

STREAM, CONSUMER = "EVENTS_HTTP", "indexer"


def conf(place: Place) -> str:
    """The fleet's configuration, and one more user in CORE who may do anything: `rig`."""
    text = nats.fleet_conf(place)
    seed = place.credentials_folder / "rig.nk"
    seed.write_bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    seed.chmod(0o600)
    public = nkeys.from_seed(bytearray(seed.read_bytes())).public_key.decode()
    before, users, after = text.partition('  CORE: {\n    jetstream: "enabled"\n    users: [\n')
    assert users
    return f'{before}{users}      {{ nkey: "{public}" }}\n{after}'


class Rig:
    """What a test of the broker needs. All brokers are closed at the end. `core` may do anything in CORE."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.place = processes.place
        self.core: Broker
        self._brokers: list[Broker] = []

    async def open(self) -> Rig:
        """Provisions the server."""
        await provision.apply(self.place)
        self.core = await self.broker("rig", prefix="$JS.API")
        return self

    async def close(self) -> None:
        """Closes every broker."""
        for broker in self._brokers:
            await broker.drain(1.0)

    async def broker(self, identity: str, **options: object) -> Broker:
        """A new connection of the identity."""
        broker = await Broker.connect(self.place.nats, identity, self.place.credentials_folder, **options)  # type: ignore[arg-type]
        self._brokers.append(broker)
        return broker

    async def consumer(
        self, *, stream: str = STREAM, name: str = CONSUMER, ack_wait: float = 30.0, max_ack_pending: int = 5000
    ) -> None:
        """Makes the consumer anew: it begins behind what is stored now."""
        with suppress(PenstockError):
            await self.drop_consumer(stream, name)
        contract = load().streams[stream]
        config = stream_config.consumer_config(name, contract.filters(name)[name], contract.consumers[name])
        config |= {"ack_wait": int(ack_wait * 1e9), "max_ack_pending": max_ack_pending, "deliver_policy": "new"}
        await self.core.jetstream.ensure_consumer(stream, config)

    async def drop_consumer(self, stream: str = STREAM, name: str = CONSUMER) -> None:
        """Removes the consumer."""
        await self.core.jetstream.api(f"CONSUMER.DELETE.{stream}.{name}", {})

    async def store(self, payloads: list[bytes], *, publisher: str = "web_shop") -> list[int]:
        """Puts messages on EVENTS_HTTP; their sequences."""
        ingress = await self.broker("ingress")
        committer = GroupCommitter(ingress)
        await committer.start()
        results = await committer.submit([Outgoing(subject(publisher), payload) for payload in payloads])
        await committer.stop()
        await ingress.drain()
        return [result.sequence for result in results if isinstance(result, Stored)]

    async def stored(self, stream: str, first: int) -> list[StoredMessage]:
        """Everything on a stream from a sequence on."""
        found: list[StoredMessage] = []
        while page := await self.core.jetstream.get_many(stream, sequence=first):
            found += page
            first = page[-1].sequence + 1
        return found

    async def next_sequence(self, stream: str) -> int:
        """The sequence that the next message of the stream gets."""
        return (await self.core.jetstream.stream_info(stream)).last_seq + 1

    async def settled(self, stream: str = STREAM, name: str = CONSUMER) -> ConsumerInfo:
        """Waits until everything on the consumer is settled."""

        async def look() -> ConsumerInfo | None:
            info = await self.core.jetstream.consumer_info(stream, name)
            return None if info.pending or info.ack_pending else info

        return await until(look)


class Sink:
    """A handler that records what it got and returns the outcomes given to it; `wait(n)` until it had n deliveries."""

    def __init__(self, answer: Callable[[Delivery], Outcome] | None = None) -> None:
        self.batches: list[list[Delivery]] = []
        self.seen: list[Delivery] = []
        self._answer = answer or (lambda _: Done())
        self._changed = asyncio.Event()

    async def handle(self, batch: list[Delivery]) -> list[Outcome]:
        self.batches.append(batch)
        self.seen += batch
        outcomes = [self._answer(delivery) for delivery in batch]
        self._changed.set()
        return outcomes

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(BOUND):
            while len(self.seen) < count:
                self._changed.clear()
                await self._changed.wait()

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.data for delivery in self.seen]


class Working:
    """`async with Working(lane):` the lane runs meanwhile, and is stopped in its own way at the end."""

    def __init__(self, *lanes: Lane) -> None:
        self._lanes = lanes
        self._stop = asyncio.Event()

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(lane.run(self._stop, grace=3.0)) for lane in self._lanes]

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        async with asyncio.timeout(BOUND):
            await asyncio.gather(*self._tasks)


def subject(publisher: str = "web_shop", pp: int = 0) -> str:
    """Where a message of the publisher goes on EVENTS_HTTP."""
    return f"evt.{pp:02x}.http.{publisher}.log.line.v1"
