"""A person signs in: device flow (RFC 8628), or browser on this machine (RFC 6749 4.1, PKCE RFC 7636, RFC 8252)."""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from penstock.cli.oidc.provider import Provider, TokenRefused
from penstock.errors import Refused, Unavailable

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
BROWSER_SECONDS = 300.0
_PAGE = b"<!doctype html><meta charset=utf-8><title>Penstock</title><p>%b You can close this page.</p>"


def with_device(
    provider: Provider,
    client: str,
    scope: str,
    show: Callable[[dict[str, Any]], None],
    *,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The token endpoint's answer, once the person has agreed in any browser; `show` gets the address and the code.

    Raises Refused LOGIN_FAILED: denied or too late; LOGIN_UNSUPPORTED: the provider has no such flow.
    """
    if not provider.device:
        raise _unsupported(provider, "no device flow", "try --browser" if provider.authorization else "")
    verifier, challenge = pkce()
    begun = provider.ask(
        provider.device,
        client_id=client,
        scope=scope,
        code_challenge=challenge,
        code_challenge_method="S256",
    )
    try:
        code, interval = str(begun["device_code"]), float(begun.get("interval", 5))
        deadline = time.monotonic() + float(begun["expires_in"])
        begun["verification_uri"], begun["user_code"]
    except (KeyError, TypeError, ValueError):
        raise Refused("LOGIN_FAILED", f"{provider.device} did not respond as RFC 8628 requires") from None
    show(begun)
    while time.monotonic() < deadline:
        wait(min(max(interval, 0.1), 60.0))
        try:
            return provider.ask(
                provider.token, grant_type=GRANT, client_id=client, device_code=code, code_verifier=verifier
            )
        except Unavailable:  # section 3.5: a connection that fails is tried again, less often
            interval = min(interval * 2, 60.0)
        except TokenRefused as refused:
            if refused.error == "slow_down":
                interval += 5
            elif refused.error != "authorization_pending":
                raise
    raise Refused("LOGIN_FAILED", "the sign-in was not confirmed in time")


def with_browser(
    provider: Provider, client: str, scope: str, show: Callable[[str], None], *, seconds: float = BROWSER_SECONDS
) -> dict[str, Any]:
    """The token endpoint's answer, after the person's browser came back to this machine; `show` gets the address.

    Raises Refused LOGIN_FAILED or LOGIN_UNSUPPORTED.
    """
    if not provider.authorization:
        raise _unsupported(provider, "no sign-in page", "try without --browser" if provider.device else "")
    verifier, challenge = pkce()
    state = secrets.token_urlsafe(24)
    with _Waiting(("127.0.0.1", 0), _Back) as server:
        redirect = f"http://127.0.0.1:{server.server_port}/signed-in"
        query = urlencode(
            {
                "response_type": "code",
                "client_id": client,
                "redirect_uri": redirect,
                "scope": scope,
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        show(f"{provider.authorization}{'&' if urlsplit(provider.authorization).query else '?'}{query}")
        code = server.code(state, seconds)
    return provider.ask(
        provider.token,
        grant_type="authorization_code",
        client_id=client,
        code=code,
        redirect_uri=redirect,
        code_verifier=verifier,
    )


def _unsupported(provider: Provider, lack: str, other: str) -> Refused:
    """With the other way to sign in, if the issuer has it; the local stack's own issuer has neither."""
    return Refused(
        "LOGIN_UNSUPPORTED",
        f"{provider.issuer} has {lack}; {other}" if other else f"{provider.issuer} has tokens for programs only",
    )


def pkce() -> tuple[str, str]:
    """A verifier and its S256 challenge."""
    verifier = secrets.token_urlsafe(48)
    return verifier, urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


class _Waiting(HTTPServer):
    """Takes requests on loopback until one has our state."""

    found: dict[str, str]

    def code(self, state: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.timeout, self.found = left, {}
            self.handle_request()
            if not secrets.compare_digest(self.found.get("state", "").encode(), state.encode()):
                continue  # somebody else's: a page may send a browser anywhere
            if code := self.found.get("code"):
                return code
            raise Refused("LOGIN_FAILED", f"the provider responded with {self.found.get('error', 'nothing')[:64]}")
        raise Refused("LOGIN_FAILED", "the browser did not return in time")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke: another one comes."""


class _Back(BaseHTTPRequestHandler):
    server: _Waiting
    timeout = 5.0

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/signed-in":
            self.server.found = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = _PAGE % (b"You are signed in." if "code" in self.server.found else b"Not signed in.")
        with suppress(OSError):
            self.send_response(200 if url.path == "/signed-in" else 404)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address holds a code."""
