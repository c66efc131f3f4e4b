"""What happens in a whole stack is on the audit trail, in both places, and the command line finds and proves it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import httpx
import orjson
import pytest

from penstock.auth import api_keys
from penstock.auth.connect import connect_as
from penstock.contracts import load
from penstock.stack.place import Place
from tests.support.processes import Processes
from tests.support.records import records_of
from tests.support.until import until

BOUND = 90.0
WORD = "zanzibar"  # of an event and of a request: never on the trail


async def penstock(place: Place, *words: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock.cli.main", *words),
        env={**os.environ, **place.environment()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(BOUND):
        output, _ = await child.communicate()
    return child.returncode or 0, output.decode()


async def found(place: Place, **members: Any) -> dict[str, Any]:
    """The newest record of the search with these members, as soon as there is one."""
    options = [word for name in ("identity", "action") if name in members for word in (f"--{name}", members.pop(name))]

    async def look() -> dict[str, Any] | None:
        code, output = await penstock(place, "audit", "search", "--json", "--limit", "500", *options)
        records = [entry["record"] for entry in json.loads(output)] if code == 0 else []
        return next((record for record in records if members.items() <= record.items()), None)

    return await until(look, BOUND)


@pytest.fixture(scope="module")
async def caller(stack_env: Place, fleet: Processes) -> str:
    """An event of a sender of this module, and a request about it; the sender's name."""
    sender = f"teller_{os.urandom(4).hex()}"
    text, _ = api_keys.create(
        stack_env.keys, load(), identity=sender, datasets=["logs"], types=["*"], now_ns=time.time_ns(),
        roles=["sender", "reader"],
    )  # fmt: skip
    url = f"http://127.0.0.1:{stack_env.local_port('ingress')}"
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {text}"}, timeout=30) as client:
        event: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/t", "type": "log.line.v1", "subject": "h"}
        event["data"] = {"message": WORD}
        sent = await client.post(
            "/v1/events", content=orjson.dumps(event), headers={"content-type": "application/cloudevents+json"}
        )
        assert sent.status_code == 202, sent.text
        asked = await client.post("/v1/search", json={"text": WORD})
        assert asked.status_code == 200, asked.text
        assert (await client.get("/v1/audit")).status_code == 403
    return sender


async def test_what_somebody_sent_and_asked_is_found_by_name(stack_env: Place, caller: str) -> None:
    published = await found(stack_env, identity=caller, action="published", stream="EVENTS_HTTP")
    [entry] = [entry for entry in published["entries"] if entry["identity"] == caller]
    assert entry["count"] == 1
    assert entry["from"] == entry["to"]
    request = await found(stack_env, identity=caller, action="query", operation="search.query")
    assert (request["datasets"], "count" in request) == (["logs"], True)


async def test_who_connected_is_found_with_the_decision(stack_env: Place, caller: str) -> None:
    record = await found(stack_env, identity="writer", action="connect")
    assert (record["decision"], record["client_id"]) == ("admitted", "penstock-writer")


async def test_a_new_api_key_is_on_the_audit_trail_before_it_is_accepted(stack_env: Place, caller: str) -> None:
    code, output = await penstock(stack_env, "key", "create", "--identity", "newcomer", "--types", "*", "--json")
    assert code == 0, output
    made = await found(stack_env, identity="newcomer", action="key_created")
    assert (made["roles"], made["types"]) == (["sender"], ["*"])
    assert json.loads(output)["key"] not in json.dumps(made)


async def test_the_whole_trail_is_proven_and_its_copy_is_the_same(stack_env: Place, caller: str) -> None:
    async def sealed() -> dict[str, Any] | None:
        code, output = await penstock(stack_env, "audit", "verify", "--store", "--json")
        report: dict[str, Any] = json.loads(output) if code == 0 else {}
        return report if report.get("proven_to") else None

    report = await until(sealed, BOUND)
    assert (report["what"], report["bad"]) == ("", 0)
    assert report["chain_from"] == report["proven_from"] == report["kept_from"]
    assert report["in_store"] > 0


async def test_the_audit_trail_holds_no_content_of_events_or_queries(stack_env: Place, caller: str) -> None:
    broker = await connect_as("examiner", stack_env)
    first = 1
    while page := await broker.jetstream.get_many("AUDIT", sequence=first):
        assert not [message for message in page if WORD.encode() in message.data]
        records_of(page)
        first = page[-1].sequence + 1
    await broker.drain()
    assert first > 1
