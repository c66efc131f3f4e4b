"""Service account tokens of Kubernetes, and the key set of its API server: TLS of its own, for those with a token."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from penstock.auth import issuers
from penstock.auth.principal import who
from penstock.auth.token_verifier import OidcVerifier, dig
from penstock.contracts import load
from penstock.errors import Refused, Unavailable
from penstock.provisioning import certificate
from penstock.stack.place import Place
from tests.support.mint import Mint
from tests.support.service_accounts import CLUSTER, TRUST, token


@pytest.fixture
def mint(tmp_path: Path) -> Mint:
    made = Mint(tmp_path, CLUSTER)
    made.trust(**TRUST)
    return made


async def identity(mint: Mint, text: str) -> str:
    return who(await OidcVerifier(issuers.read(mint.issuers_file)).verify(text), load()).identity


async def test_a_service_account_of_the_namespace_is_the_client_of_its_name(mint: Mint) -> None:
    assert await identity(mint, token(mint)) == "indexer"


@pytest.mark.parametrize(
    "account",
    [
        {"namespace": "elsewhere"},
        {"account": "default"},
        {"sub": "system:serviceaccount:events:penstock-writer"},
        {"kubernetes.io": {"serviceaccount": "penstock-indexer"}},
        {"aud": ["https://kubernetes.default.svc"]},
    ],
    ids=["another namespace", "another account", "another subject", "no account", "another audience"],
)
async def test_no_other_token_of_the_cluster_is_that_client(mint: Mint, account: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"FORBIDDEN|TOKEN_INVALID"):
        await identity(mint, token(mint, **account))


def test_names_on_a_path_may_have_dots() -> None:
    body = {"a.b": {"c": 1, "d.e": 2}, "a": {"b": {"f": 3}}}
    assert [dig(body, path) for path in ("a.b.c", "a.b.d.e", "a.b.f", "a.b.g", "x")] == [1, 2, 3, None, None]


@pytest.fixture
def api_server(mint: Mint, tmp_path: Path) -> Iterator[str]:
    """The key set over https, for requests with the token `reader` only."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "Bearer reader"
            body = mint.jwks_file.read_bytes() if known else b"{}"
            self.send_response(200 if known else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    place = Place(state=tmp_path / "state")
    certificate.ensure(place.folder("tls"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "state" / "tls" / "edge.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/openid/v1/jwks"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_keys_come_from_an_api_server_with_its_own_authority_and_a_token(
    mint: Mint, api_server: str, tmp_path: Path
) -> None:
    reader = tmp_path / "token"
    reader.write_text("reader\n")
    ca = {"jwks_file": None, "jwks_url": api_server, "jwks_ca_file": str(tmp_path / "state" / "tls" / "ca.pem")}
    mint.trust(**TRUST, **ca, jwks_token_file=str(reader))
    assert await identity(mint, token(mint)) == "indexer"
    for missing in ({}, {"jwks_ca_file": None, "jwks_token_file": str(reader)}):
        mint.trust(**TRUST, **(ca | missing))
        with pytest.raises(Unavailable, match="ISSUER_UNAVAILABLE"):
            await identity(mint, token(mint))


def test_a_token_for_keys_in_a_file_is_refused(mint: Mint) -> None:
    mint.trust(**TRUST, jwks_token_file="/run/token")
    with pytest.raises(Refused, match="ISSUERS_INVALID"):
        issuers.read(mint.issuers_file)
