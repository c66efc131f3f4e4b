"""Dead letters on a real server: grouped, listed, shown, counted, exported, and moved between states."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

import orjson
import pytest

from penstock.broker import Broker
from penstock.errors import PenstockError, Refused
from penstock.rpc.caller import Person
from penstock.rpc.client import ask
from penstock.services.operator.dead_letters import states as states_module
from penstock.services.operator.dead_letters.index import Index
from penstock.services.operator.dead_letters.reading import Reading
from penstock.services.operator.dead_letters.states import States
from tests.support.broker_rig import Rig, subject
from tests.support.dead_letters import DeadLetterConsole, fail
from tests.support.records import records_of
from tests.support.until import BOUND

TILL = subject("till")


@pytest.fixture(scope="module")
async def console(operator: Rig) -> DeadLetterConsole:
    return DeadLetterConsole(await operator.broker("replayer"))


@pytest.fixture(scope="module")
async def indexer(operator: Rig) -> Broker:
    return await operator.broker("indexer")


@pytest.fixture
async def since(operator: Rig) -> int:
    """The sequence on DLQ of the next dead letter."""
    return await operator.next_sequence("DLQ")


def spans(first: int) -> dict[str, Any]:
    return {"sequences": [{"first": first, "last": 1 << 40}]}


async def refused(console: DeadLetterConsole, operation: str, body: dict[str, Any]) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        await console.ask(operation, body)
    return caught.value


async def test_dead_letters_are_grouped_by_worker_code_type_and_publisher(
    operator: Rig, console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    writer = await operator.broker("writer")
    await fail(indexer, subject("shop"), [b"{}"] * 3)
    await fail(indexer, subject("shop"), [b"{}"] * 2, code="TYPE_UNKNOWN")
    await fail(indexer, TILL, [b"{}"] * 5, full=1)
    await fail(writer, TILL, [b"{}"])
    found = await console.groups(**spans(since))
    assert found.complete
    assert {
        (each.worker, each.code, each.publisher, each.form, each.dead_letters, each.messages) for each in found.groups
    } == {
        ("indexer", "SINK_REFUSED", "shop", "full", 3, 3),
        ("indexer", "TYPE_UNKNOWN", "shop", "full", 2, 2),
        ("indexer", "SINK_REFUSED", "till", "full", 1, 1),
        ("indexer", "SINK_REFUSED", "till", "range", 1, 4),
        ("writer", "SINK_REFUSED", "till", "full", 1, 1),
    }
    assert (found.dead_letters, found.messages) == (8, 11)
    assert {each.type for each in found.groups} == {"log.line.v1"}
    assert [each.messages for each in found.groups] == sorted((each.messages for each in found.groups), reverse=True)


async def test_conditions_narrow_and_an_unknown_code_is_refused(
    console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    await fail(indexer, subject("shop"), [b"{}"] * 3)
    await fail(indexer, TILL, [b"{}"] * 2, code="TYPE_UNKNOWN")
    for match, count in (
        ({"codes": ["TYPE_UNKNOWN"]}, 2),
        ({"publishers": ["shop", "till"]}, 5),
        ({"workers": ["writer"]}, 0),
        ({"types": ["log.line.v1"], "publishers": ["shop"]}, 3),
        ({"time": {"from": "-PT1H"}}, 5),
        ({"time": {"to": "-PT1H"}}, 0),
        ({"states": ["parked"]}, 0),
    ):
        assert (await console.groups(**spans(since), **match)).dead_letters == count, match
    assert (await refused(console, "groups", {"match": {"codes": ["NO_SUCH"]}})).code == "REPLAY_FILTER_INVALID"


async def test_a_code_outside_the_contracts_groups_as_unknown(
    console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    await fail(indexer, subject(), [b"{}"], code="MADE_UP")
    assert [each.code for each in (await console.groups(**spans(since))).groups] == ["UNKNOWN"]


async def test_pages_are_newest_first_and_hold_every_dead_letter_once(
    console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    await fail(indexer, subject(), [b"{}"] * 7)
    seen: list[int] = []
    before = None
    while True:
        page = await console.page(match=spans(since), limit=3, **({"before": before} if before else {}))
        seen += [each.sequence for each in page.dead_letters]
        if (before := page.next) is None:
            break
    assert seen == list(range(since + 6, since - 1, -1))


async def test_a_shown_dead_letter_has_the_payload_and_where_it_fails(
    console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    payload = b'{"data": {"level": "\x1b[31m"}} \x00\xff'
    await fail(indexer, TILL, [payload], reason="not a level\x1b[0m (at /data/level)", first=77)
    found = await console.show(since)
    assert b64decode(found.payload) == payload
    assert found.pointer == "/data/level"
    head = found.head
    assert (head.sequence, head.origin_stream, head.origin_sequence, head.state) == (since, "EVENTS_HTTP", 77, "open")
    assert (head.worker, head.code, head.publisher, head.subject) == ("indexer", "SINK_REFUSED", "till", TILL)
    assert found.headers["x-penstock-sequence"] == "77"
    assert (await refused(console, "show", {"sequence": 1 << 40})).code == "NOT_FOUND"


async def test_a_range_is_opened_into_the_messages_of_its_stream(
    operator: Rig, console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    mine = await operator.store([b"mine %d" % n for n in range(4)], publisher="till")
    other = await operator.store([b"other"], publisher="shop")
    mine += await operator.store([b"mine 4"], publisher="till")
    assert mine[3] < other[0] < mine[4]
    await fail(indexer, TILL, [b"x"] * (mine[-1] - mine[0] + 1), first=mine[0], full=0)
    (head,) = (await console.page(match=spans(since), open_ranges=True)).dead_letters
    assert (head.form, head.origin_sequence, head.origin_last) == ("range", mine[0], mine[-1])
    assert [each.sequence for each in head.opened] == mine
    assert (await console.show(since)).head.opened == head.opened


async def test_states_are_kept_beside_the_dead_letters_and_counted(
    operator: Rig, console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    await fail(indexer, subject(), [b"{}"] * 5)
    before = (await console.stats()).states
    assert (await console.mark("park", **spans(since))).dead_letters == 5
    assert (await console.mark("park", **spans(since))).dead_letters == 0
    moved = await console.mark("drop", sequences=[{"first": since, "last": since + 1}])
    assert (moved.dead_letters, moved.messages, moved.state) == (2, 2, "dropped")
    after = (await console.stats()).states
    assert after["open"].dead_letters == before["open"].dead_letters - 5
    assert after["parked"].dead_letters == before["parked"].dead_letters + 3
    assert after["dropped"].dead_letters == before["dropped"].dead_letters + 2
    assert (await console.show(since)).head.state == "dropped"
    assert (await console.mark("reopen", **spans(since))).dead_letters == 5
    assert (await console.stats()).states == before
    assert (await operator.core.jetstream.stream_info("DLQ")).last_seq == since + 4


async def test_another_replica_sees_the_states_and_reads_the_index_anew(
    operator: Rig, console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    await fail(indexer, subject(), [b"{}"] * 3)
    await console.mark("park", sequences=[{"first": since, "last": since}])
    expected = (await console.stats()).states
    index = Index(await operator.broker("operator"))
    await index.look()
    assert Reading(await operator.broker("operator"), index).stats().states == expected
    await console.mark("park", **spans(since))
    await index.look()
    assert [index.state(since + n) for n in range(3)] == ["parked"] * 3


async def test_two_writers_of_one_chunk_lose_nothing(operator: Rig, indexer: Broker, since: int) -> None:
    broker = await operator.broker("operator")
    one, two = States(broker, 7), States(broker, 7)
    first = [since + n for n in range(0, 40, 2)]
    second = [each + 1 for each in first]
    moved = await asyncio.gather(one.move(first, "parked", ["open"]), two.move(second, "dropped", ["open"]))
    assert list(moved) == [first, second]
    sets = (await one.changed(1 << 40))[since // states_module.CHUNK]
    assert (sorted(sets["parked"]), sorted(sets["dropped"])) == (first, second)
    assert await two.move(first, "dropped", ["open"]) == []


async def test_marking_needs_a_reason_and_a_condition_and_is_audited_first(
    operator: Rig, console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    await fail(indexer, subject(), [b"{}"] * 2)
    match = spans(since)
    assert (await refused(console, "park", {"match": match, "reason": " "})).code == "REPLAY_REASON_MISSING"
    assert (await refused(console, "drop", {"match": {}, "reason": "all"})).code == "REPLAY_UNBOUNDED"
    audited = await operator.next_sequence("AUDIT")
    await console.mark("park", reason="bad deploy", **match)
    (message,) = await operator.stored("AUDIT", audited)
    records_of([message])
    assert message.subject == "audit.operator.dead_letters_parked"
    said = orjson.loads(message.data)
    assert (said["actor"], said["through"], said["reason"]) == ("ann", "replayer", "bad deploy")
    assert (said["dead_letters"], said["messages"], said["first"], said["last"]) == (2, 2, since, since + 1)


async def test_an_export_loses_nothing_and_each_page_is_audited(
    operator: Rig, console: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    payloads = [b"\x00\xff" * 100_000, b'{"a": 1}', b"", b"x" * 250_000, b"\x1b" * 200_000]
    await fail(indexer, TILL, payloads)
    audited = await operator.next_sequence("AUDIT")
    assert (await refused(console, "export", {"reason": ""})).code == "REPLAY_REASON_MISSING"
    found = []
    after: int | None = 0
    pages = 0
    while after is not None:
        page = await console.export(after, **spans(since))
        pages += 1
        found += page.dead_letters
        after = page.next
    assert [b64decode(each.payload) for each in found] == payloads
    assert [each.sequence for each in found] == list(range(since, since + 5))
    assert found[0].headers["x-penstock-code"] == "SINK_REFUSED"
    records = await operator.stored("AUDIT", audited)
    records_of(records)
    assert [each.subject for each in records] == ["audit.operator.dead_letters_exported"] * pages
    assert sum(orjson.loads(each.data)["dead_letters"] for each in records) == 5


async def test_a_person_needs_a_role_that_allows_it(operator: Rig) -> None:
    ingress = await operator.broker("ingress")
    for roles, allowed in ((("operator",), True), (("reader", "auditor", "sender"), False)):
        person = Person("ann", frozenset({"*"}), frozenset(roles))
        asked = ask(ingress, "dead_letters", "stats", {}, on_behalf=person, timeout=BOUND)
        if allowed:
            await asked
        else:
            with pytest.raises(Refused, match="FORBIDDEN"):
                await asked
    with pytest.raises(Refused, match="FORBIDDEN"):
        await ask(ingress, "dead_letters", "stats", {}, timeout=BOUND)


async def test_stats_name_the_publishers_that_used_up_their_share(console: DeadLetterConsole, indexer: Broker) -> None:
    await fail(indexer, subject("within_share"), [b"{}"] * 3)
    await fail(indexer, subject("greedy"), [b"{}"] * 30, full=10)
    found = {(each.worker, each.publisher): each for each in (await console.stats()).over_share}
    assert (found["indexer", "greedy"].dead_letters, found["indexer", "greedy"].messages) == (1, 20)
    assert ("indexer", "within_share") not in found


async def test_stats_forecast_when_the_stream_is_full(console: DeadLetterConsole, indexer: Broker) -> None:
    await fail(indexer, subject(), [b"x" * 100_000] * 20)
    found = await console.stats()
    assert found.bytes > 2_000_000
    assert found.max_bytes == 1 << 30
    assert found.share == pytest.approx(found.bytes / found.max_bytes, abs=1e-4)
    assert found.kept_for_hours == 30 * 24
    assert found.full_in_hours is not None
    assert found.full_in_hours == pytest.approx((found.max_bytes - found.bytes) / found.per_hour, rel=0.01)
