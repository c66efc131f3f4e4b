"""Tokens that are accepted and tokens that are not; keys that change. No server but where keys come from a URL."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from penstock.auth import issuers
from penstock.auth.token_verifier import LONGEST_TOKEN, OidcVerifier
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.services.issuer import signing_keys
from tests.support import bad_tokens
from tests.support.bad_tokens import Bad
from tests.support.mint import Mint
from tests.support.until import until


@pytest.fixture
def mint(tmp_path: Path) -> Mint:
    return Mint(tmp_path)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def verifier(mint: Mint, **options: Any) -> OidcVerifier:
    return OidcVerifier(issuers.read(mint.issuers_file), **options)


async def refusal(mint: Mint, token: str) -> PenstockError:
    with pytest.raises(Refused) as caught:
        await verifier(mint).verify(token)
    assert token[:20] not in caught.value.detail or not token
    return caught.value


async def test_a_client_s_own_token_says_which_client(mint: Mint) -> None:
    claims = await verifier(mint).verify(mint.token("penstock-indexer"))
    assert (claims.client, claims.subject, claims.groups) == ("penstock-indexer", "penstock-indexer", ())


async def test_a_person_who_signed_in_through_a_client_is_not_that_client(mint: Mint) -> None:
    claims = await verifier(mint).verify(mint.person("alice", "/penstock-readers", client_id="penstock-indexer"))
    assert (claims.client, claims.subject, claims.groups) == ("", "alice", ("penstock-readers",))


async def test_an_issuer_gives_only_what_the_file_says(mint: Mint) -> None:
    mint.trust(gives=["groups"])
    claims = await verifier(mint).verify(mint.token("penstock-indexer", groups=["a"]))
    assert (claims.client, claims.groups) == ("", ("a",))
    assert claims.gives == frozenset({"groups"})


async def test_the_groups_claim_may_be_nested(mint: Mint) -> None:
    mint.trust(groups_claim="realm_access.roles")
    claims = await verifier(mint).verify(mint.token(realm_access={"roles": ["a", 7]}, groups=["b"]))
    assert claims.groups == ("a",)


BAD = bad_tokens.BAD | {
    "14 kB long": bad_tokens.LONG,
    "empty": Bad(lambda _: "", "TOKEN_INVALID", "0 characters"),
    "not ASCII": Bad(lambda _: "ä.ö.ü", "TOKEN_INVALID", "no signed JWT"),
    "issuers": Bad(lambda mint: mint.token(iss=[mint.issuer]), "TOKEN_INVALID", "issuer"),
    "empty subject": Bad(lambda mint: mint.token(sub=" "), "TOKEN_INVALID", "subject"),
    "subject no text": Bad(lambda mint: mint.token(sub=7), "TOKEN_INVALID", "Subject"),
    "no expiry": Bad(lambda mint: mint.token(exp=None), "TOKEN_INVALID", "exp"),
    "expiry no number": Bad(lambda mint: mint.token(exp="never"), "TOKEN_INVALID", "exp"),
    "expiry beyond numbers": Bad(lambda mint: mint.token(exp=1e400), "TOKEN_INVALID", "claims"),
    "signature cut off": Bad(lambda mint: mint.token().rpartition(".")[0] + ".", "TOKEN_INVALID", "signature"),
    "an ID token's type": Bad(
        lambda mint: mint.keys[-1].sign(mint.claims(), type="logout+jwt"), "TOKEN_INVALID", "type"
    ),
    "too many groups": Bad(lambda mint: mint.token(groups=["g"] * 600), "TOKEN_INVALID", "groups"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused_with_its_reason(mint: Mint, name: str) -> None:
    bad = BAD[name]
    error = await refusal(mint, bad.make(mint))
    assert error.code == bad.code
    assert bad.reason in error.detail


async def test_es256_is_taken_where_it_is_allowed(mint: Mint) -> None:
    token = mint.es256()
    mint.trust(algorithms=["ES256"])
    assert (await verifier(mint).verify(token)).subject == "penstock-billing"


@pytest.mark.parametrize("algorithm", ["HS256", "none", "PS256"])
def test_no_issuer_may_allow_anything_but_signatures_with_rsa_or_curves(mint: Mint, algorithm: str) -> None:
    mint.trust(algorithms=[algorithm])
    with pytest.raises(Refused, match="ISSUERS_INVALID"):
        issuers.read(mint.issuers_file)


@pytest.mark.parametrize(
    "entry",
    [
        {"jwks_url": "https://id.test/jwks"},
        {"jwks_file": None},
        {"jwks_file": None, "jwks_url": "http://id.test/jwks"},
        {"gives": ["clients"], "client_proof": {}},
        {"gives": ["everything"]},
        {"trusted": True},
    ],
    ids=["two sources", "no source", "keys in the clear", "client without proof", "gives too much", "unknown member"],
)
def test_an_insecure_issuers_file_is_refused(mint: Mint, entry: dict[str, Any]) -> None:
    mint.trust(**entry)
    with pytest.raises(Refused, match="ISSUERS_INVALID"):
        issuers.read(mint.issuers_file)


def test_an_issuer_twice_is_refused(mint: Mint) -> None:
    mint.trust(mint.entry())
    with pytest.raises(Refused, match="twice"):
        issuers.read(mint.issuers_file)


async def test_a_token_within_the_leeway_is_taken_and_beyond_it_not(mint: Mint) -> None:
    assert await verifier(mint).verify(mint.token(life=-5))
    with pytest.raises(Refused, match="TOKEN_EXPIRED"):
        await verifier(mint).verify(mint.token(life=-31))


async def test_a_result_is_kept_until_the_token_expires(mint: Mint) -> None:
    now = Clock()
    now.seconds = time.time()
    it, token = verifier(mint, now=now), mint.token(life=100)
    first = await it.verify(token)
    for _ in range(5):
        assert await it.verify(token) is first
    now.seconds += 101
    again = await it.verify(token)  # verified again: the real clock is within its life
    assert again == first
    assert again is not first


async def test_a_new_key_is_found_when_a_token_names_it(mint: Mint) -> None:
    clock = Clock()
    it = verifier(mint, clock=clock)
    await it.verify(mint.token())
    signing_keys.rotate(mint.folder / "keys")
    mint.publish()
    clock.seconds += 11
    assert (await it.verify(mint.token("penstock-indexer"))).client == "penstock-indexer"


async def test_unknown_keys_are_looked_up_once_in_ten_seconds(mint: Mint) -> None:
    clock = Clock()
    it = verifier(mint, clock=clock)
    await it.verify(mint.token())
    signing_keys.rotate(mint.folder / "keys")
    mint.publish()
    token = mint.token()
    with pytest.raises(Refused, match="no key"):  # the set was read a moment ago, within the ten seconds
        await it.verify(token)
    clock.seconds += 11
    assert (await it.verify(token)).client == "penstock-billing"


async def test_a_withdrawn_key_invalidates_cached_tokens(mint: Mint) -> None:
    clock = Clock()
    it, token = verifier(mint, clock=clock), mint.token()
    await it.verify(token)
    [old] = (mint.folder / "keys").glob("*.pem")
    old.unlink()
    mint.publish()
    clock.seconds += 301
    await it.verify(token)  # answered from what is known; the set is read again meanwhile

    async def refusal() -> Refused | None:
        try:
            await it.verify(token)
        except Refused as error:
            return error
        return None

    assert "signature" in str(await until(refusal))  # there is another key of that id now


async def test_unreadable_key_sets_leave_the_last_keys_in_use(mint: Mint) -> None:
    clock = Clock()
    it = verifier(mint, clock=clock)
    await it.verify(mint.token())
    mint.jwks_file.write_text("not JSON")
    for _ in range(3):
        clock.seconds += 400
        assert (await it.verify(mint.token(jti=str(clock.seconds)))).token_id == str(clock.seconds)


async def test_without_any_keys_the_issuer_is_unavailable_and_the_token_not_at_fault(mint: Mint) -> None:
    mint.jwks_file.unlink()
    with pytest.raises(Unavailable, match="ISSUER_UNAVAILABLE"):
        await verifier(mint).verify(mint.token())


@pytest.mark.parametrize(
    "set_of_keys",
    [{"keys": []}, {"keys": [{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}]}, {"keys": "first"}, []],
    ids=["none", "a shared secret", "text", "no object"],
)
async def test_a_key_set_without_a_usable_key_is_unavailable(mint: Mint, set_of_keys: object) -> None:
    mint.jwks_file.write_text(json.dumps(set_of_keys))
    with pytest.raises(Unavailable, match="ISSUER_UNAVAILABLE"):
        await verifier(mint).verify(mint.token())


@contextmanager
def serving(answer: Callable[[], tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server on loopback that says what `answer` gives, and the requests it had."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answer()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/jwks", asked
    server.shutdown()
    thread.join()
    server.server_close()


async def test_keys_come_from_a_url_and_once_for_many_at_once(mint: Mint) -> None:
    with serving(lambda: (200, mint.jwks_file.read_bytes())) as (url, asked):
        mint.trust(jwks_file=None, jwks_url=url)
        it = verifier(mint)
        await asyncio.gather(*(it.verify(mint.token(jti=str(number))) for number in range(20)))
    assert asked == ["/jwks"]


@pytest.mark.parametrize(
    "answer", [(500, b""), (302, b""), (200, b"x" * 300_000)], ids=["an error", "a redirect", "without end"]
)
async def test_a_url_that_gives_no_keys_makes_the_issuer_unavailable(mint: Mint, answer: tuple[int, bytes]) -> None:
    with serving(lambda: answer) as (url, _):
        mint.trust(jwks_file=None, jwks_url=url)
        with pytest.raises(Unavailable, match="ISSUER_UNAVAILABLE"):
            await verifier(mint).verify(mint.token())


async def test_a_failed_key_lookup_is_retried_after_a_second(mint: Mint) -> None:
    clock, good = Clock(), True
    with serving(lambda: (200, mint.jwks_file.read_bytes()) if good else (500, b"")) as (url, asked):
        mint.trust(jwks_file=None, jwks_url=url)
        it = verifier(mint, clock=clock)
        await it.verify(mint.token())
        signing_keys.rotate(mint.folder / "keys")
        mint.publish()
        clock.seconds += 11
        good = False
        for wait, looks in ((0.0, 2), (0.5, 2), (0.6, 3)):
            clock.seconds += wait
            with pytest.raises(Refused, match="no key"):
                await it.verify(mint.token())
            assert len(asked) == looks
        good = True
        clock.seconds += 1.1
        await it.verify(mint.token())


async def test_two_issuers_may_have_a_key_of_the_same_id(mint: Mint, tmp_path: Path) -> None:
    other = Mint(tmp_path / "second", "https://second.test")
    mint.trust(other.entry(gives=["groups"]))
    it = verifier(mint)
    assert (await it.verify(mint.token())).issuer == mint.issuer
    claims = await it.verify(other.token())
    assert (claims.issuer, claims.client) == (other.issuer, "")
    forged = signing_keys.Key("first", other.keys[-1].signer, {}).sign(mint.claims())
    with pytest.raises(Refused, match="signature"):
        await it.verify(forged)


def test_the_longest_token_still_fits_the_server_s_control_line() -> None:
    from penstock.provisioning.nats_conf import LONGEST_CONTROL_LINE_WITH_TOKEN

    assert LONGEST_TOKEN * 2 < LONGEST_CONTROL_LINE_WITH_TOKEN
