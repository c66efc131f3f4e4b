"""Who is connected, as the servers themselves say (CONNZ), and closing a connection (KICK)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.broker import Broker, Message, request_many
from penstock.contracts.nats_subjects import SERVER_CONNECTIONS, SERVER_KICK
from penstock.errors import PenstockError

PAGE = 500
SILENCE_SECONDS = 0.25  # after which no further server is expected to answer
TIMEOUT = 2.0  # seconds


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


async def list_connections(broker: Broker, identity: str = "") -> list[Connection]:
    """The connections of all servers that can be asked, or only those of one identity. At most 2 s a page."""
    found: list[Connection] = []
    offset = 0
    while True:
        body: dict[str, Any] = {"auth": True, "limit": PAGE, "offset": offset} | (
            {"user": identity} if identity else {}
        )
        answers = await _ask_servers(broker, SERVER_CONNECTIONS, body)
        for answer in answers:
            found += _connections(answer)
        offset += PAGE
        if all(answer["data"].get("total", 0) <= offset for answer in answers):
            return found


async def disconnect(broker: Broker, connection: Connection) -> bool:
    """Closes a connection; False if it was gone, or its server does not answer. Its client may try to come back."""
    subject = SERVER_KICK.replace("*", connection.server)
    with suppress(PenstockError, orjson.JSONDecodeError):
        answer = await broker.request(subject, orjson.dumps({"cid": connection.number}), timeout=TIMEOUT)
        return "error" not in orjson.loads(answer.data)
    return False


async def _ask_servers(broker: Broker, subject: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of all servers; how many there are, nobody knows beforehand."""
    found: list[dict[str, Any]] = []

    def take(message: Message) -> bool:
        if message.data:
            answer = orjson.loads(message.data)
            if "data" in answer:
                found.append(answer)
        return False

    await request_many(broker, subject, orjson.dumps(body), take, timeout=TIMEOUT, silence=SILENCE_SECONDS)
    return found


def _connections(answer: dict[str, Any]) -> list[Connection]:
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
