"""The HTTP client of the commands: the API's URL, the credentials, and its errors as PenstockError."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx

from penstock.auth.http_failure import reason_of
from penstock.cli.oidc import kept_login
from penstock.cli.trust import must_be_trusted, trusted
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.settings import load_settings

TIMEOUT = httpx.Timeout(60.0, connect=5.0)


def api_url() -> str:
    """PENSTOCK_URL, else the local stack's ingress. Raises Refused SETTING_INVALID."""
    url = os.environ.get("PENSTOCK_URL", "").strip().rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise Refused("SETTING_INVALID", f"PENSTOCK_URL is {url!r}; it must begin with https:// or http://")
    return url or f"http://127.0.0.1:{load_settings().local_port('ingress')}"


def key_path() -> Path:
    """Where `penstock key create --save` puts the key and the commands look for it, unless PENSTOCK_KEY_FILE is set."""
    named = os.environ.get("PENSTOCK_KEY_FILE")
    return Path(named) if named else load_settings().secrets / "key"


def bearer_key() -> str:
    """PENSTOCK_KEY or PENSTOCK_KEY_FILE where one is set, else the login for this API, else the content of `key_path`.

    Raises Refused UNAUTHENTICATED or LOGIN_FAILED, Unavailable ISSUER_UNAVAILABLE.
    """
    if key := os.environ.get("PENSTOCK_KEY", "").strip():
        return key
    if not os.environ.get("PENSTOCK_KEY_FILE") and (token := kept_login.token_for(api_url())) is not None:
        return token
    try:
        return key_path().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Refused(
            "UNAUTHENTICATED",
            f"PENSTOCK_KEY is not set, there is no login for {api_url()} (`penstock login`), and {key_path()} cannot "
            "be read (`penstock key create --save` creates it)",
        ) from None


def headers() -> dict[str, str]:
    """Headers of every request."""
    return {"authorization": f"Bearer {bearer_key()}", "user-agent": "penstock"}


class Bearer(httpx.Auth):
    """The current credentials for each request: a login is refreshed while a long command runs."""

    def sync_auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Sets the header (httpx.Auth)."""
        request.headers["authorization"] = f"Bearer {bearer_key()}"
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncIterator[httpx.Request]:  # type: ignore[override]
        """In a thread, as a refresh calls the issuer and must not hold up other requests."""
        request.headers["authorization"] = f"Bearer {await asyncio.to_thread(bearer_key)}"
        yield request


def client(timeout: httpx.Timeout = TIMEOUT) -> httpx.Client:
    """A client of the API with the caller's credentials."""
    return httpx.Client(base_url=api_url(), headers=headers(), timeout=timeout, verify=trusted(api_url()))


def ask(method: str, path: str, *, body: dict[str, Any] | None = None, params: Any = None) -> dict[str, Any]:
    """One request to the API. Raises PenstockError as the API responds, SERVICE_UNAVAILABLE if it cannot be reached."""
    try:
        with client() as http:
            response = http.request(method, path, json=body, params=params)
    except httpx.TransportError as error:
        raise unreachable(error) from None
    raise_for(response)
    answer: dict[str, Any] = response.json()
    return answer


def raise_for(response: httpx.Response) -> None:
    """Raises the error that a problem (RFC 9457) describes."""
    if response.is_success:
        return
    try:
        problem = response.json()
        code, detail = problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        code, detail = "INTERNAL", f"{api_url()} responded with status {response.status_code} and no problem document"
        problem = {}
    kind: type[PenstockError] = Unavailable if response.status_code in (429, 503, 504) else Refused
    after = response.headers.get("retry-after", "")
    raise kind(
        code, detail, pointer=problem.get("pointer", ""), retry_after=float(after) if after.isdecimal() else None
    )


def unreachable(error: httpx.TransportError) -> Unavailable:
    """The API cannot be reached. Raises Refused CERTIFICATE_UNTRUSTED where nothing but that is the reason."""
    url = api_url()
    must_be_trusted(url, error)
    reason = reason_of(error)
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError) and url.startswith("http:"):
        reason += "; does it speak https?"
    if url.startswith("https:") and "WRONG_VERSION_NUMBER" in reason:
        reason += "; does it speak http?"
    return Unavailable("SERVICE_UNAVAILABLE", f"{url} cannot be reached: {reason}")
