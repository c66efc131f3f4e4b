"""NATS that asks the authority, replicas of it, and clients that come with tokens."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from penstock.broker import Broker, StoredMessage, Token, TokenSource
from penstock.contracts.nats_subjects import CORE_API
from penstock.provisioning import provision
from penstock.stack import nats, process
from penstock.stack.place import Place
from tests.support.mint import Mint
from tests.support.processes import Processes
from tests.support.records import records_of
from tests.support.until import BOUND, until

REPLICAS = 2


class FixedToken(TokenSource):
    """Gives what `make` makes, whenever it is asked for a fresh token."""

    def __init__(self, make: Callable[[], str]) -> None:
        super().__init__()
        self._make = make
        self.given = 0

    async def _fetch(self) -> Token:
        from penstock.auth.token_sources import claims

        value = self._make()
        body = claims(value)
        self.given += 1
        return Token(value, float(body["iat"]), float(body["exp"]))


class AuthorityRig:
    """A provisioned server with `auth: callout`, and its authority."""

    def __init__(self, place: Place, mint: Mint) -> None:
        self.place = place
        self.mint = mint
        self.processes = Processes(place)
        self.reader: Broker
        self.brokers: list[Broker] = []
        self.sources: list[FixedToken] = []  # of those brokers that come with tokens

    async def open(self) -> AuthorityRig:
        nats.wait_ready(self.place, nats.start(self.place, nats.fleet_conf(self.place)))
        await provision.apply(self.place)
        for number in range(REPLICAS):
            self.start(number)
        self.reader = await self.token("operator", lambda: self.mint.token("penstock-operator", life=3600))
        self.brokers.remove(self.reader)
        return self

    def start(self, number: int) -> None:
        """Starts a replica and waits until it is asked."""
        port = self.place.local_port("authority", number)
        child = process.Child(
            name=f"authority_{number}",
            command=(sys.executable, "-m", "penstock.services.authority"),
            ports={"HTTP": port},
            environment={"PENSTOCK_PORT": str(port), "PENSTOCK_ISSUERS_FILE": str(self.mint.issuers_file)},
        )
        from penstock.stack import http_probe

        record = process.start(self.place, child)
        process.wait_ready(self.place, record, lambda: http_probe.answers(port, "/readyz"), 30)

    def kill(self, number: int) -> None:
        self.processes.kill(f"authority_{number}")

    async def close(self) -> None:
        await self.close_clients()
        await self.reader.drain(1.0)

    async def close_clients(self) -> None:
        """Closes what the last test has opened."""
        while self.brokers:
            await self.brokers.pop().drain(1.0)
        self.sources.clear()

    async def nkey(self, identity: str, prefix: str = CORE_API) -> Broker:
        """A connection with the seed, of those that the server knows itself."""
        return await self._kept(Broker.connect(self.place.nats, identity, self.place.credentials_folder, prefix=prefix))

    async def token(self, identity: str, make: Callable[[], str], patience: float = 10.0) -> Broker:
        """A connection with tokens; `identity` is what the client takes itself for."""
        source = FixedToken(make)
        self.sources.append(source)
        folder = self.place.credentials_folder
        return await self._kept(
            Broker.connect(self.place.nats, identity, folder, token_source=source, patience=patience)
        )

    async def _kept(self, connecting: Awaitable[Broker]) -> Broker:
        broker = await connecting
        self.brokers.append(broker)
        return broker

    async def audited(self, first: int) -> list[dict[str, Any]]:
        """The records of the authority from a sequence of AUDIT on."""
        found: list[StoredMessage] = []
        while page := await self.reader.jetstream.get_many("AUDIT", sequence=first, subject="audit.authority.>"):
            found += page
            first = page[-1].sequence + 1
        return [record.value for record in records_of(found)]

    async def next_audit(self) -> int:
        return (await self.reader.jetstream.stream_info("AUDIT")).last_seq + 1

    def logs(self) -> str:
        """What the replicas and the server have written so far."""
        names = [*(f"authority_{number}" for number in range(REPLICAS)), "nats"]
        return "".join(self.place.log(name).read_text() for name in names)

    async def refused(self, token: str) -> dict[str, Any]:
        """Tries to connect with the token as it is; the record of the refusal."""
        first = await self.next_audit()
        answer = await raw_connect(self.place, {"auth_token": token})
        assert "Authorization Violation" in answer

        async def look() -> dict[str, Any] | None:
            found = await self.audited(first)  # another client may connect meanwhile
            return next((record for record in found if record.get("decision") == "refused"), None)

        return await until(look)


async def raw_connect(place: Place, given: dict[str, Any]) -> str:
    """What the server says to CONNECT with these options: PONG, or an error."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.local_port("nats"), limit=1 << 20)
    try:
        async with asyncio.timeout(BOUND):
            await reader.readline()
            options = {"verbose": False, "pedantic": False, "lang": "x", "version": "1", "protocol": 1, **given}
            writer.write(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
            while line := (await reader.readline()).decode():
                if line.startswith(("PONG", "-ERR")):
                    return line
    finally:
        writer.close()
        await writer.wait_closed()
    return "closed"
