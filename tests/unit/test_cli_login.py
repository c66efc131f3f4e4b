"""`penstock login` against a provider that misbehaves in every way that RFC 8628 and RFC 6749 foresee."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from penstock.cli import client
from penstock.cli.oidc import kept_login, sign_in
from penstock.cli.oidc.provider import Provider, TokenRefused
from penstock.contracts import step_in_shell
from penstock.errors import PenstockError, Refused
from tests.support.until import BOUND

URL = "https://api.example"


class Issuer:
    """Answers the token endpoint from a list, and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[dict[str, str]] = []
        self.document: dict[str, Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, outer.document)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                outer.asked.append({name: values[0] for name, values in parse_qs(body).items()})
                if self.path == "/device":
                    begun = {"device_code": "d", "user_code": "ABCD", "verification_uri": "x", "expires_in": 60}
                    self._answer(200, begun | {"interval": 1})
                else:
                    self._answer(*outer.answers.pop(0))

            def _answer(self, status: int, body: dict[str, Any]) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.document = {
            "issuer": self.url,
            "token_endpoint": f"{self.url}/token",
            "device_authorization_endpoint": f"{self.url}/device",
            "authorization_endpoint": f"{self.url}/sign-in",
        }


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_URL", URL)
    for name in ("PENSTOCK_KEY", "PENSTOCK_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refused(error: str) -> tuple[int, dict[str, Any]]:
    return 400, {"error": error}


TOKEN = (200, {"access_token": "t", "refresh_token": "r", "expires_in": 300})


def test_a_device_login_polls_at_the_given_interval(issuer: Issuer) -> None:
    issuer.answers = [refused("authorization_pending"), refused("slow_down"), (503, {}), TOKEN]
    waits: list[float] = []
    shown: list[dict[str, Any]] = []
    answer = sign_in.with_device(Provider.discover(issuer.url), "people", "openid", shown.append, wait=waits.append)
    assert answer["access_token"] == "t"
    assert shown[0]["user_code"] == "ABCD"
    assert waits == [1, 1, 6, 12]
    begun, *polls = issuer.asked
    assert begun["code_challenge_method"] == "S256"
    assert {poll["grant_type"] for poll in polls} == {sign_in.GRANT}
    assert all(len(poll["code_verifier"]) >= 43 for poll in polls)


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_client"])
def test_a_denied_device_login_stops_polling(issuer: Issuer, error: str) -> None:
    issuer.answers = [refused(error)]
    with pytest.raises(TokenRefused, match=error):
        sign_in.with_device(Provider.discover(issuer.url), "people", "openid", lambda _: None, wait=lambda _: None)


@pytest.mark.parametrize(
    ("missing", "device", "browser"),
    [
        (("device_authorization_endpoint", "authorization_endpoint"), "for programs only", "for programs only"),
        (("device_authorization_endpoint",), "try --browser", None),
        (("authorization_endpoint",), None, "try without --browser"),
    ],
    ids=["the local issuer", "a browser only", "a device only"],
)
def test_a_login_that_an_issuer_does_not_offer_says_at_once_what_is_possible(
    issuer: Issuer, missing: tuple[str, ...], device: str | None, browser: str | None
) -> None:
    for name in missing:
        del issuer.document[name]
    provider = Provider.discover(issuer.url)
    for sign, words in ((sign_in.with_device, device), (sign_in.with_browser, browser)):
        if words is not None:
            with pytest.raises(Refused, match=words) as refused:
                sign(provider, "people", "openid", lambda _: None)
            assert refused.value.code == "LOGIN_UNSUPPORTED"
    assert issuer.asked == []
    assert "penstock key create --save" in step_in_shell("LOGIN_UNSUPPORTED")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"issuer": "https://other.example"}, "another"),
        ({"token_endpoint": "http://other.example/token"}, "https"),
        ({"token_endpoint": None}, "no token endpoint"),
    ],
)
def test_a_discovery_document_of_another_issuer_is_refused(issuer: Issuer, document: dict[str, Any], why: str) -> None:
    issuer.document |= document
    with pytest.raises(Refused, match=why):
        Provider.discover(issuer.url)


def test_a_redirect_with_another_state_is_refused(issuer: Issuer) -> None:
    issuer.answers = [TOKEN]

    def browse(url: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")

        def come_back() -> None:
            for params in ({"state": "guessed", "code": "evil"}, {"state": asked["state"], "code": "good"}):
                httpx.get(asked["redirect_uri"], params=params, timeout=BOUND)

        threading.Thread(target=come_back).start()

    answer = sign_in.with_browser(Provider.discover(issuer.url), "people", "openid", browse, seconds=20)
    assert answer["access_token"] == "t"
    [exchange] = issuer.asked
    assert exchange["code"] == "good"
    assert exchange["redirect_uri"].startswith("http://127.0.0.1:")


def keep(issuer: Issuer, *, expires_at: float, refresh: str = "r1") -> None:
    login = kept_login.Login(
        url=URL, issuer=issuer.url, client="people", access_token="old", refresh_token=refresh, expires_at=expires_at
    )
    kept_login.write(login)


def test_a_login_is_used_for_its_ingress_only_and_after_an_api_key(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(issuer, expires_at=time.time() + 300)
    assert stat.S_IMODE(kept_login.path().stat().st_mode) == 0o600
    assert client.bearer_key() == "old"
    monkeypatch.setenv("PENSTOCK_KEY", "pk_set")
    assert client.bearer_key() == "pk_set"
    monkeypatch.delenv("PENSTOCK_KEY")
    assert kept_login.token_for("https://elsewhere.example") is None


def test_a_token_is_refreshed_once_for_all_who_need_it(issuer: Issuer) -> None:
    keep(issuer, expires_at=time.time() - 1)
    issuer.answers = [(200, {"access_token": "new", "expires_in": 300})]
    found: list[str | None] = []
    threads = [threading.Thread(target=lambda: found.append(kept_login.token_for(URL))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["new"] * 4
    assert len(issuer.asked) == 1
    known = kept_login.read()
    assert known is not None
    assert (known.access_token, known.refresh_token) == ("new", "r1")  # the old one stays where no other came


def test_a_login_that_cannot_be_refreshed_says_so(issuer: Issuer) -> None:
    keep(issuer, expires_at=time.time() - 1)
    issuer.answers = [refused("invalid_grant")]
    with pytest.raises(PenstockError, match="invalid_grant") as failed:
        kept_login.token_for(URL)
    assert failed.value.code == "LOGIN_FAILED"
    keep(issuer, expires_at=time.time() - 1, refresh="")
    with pytest.raises(PenstockError, match="expired"):
        kept_login.token_for(URL)


def test_a_file_that_others_may_read_is_not_used(issuer: Issuer) -> None:
    keep(issuer, expires_at=time.time() + 300)
    kept_login.path().chmod(0o644)
    with pytest.raises(PenstockError) as failed:
        client.bearer_key()
    assert failed.value.code == "CREDENTIALS_INVALID"
    assert kept_login.forget() is None
    assert not kept_login.path().exists()
