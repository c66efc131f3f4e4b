"""The real Keycloak as the provider: its tokens let machines in at the broker and people at the HTTP ingress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from penstock.auth import issuers
from penstock.auth.connect import connect_as
from penstock.auth.principal import who
from penstock.auth.token_verifier import Claims, OidcVerifier
from penstock.contracts import load
from penstock.provisioning import provision
from penstock.stack import identity, keycloak, up
from penstock.stack.place import Place
from tests.support.ingress import Ingress, event
from tests.support.place_factory import PlaceFactory
from tests.support.secret_leaks import Secrets, leaks, log_and_config_files

pytestmark = pytest.mark.timeout(600)  # the first start of a place builds Keycloak


@pytest.fixture(scope="module")
async def place(place_factory: PlaceFactory) -> AsyncIterator[Place]:
    place = place_factory.make("keycloak", auth="callout", idp="keycloak", issuer_token_seconds=60)
    for name in ("nats", "keycloak"):
        await asyncio.to_thread(up.start_server, place, name)
    await provision.apply(place)
    identity.prepare(place)
    for name in ("authority_0", "authority_1"):
        await asyncio.to_thread(up.start_service, place, name)
    yield place
    up.clean(place)


async def token_of_alice(place: Place) -> str:
    form = {
        "grant_type": "password",
        "client_id": keycloak.PEOPLE,
        "username": keycloak.PERSON,
        "password": (place.secrets / "oidc" / keycloak.PERSON).read_text(),
    }
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.post(keycloak.token_url(place), data=form)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


async def verified(place: Place, token: str) -> Claims:
    return await OidcVerifier(issuers.read(place.issuers)).verify(token)


@pytest.mark.parametrize(
    ("name", "subject"), [("billing", "evt.00.nats.billing.log.line.v1"), ("ingress", "evt.00.http.x.log.line.v1")]
)
async def test_a_client_of_the_realm_is_an_identity_of_the_contracts(place: Place, name: str, subject: str) -> None:
    broker = await connect_as(name, place)
    assert (await broker.publish(subject, b"{}")).sequence > 0
    await broker.drain()


async def test_a_connection_outlives_its_token(place: Place) -> None:
    broker = await connect_as("billing", place)
    renewed = asyncio.Event()
    broker.on_reconnect(renewed.set)
    async with asyncio.timeout(60):
        await renewed.wait()
    assert (await broker.publish("evt.00.nats.billing.log.line.v1", b"{}")).stream == "EVENTS_NATS"
    await broker.drain()


async def test_a_person_has_the_roles_of_its_groups_and_is_no_client(place: Place) -> None:
    claims = await verified(place, await token_of_alice(place))
    assert claims.client == ""
    assert set(claims.groups) == set(keycloak.PERSON_GROUPS)
    assert who(claims, load()).roles == ("sender", "reader")


async def test_no_secret_of_the_realm_is_in_a_log_or_on_a_command_line(place: Place) -> None:
    secrets = Secrets(place, {"token of alice": await token_of_alice(place)})
    assert {path.name for path in log_and_config_files(place)} >= {"keycloak.log", "authority_1.log"}
    assert await asyncio.to_thread(leaks, place, secrets) == []


async def test_a_person_sends_over_http(place: Place) -> None:
    ingress = await Ingress(place).start()
    token = await token_of_alice(place)
    answer = await ingress.send(event("keycloak-1"), key=token)
    assert answer.status_code == 202, answer.text
    await ingress.stop()
