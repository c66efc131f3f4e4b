"""Parts of the ingress by themselves: modes, preferences, limits, results, the memory of keys."""

from __future__ import annotations

import asyncio
import weakref
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.auth import edge_proof
from penstock.broker import Stored
from penstock.errors import Refused, Unavailable
from penstock.recent_cache import RecentCache
from penstock.services.ingress.access.client_address import ClientAddresses, network
from penstock.services.ingress.formats.cloudevents.modes import from_binary, mode_of
from penstock.services.ingress.http.body import MAX_BODY, Pace, limited, read_body
from penstock.services.ingress.http.body_budget import SMALL, BodyBudget, Lease
from penstock.services.ingress.settings import IngressSettings
from penstock.services.ingress.submit.preference import preferred_wait
from penstock.services.ingress.submit.results import Results

STORED = Stored("EVENTS_HTTP", 7)


@pytest.mark.parametrize(
    ("headers", "mode"),
    [
        ({b"content-type": b"application/cloudevents+json"}, "structured"),
        ({b"content-type": b"Application/CloudEvents+JSON; charset=utf-8"}, "structured"),
        ({b"content-type": b"application/cloudevents-batch+json"}, "batched"),
        ({b"content-type": b"application/json", b"ce-specversion": b"1.0"}, "binary"),
        ({b"content-type": b"application/vnd.x+json; v=1", b"ce-specversion": b"1.0"}, "binary"),
        ({b"content-type": b"application/cloudevents+json", b"ce-specversion": b"1.0"}, "structured"),
        ({b"ce-specversion": b"1.0"}, "binary"),
        ({b"content-type": b"APPLICATION/JSON", b"ce-specversion": b"1.0"}, "binary"),
        ({b"content-type": b"application/cloudevents+json", b"content-encoding": b"Identity"}, "structured"),
        ({b"content-type": b"application/cloudevents+json", b"content-encoding": b"identity, IDENTITY"}, "structured"),
    ],
)
def test_the_mode_follows_from_the_headers(headers: dict[bytes, bytes], mode: str) -> None:
    assert mode_of(headers) == mode


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"content-type": b"application/json"},
        {b"content-type": b"text/plain", b"ce-specversion": b"1.0"},
    ],
)
def test_other_requests_are_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Refused) as refused:
        mode_of(headers)
    assert refused.value.code == "CONTENT_TYPE_UNKNOWN"


@pytest.mark.parametrize("codings", [b"gzip", b"GZIP", b"identity, br", b"x"])
def test_encoded_bodies_are_refused(codings: bytes) -> None:
    with pytest.raises(Refused) as refused:
        mode_of({b"content-type": b"application/cloudevents+json", b"content-encoding": codings})
    assert refused.value.code == "CONTENT_ENCODING_UNKNOWN"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b'"till 7"', "till 7"),
        (b'"a \\"quoted\\" word"', 'a "quoted" word'),
        (b'"%E2%82%AC 7"', "€ 7"),
        (b'"back\\\\slash"', "back\\slash"),
        (b'one "inner" quote', 'one "inner" quote'),
        (b'"', '"'),
        (b'""', ""),
        (b"plain", "plain"),
    ],
)
def test_attributes_in_quotes_are_unquoted(header: bytes, value: str) -> None:
    raw = from_binary([(b"content-type", b"application/json"), (b"ce-subject", header)], b"{}")
    assert orjson.loads(raw)["subject"] == value


def test_binary_mode_keeps_the_data_and_decodes_the_attributes() -> None:
    headers = [
        (b"host", b"x"),
        (b"content-type", b"application/json"),
        (b"ce-id", b"a%22b"),
        (b"ce-subject", b"%E2%82%AC"),
    ]
    raw = from_binary(headers, b'{"n" : 1.50}')
    assert orjson.loads(raw) == {"datacontenttype": "application/json", "id": 'a"b', "subject": "€", "data": {"n": 1.5}}
    assert raw.endswith(b'"data":{"n" : 1.50}}')


