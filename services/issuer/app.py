"""POST /token (client credentials) → access token; GET /jwks · /.well-known/openid-configuration.

RFC 6749 section 4.4, RFC 9068, OpenID Connect Discovery 1.0. For the local stack, so that it needs no other provider;
everywhere else it is a provider of yours (issuers.yaml).
"""

from __future__ import annotations

import binascii
import os
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.services.issuer.clients import Clients
from penstock.services.issuer.signing_keys import Key, signing
from penstock.telemetry.health_answers import LIVE, readiness

_log = structlog.get_logger("penstock.issuer")

LONGEST_FORM = 8 * 1024
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Issuing:
    """What is issued: `life` in seconds; `keys` gives all keys, the newest last, which signs after `ahead` seconds."""

    issuer: str
    audience: str
    life: int
    keys: Callable[[], list[Key]]
    clients: Clients
    ahead: float = 0.0
    now: Callable[[], float] = time.time


class Issuer:
    """The handlers."""

    def __init__(self, issuing: Issuing) -> None:
        self._issuing = issuing

    async def discovery(self, _: Request) -> Response:
        """OpenID Connect Discovery 1.0, as far as it applies."""
        issuer = self._issuing.issuer
        return JSONResponse(
            {
                "issuer": issuer,
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/jwks",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            }
        )

    async def jwks(self, _: Request) -> Response:
        """The public keys."""
        keys = await run_in_threadpool(self._issuing.keys)
        return JSONResponse({"keys": [key.public for key in keys]})

    async def token(self, request: Request) -> Response:
        """A token for a client that knows its secret."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_FORM:
                return _error(413, "invalid_request")
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return _error(400, "unsupported_grant_type")
        name, secret = _basic(request.headers.get("authorization", "")) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        client = self._issuing.clients.check(name, secret)
        if client is None:
            _log.warning("client_refused", client=name[:64])
            return _error(401, "invalid_client")
        keys = await run_in_threadpool(self._issuing.keys)
        moment = self._issuing.now()
        now = int(moment)
        claims = {
            "iss": self._issuing.issuer,
            "sub": name,
            "aud": self._issuing.audience,
            "client_id": name,
            "iat": now,
            "exp": now + self._issuing.life,
            "jti": os.urandom(16).hex(),
        }
        if client.groups:
            claims["groups"] = list(client.groups)
        _log.info("token_issued", client=name, token_id=claims["jti"], seconds=self._issuing.life)
        key = signing(keys, moment, self._issuing.ahead)
        body_out = {"access_token": key.sign(claims), "token_type": "Bearer", "expires_in": self._issuing.life}
        return JSONResponse(body_out, headers=_NO_STORE)


def application(issuing: Issuing) -> Starlette:
    """The routes."""
    issuer = Issuer(issuing)

    async def live(_: Request) -> Response:
        return JSONResponse(LIVE)

    async def ready(_: Request) -> Response:
        return readiness([])

    return Starlette(
        routes=[
            Route("/token", issuer.token, methods=["POST"]),
            Route("/jwks", issuer.jwks),
            Route("/.well-known/openid-configuration", issuer.discovery),
            Route("/livez", live),
            Route("/readyz", ready),
        ]
    )


def _basic(header: str) -> tuple[str, str] | None:
    """Client id and secret of `Authorization: Basic`, each form-encoded (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


def _error(status: int, code: str) -> Response:
    headers = _NO_STORE | ({"WWW-Authenticate": "Basic"} if status == 401 else {})
    return JSONResponse({"error": code}, status, headers)
