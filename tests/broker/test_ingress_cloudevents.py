"""CloudEvents 1.0 over HTTP as the specification and its SDKs have it, and HTTP as RFC 9110 has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.broker_rig import Rig
from tests.support.ingress import Ingress, event
from tests.support.until import BOUND

STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
Header = tuple[str, str]


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


async def post(ingress: Ingress, body: bytes, headers: list[Header], path: str = "/v1/events") -> tuple[int, Any]:
    sent = [("authorization", f"Bearer {ingress.key}"), *headers]
    response = await ingress.client.post(path, content=body, headers=sent)
    return response.status_code, response.json()


def binary(id: str, **changes: str) -> list[Header]:
    """Headers of binary mode; a change names an attribute."""
    attributes = {"specversion": "1.0", "id": id, "source": "/till/7", "type": "log.line.v1", "subject": "till-7"}
    return [("content-type", "application/json"), *((f"ce-{n}", v) for n, v in (attributes | changes).items())]


DATA = b'{"message":"drawer opened"}'
TIMES = ["2026-11-20T10:00:00Z", "2026-11-20t10:00:00.123456789z", "2026-11-20T12:00:00+02:00", "2016-12-31T23:59:60Z"]


@pytest.mark.parametrize("time", TIMES)
async def test_times_of_rfc_3339(ingress: Ingress, time: str) -> None:
    status, _ = await post(ingress, json.dumps(event(f"t-{time}", time=time)).encode(), [("content-type", STRUCTURED)])
    assert status == 202
    assert (await post(ingress, DATA, binary(f"b-{time}", time=time)))[0] == 202


@pytest.mark.parametrize(
    "media",
    [STRUCTURED, "Application/CloudEvents+JSON", f"{STRUCTURED}; charset=utf-8", f"{STRUCTURED};charset=UTF-8"],
)
async def test_structured_mode(ingress: Ingress, media: str) -> None:
    body = json.dumps(event(f"s-{media}"), ensure_ascii=True).encode()
    assert (await post(ingress, body, [("content-type", media)]))[0] == 202


JSON_MEDIA = ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/x+json"]


@pytest.mark.parametrize("media", JSON_MEDIA)
async def test_binary_mode(ingress: Ingress, media: str) -> None:
    headers = [("content-type", media), *binary(f"m-{media}")[1:]]
    assert (await post(ingress, DATA, [(name.title(), value) for name, value in headers]))[0] == 202


WRITTEN = {
    '"till 7"': "till 7",
    '"a \\"b\\" c"': 'a "b" c',
    "Euro%20%E2%82%AC": "Euro €",
    '"%22"': '"',
    "a%2525": "a%25",
}


@pytest.mark.parametrize("number", range(len(WRITTEN)))
async def test_attributes_of_binary_mode_are_decoded(ingress: Ingress, number: int) -> None:
    id, (written, subject) = f"decoded-{number}", list(WRITTEN.items())[number]
    _, answer = await post(ingress, DATA, binary(id, subject=written, time=TIMES[0]))
    same = event(id, subject=subject, time=TIMES[0], source="/till/7", data=json.loads(DATA))
    _, again = await post(ingress, json.dumps(same).encode(), [("content-type", STRUCTURED)])
    assert again["results"][0]["key"] == answer["results"][0]["key"]
    assert again["duplicate"] == 1


@pytest.mark.parametrize("name", ["time", "dataschema", "datacontenttype", "tracestate"])
async def test_null_attributes_are_absent(ingress: Ingress, name: str) -> None:
    one, other = (event(f"null-{name}-{mode}", **{name: None}) for mode in ("one", "batch"))
    for media, body in ((STRUCTURED, one), (BATCHED, [other])):
        status, answer = await post(ingress, json.dumps(body).encode(), [("content-type", media)])
        assert (status, answer["accepted"]) == (202, 1)
        assert "stamped" in answer["results"][0] or one.get("time")


async def test_batches(ingress: Ingress) -> None:
    for body in (b"[]", b" [\n] "):
        status, answer = await post(ingress, body, [("content-type", BATCHED)])
        assert (status, answer["accepted"], answer["results"]) == (202, 0, [])
    many = json.dumps([event(f"many-{n}") for n in range(3)], indent=2).encode()
    status, answer = await post(ingress, many, [("content-type", f"{BATCHED}; charset=utf-8")])
    assert (status, answer["accepted"]) == (202, 3)


@pytest.mark.parametrize("coding", ["identity", "Identity", "IDENTITY, identity"])
async def test_an_identity_coding_is_none(ingress: Ingress, coding: str) -> None:
    headers = [("content-type", STRUCTURED), ("content-encoding", coding)]
    assert (await post(ingress, json.dumps(event(f"c-{coding}")).encode(), headers))[0] == 202


async def test_another_coding_is_refused_with_the_way_out(ingress: Ingress) -> None:
    headers = [("content-type", STRUCTURED), ("content-encoding", "gzip"), ("authorization", f"Bearer {ingress.key}")]
    response = await ingress.client.post("/v1/events", content=b"x", headers=headers)
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")
    assert response.json()["code"] == "CONTENT_ENCODING_UNKNOWN"
    assert "uncompressed" in response.json()["next_step"]


async def test_a_plus_in_a_query_is_one(ingress: Ingress) -> None:
    for zone in ("+01:00", "%2B01:00", "-01:00", "Z"):
        path = f"/v1/timeline?entity=till-7&from=2026-11-20T10:00:00{zone}"
        response = await ingress.client.get(path, headers=ingress.headers())
        assert response.json().get("code") != "QUERY_INVALID", zone


class Connection:
    """A connection on which requests are written byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, Any]:
        async with asyncio.timeout(BOUND):
            head = await self._reader.readuntil(b"\r\n\r\n")
            lines = head.decode().lower().split("\r\n")
            length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length"))
            return int(head.split()[1]), json.loads(await self._reader.readexactly(length))


