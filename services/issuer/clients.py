"""Who may get a token: every client of identities.yaml, and those of <state>/issuer/clients.yaml. Secrets are files.

clients:
  sensor:             # secret in <state>/secrets/oidc/sensor, made where there is none
    groups: [penstock-senders]
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from penstock import seed_file
from penstock.contracts import Contracts
from penstock.errors import Refused


class Client(BaseModel):
    """One client. Its subject is its own name, and it is in `groups`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: tuple[str, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    clients: dict[str, Client] = {}


@dataclass(frozen=True, slots=True)
class Clients:
    """All clients by id, and the folder with their secrets."""

    known: dict[str, Client]
    secrets: Path

    def check(self, client: str, secret: str) -> Client | None:
        """The client, if the secret is its own."""
        found = self.known.get(client)
        expected = seed_file.read(self.secrets / client) if found else b"no such client"
        same = hmac.compare_digest(expected, secret.encode())
        return found if same else None


def ensure(contracts: Contracts, file: Path, secrets: Path) -> Clients:
    """The clients; makes the secrets that are missing. Raises Refused ISSUERS_INVALID."""
    known = {client: Client() for identity in contracts.identities.values() for client in identity.clients}
    if file.exists():
        try:
            more = _File.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")) or {}).clients
        except (yaml.YAMLError, ValidationError) as error:
            raise Refused("ISSUERS_INVALID", f"{file}: {error}") from None
        known = {**more, **known}  # none of them may become an identity of the contracts with groups
    for client in known:
        if not client.replace("-", "").replace("_", "").isalnum():
            raise Refused("ISSUERS_INVALID", f"{file}: {client!r} cannot be a client id")
        seed_file.ensure(secrets / client, seed_file.random_text)
    return Clients(known, secrets)
