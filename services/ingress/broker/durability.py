"""Are the servers and the stream such that accepted means on disk? Asked at start, on reconnect, every 30 s.

A 202 promises that the event is on disk. Where a server does not sync each write, is too old to do so in every case, or
the stream persists asynchronously, that is not so, and start-up, /readyz and every answer say it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from penstock.broker import Broker, Message, if_there, request_many
from penstock.contracts import problem
from penstock.contracts.nats_subjects import SERVER_SETTINGS
from penstock.errors import PenstockError, Unavailable
from penstock.services.ingress import metrics
from penstock.services.ingress.broker.durable_settings import Server, faults_of_servers, faults_of_stream, server

EVERY_SECONDS = 30.0
FIRST_ANSWER_SECONDS = 2.0
SILENCE_SECONDS = 0.3  # without a further answer: then all servers have answered
MOST_SERVERS = 1000
STREAM = "EVENTS_HTTP"  # where accepted events go

_log = structlog.get_logger("penstock.ingress.durability")


class Durability:
    """What the servers said last. `durable` is False as long as it is not known."""

    def __init__(self, broker: Broker) -> None:
        self.durable = False
        self.reason = "the servers have not been asked yet"
        self._broker = broker
        self._again = asyncio.Event()
        self._asked = False
        self._stream: list[PenstockError] | None = None  # its faults at the last look; None: not known
        broker.on_reconnect(self._again.set)

    async def run(self) -> None:
        """Asks for ever; cancel it to stop."""
        while True:
            self._again.clear()
            await self.check()
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._again.wait()
            except TimeoutError:
                continue

    async def check(self) -> None:
        """Asks all servers now."""
        try:
            servers = await server_settings(self._broker)
            faults = [*faults_of_servers(servers), *await self._stream_faults()]
        except PenstockError as error:
            self._say(False, f"the servers cannot be asked: {error.detail}")
            return
        if faults:
            self._say(False, "; ".join(_sentence(fault) for fault in faults), sorted({each.code for each in faults}))
        elif not servers:
            self._say(False, f"no server answered on {SERVER_SETTINGS}")
        else:
            self._say(True, f"sync_interval is `always` on {', '.join(sorted(servers))}")

    async def _stream_faults(self) -> list[PenstockError]:
        last, self._stream = self._stream, None
        try:
            info = await if_there(self._broker.jetstream.stream_info(STREAM))
        except Unavailable:
            if last is None:
                raise
            return last  # for one round: its leader is slow, and the servers have answered
        if info is None:  # not provisioned yet: it takes no events either
            return []
        self._stream = list(faults_of_stream(STREAM, info.config))
        return self._stream

    def _say(self, durable: bool, reason: str, codes: Sequence[str] = ()) -> None:
        if not self._asked or durable != self.durable or reason != self.reason:
            (_log.info if durable else _log.error)("durability", durable=durable, codes=list(codes), reason=reason)
        self._asked = True
        self.durable, self.reason = durable, reason
        metrics.DURABLE.set(durable)


async def server_settings(broker: Broker) -> dict[str, Server]:
    """The servers with JetStream, by name. Raises Unavailable."""
    found: dict[str, Server] = {}

    def take(message: Message) -> bool:
        if message.data and (each := server(message.data)) is not None:
            found[each.name] = each
        return len(found) >= MOST_SERVERS

    await request_many(broker, SERVER_SETTINGS, b"", take, timeout=FIRST_ANSWER_SECONDS, silence=SILENCE_SECONDS)
    return found


def _sentence(fault: PenstockError) -> str:
    return f"{fault.code}: {fault.detail}. {problem(fault)['next_step']}"
