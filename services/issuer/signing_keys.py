"""<state>/issuer/<key id>.pem → the key that signs and the public set (RFC 7517) of all of them.

`python -m penstock.services.issuer rotate` makes one more. It is published at once and signs a little later, when
everybody who verifies has read the set anew; tokens signed before stay valid as long as the old file stays.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jwk, jwt  # type: ignore[import-untyped]

from penstock import secret_file

ALGORITHM = "RS256"
BITS = 2048


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair; `public` is its member of the set, `since` when it was made, in Unix seconds."""

    id: str
    signer: Any  # jose's key
    public: dict[str, str]
    since: float = 0.0

    def sign(self, claims: dict[str, Any], *, type: str = "at+jwt") -> str:
        """A token with these claims."""
        token: str = jwt.encode(claims, self.signer, ALGORITHM, headers={"kid": self.id, "typ": type})
        return token


def ensure(folder: Path) -> list[Key]:
    """All keys, the newest last; makes the first where there is none."""
    if not any(folder.glob("*.pem")):
        rotate(folder, first=True)
    paths = sorted(folder.glob("*.pem"), key=lambda path: path.stat().st_mtime_ns)
    return [_load(path, path.stat().st_mtime) for path in paths]


def signing(keys: list[Key], now: float, ahead: float) -> Key:
    """Of all keys the one that signs: the newest that is at least `ahead` seconds old, else the oldest."""
    return next((key for key in reversed(keys) if key.since + ahead <= now), keys[0])


def rotate(folder: Path, *, first: bool = False) -> str:
    """Makes a key; its id. Two processes that make the first at once make the same."""
    key_id = "first" if first else os.urandom(8).hex()
    secret_file.ensure(folder / f"{key_id}.pem", generate)
    return key_id


def generate() -> bytes:
    """A new private key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@lru_cache(maxsize=32)
def _load(path: Path, since: float) -> Key:
    """Reading a key takes longer than signing with it; the moment it was written says whether it is still the same."""
    signer = jwk.construct(secret_file.read(path), ALGORITHM)
    public = {name: value for name, value in signer.public_key().to_dict().items() if name in ("kty", "n", "e")}
    public = {name: value.decode() if isinstance(value, bytes) else value for name, value in public.items()}
    member = {**public, "kid": path.stem, "use": "sig", "alg": ALGORITHM}
    return Key(path.stem, signer, member, since)