@pytest.mark.parametrize(
    ("header", "body", "code"),
    [
        ((b"ce-source", b"s"), b'1,"id":"other"', "JSON_INVALID"),
        ((b"ce-source", b"s"), b"{} {}", "JSON_INVALID"),
        ((b"ce-id", b"twice"), b"{}", "MEMBER_DUPLICATE"),
        ((b"ce-data", b"x"), b"{}", "ENVELOPE_INVALID"),
        ((b"ce-datacontenttype", b"x"), b"{}", "ENVELOPE_INVALID"),
        ((b"ce-source", b"%ff"), b"{}", "ENVELOPE_INVALID"),
        ((b"ce-source", b"\xc3\xa4"), b"{}", "ENVELOPE_INVALID"),
    ],
)
def test_binary_mode_cannot_be_used_to_forge_members(header: tuple[bytes, bytes], body: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        from_binary([(b"ce-id", b"1"), header], body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        (b"wait=10", 10),
        (b"respond-async, wait=5", 5),
        (b"WAIT=5; x", 5),
        (b'wait="7"', 7),
        (b"wait=9999", 30),
        (b"wait=-1", 0),
        (b"await=5", 0),
        (b"wait=5x", 0),
    ],
)
def test_the_preference_to_wait_is_read_and_bounded(header: bytes | None, seconds: int) -> None:
    assert preferred_wait(header) == seconds


def test_recent_keys_are_remembered_up_to_the_limit() -> None:
    recent: RecentCache[str, Stored] = RecentCache(10)
    recent.put("first", STORED)
    for number in range(9):
        recent.put(str(number), STORED)
    assert recent.get("first") == STORED
    for number in range(11):
        recent.put(f"later {number}", STORED)
    assert recent.get("first") is None
    assert recent.get("later 9") == STORED