OFFERS = {
    "HTTP/2, as Java has it": "Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAEAAEAAAAIAAAAB",
    "WebSocket": "Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: eA==",
    "TLS": "connection: keep-alive, upgrade|upgrade: TLS/1.2",
    "anything": "UPGRADE: foo/7, bar|CONNECTION: UPGRADE",
    "without a connection option": "Upgrade: h2c",
}


def head_of(ingress: Ingress, *fields: str) -> bytes:
    lines = [
        "POST /v1/events HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {ingress.key}",
        f"Content-Type: {STRUCTURED}",
    ]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


@pytest.mark.parametrize("pieces", ["at once", "body later", "byte by byte"])
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
async def test_an_offer_of_another_protocol_is_ignored(ingress: Ingress, offer: str, pieces: str) -> None:
    url = ingress.client.base_url
    connection = Connection(*await asyncio.open_connection(url.host, url.port))
    for number in range(2):  # and the connection serves the next request
        body = json.dumps(event(f"offer-{len(offer)}-{pieces}-{number}")).encode()
        head = head_of(ingress, *offer.split("|"), f"Content-Length: {len(body)}")
        parts = {
            "at once": [head + body],
            "body later": [head, body],
            "byte by byte": [bytes([byte]) for byte in head + body],
        }[pieces]
        for part in parts:
            connection.writer.write(part)
            await connection.writer.drain()
            await asyncio.sleep(0)
        status, answer = await connection.answer()
        assert (status, answer.get("accepted")) == (202, 1)
    connection.writer.close()


async def test_offers_among_pipelined_and_chunked_requests(ingress: Ingress) -> None:
    url = ingress.client.base_url
    connection = Connection(*await asyncio.open_connection(url.host, url.port))
    requests = b""
    for number in range(3):
        body = json.dumps(event(f"pipelined-{number}")).encode()
        offer = OFFERS["WebSocket"].split("|") if number != 1 else []
        requests += head_of(ingress, *offer, "Transfer-Encoding: chunked")
        requests += f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    connection.writer.write(requests)
    for _ in range(3):
        status, answer = await connection.answer()
        assert (status, answer["accepted"]) == (202, 1)
    connection.writer.write(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n")
    async with asyncio.timeout(BOUND):
        assert b" 400 " in await connection._reader.readline()
    connection.writer.close()
