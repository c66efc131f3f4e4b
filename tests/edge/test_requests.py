"""What a request may be: one request for the edge is one for the ingress, within its size and its share."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from penstock.stack.place import Place
from tests.support.edge import KEY, Edge, Upstream, trusting
from tests.support.mint import Mint
from tests.support.place_factory import PlaceFactory
from tests.support.until import BOUND, until

RATE, OPEN, BODY = 40, 6, 20_000
AUTHORIZED = b"Authorization: Bearer " + KEY.encode() + b"\r\n"
SECOND = b"GET /v1/second HTTP/1.1\r\nHost: x\r\n\r\n"  # without credentials
LAST = b"GET /v1/last HTTP/1.1\r\nHost: x\r\n" + AUTHORIZED + b"Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def site(place_factory: PlaceFactory, haproxy: None) -> tuple[Place, Mint]:
    return trusting(place_factory.make("edge-requests"))


@pytest.fixture(scope="module")
def mint(site: tuple[Place, Mint]) -> Mint:
    return site[1]


@pytest.fixture(scope="module")
async def upstream(site: tuple[Place, Mint]) -> AsyncIterator[Upstream]:
    async with Upstream(site[0].local_port("ingress")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
async def running(site: tuple[Place, Mint], upstream: Upstream) -> AsyncIterator[Edge]:
    edge = await Edge(site[0], RATE=RATE, WINDOW=600, OPEN=OPEN, BODY=BODY).start()
    yield edge
    await edge.close()


@pytest.fixture
def edge(running: Edge, upstream: Upstream) -> Edge:
    upstream.seen.clear()
    upstream.hold = None
    return running


@pytest.fixture
def key() -> str:
    """Something with the form of a key, so that every test has a share of its own."""
    return f"pk_{os.urandom(4).hex()}_{os.urandom(16).hex()}{'A' * 11}"


def post(*fields: bytes, body: bytes = b"", path: bytes = b"/v1/events", version: bytes = b"1.1") -> bytes:
    lines = [b"POST " + path + b" HTTP/" + version, b"Host: x", AUTHORIZED.strip(), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"
# RFC 9112 sections 2, 5 and 6: what has no certain length or form is refused, or passed on in one reading only.
FRAMINGS = {
    "a length and chunks": post(b"Content-Length: %d" % (5 + len(SECOND)), CHUNKED, body=b"0\r\n\r\n" + SECOND),
    "chunks and a length": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + SECOND),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: %d" % len(SECOND), body=SECOND),
    "a list of lengths": post(b"Content-Length: 0, %d" % len(SECOND), body=SECOND),
    "a length with a sign": post(b"Content-Length: +0", body=SECOND),
    "a negative length": post(b"Content-Length: -1", body=SECOND),
    "a length in hex": post(b"Content-Length: 0x0", body=SECOND),
    "an empty length": post(b"Content-Length:", body=SECOND),
    "a folded field": post(b"X: y\r\n z", b"Content-Length: 0", body=SECOND),
    "a space before the colon": post(b"Content-Length : 0", body=SECOND),
    "an unknown coding": post(b"Transfer-Encoding: unknown", body=b"0\r\n\r\n" + SECOND),
    "two codings": post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + SECOND),
    "a coding after chunked": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n" + SECOND),
    "an empty coding": post(b"Transfer-Encoding:", b"Content-Length: 0", body=SECOND),
    "chunks in HTTP/1.0": post(CHUNKED, body=b"0\r\n\r\n" + SECOND, version=b"1.0"),
    "a chunk that is longer than it says": post(CHUNKED, body=b"1\r\nxx\r\n0\r\n\r\n" + SECOND),
    "a chunk with a size that is not a number": post(CHUNKED, body=b"x\r\n" + SECOND),
    "trailer fields": post(CHUNKED, body=b"0\r\nX-Note: behind the body\r\n\r\n" + SECOND),
    "line feeds alone": post(b"Content-Length: 0").replace(b"\r\n", b"\n") + SECOND,
    "a carriage return in a field": post(b"X: a\rb", b"Content-Length: 0", body=SECOND),
    "a control character in a field": post(b"X: a\x01b", b"Content-Length: 0", body=SECOND),
    "a space in the path": post(b"Content-Length: 0", path=b"/v1/events more", body=SECOND),
    "no version": b"GET /v1/second\r\n\r\n" + SECOND,
    "a body on GET": b"GET /v1/types HTTP/1.1\r\nHost: x\r\n" + AUTHORIZED
    + b"Content-Length: %d\r\n\r\n" % len(SECOND) + SECOND,
    "an upgrade": post(b"Connection: upgrade", b"Upgrade: example/1", b"Content-Length: 0", body=SECOND),
    "a field named in Connection": post(b"Connection: close, penstock-received, x-request-id, authorization"),
}  # fmt: skip


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_request_that_the_rules_refuse_never_reaches_the_ingress(
    edge: Edge, upstream: Upstream, framing: str
) -> None:
    statuses, answer = await edge.raw(FRAMINGS[framing] + LAST)
    assert statuses, "the edge answers or refuses, and does not wait for more"
    assert all(status in (200, 400, 401, 404, 408, 413, 501) for status in statuses), answer
    for seen in upstream.seen:  # each has passed all rules: none is the second one, which has no credentials
        assert seen.path in ("/v1/events", "/v1/types", "/v1/last")
        assert (
            len(seen.all("penstock-received")) == len(seen.all("x-request-id")) == len(seen.all("authorization")) == 1
        )
        assert not seen.all("upgrade")
        assert not seen.all("x-note")
    assert statuses.count(200) == len(upstream.seen)


async def test_each_request_on_a_kept_alive_connection_is_checked(edge: Edge, upstream: Upstream) -> None:
    statuses, _ = await edge.raw(post(b"Content-Length: 0", body=SECOND) + LAST)
    assert statuses == [200, 401, 200]
    assert [seen.path for seen in upstream.seen] == ["/v1/events", "/v1/last"]


async def test_an_absolute_request_target_is_normalised_to_its_path(edge: Edge, upstream: Upstream, key: str) -> None:
    for target, status in ((b"http://other.test/v1/types?a=b", 200), (b"http://other.test/metrics", 404)):
        head = b"GET %b HTTP/1.1\r\nHost: other.test\r\nAuthorization: Bearer %b\r\nConnection: close\r\n\r\n"
        statuses, _ = await edge.raw(head % (target, key.encode()))
        assert statuses == [status]
    assert [seen.path for seen in upstream.seen] == ["/v1/types"]


async def test_a_body_passes_byte_for_byte(edge: Edge, upstream: Upstream, key: str) -> None:
    body = os.urandom(BODY)
    headers = {"authorization": f"Bearer {key}"}
    assert (await edge.client.post("/v1/events", content=body, headers=headers)).status_code == 200

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 3000):
            yield body[start : start + 3000]

    assert (await edge.client.post("/v1/events", content=chunks(), headers=headers)).status_code == 200
    assert [seen.body for seen in upstream.seen] == [body, body]


@pytest.mark.parametrize("length", [b"%d" % (BODY + 1), b"99999999", b"000000001"])
async def test_an_announced_length_that_is_too_large_or_has_too_many_digits_is_refused(
    edge: Edge, upstream: Upstream, length: bytes
) -> None:
    statuses, answer = await edge.raw(post(b"Content-Length: " + length, b"Connection: close"))
    assert statuses == [413]
    assert b"application/problem+json" in answer
    assert b"REQUEST_TOO_LARGE" in answer
    assert upstream.seen == []


async def test_a_head_that_is_too_large_is_refused(edge: Edge, upstream: Upstream, key: str) -> None:
    for fields in ([("x", "y" * 16_000)], [(f"x-{number}", "y") for number in range(101)]):
        answer = await edge.client.get("/v1/types", headers=[("authorization", f"Bearer {key}"), *fields])
        assert answer.status_code == 400
    assert upstream.seen == []


async def test_the_request_id_comes_back_if_it_is_harmless(edge: Edge, upstream: Upstream, key: str) -> None:
    kept = await edge.get(key, x_request_id="my-id:7")
    assert kept.headers["x-request-id"] == "my-id:7"
    assert (await edge.logged("my-id:7"))["status"] == 200
    for bad in ('"},{"', "a" * 65, "a b"):
        made = (await edge.get(key, x_request_id=bad)).headers["x-request-id"]
        assert made != bad
        assert upstream.seen[-1].all("x-request-id") == [made]


async def test_http_2_is_spoken(edge: Edge) -> None:
    context = edge.context
    context.set_alpn_protocols(["h2", "http/1.1"])
    port = edge.place.local_port("edge")
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="127.0.0.1")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.transport.abort()


async def many(edge: Edge, credentials: str, count: int) -> list[httpx.Response]:
    async with edge.new_client() as client:
        headers = {"authorization": f"Bearer {credentials}"}
        return [await client.get("/v1/types", headers=headers) for _ in range(count)]


async def test_the_rate_limit_is_counted_per_identity(edge: Edge, mint: Mint, key: str) -> None:
    first, second = mint.token(f"{'s' * 60}-1"), mint.token(f"{'s' * 60}-2")
    answers = await many(edge, first, RATE + 1)
    assert [answer.status_code for answer in answers] == [200] * RATE + [429]
    problem = answers[-1].json()
    assert (problem["code"], problem["status"]) == ("RATE_LIMITED", 429)
    assert answers[-1].headers["retry-after"] == "600"
    assert answers[-1].headers["content-type"] == "application/problem+json"
    again = mint.token(f"{'s' * 60}-1", jti="another token of the same")
    assert [(await edge.get(each)).status_code for each in (again, second, key)] == [429, 200, 200]


async def settled(edge: Edge) -> None:
    """In its first ten seconds a process asks others for their counters, and would not hand over its own."""

    async def look() -> bool:
        found = re.search(r"flags=0x([0-9a-f]+) resync", await edge.ask("show peers"))
        assert found
        return int(found[1], 16) & 3 == 3  # heard from, or given up on, those on this machine and elsewhere

    await until(look)


async def test_a_used_up_rate_limit_survives_a_reload(edge: Edge, key: str) -> None:
    await settled(edge)
    assert (await many(edge, key, RATE + 1))[-1].status_code == 429
    await edge.reload()
    await settled(edge)
    assert (await edge.anew(key)).status_code == 429


async def test_concurrent_requests_of_an_identity_are_bounded(edge: Edge, upstream: Upstream, key: str) -> None:
    release = asyncio.Event()
    full = asyncio.Event()

    async def hold() -> None:
        if len(upstream.seen) >= OPEN:
            full.set()
        await release.wait()

    upstream.hold = hold
    async with asyncio.TaskGroup() as group, asyncio.timeout(BOUND):
        tasks = [group.create_task(edge.anew(key)) for _ in range(OPEN)]
        await full.wait()
        refused = await edge.anew(key)
        upstream.hold = None
        other = await edge.anew("pk_ffffffff_" + "B" * 43)
        release.set()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert "at one time" in refused.json()["detail"]
    assert other.status_code == 200
    assert [task.result().status_code for task in tasks] == [200] * OPEN
    assert (await edge.get(key)).status_code == 200


async def test_a_broken_request_is_retried_only_if_it_is_idempotent(edge: Edge, upstream: Upstream, key: str) -> None:
    """The upstream breaks off each request; only what changes nothing twice comes again."""
    upstream.breaks = True
    headers = {"authorization": f"Bearer {key}"}
    try:
        for method, path, times in (("POST", "/v1/events", 4), ("GET", "/v1/types", 4), ("POST", "/v1/models", 1)):
            upstream.seen.clear()
            async with edge.new_client() as client:  # on a connection that was used before the edge hangs up instead
                answer = await client.request(method, path, headers=headers, content=b"{}")
            assert (answer.status_code, answer.json()["code"]) == (502, "INGRESS_UNAVAILABLE")
            assert len(upstream.seen) == times
            assert len({tuple(seen.all("penstock-received")) for seen in upstream.seen}) == 1
    finally:
        upstream.breaks = False
