"""Keycloak from its published distribution, as the OIDC provider of the stack (PENSTOCK_IDP=keycloak).

Its realm `penstock` is made at the first start: one client for every client of identities.yaml, the groups that roles
name, and a person, `alice`, who is in the groups of senders and readers. Secrets and her password are generated.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

from penstock import secret_file
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.stack import http_probe, jars, process
from penstock.stack.place import Place

NAME = "keycloak"
REALM = "penstock"
PEOPLE = "penstock-people"  # the public client that people sign in through
PERSON = "alice"
PERSON_GROUPS = ("penstock-senders", "penstock-readers")
HEAP = "512m"
BUILD_SECONDS = 900.0
DISCOVERY = f"/realms/{REALM}/.well-known/openid-configuration"


def wanted(place: Place) -> bool:
    """Whether this place has one."""
    return place.auth == "callout" and place.idp == "keycloak"


def issuer(place: Place) -> dict[str, Any]:
    """The realm as issuers.yaml has it."""
    return {
        "issuer": url(place),
        "audience": place.token_audience,
        "jwks_url": f"{url(place)}/protocol/openid-connect/certs",
        "gives": ["clients", "groups"],
        "client_claim": "client_id",
        "client_proof": {"preferred_username": "service-account-{client}"},
        "groups_claim": "groups",
        "token_url": token_url(place),
    }


def url(place: Place) -> str:
    """URL, and issuer, of the realm."""
    return f"http://127.0.0.1:{place.local_port('keycloak')}/realms/{REALM}"


def token_url(place: Place) -> str:
    """Where clients get their tokens."""
    return f"{url(place)}/protocol/openid-connect/token"


def ports_of(place: Place) -> dict[str, int]:
    """The ports it listens on, by purpose."""
    return {"HTTP": place.local_port("keycloak"), "management": place.local_port("keycloak_management")}


def home(place: Place) -> Path:
    """The distribution, built for what `start` needs; fetched at the first call."""
    return jars.home(place, NAME, partial(_unpack, place))


def start(place: Place) -> process.Record:
    """Start it unless it runs; it is not ready yet. The first start of a place makes its database, and takes longer."""
    folder = place.folder("keycloak") / "home"  # Keycloak keeps its data in its own folder
    if not folder.exists():
        draft = folder.with_name("home.new")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(home(place) / "dist", draft)
        draft.rename(folder)
    imported = folder / "data" / "import"
    imported.mkdir(mode=0o700, parents=True, exist_ok=True)
    realm_file = imported / f"{REALM}-realm.json"
    realm_file.touch(mode=0o600)
    realm_file.write_text(json.dumps(realm(place), indent=1))
    ports = ports_of(place)
    return process.start(
        place,
        process.Child(
            name=NAME,
            command=(
                str(folder / "bin" / "kc.sh"),
                "start",
                "--optimized",
                "--import-realm",
                "--http-enabled=true",
                "--hostname-strict=false",
                "--http-host=127.0.0.1",
                f"--http-port={ports['HTTP']}",
                "--http-management-host=127.0.0.1",
                f"--http-management-port={ports['management']}",
            ),
            ports=ports,
            environment=_java(place),
        ),
    )


def wait_ready(place: Place, record: process.Record, timeout: float = 600.0) -> None:
    """Wait until the realm answers."""
    port = place.local_port("keycloak")
    process.wait_ready(place, record, lambda: http_probe.answers(port, DISCOVERY), timeout)


def realm(place: Place) -> dict[str, Any]:
    """The realm to import (Keycloak's RealmRepresentation)."""
    contracts = load(place.contracts)
    clients = [client for identity in contracts.identities.values() for client in identity.clients]
    groups = sorted({group for role in contracts.roles.values() for group in role.groups})
    password = secret_file.ensure(place.secrets / "oidc" / PERSON, secret_file.random_text).decode()
    return {
        "realm": REALM,
        "enabled": True,
        "sslRequired": "external",
        "accessTokenLifespan": place.issuer_token_seconds,
        "groups": [{"name": group} for group in groups],
        "clients": [
            *(_machine(place, client) for client in clients),
            {
                "clientId": PEOPLE,
                "publicClient": True,
                "standardFlowEnabled": True,
                "directAccessGrantsEnabled": True,  # for the command line and the tests; switch it off elsewhere
                "redirectUris": ["http://127.0.0.1/*"],
                "attributes": {"oauth2.device.authorization.grant.enabled": "true"},
                "protocolMappers": _mappers(place.token_audience),
            },
        ],
        "users": [
            {
                "username": PERSON,
                "enabled": True,
                "email": f"{PERSON}@example.org",
                "emailVerified": True,
                "firstName": "Alice",
                "lastName": "Example",
                "groups": [f"/{group}" for group in PERSON_GROUPS],
                "credentials": [{"type": "password", "value": password, "temporary": False}],
            }
        ],
    }


def _machine(place: Place, client: str) -> dict[str, Any]:
    secret = secret_file.ensure(place.secrets / "oidc" / client, secret_file.random_text).decode()
    return {
        "clientId": client,
        "secret": secret,
        "publicClient": False,
        "serviceAccountsEnabled": True,  # client credentials, and nothing else: no person signs in through it
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "protocolMappers": _mappers(place.token_audience),
    }


def _mappers(audience: str) -> list[dict[str, Any]]:
    token = {"access.token.claim": "true", "id.token.claim": "false", "userinfo.token.claim": "false"}
    return [
        {
            "name": "audience",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": audience, **token},
        },
        {
            "name": "groups",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {"claim.name": "groups", "full.path": "false", **token},
        },
    ]


def _java(place: Place) -> dict[str, str]:
    # For a short life the quick compiler is the better one.
    options = "-XX:TieredStopAtLevel=1"
    return {"JAVA_HOME": str(place.java), "JAVA_OPTS_KC_HEAP": f"-Xms64m -Xmx{HEAP}", "JAVA_OPTS_APPEND": options}


def _unpack(place: Place, draft: Path) -> None:
    [archive] = (draft / "lib").glob("*.zip")
    with zipfile.ZipFile(archive) as file:
        file.extractall(draft)
    [unpacked] = draft.glob("keycloak-*")
    unpacked.rename(draft / "dist")
    shutil.rmtree(draft / "lib")
    command = draft / "dist" / "bin" / "kc.sh"
    command.chmod(0o755)
    try:
        subprocess.run(
            [command, "build", "--db=dev-file", "--cache=local", "--health-enabled=true"],
            env={**os.environ, **_java(place)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=BUILD_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as error:
        output = (getattr(error, "stdout", b"") or b"").decode(errors="replace")[-2000:]
        raise PenstockError("CHILD_DIED", f"Keycloak could not be built: {error}\n{output}") from None
