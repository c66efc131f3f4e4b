"""issuers.yaml as the stack writes it, and the realm that Keycloak gets."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from penstock.auth import issuers
from penstock.auth.token_sources import ClientCredentials, source_for
from penstock.contracts import load
from penstock.stack import fleet, identity, keycloak
from penstock.stack.place import Place


def place(tmp_path: Path, **settings: object) -> Place:
    return Place(state=tmp_path / "state", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("idp", ["local", "keycloak"])
def test_the_issuers_file_trusts_the_provider_of_the_place(tmp_path: Path, idp: str) -> None:
    here = place(tmp_path, auth="callout", idp=idp)
    identity.prepare(here)
    [found] = issuers.read(here.issuers)
    assert found.issuer == (here.local_issuer if idp == "local" else keycloak.url(here))
    assert "subjects" not in found.gives
    source = source_for("indexer", here)
    assert isinstance(source, ClientCredentials)
    assert source.url == found.token_url


def test_without_callout_there_is_no_file_and_no_token(tmp_path: Path) -> None:
    here = place(tmp_path, auth="nkeys")
    identity.prepare(here)
    assert not here.issuers.exists()
    assert source_for("indexer", here) is None


def test_a_stack_asks_the_authority_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    assert Place(state=tmp_path).auth == "callout"
    names = [child.name for child in fleet.children(Place(state=tmp_path))]
    assert names[:3] == ["issuer_0", "authority_0", "authority_1"]


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    here = place(tmp_path, auth="callout")
    here.state.mkdir()
    here.issuers.write_text("issuers: []\n")
    identity.prepare(here)
    assert here.issuers.read_text() == "issuers: []\n"


@pytest.mark.parametrize("name", ["provision", "authority", "warden", "nobody"])
def test_an_identity_without_a_client_has_no_token_source(tmp_path: Path, name: str) -> None:
    assert source_for(name, place(tmp_path, auth="callout")) is None


def test_the_realm_has_every_client_and_group_and_no_secret_in_common(tmp_path: Path) -> None:
    here = place(tmp_path, auth="callout", idp="keycloak")
    realm = keycloak.realm(here)
    clients = {client["clientId"]: client for client in realm["clients"]}
    expected = {client for line in load().identities.values() for client in line.clients}
    assert set(clients) == expected | {keycloak.PEOPLE}
    secrets = [client["secret"] for client in clients.values() if "secret" in client]
    assert len(set(secrets)) == len(expected)
    assert all(not client.get("standardFlowEnabled") for name, client in clients.items() if name in expected)
    assert {group["name"] for group in realm["groups"]} == {g for role in load().roles.values() for g in role.groups}
    assert keycloak.realm(here) == realm
    assert {stat.S_IMODE(path.stat().st_mode) for path in (here.secrets / "oidc").iterdir()} == {0o600}
    json.dumps(realm)
