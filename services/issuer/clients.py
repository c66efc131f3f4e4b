"""Who may get a token: every client of identities.yaml, and those of <state>/issuer/clients.yaml. Secrets are files.

clients:
  sensor:             # secret in <state>/secrets/oidc/sensor, made where there is none
    groups: [penstock-senders]

The file is read again when it has changed, and a secret each time it is asked for: neither needs a restart.
`python -m penstock.services.issuer add <client> <group> …` writes an entry and its secret.
"""

from __future__ import annotations

import hmac
from pathlib import Path

import structlog
import yaml
from pydantic import BaseModel, ConfigDict

from penstock import atomic_file, secret_file
from penstock.contracts import Contracts
from penstock.contracts.model_file import read_model
from penstock.errors import Refused

_log = structlog.get_logger("penstock.issuer")


class Client(BaseModel):
    """One client. Its subject is its own name, and it is in `groups`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: tuple[str, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    clients: dict[str, Client] = {}


class Clients:
    """All clients; makes the secrets that are missing. A file that breaks later leaves the clients as they were.

    Raises Refused ISSUERS_INVALID or CREDENTIALS_INVALID.
    """

    def __init__(self, contracts: Contracts, file: Path, secrets: Path) -> None:
        self._own = {client: Client() for identity in contracts.identities.values() for client in identity.clients}
        self._file = file
        self._secrets = secrets
        self._seen = secret_file.version(self._file)
        self._known = self._read()

    def check(self, client: str, secret: str) -> Client | None:
        """The client, if the secret is its own."""
        self._look()
        found = self._known.get(client)
        expected = secret_file.read(self._secrets / client) if found else b"no such client"
        same = hmac.compare_digest(expected, secret.encode())
        return found if same else None

    def _look(self) -> None:
        if (version := secret_file.version(self._file)) == self._seen:
            return
        self._seen = version
        try:
            self._known = self._read()
        except Refused as error:
            _log.error("clients_not_read", code=error.code, reason=error.detail)

    def _read(self) -> dict[str, Client]:
        # None of them may become an identity of the contracts with groups.
        known = {**_entries(self._file), **self._own}
        for client in known:
            secret_file.ensure(self._secrets / client, secret_file.random_text)
        return known


def add(file: Path, secrets: Path, client: str, groups: tuple[str, ...]) -> Path:
    """Writes the client into the file, in place of an entry of the same name; the file with its secret.

    Raises Refused ISSUERS_INVALID.
    """
    _require_id(client)
    entries = {**_entries(file), client: Client(groups=groups)}
    body = {"clients": {name: {"groups": list(each.groups)} for name, each in entries.items()}}
    secret_file.ensure(secrets / client, secret_file.random_text)
    atomic_file.replace(file, yaml.safe_dump(body, sort_keys=False), mode=0o644)
    return secrets / client


def _entries(file: Path) -> dict[str, Client]:
    if not file.exists():
        return {}
    try:
        found = read_model(file, _File).clients
    except OSError as error:
        raise Refused("ISSUERS_INVALID", f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Refused("ISSUERS_INVALID", f"{file}: {error}") from None
    for client in found:
        _require_id(client)
    return found


def _require_id(client: str) -> None:
    if not client.replace("-", "").replace("_", "").isalnum():
        raise Refused("ISSUERS_INVALID", f"{client!r} cannot be a client id: letters, digits, - and _ only")
