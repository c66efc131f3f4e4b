"""`penstock login` with the real Keycloak: a person agrees in a browser, and other commands go in with the token."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.provisioning import provision
from penstock.stack import identity, keycloak, up
from penstock.stack.place import Place
from tests.support.ingress import event
from tests.support.place_factory import PlaceFactory
from tests.support.until import until

pytestmark = pytest.mark.timeout(600)  # the first start of a place builds Keycloak

SERVERS = ("nats", "keycloak", "elasticsearch")
SERVICES = ("authority_0", "indexer_0", "ingress_0")


@pytest.fixture(scope="module")
async def place(place_factory: PlaceFactory) -> AsyncIterator[Place]:
    made = place_factory.make(
        "login", auth="callout", idp="keycloak", elasticsearch_heap="512m", issuer_token_seconds=60
    )
    await asyncio.gather(*(asyncio.to_thread(up.start_server, made, name) for name in SERVERS))
    await provision.apply(made)
    identity.prepare(made)
    for name in SERVICES:
        await asyncio.to_thread(up.start_service, made, name)
    yield made
    up.clean(made)


class Person:
    """A shell of one person, with a config folder of its own and no key."""

    def __init__(self, place: Place, home: Path) -> None:
        self.place = place
        self.file = home / "penstock" / "login.json"
        url = f"http://127.0.0.1:{place.local_port('ingress')}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        self._environment = {
            **kept,
            **place.environment(),
            "XDG_CONFIG_HOME": str(home),
            "PENSTOCK_URL": url,
            "BROWSER": "true",
        }

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "penstock.cli.main", *words)
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*command, env=self._environment, stdout=pipe, stderr=pipe)

    async def run(self, *words: str) -> tuple[int, str, str]:
        process = await self.start(*words)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, out.decode(), err.decode()

    async def ask(self, *words: str) -> Any:
        status, out, err = await self.run(*words)
        assert status == 0, err
        return json.loads(out)

    def login(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(self.file.read_text())
        return kept

    async def signs_in(self, *options: str) -> None:
        """`penstock login`, and what the person does in the browser meanwhile."""
        process = await self.start("login", *options)
        assert process.stderr
        async with asyncio.timeout(60):
            while match := await process.stderr.readline():
                if found := re.search(r"(?:or open|Sign in at) (http\S+)", match.decode()):
                    last = await browse(self.place, found[1])
                    assert "successful" in last.lower() or "You are signed in" in last, last[-3000:]
                    break
        _, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        assert "signed in for" in err.decode()


async def browse(place: Place, url: str) -> str:
    """Signs in on Keycloak's pages, and agrees where they ask for it; the last page."""
    password = (place.secrets / "oidc" / keycloak.PERSON).read_text()
    async with httpx.AsyncClient(timeout=30, follow_redirects=True) as browser:

        async def trust_loopback(_: httpx.Response) -> None:
            for cookie in browser.cookies.jar:  # as browsers do, which send Secure cookies to 127.0.0.1
                cookie.secure = False

        browser.event_hooks = {"response": [trust_loopback]}
        page = await browser.get(url)
        for _ in range(4):
            form = re.search(r"<form[^>]*action=\"([^\"]+)\"[^>]*>(.*?)</form>", page.text, re.DOTALL)
            if page.url.port != place.local_port("keycloak") or form is None:
                break
            action = str(page.url.join(unescape(form[1])))
            hidden = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form[2]))
            if 'name="password"' in form[2]:
                page = await browser.post(action, data={"username": keycloak.PERSON, "password": password})
            else:
                page = await browser.post(action, data={**hidden, "accept": "Yes"})
        return page.text


@pytest.fixture
def person(place: Place, tmp_path: Path) -> Person:
    return Person(place, tmp_path)


@pytest.mark.parametrize("options", [(), ("--browser",)], ids=["device", "browser"])
async def test_a_signed_in_person_searches_with_the_token(person: Person, options: tuple[str, ...]) -> None:
    await person.signs_in(*options)
    assert stat.S_IMODE(person.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.file.parent.stat().st_mode) == 0o700
    me = await person.ask("whoami", "--json")
    assert re.fullmatch("u_[0-9a-f]{32}", me["identity"])
    assert (me["roles"], me["sends"]) == (["reader", "sender"], True)
    event_file = person.file.with_name("events.jsonl")
    event_file.write_text(json.dumps(event("login-1", data={"message": "hello from a person"})) + "\n")
    status, _, err = await person.run("send", str(event_file))
    assert status == 0, err

    async def found() -> list[dict[str, Any]]:  # a new index is refreshed within a second
        hits: list[dict[str, Any]] = (await person.ask("search", "hello person", "--json"))["hits"]
        return hits

    assert (await until(found, bound=60))[0]["record"]["publisher"] == me["identity"]


async def test_a_token_is_refreshed_before_it_expires_and_logout_ends_it(person: Person) -> None:
    await person.signs_in()
    before = person.login()
    person.file.write_text(json.dumps({**before, "expires_at": 0}))
    assert (await person.ask("whoami", "--json"))["sends"]
    after = person.login()
    assert after["access_token"] != before["access_token"]
    assert after["expires_at"] > before["expires_at"] - 60
    assert stat.S_IMODE(person.file.stat().st_mode) == 0o600
    status, out, err = await person.run("logout")
    assert (status, out.strip()) == (0, "signed out"), err
    assert not person.file.exists()
    form = {"grant_type": "refresh_token", "client_id": keycloak.PEOPLE, "refresh_token": after["refresh_token"]}
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.post(keycloak.token_url(person.place), data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    status, _, err = await person.run("whoami")
    assert (status, "UNAUTHENTICATED" in err) == (1, True)


async def test_a_login_is_private_and_for_one_ingress_only(person: Person) -> None:
    await person.signs_in()
    kept = person.login()
    person.file.write_text(json.dumps({**kept, "url": "http://127.0.0.1:1"}))
    status, _, err = await person.run("whoami")
    assert (status, "there is no login for" in err) == (1, True)
    person.file.write_text(json.dumps(kept))
    person.file.chmod(0o644)
    status, _, err = await person.run("whoami")
    assert (status, "CREDENTIALS_INVALID" in err) == (1, True)


async def test_an_unusable_issuer_is_named(person: Person) -> None:
    status, _, err = await person.run("login", "--issuer", "http://example.org/realms/x")
    assert (status, "LOGIN_FAILED" in err, "https" in err) == (1, True, True)
    wrong = f"http://127.0.0.1:{person.place.local_port('keycloak')}/realms/nowhere"
    status, _, err = await person.run("login", "--issuer", wrong)
    assert (status, "ISSUER_UNAVAILABLE" in err or "LOGIN_FAILED" in err) == (1, True)
