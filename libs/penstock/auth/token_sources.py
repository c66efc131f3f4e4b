"""Where a machine identity gets its access token: from a token endpoint, or from a file that others keep fresh.

    secret file ─▶ ClientCredentials (RFC 6749 section 4.4) ─┐
    token file ──▶ TokenFile (e.g. Kubernetes, projected) ───┴▶ token(), fresh until 80 % of its life

A token that is still good is handed out even when no newer one can be had.
"""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import structlog

from penstock import secret_file
from penstock.auth import issuers
from penstock.auth.http_failure import reason_of
from penstock.auth.secure_url import is_secure
from penstock.broker import Token, TokenSource
from penstock.contracts import load
from penstock.errors import Refused, Unavailable
from penstock.settings import Settings

_log = structlog.get_logger("penstock.auth.token_sources")

FETCH_SECONDS = 5.0


class ClientCredentials(TokenSource):
    """Asks a token endpoint with client id and secret; the secret's file is read each time, so it may be changed."""

    def __init__(
        self, url: str, client: str, secret_file: Path, *, scope: str = "", now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(now)
        if not is_secure(url):
            raise Refused("CREDENTIALS_INVALID", f"token endpoint {url}: a secret goes over https, or to loopback")
        self.url = url
        self._client = client
        self._secret_file = secret_file
        self._scope = scope

    async def _fetch(self) -> Token:
        secret = (await asyncio.to_thread(secret_file.read, self._secret_file)).decode()
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        asked = self._now()
        try:
            async with httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False) as http:
                # RFC 6749 section 2.3.1: both are form-encoded before they become a user name and a password
                answer = await http.post(
                    self.url, data=form, auth=(quote(self._client, safe=""), quote(secret, safe=""))
                )
        except httpx.HTTPError as error:
            raise Unavailable(
                "ISSUER_UNAVAILABLE", f"token endpoint {self.url}: {reason_of(error)}", retry_after=2
            ) from None
        if answer.status_code in (400, 401, 403):
            raise Refused("CREDENTIALS_INVALID", f"{self.url} refuses client {self._client}: {_error(answer)}")
        try:
            body = orjson.loads(answer.content)
            value = body["access_token"]
            life = float(body.get("expires_in") or 0.0)
            return Token(value, asked, asked + life if life else expiry(value))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise Unavailable(
                "ISSUER_UNAVAILABLE", f"{self.url} gave status {answer.status_code} and no token", retry_after=2
            ) from None


class TokenFile(TokenSource):
    """Reads a file that somebody else rewrites before the token in it expires."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self._path = path

    async def _fetch(self) -> Token:
        try:
            value = (await asyncio.to_thread(self._path.read_text)).strip()
            body = claims(value)
            token = Token(value, float(body.get("iat", self._now())), float(body["exp"]))
        except OSError as error:
            raise Unavailable("ISSUER_UNAVAILABLE", f"{self._path}: {error.strerror}", retry_after=2) from None
        except (KeyError, TypeError, ValueError):
            raise Unavailable("ISSUER_UNAVAILABLE", f"{self._path} holds no token with an expiry") from None
        if token.expires_at <= self._now():
            raise Unavailable("ISSUER_UNAVAILABLE", f"the token in {self._path} has expired", retry_after=2)
        return token


def claims(token: str) -> dict[str, Any]:
    """What a token says, unverified: for its own holder, who must only know when to get another. Raises ValueError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a JWT")
    body = orjson.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(body, dict):
        raise ValueError("not a JWT")
    return body


def expiry(token: str) -> float:
    """The expiry that a token says of itself, in Unix seconds. Raises ValueError."""
    return float(claims(token)["exp"])


def source_for(identity: str, settings: Settings) -> TokenSource | None:
    """The token source of an identity, or None where it connects with its nkey.

    Raises Refused CREDENTIALS_INVALID for an endpoint without encryption, ISSUERS_INVALID.
    """
    line = load(settings.contracts).identities.get(identity)
    if settings.auth == "nkeys" or line is None or not line.by_token:
        return None
    if settings.token_file is not None:
        return TokenFile(settings.token_file)
    client = settings.token_client or next(iter(line.clients), identity)
    secret = settings.token_secret_file or settings.secrets / "oidc" / client
    return ClientCredentials(_endpoint(settings), client, secret, scope=settings.token_scope)


def _endpoint(settings: Settings) -> str:
    if settings.token_url or not settings.oidc:
        return settings.token_url or f"{settings.local_issuer}/token"
    found = [issuer.token_url for issuer in issuers.read(settings.issuers) if issuer.token_url]
    return found[0] if found else f"{settings.local_issuer}/token"


def _error(answer: httpx.Response) -> str:
    """The error code of RFC 6749 section 5.2, or the status; never more of what came."""
    with suppress(orjson.JSONDecodeError, AttributeError):
        code = orjson.loads(answer.content).get("error")
        if isinstance(code, str):
            return code[:64]
    return f"status {answer.status_code}"
