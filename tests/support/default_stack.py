"""The stack with its defaults: identities come with tokens, two replicas of the authority, HTTPS through HAProxy.

Callers are clients of the local issuer. `web_shop` sends, `alice` reads; both are in groups as people are, and have no
line in identities.yaml.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from typing import Any

import httpx
import orjson

from penstock.auth import api_keys
from penstock.auth.connect import connect_as
from penstock.auth.principal import person
from penstock.auth.token_sources import ClientCredentials
from penstock.broker import Broker, TokenSource
from penstock.contracts import load
from penstock.events import timestamps
from penstock.provisioning import certificate
from penstock.services.issuer import clients
from penstock.services.trainer.upload import upload
from penstock.stack import haproxy, process, up
from penstock.stack.place import Place
from tests.support.processes import Processes
from tests.support.scoring_models import package, usual
from tests.support.until import until

SENDER, READER = "web_shop", "alice"
GROUPS = {SENDER: "penstock-senders", READER: "penstock-readers"}
STRUCTURED = "application/cloudevents+json"
BOUND = 60.0  # seconds after which a test gives up waiting
KEYS_EVERY = 1.0  # seconds between two looks of the edge for new keys


class DefaultStack(Processes):
    """The running stack, and callers with tokens."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.key = ""
        self.tokens: list[str] = []  # all that callers here were given
        self.sender = person(place.local_issuer, SENDER)
        self._sources: dict[str, ClientCredentials] = {}
        self._brokers: list[Broker] = []
        self.warden: Broker
        self.client: httpx.AsyncClient
        self.context: ssl.SSLContext

    async def open(self) -> DefaultStack:
        """Callers, a bearer key, a model, and the edge in front of the fleet that runs."""
        place = self.place
        for client, group in GROUPS.items():  # the issuer runs already
            clients.add(place.folder("issuer") / "clients.yaml", place.secrets / "oidc", client, (group,))
        self.key, _ = api_keys.create(
            place.keys, load(), identity="till", datasets=["*"], types=["*"], roles=["sender", "reader"],
            now_ns=time.time_ns(),
        )  # fmt: skip
        os.environ["PENSTOCK_EDGE_KEYS_EVERY"] = str(KEYS_EVERY)
        try:
            await asyncio.to_thread(up.start_edge, place)
        finally:
            del os.environ["PENSTOCK_EDGE_KEYS_EVERY"]
        self.context = ssl.create_default_context(cafile=str(certificate.ensure(place.folder("tls"))))
        self.client = self.new_client()
        self.warden = await self.broker("warden")
        trainer = await self.broker("trainer")
        await upload(trainer, "surprise", await asyncio.to_thread(package), activate=True, reason="journey")
        return self

    async def close(self) -> None:
        """Closes what was opened; the fleet stays, the edge does not."""
        await self.client.aclose()
        for broker in self._brokers:
            await broker.drain(1.0)
        for name in (haproxy.KEYS, haproxy.NAME):
            await asyncio.to_thread(process.stop, self.place, name)

    def new_client(self) -> httpx.AsyncClient:
        """A client of the edge without connections yet."""
        url = f"https://127.0.0.1:{self.place.local_port('edge')}"
        return httpx.AsyncClient(base_url=url, verify=self.context, timeout=BOUND)

    async def broker(self, identity: str) -> Broker:
        """A connection as the settings say."""
        return self._kept(await connect_as(identity, self.place))

    async def broker_of(self, client: str) -> Broker:
        """A connection with the tokens of a caller without an entry in identities.yaml."""
        place = self.place
        name = person(place.local_issuer, client)
        connecting = Broker.connect(place.nats, name, place.credentials_folder, token_source=self.source(client))
        return self._kept(await connecting)

    def _kept(self, broker: Broker) -> Broker:
        self._brokers.append(broker)
        return broker

    def source(self, client: str) -> ClientCredentials:
        """Client credentials, with the secret that the issuer has made for the client."""
        secret = self.place.secrets / "oidc" / client
        return ClientCredentials(f"{self.place.local_issuer}/token", client, secret)

    async def token(self, client: str, *, new: bool = False) -> str:
        """A token of the client: one that is still fresh, or a new one."""
        if new or client not in self._sources:
            self._sources[client] = self.source(client)
        return await self._noted(self._sources[client])

    async def _noted(self, source: TokenSource) -> str:
        value = (await source.token()).value
        if value not in self.tokens:
            self.tokens.append(value)
        return value

    async def send(self, credentials: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """POST of one event through the edge."""
        given = {"authorization": f"Bearer {credentials}", "content-type": STRUCTURED, **headers}
        return await self.client.post("/v1/events", content=orjson.dumps(body), headers=given)

    async def ask(self, credentials: str, method: str, path: str, **options: Any) -> httpx.Response:
        """A request through the edge."""
        return await self.client.request(method, path, headers={"authorization": f"Bearer {credentials}"}, **options)

    async def denied(self, client: str, within: float = BOUND) -> float:
        """Waits until the caller is refused at the edge because it is denied; how long that took, in seconds."""
        began = time.monotonic()
        credentials = self.key if client == "till" else await self.token(client)

        async def refused() -> bool | None:
            answer = await self.send(credentials, event())
            return (answer.status_code == 403 and answer.json()["code"] == "IDENTITY_REVOKED") or None

        await until(refused, within)
        return time.monotonic() - began


def event(message: str | None = None) -> dict[str, Any]:
    """A new log line."""
    number = time.time_ns()
    return {
        "specversion": "1.0",
        "id": f"{number}-{os.urandom(4).hex()}",
        "source": "/shop",
        "type": "log.line.v1",
        "subject": "web-1",
        "time": timestamps.text(number // 1_000_000 * 1_000_000),
        "data": {"message": message or usual(number)},
    }
