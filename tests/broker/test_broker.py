"""The connection: errors come at once and say what to do, answers are awaited with a bound, a restart is survived."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import nkeys  # type: ignore[import-untyped]
import pytest

from penstock.broker import Broker, Entry, Keys, Message, Objects
from penstock.errors import PenstockError, Refused, Unavailable
from tests.support.broker_rig import Rig, subject
from tests.support.until import BOUND, until


async def test_a_missing_seed_is_named(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"CREDENTIALS_INVALID.*ingress\.nk"):
        await Broker.connect(rig.place.nats, "ingress", tmp_path)


async def test_a_seed_the_server_does_not_know_fails_at_once(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "ingress.nk").write_bytes(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER))
    started = time.monotonic()
    with pytest.raises(Refused, match="CREDENTIALS_INVALID"):
        await Broker.connect(rig.place.nats, "ingress", tmp_path)
    assert time.monotonic() - started < 3


async def test_no_server_is_unavailable_after_the_patience(rig: Rig) -> None:
    with pytest.raises(Unavailable, match="BROKER_UNAVAILABLE"):
        await Broker.connect("nats://127.0.0.1:9", "ingress", rig.place.credentials_folder, patience=0.7)


async def test_a_publish_returns_stream_and_sequence(rig: Rig) -> None:
    ingress = await rig.broker("ingress")
    stored = await ingress.publish(subject(), b"payload", {"traceparent": "00-ab\r\nforged: yes"})
    message = await rig.core.jetstream.get(stored.stream, sequence=stored.sequence)
    assert (message.subject, message.data) == (subject(), b"payload")
    assert message.headers == {"traceparent": "00-ab  forged: yes"}
    assert abs(message.stored_at_ns / 1e9 - time.time()) < 60


async def test_a_forbidden_publish_fails_at_once_and_is_reported(rig: Rig) -> None:
    reported: list[PenstockError] = []
    ingress = await rig.broker("ingress", on_error=reported.append)
    started = time.monotonic()
    with pytest.raises(Refused, match=r"FORBIDDEN.*evt\.00\.nats"):
        await ingress.publish("evt.00.nats.billing.log.line.v1", b"")
    assert time.monotonic() - started < 1
    assert [error.code for error in reported] == ["FORBIDDEN"]
    assert ingress.connected
    assert (await ingress.publish(subject(), b"still works")).sequence


async def test_a_request_without_responders_is_unavailable_at_once(rig: Rig) -> None:
    ingress = await rig.broker("ingress")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="SERVICE_UNAVAILABLE"):
        await ingress.request("svc.search.query.ingress", b"{}", timeout=5)
    assert time.monotonic() - started < 1


async def test_a_request_without_an_answer_times_out_and_leaves_nothing_behind(rig: Rig) -> None:
    indexer, ingress = await rig.broker("indexer"), await rig.broker("ingress")
    await indexer.subscribe("svc.search.query.*", lambda _: None)
    await indexer.flush()
    with pytest.raises(Unavailable, match="TIMED_OUT"):
        await ingress.request("svc.search.query.ingress", b"{}", timeout=0.2)
    assert ingress.open_requests == 0


async def test_a_message_larger_than_the_broker_takes_is_refused_before_it_ends_the_connection(rig: Rig) -> None:
    ingress = await rig.broker("ingress")
    with pytest.raises(Refused, match="EVENT_TOO_LARGE"):
        await ingress.publish(subject(), bytes(1024 * 1024 + 1))
    assert ingress.connected


async def test_a_failing_callback_still_gets_the_next_message(rig: Rig) -> None:
    indexer, ingress = await rig.broker("indexer"), await rig.broker("ingress")
    heard: list[bytes] = []

    def fail(message: Message) -> None:
        heard.append(message.data)
        raise RuntimeError("a defect")

    await indexer.subscribe("svc.search.query.*", fail)
    await indexer.flush()
    for text in (b"1", b"2"):
        ingress.send("svc.search.query.ingress", text)
    await until(lambda: len(heard) >= 2)
    assert heard == [b"1", b"2"]
    assert indexer.connected


async def test_after_a_kill_of_the_server_waiting_answers_fail_and_the_connection_comes_back(rig: Rig) -> None:
    indexer, ingress = await rig.broker("indexer"), await rig.broker("ingress")
    heard: list[bytes] = []
    lost, back = asyncio.Event(), asyncio.Event()
    ingress.on_disconnect(lost.set)
    ingress.on_reconnect(back.set)
    await indexer.subscribe("svc.search.query.*", lambda message: heard.append(message.data))
    await indexer.flush()
    waiting = asyncio.create_task(ingress.request("svc.search.query.ingress", b"1", timeout=60))
    await until(lambda: heard == [b"1"])
    rig.processes.kill("nats")
    async with asyncio.timeout(BOUND):
        with pytest.raises(Unavailable, match="BROKER_UNAVAILABLE"):
            await waiting
        await lost.wait()
        with pytest.raises(Unavailable, match="BROKER_UNAVAILABLE"):
            await ingress.request("svc.search.query.ingress", b"2", timeout=0.2)
        await asyncio.to_thread(rig.processes.restart, "nats")
        up = time.monotonic()
        await back.wait()
        await indexer.wait_connected(5)
        assert time.monotonic() - up < 2
        ingress.send("svc.search.query.ingress", b"3")
        await until(lambda: b"3" in heard)
    assert (await ingress.publish(subject(), b"after")).sequence


async def test_stored_messages_are_read_in_pages_and_by_subject(rig: Rig) -> None:
    first = await rig.next_sequence("EVENTS_HTTP")
    await rig.store([b"%d" % n for n in range(30)], publisher="pages")
    await rig.store([b"other"], publisher="other")
    page = await rig.core.jetstream.get_many("EVENTS_HTTP", sequence=first, most=10)
    assert [message.data for message in page] == [b"%d" % n for n in range(10)]
    other = await rig.core.jetstream.get_many("EVENTS_HTTP", sequence=first, subject="evt.*.http.other.>")
    assert [message.data for message in other] == [b"other"]
    assert await rig.core.jetstream.get_many("EVENTS_HTTP", sequence=first + 10_000) == []
    with pytest.raises(Refused, match="NOT_FOUND"):
        await rig.core.jetstream.get("EVENTS_HTTP", sequence=first + 10_000)


async def test_of_two_writers_from_the_same_revision_one_gets_a_conflict(rig: Rig) -> None:
    keys = Keys(await rig.broker("operator"), "registry")
    first = await keys.put("model_a", b"1", expected=0)
    await keys.put("model_a", b"2", expected=first)
    with pytest.raises(Refused, match="CONFLICT"):
        await keys.put("model_a", b"3", expected=first)
    assert (await Keys(await rig.broker("scorer"), "registry").get("model_a")).value == b"2"


async def test_a_change_of_a_bucket_is_seen_by_a_reader_across_the_accounts(rig: Rig) -> None:
    keys = Keys(await rig.broker("operator"), "registry")
    seen: list[dict[str, Entry]] = []
    stop = asyncio.Event()

    async def changed(entries: dict[str, Entry]) -> None:
        seen.append(entries)

    watching = asyncio.create_task(Keys(await rig.broker("scorer"), "registry").watch(changed, stop))
    await until(lambda: len(seen) == 1)
    await keys.put("model_b", b"new")
    await until(lambda: len(seen) == 2)
    stop.set()
    await watching
    assert "model_b" not in seen[0]
    assert seen[1]["model_b"].value == b"new"


async def test_an_object_is_read_whole_across_the_accounts_or_not_at_all(rig: Rig) -> None:
    operator, scorer = await rig.broker("operator"), await rig.broker("scorer")
    data = bytes(range(256)) * 5000
    info = await Objects(operator, "models").put("lines-v1", data, metadata={"schema": "3"})
    assert info["chunks"] == 10
    assert await Objects(scorer, "models").get("lines-v1") == data
    assert (await Objects(scorer, "models").info("lines-v1"))["metadata"] == {"schema": "3"}
    with pytest.raises(Refused, match="NOT_FOUND"):
        await Objects(scorer, "models").get("lines-v2")
    await operator.publish(f"$O.models.C.{info['nuid']}", b"one chunk too many")
    with pytest.raises(Unavailable, match="incomplete or damaged"):
        await Objects(scorer, "models").get("lines-v1")
