"""What the auditor puts onto the trail, on a real server, also when it is killed."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from penstock.errors import PenstockError
from penstock.events import dead_letter
from tests.support.auditors import Auditors
from tests.support.broker_rig import Rig, subject

SECRET = b"a word that must not be on the trail"
PUBLISHERS = ("web_shop", "till", "crawler")


@pytest.fixture(scope="module")
async def auditors(rig: Rig) -> Auditors:
    auditors = Auditors(rig, 1)
    auditors.start()
    return auditors


async def test_killed_auditors_neither_lose_nor_duplicate_a_publish(rig: Rig, auditors: Auditors) -> None:
    sent: Counter[str] = Counter()

    async def send() -> None:
        for number in range(30):
            publisher = PUBLISHERS[number % 3]
            sent[publisher] += len(await rig.store([SECRET] * 100, publisher=publisher))

    sending = asyncio.create_task(send())
    await asyncio.to_thread(auditors.start, 1)
    await asyncio.to_thread(auditors.kill, 0)
    await asyncio.to_thread(auditors.start, 0)
    await asyncio.to_thread(auditors.kill, 1)
    await sending
    windows = await auditors.recorded("EVENTS_HTTP")
    state = await rig.core.jetstream.stream_info("EVENTS_HTTP")
    assert windows[0]["from"] == state.first_seq
    assert [window["from"] for window in windows[1:]] == [window["to"] + 1 for window in windows[:-1]]
    assert sum(window["count"] for window in windows) == state.messages == sum(sent.values()) == 3000
    assert not any("missing" in window for window in windows)
    counted: Counter[str] = Counter()
    for window in windows:
        for entry in window["entries"]:
            counted[entry["identity"]] += entry["count"]
            assert window["from"] <= entry["from"] <= entry["to"] <= window["to"]
            assert entry["began"] <= entry["ended"]
    assert counted == sent


async def test_a_dead_letter_is_recorded_with_worker_code_and_origin_but_not_its_payload(
    rig: Rig, auditors: Auditors
) -> None:
    writer = await rig.broker("writer")
    headers = {
        dead_letter.CODE: "SINK_REFUSED",
        dead_letter.REASON: SECRET.decode(),
        dead_letter.WORKER: "indexer",
        dead_letter.STREAM: "EVENTS_HTTP",
        dead_letter.SEQUENCE: "17",
        dead_letter.FORM: "full",
    }
    stored = await writer.publish(f"dlq.writer.{subject('till')}", SECRET, headers)
    entry = await auditors.entry("dead_letters", dead_letter=stored.sequence)
    assert entry["actor"] == "writer"  # who the server let publish it, not who the header says
    assert (entry["identity"], entry["code"], entry["stream"], entry["sequence"]) == (
        "till",
        "SINK_REFUSED",
        "EVENTS_HTTP",
        17,
    )


async def test_api_calls_that_change_a_stream_are_recorded_and_reads_are_not(rig: Rig, auditors: Auditors) -> None:
    await rig.core.jetstream.create_stream({"name": "SPARE", "subjects": ["spare"]})
    with pytest.raises(PenstockError):
        await rig.core.jetstream.api("STREAM.PURGE.NONE", {"seq": 1})
    await rig.core.jetstream.api("STREAM.DELETE.SPARE", {})
    created = await auditors.entry("admin", operation="STREAM.CREATE.SPARE")
    purged = await auditors.entry("admin", operation="STREAM.PURGE.NONE")
    deleted = await auditors.entry("admin", operation="STREAM.DELETE.SPARE")
    assert '"subjects":["spare"]' in created["request"]
    assert "not found" in purged["error"]
    assert "error" not in deleted
    provisioned = await auditors.entry("admin", operation="STREAM.CREATE.SESSIONS", actor="provision")
    assert provisioned["account"] == "CORE"
    entries = [entry for record in await auditors.records("admin") for entry in record["entries"]]
    assert not any(".INFO" in entry["operation"] for entry in entries)


async def test_connects_and_disconnects_are_recorded(rig: Rig, auditors: Auditors) -> None:
    billing = await rig.broker("billing")
    began = await auditors.entry("sessions", identity="billing", action="connected")
    await billing.drain()
    ended = await auditors.entry("sessions", identity="billing", action="disconnected")
    assert (began["server"], began["connection"]) == (ended["server"], ended["connection"])
    assert ended["reason"]


async def test_permission_violations_in_the_server_log_are_recorded(rig: Rig, auditors: Auditors) -> None:
    billing = await rig.broker("billing")
    billing.send("evt.00.nats.till.log.line.v1", SECRET)
    await billing.subscribe("evt.>", lambda _: None)
    await billing.flush()
    publish = await auditors.entry("violations", kind="publish")
    assert (publish["identity"], publish["subject"]) == ("billing", "evt.00.nats.till.log.line.v1")
    assert (await auditors.entry("violations", kind="subscription"))["subject"] == "evt.>"


async def test_the_trail_holds_no_event_content(auditors: Auditors) -> None:
    assert not [message for message in await auditors.messages("audit.>") if SECRET in message.data]


async def test_an_api_call_from_another_account_is_recorded_with_its_caller(rig: Rig, auditors: Auditors) -> None:
    operator = await rig.broker("operator")
    await operator.jetstream.api("STREAM.PURGE.OBJ_models", {"filter": "$O.models.C.none"})
    entry = await auditors.entry("admin", operation="STREAM.PURGE.OBJ_models")
    assert (entry["actor"], entry["account"]) == ("operator", "APP")
