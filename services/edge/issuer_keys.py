"""issuers.yaml → each issuer's key set (RFC 7517) → <state>/edge/keys/<digest>.pem, as HAProxy wants them.

HAProxy reads keys only at its start and only from `PEM PUBLIC KEY` files (given a certificate it would start, and
refuse every token), and knows nothing of key sets. So another set of keys is another configuration, and a reload. A
file's name depends on its content, so that the files of the running configuration are never changed under it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import structlog

from penstock import atomic_file
from penstock.auth.issuers import Issuer
from penstock.auth.jwks import KeySet
from penstock.errors import Unavailable
from penstock.services.edge.plan import PublicKey
from penstock.services.edge.tokens import ALGORITHM, usable

INDEX = "keys.json"
_log = structlog.get_logger("penstock.edge.keys")


def known(folder: Path) -> list[PublicKey]:
    """The keys that were fetched last."""
    try:
        entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [PublicKey(entry["issuer"], entry["id"], folder / entry["file"]) for entry in entries]


def fetch(issuers: Iterable[Issuer], folder: Path) -> tuple[list[PublicKey], list[str]]:
    """Brings the folder up to date; the keys, and what went wrong: such an issuer keeps its last keys."""
    before = known(folder)
    keys: list[PublicKey] = []
    faults: list[str] = []
    for issuer in issuers:
        try:
            keys += _write(folder, issuer, asyncio.run(_fetch(issuer)))
        except Unavailable as error:
            faults.append(f"{issuer.issuer}: {error.detail}")
            keys += [key for key in before if key.issuer == issuer.issuer]
    entries = [{"issuer": key.issuer, "id": key.id, "file": key.file.name} for key in keys]
    atomic_file.replace(folder / INDEX, json.dumps(entries, indent=1).encode())
    return keys, faults


def sweep(folder: Path) -> None:
    """Removes the files that no key has; to be called when no running configuration names them any more."""
    wanted = {key.file for key in known(folder)}
    for file in folder.glob("*.pem"):
        if file not in wanted:
            file.unlink(missing_ok=True)


async def _fetch(issuer: Issuer) -> dict[str, bytes]:
    keys = await KeySet(issuer, time.monotonic).all()
    return {key.id: key.by_algorithm[ALGORITHM].to_pem() for key in keys if ALGORITHM in key.by_algorithm}


def _write(folder: Path, issuer: Issuer, keys: dict[str, bytes]) -> list[PublicKey]:
    found = []
    for key_id, pem in sorted(keys.items()):
        if not usable(key_id):
            _log.warning("key_left_out", issuer=issuer.issuer, reason="its id has unusual characters")
            continue
        file = folder / f"{sha256(b'%b %b' % (key_id.encode(), pem)).hexdigest()[:32]}.pem"
        atomic_file.replace(file, pem)
        found.append(PublicKey(issuer.issuer, key_id, file))
    return found
