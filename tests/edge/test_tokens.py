"""Who gets through the edge: each bad token is refused there, before anything behind it has seen the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import pytest

from penstock.services.issuer import signing_keys as issuer_keys
from penstock.stack.place import Place
from tests.support import bad_tokens
from tests.support.bad_tokens import stolen_id
from tests.support.edge import KEY, Edge, Upstream, trusting
from tests.support.mint import ISSUER, Mint
from tests.support.place_factory import PlaceFactory
from tests.support.until import until


@pytest.fixture(scope="module")
def site(place_factory: PlaceFactory, haproxy: None) -> tuple[Place, Mint]:
    return trusting(place_factory.make("edge-tokens"))


@pytest.fixture(scope="module")
def mint(site: tuple[Place, Mint]) -> Mint:
    return site[1]


@pytest.fixture(scope="module")
async def upstream(site: tuple[Place, Mint]) -> AsyncIterator[Upstream]:
    async with Upstream(site[0].local_port("ingress")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
async def running(site: tuple[Place, Mint], upstream: Upstream) -> AsyncIterator[Edge]:
    edge = await Edge(site[0]).start()
    yield edge
    await edge.close()


@pytest.fixture
def edge(running: Edge, upstream: Upstream, mint: Mint) -> Edge:
    upstream.seen.clear()
    mint.publish()
    return running


async def test_a_valid_token_passes_with_its_issuer_and_subject_in_headers(
    edge: Edge, upstream: Upstream, mint: Mint
) -> None:
    token = mint.person("ann@example.test", "penstock-readers", "others")
    answer = await edge.get(token)
    assert answer.status_code == 200
    [seen] = upstream.seen
    assert seen.all("authorization") == [f"Bearer {token}"]
    assert seen.all("x-auth-subject") == ["ann%40example.test"]
    assert seen.all("x-auth-issuer") == ["https%3A%2F%2Fid.test%2Frealms%2Fpenstock"]
    entry = await edge.logged(answer.headers["x-request-id"])
    assert (entry["identity"], entry["issuer"], entry["groups"], entry["status"]) == (
        "ann@example.test", ISSUER, "penstock-readers others", 200)  # fmt: skip
    assert token not in edge.place.log("edge").read_text()


async def test_an_audience_may_be_one_of_several(edge: Edge, upstream: Upstream, mint: Mint) -> None:
    for audience in (["account", "penstock"], [*"abcdefg", "penstock"]):
        assert (await edge.get(mint.token(aud=audience))).status_code == 200


async def test_a_token_with_many_audiences_is_left_to_the_ingress(edge: Edge, upstream: Upstream, mint: Mint) -> None:
    assert (await edge.get(mint.token(aud=[*"abcdefghi"]))).status_code == 200
    assert len(upstream.seen) == 1


def with_header(mint: Mint, **header: object) -> str:
    """Signed as it should be, with another header."""
    from jose import jwt  # type: ignore[import-untyped]

    token: str = jwt.encode(mint.claims(), mint.keys[-1].signer, "RS256", headers={"kid": mint.keys[-1].id, **header})
    return token


BAD: dict[str, tuple[Callable[[Mint], str], str, str]] = {
    "without an end": (lambda mint: mint.token(exp=None), "TOKEN_EXPIRED", "has expired"),
    "with an end that is text": (lambda mint: mint.token(exp="tomorrow"), "TOKEN_EXPIRED", "has expired"),
    "with an end beyond all numbers": (lambda mint: mint.token(exp=10**30), "TOKEN_EXPIRED", "has expired"),
    "with a line in its subject": (lambda mint: mint.token(sub="a\r\nb"), "TOKEN_INVALID", "subject"),
    "with a line after its subject": (lambda mint: mint.token(sub="a\n"), "TOKEN_INVALID", "subject"),
    "with a zero in its subject": (lambda mint: mint.token(sub="a\0b"), "TOKEN_INVALID", "subject"),
    "with a subject beyond ASCII": (lambda mint: mint.token(sub="Zoë"), "TOKEN_INVALID", "subject"),
    "with a long subject": (lambda mint: mint.token(sub="s" * 256), "TOKEN_INVALID", "subject"),
    "with a name like the algorithm": (lambda mint: with_header(mint, alg="rs256"), "TOKEN_INVALID", "RS256"),
    "with two algorithms": (lambda mint: with_header(mint, alg=["RS256"]), "TOKEN_INVALID", "RS256"),
    "of no key": (lambda mint: with_header(mint, kid=None), "TOKEN_INVALID", "no key of this id"),
    "without a signature": (lambda mint: mint.token().rpartition(".")[0], "TOKEN_INVALID", ""),
    "almost a key": (lambda _: KEY[:-1], "TOKEN_INVALID", "RS256"),
}  # fmt: skip


# What the edge says where the library says it in other words, and where one reason must not hide another.
REASONS = {
    "not yet valid": "nbf",
    "for another audience": "audience",
    "of another issuer": "issuer",
    "without a subject": "subject",
    "unsigned": "RS256",
    "HMAC with the public key": "RS256",
    "ES256 where RS256 is said": "RS256",
    "of an unknown key": "no key of this id",
    "of another's key": "signature",
    "with other claims": "signature",
}


@pytest.mark.parametrize("what", [*bad_tokens.BAD, *BAD])
async def test_a_bad_token_is_refused_at_the_edge(edge: Edge, upstream: Upstream, mint: Mint, what: str) -> None:
    listed = bad_tokens.BAD.get(what)
    make, code, why = (listed.make, listed.code, REASONS.get(what, "")) if listed else BAD[what]
    answer = await edge.get(make(mint))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (401, code), problem
    assert why in problem["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    wrong = "" if code == "UNAUTHENTICATED" else ', error="invalid_token"'
    assert answer.headers["www-authenticate"] == f'Bearer realm="penstock"{wrong}'
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert (await edge.logged(problem["request_id"]))["code"] == code
    assert upstream.seen == []


@pytest.mark.parametrize("characters", [8200, 14_000])
async def test_long_credentials_are_refused(edge: Edge, upstream: Upstream, mint: Mint, characters: int) -> None:
    token = mint.token(padding="x" * (characters * 3 // 4))
    assert len(token) > characters
    answer = await edge.get(token)
    assert (answer.status_code, answer.json()["code"]) == (431, "HEADERS_TOO_LARGE")
    assert upstream.seen == []


async def test_credentials_beyond_the_buffer_of_the_edge_are_refused_unread(
    edge: Edge, upstream: Upstream, mint: Mint
) -> None:
    before = edge.refused_unread()
    # The edge answers and closes with bytes of the request unread, which resets the connection: a client that still
    # writes then may not see the answer.
    with suppress(httpx.TransportError):
        assert (await edge.get(mint.token(padding="x" * 40_000))).status_code == 400
    await until(lambda: edge.refused_unread() == before + 1)
    assert upstream.seen == []


async def test_the_long_token_of_the_list_is_refused(edge: Edge, upstream: Upstream, mint: Mint) -> None:
    assert (await edge.get(bad_tokens.LONG.make(mint))).status_code == 431
    assert upstream.seen == []


async def test_a_request_without_or_with_several_credentials_is_refused(
    edge: Edge, upstream: Upstream, mint: Mint
) -> None:
    token = mint.token()
    for given in ([], [f"Basic {token}"], ["Bearer"], [token], [f"Bearer {token}", f"Bearer {token}"]):
        answer = await edge.client.get("/v1/types", headers=[("authorization", each) for each in given])
        assert answer.status_code == 401, given
    assert upstream.seen == []


async def test_refused_tokens_do_not_affect_other_connections(edge: Edge, mint: Mint) -> None:
    bad = stolen_id(mint)

    async def send_bad() -> int:
        async with edge.new_client() as client:
            answers = [await client.get("/v1/types", headers={"authorization": f"Bearer {bad}"}) for _ in range(10)]
        return sum(answer.status_code == 401 for answer in answers)

    async def send_good() -> int:
        async with edge.new_client() as client:
            answers = [await client.get("/v1/types", headers={"authorization": f"Bearer {KEY}"}) for _ in range(40)]
        return sum(answer.status_code == 200 for answer in answers)

    sent = await asyncio.gather(*(send_bad() for _ in range(8)), *(send_good() for _ in range(4)))
    assert sent == [10] * 8 + [40] * 4


async def test_an_api_key_passes_without_identity_headers(edge: Edge, upstream: Upstream) -> None:
    answer = await edge.get(KEY)
    [seen] = upstream.seen
    assert seen.all("authorization") == [f"Bearer {KEY}"]
    assert seen.all("x-auth-subject") == seen.all("x-auth-issuer") == []
    entry = await edge.logged(answer.headers["x-request-id"])
    assert (entry["key"], entry["identity"]) == ("0a1b2c3d", "-")
    assert KEY not in edge.place.log("edge").read_text()


@pytest.mark.parametrize(
    "name",
    ["X-Auth-Subject", "x-auth-subject", "X-AUTH-GROUPS", "X_Auth_Subject", "X-Auth_Subject", "X_Auth-Issuer",
     "X-Authenticated-User", "Forwarded", "X-Forwarded-For", "X-Forwarded-User", "X_Forwarded_For",
     "Penstock-Received"],
)  # fmt: skip
async def test_identity_headers_from_a_client_are_removed(
    edge: Edge, upstream: Upstream, mint: Mint, name: str
) -> None:
    for credentials in (KEY, mint.token("ann")):
        headers = [("authorization", f"Bearer {credentials}"), (name, "admin"), (name, "root"), ("connection", name)]
        assert (await edge.client.get("/v1/types", headers=headers)).status_code == 200
    for seen in upstream.seen:
        passed = [value for field, value in seen.headers if field != "connection"]
        assert not {"admin", "root"} & set(passed)
    assert upstream.seen[1].all("x-auth-subject") == ["ann"]


async def test_public_paths_need_no_credentials_and_pass_none_on(edge: Edge, upstream: Upstream) -> None:
    for path in ("/livez", "/docs", "/openapi.json"):
        assert (await edge.get(None, path)).status_code == 200
        assert (await edge.get("whatever", path)).status_code == 200
    assert [seen.all("authorization") for seen in upstream.seen] == [[]] * 6


@pytest.mark.parametrize(
    "path", ["/metrics", "/%6detrics", "//v1/types", "/V1/types", "/docs/", "/v1", "/.%2e/metrics"]
)
async def test_unknown_paths_are_not_found(edge: Edge, upstream: Upstream, path: str) -> None:
    answer = await edge.get(KEY, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "PATH_UNKNOWN")
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/events", "/v1/events"),
        ("/event", "/v1/events"),
        ("/search/", "/v1/search"),
        ("/V1/types", "/v1/types"),
        ("/anomaly", "/v1/anomalies"),
        ("/timelines", "/v1/timeline"),
        ("/whoami?x=%22", "/v1/whoami"),
    ],
)
async def test_a_path_without_its_prefix_is_answered_with_the_right_one(
    edge: Edge, upstream: Upstream, path: str, near: str
) -> None:
    for key in (KEY, None):
        answer = await edge.get(key, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "PATH_UNKNOWN")
        assert answer.json()["detail"] == f"this path is not one of the API; did you mean {near}?"
    other = await edge.get(KEY, "/admin%22")
    assert other.json()["detail"] == "this path is not one of the API, whose paths begin with /v1/"
    assert upstream.seen == []


async def test_a_new_key_of_the_issuer_counts_after_edge_keys_and_a_withdrawn_one_no_longer(
    edge: Edge, mint: Mint
) -> None:
    old = mint.token()
    first = mint.folder / "keys" / "first.pem"
    issuer_keys.rotate(mint.folder / "keys")
    mint.publish()
    new = mint.token()
    assert (await edge.anew(new)).json()["detail"].endswith("its issuer has no key of this id")
    assert "2 keys; reloaded" in await edge.command("keys")
    assert [(await edge.anew(token)).status_code for token in (old, new)] == [200, 200]
    kept = first.rename(mint.folder / "first.pem")
    try:
        mint.publish()
        assert "1 keys; reloaded" in await edge.command("keys")
        assert [(await edge.anew(token)).status_code for token in (old, new)] == [401, 200]
        assert "1 keys; as they were" in await edge.command("keys")
    finally:
        kept.rename(first)


async def test_keys_are_refused_once_they_are_switched_off(edge: Edge, upstream: Upstream, mint: Mint) -> None:
    edge.environment = {**edge.environment, "PENSTOCK_EDGE_BEARER_KEYS": "false"}
    await edge.command("render")
    await edge.reload()
    assert (await edge.anew(KEY)).json()["detail"] == "keys are not taken here"
    assert upstream.seen == []