class Client:
    """An ASGI receive."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def __call__(self) -> dict[str, Any]:
        chunk = self._chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks)}

    async def silent(self) -> dict[str, Any]:
        """The same, of a client that stops within its body."""
        return {**await self(), "more_body": True} if self._chunks else await asyncio.Future()


PACE = Pace(floor=1000, grace=5)
SETTINGS = IngressSettings()


def lease(budget: BodyBudget | None = None, identity: str = "shop", address: str = "192.0.2.1") -> Lease:
    return (budget or BodyBudget(SETTINGS)).lease(identity, address)


def budget(**bytes: int) -> BodyBudget:
    return BodyBudget(SETTINGS.model_copy(update={f"ingress_body_{name}": value for name, value in bytes.items()}))


async def test_the_chunks_of_a_body_are_joined() -> None:
    with lease() as taken:
        assert await read_body(Client(b"ab", b"", b"c"), None, taken, PACE) == b"abc"


@pytest.mark.parametrize("declared", [b"8388609", b"99999999999999999999", None])
async def test_a_body_beyond_the_limit_is_refused(declared: bytes | None) -> None:
    with lease() as taken, pytest.raises(Refused) as refused:
        await read_body(Client(b"x" * MAX_BODY, b"x"), declared, taken, PACE)
    assert refused.value.code == "REQUEST_TOO_LARGE"


async def test_a_body_below_the_floor_is_ended_and_says_how_fast_it_must_come() -> None:
    pace = Pace(floor=1_000_000, grace=0.01)
    with lease() as taken, pytest.raises(Refused, match="1000000 bytes/s") as refused:
        await read_body(Client(b"x" * 10).silent, b"8388608", taken, pace)
    assert refused.value.code == "REQUEST_TIMED_OUT"
    receive = limited(Client(b"x" * 10).silent, MAX_BODY, pace)
    await receive()
    with pytest.raises(Refused, match="1000000 bytes/s") as refused:
        await receive()
    assert refused.value.code == "REQUEST_TIMED_OUT"
    assert [PACE.seconds(size) for size in (0, 10_000, MAX_BODY)] == [5, 15, 30]


async def test_an_announced_length_takes_nothing_and_what_came_is_given_back() -> None:
    shared = budget()
    with lease(shared) as taken, pytest.raises(Refused):
        await read_body(Client(b"x" * 10).silent, b"8388608", taken, Pace(floor=1_000_000, grace=0.01))
    assert shared.held == 0
    with lease(shared) as taken:
        await read_body(Client(b"x" * 6), b"6", taken, PACE)
        assert (shared.held, taken.held) == (6, 6)
    assert shared.held == 0


def refusal(taken: Lease, count: int) -> str:
    with pytest.raises(Unavailable) as refused:
        taken.grow_to(count)
    return f"{refused.value.code} {refused.value.detail}"


def test_each_identity_and_each_address_has_a_share_and_the_last_is_for_who_holds_little() -> None:
    shared = budget(bytes=24 << 20, identity_bytes=12 << 20, address_bytes=18 << 20, reserve_bytes=4 << 20)
    greedy, beside, third = lease(shared), lease(shared, "second"), lease(shared, "third", "192.0.2.2")
    greedy.grow_to(12 << 20)
    assert refusal(lease(shared), 1).startswith("BODY_SHARE_USED the identity shop has")
    beside.grow_to(6 << 20)
    assert refusal(lease(shared, "other"), 1).startswith("BODY_SHARE_USED the address 192.0.2.1 has")
    third.grow_to(2 << 20)
    assert refusal(third, (2 << 20) + 1).startswith("OVERLOADED")
    honest = lease(shared, "honest", "192.0.2.3")
    honest.grow_to(SMALL)
    assert refusal(honest, SMALL + 1).startswith("OVERLOADED")
    for each in (greedy, beside, third, honest):
        with each:
            pass
    assert shared.held == 0
    lease(shared).grow_to(12 << 20)


def test_the_address_is_the_peer_s_unless_the_edge_has_shown_that_it_is_the_edge(tmp_path: Path) -> None:
    addresses = ClientAddresses(tmp_path / "secrets")
    proof = edge_proof.ensure(tmp_path / "secrets")
    scope = {"client": ("127.0.0.1", 7)}
    forwarded = {b"x-forwarded-for": b"192.0.2.9"}
    assert addresses.of(scope, forwarded) == "127.0.0.1"
    assert addresses.of(scope, {**forwarded, b"penstock-edge": b"guess"}) == "127.0.0.1"
    assert addresses.of(scope, {**forwarded, b"penstock-edge": proof}) == "192.0.2.9"
    mapped = [network(text) for text in ("2001:db8::1", "2001:db8::ffff:2", "::ffff:192.0.2.9", "fe80::1%eth0")]
    assert mapped == ["2001:db8::/64", "2001:db8::/64", "192.0.2.9", "fe80::/64"]


def answer(results: Results, **options: Any) -> tuple[int, dict[bytes, bytes], dict[str, Any]]:
    status, headers, body = results.answer(results.counts(), **{"durable": True, **options})
    return status, dict(headers), orjson.loads(body)


def test_the_status_follows_from_the_results() -> None:
    results = Results(2)
    results.stored(0, "k0", STORED, stamped="2026-01-01T00:00:00.000Z")
    results.duplicate(1, "k1", STORED)
    status, headers, body = answer(results)
    assert (status, headers) == (202, {b"content-type": b"application/json"})
    assert body == {
        "accepted": 1, "duplicate": 1, "refused": 0, "unavailable": 0,
        "results": [
            {"index": 0, "status": "accepted", "key": "k0", "stream": "EVENTS_HTTP", "sequence": 7,
             "stamped": "2026-01-01T00:00:00.000Z"},
            {"index": 1, "status": "duplicate", "key": "k1", "stream": "EVENTS_HTTP", "sequence": 7},
        ],
    }  # fmt: skip
    assert answer(results, complete=True)[0] == 200
    assert answer(results, durable=False)[2]["durable"] is False


def test_one_event_that_cannot_be_stored_now_makes_it_a_503() -> None:
    results = Results(3)
    results.stored(0, "k0", STORED)
    results.failed(1, Refused("TYPE_UNKNOWN", "no", pointer="/type"))
    results.failed(2, Unavailable("STREAM_FULL", "full", retry_after=9.5), "k2")
    status, headers, body = answer(results)
    assert (status, headers[b"retry-after"], body["code"]) == (503, b"10", "STREAM_FULL")
    assert [each["status"] for each in body["results"]] == ["accepted", "refused", "unavailable"]
    assert body["results"][2]["key"] == "k2"
    assert body["results"][1]["pointer"] == "/type"


def test_refusals_of_one_kind_keep_their_status() -> None:
    results = Results(2)
    results.failed(0, Refused("EVENT_TOO_LARGE", "large"))
    results.failed(1, Refused("EVENT_TOO_LARGE", "large"))
    assert answer(results)[0] == 413
    mixed = Results(2)
    mixed.failed(0, Refused("EVENT_TOO_LARGE", "large"))
    mixed.failed(1, Refused("TYPE_UNKNOWN", "no"))
    assert answer(mixed)[0] == 400


class Bytes:
    """Stands for what a request holds."""


def test_an_error_keeps_no_reference_to_the_refused_body() -> None:
    results = Results(1)

    def refuse() -> weakref.ref[Bytes]:
        held = Bytes()
        try:
            raise Refused("TYPE_UNKNOWN", "no")
        except Refused as error:
            results.failed(0, error)
        return weakref.ref(held)

    assert refuse()() is None
    assert answer(results)[2]["code"] == "TYPE_UNKNOWN"
