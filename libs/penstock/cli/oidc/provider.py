"""An OIDC provider as the command line uses it: discovery → endpoints → responses of its token endpoint.

OpenID Connect Discovery 1.0; RFC 6749 (tokens, refresh), RFC 7009 (revocation). Tokens go over https, or to loopback.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from penstock.auth.http_failure import reason_of
from penstock.auth.secure_url import is_secure
from penstock.errors import Refused, Unavailable

TIMEOUT = httpx.Timeout(15.0, connect=5.0)
LONGEST = 256 * 1024  # bytes of an answer
WELL_KNOWN = "/.well-known/openid-configuration"


class TokenRefused(Refused):
    """The token endpoint refused; `error` is its code (RFC 6749 section 5.2, RFC 8628 section 3.5)."""

    def __init__(self, url: str, error: str) -> None:
        super().__init__("LOGIN_FAILED", f"{url} answered {error}")
        self.error = error


@dataclass(frozen=True, slots=True)
class Provider:
    """The endpoints of an issuer; empty where it has none."""

    issuer: str
    token: str
    device: str = ""
    authorization: str = ""
    revocation: str = ""

    @classmethod
    def discover(cls, issuer: str) -> Provider:
        """Asks the issuer. Raises Refused LOGIN_FAILED, Unavailable ISSUER_UNAVAILABLE."""
        issuer = issuer.rstrip("/")
        document = _answer("GET", private(issuer) + WELL_KNOWN)
        if document.get("issuer", "").rstrip("/") != issuer:
            raise Refused(
                "LOGIN_FAILED",
                f"the discovery document of {issuer} names another issuer: {str(document.get('issuer'))[:100]!r}",
            )

        def endpoint(name: str) -> str:
            url = document.get(name) or ""
            return private(url) if url else ""

        token = endpoint("token_endpoint")
        if not token:
            raise Refused("LOGIN_FAILED", f"{issuer} has no token endpoint")
        return cls(
            issuer=issuer,
            token=token,
            device=endpoint("device_authorization_endpoint"),
            authorization=endpoint("authorization_endpoint"),
            revocation=endpoint("revocation_endpoint"),
        )

    def ask(self, url: str, **form: str) -> dict[str, Any]:
        """Posts a form to one of the endpoints. Raises TokenRefused, Unavailable ISSUER_UNAVAILABLE."""
        return _answer("POST", url, form)

    def revoke(self, client: str, token: str) -> bool:
        """Revokes a token; whether the provider confirms it."""
        if not self.revocation:
            return False
        with suppress(Refused, Unavailable):
            _answer("POST", self.revocation, {"client_id": client, "token": token, "token_type_hint": "refresh_token"})
            return True
        return False


def private(url: str) -> str:
    """The URL, if nobody can listen on the way there. Raises Refused LOGIN_FAILED."""
    if is_secure(url):
        return url
    raise Refused("LOGIN_FAILED", f"{url[:200]}: tokens are sent only over https, or to loopback")


def expiry(answer: dict[str, Any], asked: float) -> float:
    """When the access token of an answer expires, in Unix seconds; a minute from now where it does not say."""
    with suppress(TypeError, ValueError):
        return asked + float(answer["expires_in"]) if "expires_in" in answer else time.time() + 60
    return time.time() + 60


def _answer(method: str, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    try:
        with httpx.Client(timeout=TIMEOUT, follow_redirects=False) as http:
            answer = http.request(method, url, data=form, headers={"accept": "application/json"})
    except httpx.HTTPError as error:
        raise Unavailable("ISSUER_UNAVAILABLE", f"{url}: {reason_of(error)}", retry_after=2) from None
    body: Any = None
    with suppress(ValueError):
        body = answer.json() if len(answer.content) <= LONGEST else None
    if answer.is_success:
        if form is not None and not answer.content:  # revocation has no body
            return {}
        if isinstance(body, dict):
            return body
    code = body.get("error") if isinstance(body, dict) else None
    if isinstance(code, str) and 400 <= answer.status_code < 500:
        raise TokenRefused(url, code[:64])
    raise Unavailable("ISSUER_UNAVAILABLE", f"{url} answered with status {answer.status_code}", retry_after=2)
