"""A provisioned server of its own with every identity, and clients that send what no well-behaved client would.

They speak through the plain client library, not through penstock.broker, whose own checks would stand in the way.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock.contracts import Contracts, bucket_stream, load
from penstock.contracts.nats_subjects import CORE_API
from penstock.provisioning import provision
from penstock.stack.place import Place

TIMEOUT = 5.0
FENCE = b"fence"
# Where each stream of messages can be written by right.
FENCES = {
    "EVENTS_HTTP": ("ingress", "evt.00.http.fence.log.line.v1"),
    "EVENTS_NATS": ("billing", "evt.00.nats.billing.log.line.v1"),
    "SCORES": ("scorer", "score.00.fence.log.line.v1"),
    "DLQ": ("writer", "dlq.writer.fence"),
    "AUDIT": ("writer", "audit.writer.fence"),
    "REPLAY": ("operator", "replay.indexer.fence"),
    "REPLAY_LOG": ("writer", "replay_log.writer.fence"),
}


class RawClient:
    """One connection of one identity."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.errors: list[str] = []
        self.received: list[Msg] = []
        self.connection: Client

    async def open(self, place: Place) -> RawClient:
        async def failed(error: Exception) -> None:
            self.errors.append(str(error))

        async def heard(message: Msg) -> None:
            self.received.append(message)

        self.connection = await nats.connect(
            place.nats,
            nkeys_seed=str(place.credentials_folder / f"{self.identity}.nk"),
            inbox_prefix=f"_INBOX.{self.identity}",
            error_cb=failed,
            allow_reconnect=False,
        )
        await self.connection.subscribe(f"{self.inbox}.>", cb=heard)
        await self.flush()
        return self

    @property
    def inbox(self) -> str:
        return f"_INBOX.{self.identity}.raw"

    async def send(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        await self.connection.publish(subject, payload, reply=reply, headers=headers)

    async def ask(self, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None) -> dict[str, Any]:
        """A request whose answer is JSON."""
        message = await self.connection.request(subject, payload, timeout=TIMEOUT, headers=headers)
        answer: dict[str, Any] = json.loads(message.data)
        return answer

    async def flush(self) -> None:
        """Returns when the server has read all and its errors about it have arrived."""
        for _ in range(2):  # the client lets the first PING overtake what it has not written yet
            await self.connection.flush(timeout=int(TIMEOUT))

    async def refused(self) -> list[tuple[str, str]]:
        """What the server refused since the last call: (publish or subscription or reply, subject in lower case)."""
        await self.flush()
        errors, self.errors = self.errors, []
        return [violation(error) for error in errors]


def violation(error: str) -> tuple[str, str]:
    """Taken apart: `permissions violation for publish to "x"`."""
    match = re.search(r'permissions violation for (publish|subscription)( with reply of| to) "([^"]*)"', error.lower())
    assert match, f"not a violation of permissions: {error}"
    return ("reply" if "reply" in match[2] else match[1]), match[3]


class RawClients:
    """One client for each identity of a server, and what the server stored."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.contracts: Contracts = load()
        self.clients: dict[str, RawClient] = {}
        self.fences = dict(FENCES)
        for bucket, body in self.contracts.buckets.items():
            owner = next(
                name for name, identity in self.contracts.identities.items() if bucket in identity.writes_buckets
            )
            subject = f"$KV.{bucket}.fence" if body.kind == "keys" else f"$O.{bucket}.M.fence"
            self.fences[bucket_stream(self.contracts, bucket)] = (owner, subject)

    async def open(self) -> RawClients:
        await provision.apply(self.place)
        for identity in self.contracts.identities:
            self.clients[identity] = await RawClient(identity).open(self.place)
        return self

    async def close(self) -> None:
        for client in self.clients.values():
            await client.connection.close()

    async def state(self, stream: str) -> dict[str, Any]:
        """The stream's state as the server has it, asked in CORE."""
        answer = await self.clients["provision"].ask(f"$JS.API.STREAM.INFO.{stream}")
        state: dict[str, Any] = answer["state"]
        return state

    async def fence(self) -> None:
        """Returns when whatever was sent or answered before is stored, also what an answer itself set off."""
        for _ in range(2):
            for identity, subject in self.fences.values():
                assert "seq" in await self.clients[identity].ask(subject, FENCE)

    async def stored_by(self, attack: Callable[[], Awaitable[Any]]) -> list[tuple[str, bytes]]:
        """What all streams and buckets hold more after the attack: (subject, payload)."""
        before = {stream: (await self.state(stream))["last_seq"] for stream in self.fences}
        await attack()
        for client in self.clients.values():
            await client.flush()
        await self.fence()
        found = []
        for stream, last in before.items():
            for sequence in range(last + 1, (await self.state(stream))["last_seq"] + 1):
                message = await self.stored(stream, sequence)
                headers = message.headers or {}
                if message.data != FENCE and headers.get("Status") != "404":  # overwritten: a bucket keeps few
                    found.append((headers["Nats-Subject"], message.data))
        return found

    async def stored(self, stream: str, sequence: int) -> Msg:
        """A stored message, read by an identity that may."""
        reader = "operator" if stream in self.contracts.streams else self.fences[stream][0]
        return await self.clients[reader].connection.request(
            f"{CORE_API}.DIRECT.GET.{stream}", json.dumps({"seq": sequence}).encode(), timeout=TIMEOUT
        )

    async def received(self, client: RawClient, count: int = 1) -> list[Msg]:
        """The next messages in a client's inbox."""
        async with asyncio.timeout(TIMEOUT):
            while len(client.received) < count:
                await client.flush()
        messages, client.received = client.received[:count], client.received[count:]
        return messages
