"""$XDG_CONFIG_HOME/penstock/login.json: the tokens of a person, mode 600, for the API at one URL.

A token is sent to no other URL than the one it was issued for. It is refreshed shortly before it expires, by one
process at a time, as a provider may take each refresh token once only.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock import atomic_file, secret_file
from penstock.cli.oidc.provider import Provider, TokenRefused, expiry
from penstock.errors import Refused
from penstock.file_lock import locked

REFRESH_SECONDS = 30.0  # for which another process may be about to refresh it
EARLY_SECONDS = 20.0  # of life left at which a token is refreshed; a request must not outlive it


class Login(BaseModel):
    """What the file holds. Times in Unix seconds."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    url: str
    issuer: str
    client: str
    access_token: str = Field(min_length=1, repr=False)
    refresh_token: str = Field("", repr=False)
    expires_at: float


def path() -> Path:
    """Where the login is kept."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".config") / "penstock" / "login.json"


def of(answer: dict[str, Any], *, url: str, issuer: str, client: str, asked: float, refresh: str = "") -> Login:
    """The login in an answer of a token endpoint. Raises Refused LOGIN_FAILED when it holds no token."""
    try:
        return Login(
            url=url,
            issuer=issuer,
            client=client,
            access_token=answer["access_token"],
            refresh_token=answer.get("refresh_token") or refresh,
            expires_at=expiry(answer, asked),
        )
    except (KeyError, ValidationError):
        raise Refused("LOGIN_FAILED", f"{issuer} returned no access token") from None


def read() -> Login | None:
    """The login, if there is one. Raises Refused CREDENTIALS_INVALID when others may read the file."""
    if not path().exists():
        return None
    try:
        return Login.model_validate_json(secret_file.read(path()))
    except ValidationError:
        raise Refused("CREDENTIALS_INVALID", f"{path()} is damaged; run `penstock login` again") from None


def write(login: Login) -> None:
    """Keeps the login, in place of another."""
    atomic_file.replace(path(), login.model_dump_json())


def forget() -> Login | None:
    """Deletes the file; returns what was in it, where that can be read."""
    try:
        return read()
    except Refused:
        return None
    finally:
        path().unlink(missing_ok=True)


def token_for(url: str) -> str | None:
    """A token for the API at `url`, valid for some time yet; None without a login for it.

    Raises Refused LOGIN_FAILED when it has expired and cannot be refreshed, Unavailable ISSUER_UNAVAILABLE.
    """
    login = read()
    if login is None or login.url != url:
        return None
    if login.expires_at - time.time() > EARLY_SECONDS:
        return login.access_token
    with locked(path().with_name(".login.lock"), REFRESH_SECONDS):
        login = read()  # another process may have refreshed it meanwhile, or signed out
        if login is None or login.url != url:
            return None
        if login.expires_at - time.time() <= EARLY_SECONDS:
            login = _refreshed(login)
            write(login)
        return login.access_token


def _refreshed(login: Login) -> Login:
    if not login.refresh_token:
        if login.expires_at > time.time():
            return login
        raise Refused("LOGIN_FAILED", "the token has expired, and there is no refresh token")
    provider, asked = Provider.discover(login.issuer), time.time()
    try:
        answer = provider.ask(
            provider.token, grant_type="refresh_token", client_id=login.client, refresh_token=login.refresh_token
        )
    except TokenRefused as refused:
        raise Refused("LOGIN_FAILED", f"{login.issuer} refused to refresh the token: {refused.error}") from None
    return of(answer, url=login.url, issuer=login.issuer, client=login.client, asked=asked, refresh=login.refresh_token)
