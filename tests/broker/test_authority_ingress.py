"""Tokens and API keys at the ingress, and denied callers; the fleet's own tokens come from the local issuer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import yaml

from penstock.auth.connect import connect_as
from penstock.auth.denials import write
from penstock.auth.principal import person
from penstock.broker import Broker
from penstock.provisioning import provision
from penstock.stack import identity, nats, up
from penstock.stack.place import Place
from tests.support import bad_tokens
from tests.support.ingress import Ingress, event
from tests.support.mint import Mint
from tests.support.place_factory import PlaceFactory
from tests.support.until import until


@pytest.fixture(scope="module")
async def place(place_factory: PlaceFactory) -> AsyncIterator[Place]:
    place = place_factory.make("http-tokens", auth="callout", issuer_key_ahead=0)
    nats.wait_ready(place, nats.start(place, nats.fleet_conf(place)))
    await provision.apply(place)
    yield place
    up.clean(place)


@pytest.fixture(scope="module")
def mint(place: Place) -> Mint:
    """An issuer of people, beside the local one of machines."""
    mint = Mint(place.state / "mint")
    trusted = {"issuers": [identity.entry(place), mint.entry(gives=["groups"])]}
    place.issuers.write_text(yaml.safe_dump(trusted))
    return mint


@pytest.fixture(scope="module")
async def ingress(place: Place, mint: Mint) -> AsyncIterator[Ingress]:
    ingress = Ingress(place)
    for name in ("issuer_0", "authority_0", "authority_1"):
        await asyncio.to_thread(up.start_service, place, name)
    await ingress.start()
    yield ingress
    await ingress.stop()


@pytest.fixture
async def warden(place: Place, ingress: Ingress) -> AsyncIterator[Broker]:
    warden = await connect_as("warden", place)
    yield warden
    await warden.drain()


async def test_a_person_sends_in_a_name_of_its_own(ingress: Ingress, mint: Mint) -> None:
    answer = await ingress.send(event("1"), key=mint.person("alice", "penstock-senders"))
    assert answer.status_code == 202, answer.text
    assert answer.json()["results"][0]["status"] == "accepted"


async def test_two_people_may_use_the_same_id_for_their_events(ingress: Ingress, mint: Mint) -> None:
    keys = [
        (await ingress.send(event("same"), key=mint.person(name, "penstock-senders"))).json()["results"][0]["key"]
        for name in ("alice", "bob")
    ]
    assert keys[0] != keys[1]


async def test_a_reader_may_not_send(ingress: Ingress, mint: Mint) -> None:
    answer = await ingress.send(event("2"), key=mint.person("alice", "penstock-readers"))
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert answer.headers["www-authenticate"] == 'Bearer realm="penstock", error="insufficient_scope"'


async def test_a_reader_of_logs_may_not_read_other_datasets(ingress: Ingress, mint: Mint) -> None:
    token = mint.person("bob", "penstock-log-readers")
    answer = await ingress.post("/v1/search", {"datasets": ["cloud"]}, key=token)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


BAD: dict[str, tuple[Callable[[Mint], str], int, str]] = {
    **{name: (bad.make, 401, bad.code) for name, bad in bad_tokens.BAD.items()},
    "14 kB long": (bad_tokens.LONG.make, 401, bad_tokens.LONG.code),
    "in no group": (lambda mint: mint.person("alice"), 403, "FORBIDDEN"),
    "a client of an issuer of people": (lambda mint: mint.token("penstock-ingress"), 403, "FORBIDDEN"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused(ingress: Ingress, mint: Mint, name: str) -> None:
    make, status, code = BAD[name]
    answer = await ingress.send(event("3"), key=make(mint))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if status == 401:
        assert answer.headers["www-authenticate"] == 'Bearer realm="penstock", error="invalid_token"'


async def test_an_identity_of_the_contracts_may_not_send_over_http(ingress: Ingress, place: Place) -> None:
    answer = await ingress.send(event("4"), key=await machine_token(place, "penstock-billing"))
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


async def test_api_keys_are_still_accepted(ingress: Ingress) -> None:
    assert (await ingress.send(event("5"))).status_code == 202
    answer = await ingress.send(event("5"), key="pk_0a1b2c3d_" + "A" * 43)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")


async def test_a_denied_caller_is_refused_with_key_and_token_until_allowed(
    ingress: Ingress, mint: Mint, warden: Broker, place: Place
) -> None:
    token = mint.person("carol", "penstock-senders")
    for name, credentials in ((person(mint.issuer, "carol"), token), ("shop", ingress.key)):
        await write(warden, name, denied=True, by="test", reason="on trial")
        refused = await until(lambda credentials=credentials: answered(ingress, credentials, 403), bound=2.0)  # type: ignore[misc]
        assert refused.json()["code"] == "IDENTITY_REVOKED"
        await write(warden, name, denied=False, by="test", reason="over")
        await until(lambda credentials=credentials: answered(ingress, credentials, 202), bound=2.0)  # type: ignore[misc]


async def answered(ingress: Ingress, credentials: str, status: int) -> httpx.Response | None:
    answer = await ingress.send(event("6"), key=credentials)
    return answer if answer.status_code == status else None


async def test_edge_headers_must_match_the_token(ingress: Ingress, mint: Mint) -> None:
    token = mint.person("alice", "penstock-senders")
    good = {"x-auth-issuer": mint.issuer, "x-auth-subject": "alice"}
    for headers, status in ((good, 202), ({**good, "x-auth-subject": "bob"}, 401)):
        given = {**ingress.headers(token), **headers, "content-type": "application/cloudevents+json"}
        answer = await ingress.client.post("/v1/events", json=event("7"), headers=given)
        assert answer.status_code == status, answer.text


async def test_a_new_key_of_the_local_issuer_is_taken_without_a_restart(ingress: Ingress, place: Place) -> None:
    """The authority that has read the keys a moment ago looks again after ten seconds at the latest."""
    from penstock.services.issuer import signing_keys

    old = await machine_token(place, "penstock-billing")
    signing_keys.rotate(place.state / "issuer")
    new = await machine_token(place, "penstock-billing")
    assert old.split(".")[0] != new.split(".")[0]
    broker = await connect_as("billing", place)
    assert (await broker.publish("evt.00.nats.billing.log.line.v1", b"{}")).stream == "EVENTS_NATS"
    await broker.drain()


async def machine_token(place: Place, client: str) -> str:
    """A client's own token from the local issuer."""
    from penstock.auth.token_sources import ClientCredentials

    source = ClientCredentials(f"{place.local_issuer}/token", client, place.secrets / "oidc" / client)
    return (await source.token()).value


