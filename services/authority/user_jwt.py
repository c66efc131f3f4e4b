"""NATS JWTs: header.claims.signature, signed with ed25519 by an nkey (https://docs.nats.io, github.com/nats-io/jwt v2).

    user(...)     what a connection may do       response(...)   the answer to a server's request

A user JWT without allow lists would mean that everything is allowed, so there is none without.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from penstock.auth.callout_keys import decode_server_key
from penstock.auth.permissions import Permissions

_DENY_ALL = {"deny": [">"]}


class Signer:
    """The account key that all answers are signed with; `pair` is an nkeys.KeyPair."""

    def __init__(self, pair: Any) -> None:
        self._pair = pair
        self.public_key: str = pair.public_key.decode()

    def encode(self, claims: dict[str, Any], now: float) -> str:
        """A signed JWT with issuer, time of issue and a random id added."""
        body = {"iss": self.public_key, "iat": int(now), "jti": os.urandom(16).hex(), **claims}
        signed = f"{_HEADER}.{_encoded(orjson.dumps(body))}"
        return f"{signed}.{_encoded(self._pair.sign(signed.encode()))}"


def user(
    signer: Signer, *, key: str, identity: str, account: str, allowed: Permissions, expires_at: int, now: float
) -> str:
    """The JWT that lets the connection with the public key `key` in as `identity`, until `expires_at`."""
    permissions: dict[str, Any] = {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}
    permissions["pub"] = {"allow": list(allowed.publish)} if allowed.publish else _DENY_ALL
    permissions["sub"] = {"allow": list(allowed.subscribe)} if allowed.subscribe else _DENY_ALL
    return signer.encode({"sub": key, "aud": account, "name": identity, "exp": expires_at, "nats": permissions}, now)


def response(signer: Signer, *, key: str, server: str, now: float, jwt: str = "", error: str = "") -> str:
    """The answer for the server of that id: a user JWT, or why there is none."""
    said = {"jwt": jwt} if jwt else {"error": error}
    body = {"type": "authorization_response", "version": 2, **said}
    return signer.encode({"sub": key, "aud": server, "nats": body}, now)


def from_server(token: str) -> dict[str, Any]:
    """The claims of a JWT that the server which it names has signed. Raises ValueError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a JWT")
    header, claims = orjson.loads(_decoded(parts[0])), orjson.loads(_decoded(parts[1]))
    if not isinstance(header, dict) or header.get("alg") != "ed25519-nkey":
        raise ValueError("not signed with ed25519")
    if not isinstance(claims, dict) or not isinstance(claims.get("iss"), str):
        raise ValueError("no issuer")
    try:
        key = VerifyKey(decode_server_key(claims["iss"]))
        key.verify(f"{parts[0]}.{parts[1]}".encode(), _decoded(parts[2]))
    except BadSignatureError:
        raise ValueError("the signature does not verify") from None
    return claims


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


_HEADER = _encoded(b'{"typ":"JWT","alg":"ed25519-nkey"}')
