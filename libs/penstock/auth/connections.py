"""Who is connected, as the servers themselves say (CONNZ), and putting a connection out (KICK)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from penstock.broker import Message
from penstock.contracts.subjects import SERVER_CONNECTIONS, SERVER_KICK
from penstock.errors import PenstockError

PAGE = 500
LAST_ANSWER_AFTER = 0.25  # seconds of silence after which no further server is expected to answer
TIMEOUT = 2.0


class _Subscription(Protocol):
    async def stop(self) -> None: ...


class Bus(Protocol):
    """What this module needs of a connection; penstock.broker.connection.Broker has it."""

    def inbox(self) -> str: ...
    def send(self, subject: str, payload: bytes = b"", *, reply: str = "") -> None: ...
    async def subscribe(self, subject: str, callback: Callable[[Message], None]) -> _Subscription: ...
    async def request(self, subject: str, payload: bytes, *, timeout: float) -> Message: ...


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection. `identity` is the name in its user JWT, or its public key where it came with an nkey."""

    server: str
    number: int
    identity: str
    account: str
    address: str
    name: str
    since: str


async def list_connections(bus: Bus, identity: str = "") -> list[Connection]:
    """The connections of all servers that can be asked, or only those of one identity. At most 2 s a page."""
    found: list[Connection] = []
    offset = 0
    while True:
        body: dict[str, Any] = {"auth": True, "limit": PAGE, "offset": offset} | (
            {"user": identity} if identity else {}
        )
        answers = await _ask_all(bus, SERVER_CONNECTIONS, body)
        for answer in answers:
            found += _sessions(answer)
        offset += PAGE
        if all(answer["data"].get("total", 0) <= offset for answer in answers):
            return found


async def disconnect_all(bus: Bus, session: Connection) -> bool:
    """Closes a connection; False if it was gone, or its server does not answer. Its client may try to come back."""
    subject = SERVER_KICK.replace("*", session.server)
    with suppress(PenstockError, orjson.JSONDecodeError):
        answer = await bus.request(subject, orjson.dumps({"cid": session.number}), timeout=TIMEOUT)
        return "error" not in orjson.loads(answer.data)
    return False


async def _ask_all(bus: Bus, subject: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of all servers; how many there are, nobody knows beforehand."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    found: list[dict[str, Any]] = []
    inbox = bus.inbox()
    subscription = await bus.subscribe(inbox, lambda message: answers.put_nowait(message.data))
    try:
        bus.send(subject, orjson.dumps(body), reply=inbox)
        while True:
            async with asyncio.timeout(LAST_ANSWER_AFTER if found else TIMEOUT):
                data = await answers.get()
            if data:  # nothing is the server's word that nobody listens
                answer = orjson.loads(data)
                if "data" in answer:
                    found.append(answer)
    except TimeoutError:
        return found
    finally:
        await subscription.stop()


def _sessions(answer: dict[str, Any]) -> list[Connection]:
    server = answer["server"]["id"]
    return [
        Connection(
            server=server,
            number=each["cid"],
            identity=each.get("authorized_user", ""),
            account=each.get("account", ""),
            address=f"{each.get('ip', '')}:{each.get('port', '')}",
            name=each.get("name", ""),
            since=each.get("start", ""),
        )
        for each in answer["data"].get("connections") or ()
    ]
