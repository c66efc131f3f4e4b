"""penstock login, logout, whoami: a person signs in to the API with OIDC."""

from __future__ import annotations

import json
import time
import webbrowser
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console

from penstock.auth import issuers
from penstock.cli.client import api_url, ask
from penstock.cli.oidc import kept_login, sign_in
from penstock.cli.oidc.provider import Provider
from penstock.cli.printable import shown
from penstock.errors import PenstockError, Refused
from penstock.settings import load_settings

app = typer.Typer()

CLIENT = "penstock-people"
SCOPE = "openid"


@app.command()
def login(
    issuer: Annotated[
        str,
        typer.Option(
            envvar="PENSTOCK_ISSUER", help="URL of the issuer. Default: the first for people in issuers.yaml."
        ),
    ] = "",
    client: Annotated[
        str, typer.Option(envvar="PENSTOCK_LOGIN_CLIENT", help="A public client of the issuer.")
    ] = CLIENT,
    scope: Annotated[str, typer.Option(help="Scopes to request; offline_access gives longer refresh tokens.")] = SCOPE,
    browser: Annotated[bool, typer.Option("--browser", help="Sign in with the browser of this machine.")] = False,
) -> None:
    """Sign in with OIDC to the API at PENSTOCK_URL."""
    url = api_url()
    provider = Provider.discover(issuer or _configured())
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def show_code(begun: dict[str, Any]) -> None:
        console.print(f"Open {begun['verification_uri']}", markup=False)
        console.print(f"and enter the code {begun['user_code']}", markup=False)
        if begun.get("verification_uri_complete"):
            console.print(f"or open {begun['verification_uri_complete']}", markup=False)

    def show_page(page: str) -> None:
        console.print(f"Sign in at {page}", markup=False)
        with suppress(webbrowser.Error):
            webbrowser.open(page)

    asked = time.time()
    if browser:
        answer = sign_in.with_browser(provider, client, scope, show_page)
    else:
        answer = sign_in.with_device(provider, client, scope, show_code)
    kept_login.write(kept_login.of(answer, url=url, issuer=provider.issuer, client=client, asked=asked))
    console.print(f"signed in for {url}; saved in {kept_login.path()}", markup=False)
    try:
        _say(console, ask("GET", "/v1/whoami"))
    except PenstockError as error:  # the API may be down, or may not accept this person: the login itself succeeded
        console.print(f"{error.code}: {error.detail}", markup=False, style="yellow")


@app.command()
def logout() -> None:
    """Sign out: delete the login and revoke its refresh token."""
    known = kept_login.forget()
    if known is None:
        print("no login to end")
        return
    ended = False
    if known.refresh_token:
        with suppress(PenstockError):
            ended = Provider.discover(known.issuer).revoke(known.client, known.refresh_token)
    print("signed out" if ended else f"signed out here; the refresh token could not be revoked at {known.issuer}")


@app.command()
def whoami(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show your identity and permissions at the API."""
    found = ask("GET", "/v1/whoami")
    if as_json:
        print(json.dumps(found))
    else:
        _say(Console(highlight=False, soft_wrap=True), found)


def _say(console: Console, found: dict[str, Any]) -> None:
    console.print(shown(f"{found['identity']} at {api_url()}"), markup=False)
    for name in ("roles", "datasets", "types"):
        console.print(f"  {name}: {', '.join(found[name]) or 'none'}", markup=False)


def _configured() -> str:
    """The first issuer of this machine that signs people in."""
    place = load_settings()
    if place.oidc:
        for known in issuers.read(place.issuers):
            if "groups" in known.gives:
                return known.issuer
    raise Refused(
        "LOGIN_FAILED",
        "no issuer for people is configured here; set --issuer or PENSTOCK_ISSUER, and PENSTOCK_URL to the API",
    )
