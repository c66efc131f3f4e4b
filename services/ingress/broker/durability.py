"""$SYS.REQ.SERVER.PING.VARZ → does every server sync each write? Asked at start, on reconnect, every 30 s.

A 202 promises that the event is on disk. Where `sync_interval` is not `always` that is not so, and start-up and every
answer say it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from penstock.broker import Broker, Message, request_many
from penstock.contracts.nats_subjects import SERVER_SETTINGS
from penstock.errors import PenstockError

EVERY_SECONDS = 30.0
FIRST_ANSWER_SECONDS = 2.0
SILENCE_SECONDS = 0.3  # without a further answer: then all servers have answered
MOST_SERVERS = 1000

_log = structlog.get_logger("penstock.ingress.durability")


class Durability:
    """What the servers said last. `durable` is False as long as it is not known."""

    def __init__(self, broker: Broker) -> None:
        self.durable = False
        self.reason = "the servers have not been asked yet"
        self._broker = broker
        self._again = asyncio.Event()
        self._asked = False
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
        except PenstockError as error:
            self._say(False, f"the servers cannot be asked: {error.detail}")
            return
        if not servers:
            self._say(False, f"no server answered on {SERVER_SETTINGS}")
            return
        lax = sorted(name for name, always in servers.items() if not always)
        if lax:
            self._say(False, f"sync_interval is not `always` on {', '.join(lax)}")
        else:
            self._say(True, f"sync_interval is `always` on {', '.join(sorted(servers))}")

    def _say(self, durable: bool, reason: str) -> None:
        if not self._asked or durable != self.durable or reason != self.reason:
            (_log.info if durable else _log.error)("durability", durable=durable, reason=reason)
        self._asked = True
        self.durable, self.reason = durable, reason


async def server_settings(broker: Broker) -> dict[str, bool]:
    """Whether each server with JetStream syncs each write, by its name. Raises Unavailable."""
    found: dict[str, bool] = {}

    def take(message: Message) -> bool:
        if message.data:
            found.update(_settings(message.data))
        return len(found) >= MOST_SERVERS

    await request_many(broker, SERVER_SETTINGS, b"", take, timeout=FIRST_ANSWER_SECONDS, silence=SILENCE_SECONDS)
    return found


def _settings(answer: bytes) -> dict[str, bool]:
    try:
        body: Mapping[str, Any] = orjson.loads(answer)
        jetstream = body["data"].get("jetstream", {}).get("config")
        name = str(body["server"]["name"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"a server whose answer was not understood": False}
    return {} if jetstream is None else {name: jetstream.get("sync_always") is True}