@pytest.mark.parametrize(
    ("form", "basic", "status"),
    [
        ({"grant_type": "client_credentials"}, ("penstock-billing", "wrong"), 401),
        ({"grant_type": "client_credentials"}, ("nobody", ""), 401),
        ({"grant_type": "client_credentials"}, ("../../credentials/ingress.nk", "x"), 401),
        ({"grant_type": "password", "username": "a", "password": "b"}, None, 400),
        ({"grant_type": "client_credentials", "client_id": "penstock-billing"}, None, 401),
        ({"grant_type": "client_credentials", "x": "y" * 10_000}, None, 413),
    ],
)
async def test_the_issuer_gives_no_token_without_the_secret(
    ingress: Ingress, place: Place, form: dict[str, str], basic: tuple[str, str] | None, status: int
) -> None:
    async with httpx.AsyncClient(auth=basic) as client:
        answer = await client.post(f"{place.local_issuer}/token", data=form)
    assert answer.status_code == status
    assert "access_token" not in answer.text


async def test_the_issuer_publishes_its_discovery_document(ingress: Ingress, place: Place) -> None:
    async with httpx.AsyncClient() as client:
        found = (await client.get(f"{place.local_issuer}/.well-known/openid-configuration")).json()
        keys = (await client.get(found["jwks_uri"])).json()["keys"]
    assert found["issuer"] == place.local_issuer
    assert all(set(key) == {"kty", "n", "e", "kid", "use", "alg"} for key in keys)  # nothing private
