"""Tokens for this fleet's own identities: from a real endpoint with a secret, or from a file."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penstock.auth.token_sources import ClientCredentials, TokenFile
from penstock.broker import Token
from penstock.errors import PenstockError, Refused, Unavailable
from tests.support.mint import Mint


class Endpoint:
    """A token endpoint; `answer` gives status and body."""

    def __init__(self) -> None:
        self.answer: Callable[[], tuple[int, bytes]] = lambda: (200, self.token("1"))
        self.asked: list[tuple[str, str]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.asked.append((self.headers["Authorization"], form))
                status, body = endpoint.answer()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"

    def token(self, value: str, life: float = 100) -> bytes:
        return json.dumps({"access_token": value, "expires_in": life}).encode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text("s3cr:t/ä\n")
    return path


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


async def test_it_asks_as_the_client_with_its_secret_encoded_as_the_rfc_says(endpoint: Endpoint, secret: Path) -> None:
    source = ClientCredentials(endpoint.url, "a client", secret, scope="events")
    assert (await source.token()).value == "1"
    [(header, form)] = endpoint.asked
    assert b64decode(header.removeprefix("Basic ")) == b"a%20client:s3cr%3At%2F%C3%A4"
    assert form == "grant_type=client_credentials&scope=events"


async def test_a_token_is_kept_until_four_fifths_of_its_life(endpoint: Endpoint, secret: Path) -> None:
    clock = Clock()
    source = ClientCredentials(endpoint.url, "c", secret, now=clock)
    await source.token()
    clock.seconds += 79
    await asyncio.gather(*(source.token() for _ in range(5)))
    assert len(endpoint.asked) == 1
    clock.seconds += 2
    await asyncio.gather(*(source.token() for _ in range(5)))
    assert len(endpoint.asked) == 2


async def test_while_the_endpoint_fails_the_last_token_serves_to_its_end(endpoint: Endpoint, secret: Path) -> None:
    clock = Clock()
    source = ClientCredentials(endpoint.url, "c", secret, now=clock)
    first = await source.token()
    endpoint.answer = lambda: (500, b"")
    clock.seconds += 90
    assert await source.token() is first
    clock.seconds += 11
    with pytest.raises(Unavailable, match="ISSUER_UNAVAILABLE"):
        await source.token()
    endpoint.answer = lambda: (200, endpoint.token("2"))
    assert (await source.token()).value == "2"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, b'{"error": "invalid_client"}', "CREDENTIALS_INVALID"),
        (400, b"not JSON, s3cr:t", "CREDENTIALS_INVALID"),
        (200, b"{}", "ISSUER_UNAVAILABLE"),
        (200, b"[]", "ISSUER_UNAVAILABLE"),
        (200, b"gibberish", "ISSUER_UNAVAILABLE"),
        (200, b'{"access_token": "without an end"}', "ISSUER_UNAVAILABLE"),
        (302, b"", "ISSUER_UNAVAILABLE"),
        (503, b"", "ISSUER_UNAVAILABLE"),
    ],
)
async def test_an_invalid_token_response_is_an_error_without_the_secret(
    endpoint: Endpoint, secret: Path, status: int, body: bytes, code: str
) -> None:
    endpoint.answer = lambda: (status, body)
    with pytest.raises(PenstockError) as caught:
        await ClientCredentials(endpoint.url, "c", secret).token()
    assert caught.value.code == code
    assert "s3cr" not in caught.value.detail


async def test_a_secret_that_anybody_may_read_is_not_used(endpoint: Endpoint, secret: Path) -> None:
    await asyncio.to_thread(secret.chmod, 0o644)
    with pytest.raises(Refused, match="600"):
        await ClientCredentials(endpoint.url, "c", secret).token()
    assert endpoint.asked == []


async def test_an_unreachable_token_endpoint_is_unavailable(secret: Path) -> None:
    with pytest.raises(Unavailable, match="ISSUER_UNAVAILABLE"):
        await ClientCredentials("http://127.0.0.1:9/token", "c", secret).token()


@pytest.mark.parametrize("url", ["http://id.test/token", "ftp://id.test/token", ""])
def test_a_secret_is_not_sent_in_the_clear(secret: Path, url: str) -> None:
    with pytest.raises(Refused, match="CREDENTIALS_INVALID"):
        ClientCredentials(url, "c", secret)


async def test_a_token_file_is_read_anew_when_four_fifths_are_over(tmp_path: Path) -> None:
    mint, path, clock = Mint(tmp_path / "mint"), tmp_path / "token", Clock()
    clock.seconds = time.time()
    path.write_text(mint.token(life=100, jti="1") + "\n")
    source = TokenFile(path, now=clock)
    first = await source.token()
    path.write_text(mint.token(life=300, jti="2"))
    assert await source.token() is first
    clock.seconds += 85
    assert (await source.token()).value == path.read_text()


@pytest.mark.parametrize("content", ["", "gibberish", "a.b.c", "e30.e30.e30"])
async def test_a_file_without_a_token_is_unavailable(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(Unavailable, match="ISSUER_UNAVAILABLE"):
        await TokenFile(path).token()


async def test_an_expired_token_in_the_file_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(Mint(tmp_path / "mint").token(life=-1))
    with pytest.raises(Unavailable, match="expired"):
        await TokenFile(path).token()


def test_a_token_does_not_show_itself() -> None:
    assert "secret" not in repr(Token("secret", 0, 1))
