"""The audit trail at the real Cassandra: kept as it was, found by who and what, and not for everybody."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from penstock.audit import hash_chain
from penstock.consume import Done
from penstock.errors import Refused
from penstock.rpc.caller import Person, RequestCaller
from penstock.services.writer import cassandra_roles
from penstock.services.writer.audit_rows import HOUR_NS, Record
from penstock.services.writer.logic import Writer
from penstock.services.writer.queries.operations import Operations
from penstock.services.writer.queries.statements import Reads
from penstock.services.writer.store import Store
from tests.support.deliveries import CONTRACTS, NOON
from tests.support.processes import Processes

EXAMINER = RequestCaller("examiner", datasets=frozenset({"*"}))
TIME = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}


def record(sequence: int, subject: str, hours: float = 0.0, **members: Any) -> Record:
    return Record(sequence, NOON + int(hours * HOUR_NS), subject, orjson.dumps(members))


RECORDS = [
    record(1, "audit.ingress.query", -3, actor="shop", operation="search.query"),
    record(2, "audit.authority.connect", -2, actor="billing", identity="billing"),
    record(3, "audit.auditor.published.EVENTS_NATS", -1, entries=[{"identity": "billing"}, {"identity": "till"}]),
    record(4, "audit.warden.revoke", 0, actor="root", identity="billing"),
    Record(5, NOON + 1, "audit.writer.odd", b"not JSON"),
    *(record(number, "audit.ingress.query", 1 + number / 10_000, actor="robot") for number in range(6, 2506)),
]


@pytest.fixture(scope="module")
async def operations(cassandra: Processes, store: Store) -> Operations:
    with cassandra_roles.admin(cassandra.place) as admin:
        admin.execute(f"TRUNCATE {cassandra.place.cassandra_keyspace}.audit")
    reads = Reads(store)
    await reads.look()
    writer = Writer(store, "month")
    for _ in range(2):  # a redelivery changes nothing
        assert set(await writer.audit(RECORDS)) == {Done()}
    return Operations(CONTRACTS, reads, "month")


async def sequences(operations: Operations, **members: Any) -> list[int]:
    answer = await operations.audit({"time": TIME, **members}, EXAMINER)
    return [entry["sequence"] for entry in answer["records"]]


async def test_records_are_found_by_whom_they_concern_and_what_they_are_about(operations: Operations) -> None:
    assert await sequences(operations, identity="billing") == [4, 3, 2]
    assert await sequences(operations, identity="root") == [4]
    assert await sequences(operations, identity="bill") == []
    assert await sequences(operations, action="query", identity="shop") == [1]
    assert await sequences(operations, action="published") == [3]
    early = {"from": "2026-11-01T09:30:00Z", "to": "2026-11-01T12:00:00Z"}
    assert await sequences(operations, time=early) == [3, 2]


async def test_a_record_comes_back_as_it_was_with_its_part_in_the_chain(operations: Operations) -> None:
    answer = await operations.audit({"time": TIME, "action": "odd"}, EXAMINER)
    [odd] = answer["records"]
    assert "record" not in odd
    assert odd["digest"] == hash_chain.digest(5, NOON + 1, "audit.writer.odd", b"not JSON").hex()
    [revoked] = (await operations.audit({"time": TIME, "identity": "root"}, EXAMINER))["records"]
    assert revoked["record"] == {"actor": "root", "identity": "billing"}


async def test_pages_follow_each_other_newest_first_until_all_was_seen(operations: Operations) -> None:
    found: list[int] = []
    body: dict[str, Any] = {"time": TIME, "limit": 1000}
    while True:
        answer = await operations.audit(body, EXAMINER)
        found += [entry["sequence"] for entry in answer["records"]]
        if "cursor" not in answer:
            break
        body["cursor"] = answer["cursor"]
    assert found == [each.sequence for each in reversed(RECORDS)]


async def test_only_a_role_that_may_read_the_trail_reads_it(operations: Operations) -> None:
    def person(*roles: str) -> RequestCaller:
        who = Person("alice", frozenset({"*"}), frozenset(roles))
        return RequestCaller("ingress", who, who.datasets, who.roles)

    for caller in (person("reader", "operator", "sender"), person(), RequestCaller("ingress")):
        with pytest.raises(Refused) as refused:
            await operations.audit({"time": TIME}, caller)
        assert refused.value.code == "FORBIDDEN"
    assert (await operations.audit({"time": TIME, "limit": 1}, person("auditor")))["records"]


@pytest.mark.parametrize("cursor", ["1", "a:1", "1:99999999999999999999", ":"])
async def test_a_cursor_of_something_else_is_refused(operations: Operations, cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        await operations.audit({"time": TIME, "cursor": cursor}, EXAMINER)
    assert (refused.value.code, refused.value.pointer) == ("QUERY_INVALID", "/cursor")
