"""The process around lanes and services: start, health and metrics, graceful stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.broker import Message
from penstock.contracts import load
from penstock.rpc.client import ask
from tests.support.broker_rig import Rig, subject
from tests.support.records import records_of
from tests.support.sample_process import Sample, start_sample
from tests.support.until import BOUND, until


@pytest.fixture
async def sample(rig: Rig, tmp_path: Path) -> AsyncIterator[Sample]:
    await rig.consumer()
    sample = await start_sample(rig, tmp_path)
    await sample.ready()
    yield sample
    if sample.process.returncode is None:
        sample.process.kill()
        await sample.process.wait()


async def test_sigterm_finishes_what_is_in_hand_and_exits_with_0_within_ten_seconds(sample: Sample) -> None:
    (sample.folder / "slow").touch()
    await sample.rig.store([b"%d" % n for n in range(20)])
    await until((sample.folder / "in_hand").exists)
    code, seconds = await sample.end()
    assert code == 0
    assert seconds < 10
    assert sample.handled() == [str(n) for n in range(20)]
    info = await sample.rig.core.jetstream.consumer_info("EVENTS_HTTP", "indexer")
    assert (info.pending, info.ack_pending) == (0, 0)
    assert sample.logged()[-1]["message"] == "worker_stopped"


async def test_a_worker_answers_requests(sample: Sample) -> None:
    ingress = await sample.rig.broker("ingress")
    assert await ask(ingress, "search", "query", {}) == {"asked_by": "ingress"}


async def test_readyz_names_the_reason(sample: Sample) -> None:
    (sample.folder / "away").touch()
    assert (await sample.ready(False))["reasons"] == ["the sink is away"]
    (sample.folder / "away").unlink()
    await sample.ready()
    sample.rig.processes.kill("nats")
    try:
        assert (await sample.ready(False))["reasons"] == ["no connection to the broker"]
        assert (await sample.get("/livez")).json() == {"live": True}
    finally:
        await asyncio.to_thread(sample.rig.processes.restart, "nats")
    await sample.ready()


async def test_it_waits_for_a_broker_that_is_not_there_yet_and_can_be_told_to_stop(rig: Rig, tmp_path: Path) -> None:
    rig.processes.kill("nats")
    try:
        sample = await start_sample(rig, tmp_path)
        assert (await sample.ready(False))["reasons"] == ["no connection to the broker"]
        code, seconds = await sample.end()
        assert (code, seconds < 3) == (0, True)
        again = await start_sample(rig, tmp_path)
        await again.ready(False)
    finally:
        await asyncio.to_thread(rig.processes.restart, "nats")
    await rig.core.wait_connected(5)
    await again.ready()
    assert (await again.end())[0] == 0


async def test_without_its_seed_it_says_so_and_exits_with_1(rig: Rig, tmp_path: Path) -> None:
    seed = rig.place.credentials_folder / "indexer.nk"
    aside = seed.rename(seed.with_suffix(".aside"))
    try:
        sample = await start_sample(rig, tmp_path)
        async with asyncio.timeout(BOUND):
            assert await sample.process.wait() == 1
    finally:
        aside.rename(seed)
    assert any("CREDENTIALS_INVALID" in line.get("reason", "") for line in sample.logged())


async def test_a_worker_exports_exactly_the_listed_metrics(sample: Sample) -> None:
    await sample.rig.store([b"one", b"two", b"refused"])
    await until(lambda: len(sample.handled()) == 3)
    await sample.rig.settled()
    text = (await sample.get("/metrics")).text
    labels = 'consumer="indexer",outcome="{}",stream="EVENTS_HTTP"'
    assert f"penstock_deliveries_settled_total{{{labels.format('done')}}} 2.0" in text
    assert f"penstock_deliveries_settled_total{{{labels.format('dropped')}}} 1.0" in text
    listed = {
        name: metric
        for group in load().metrics.values()
        if "indexer" in group.exported_by and group.title != "Indexer"  # the sample worker has no metrics of its own
        for name, metric in group.metrics.items()
    }
    families = {
        each.name: each
        for each in text_string_to_metric_families(text)
        if each.name.startswith("penstock_") and not each.name.endswith("_created")
    }
    assert {name.removesuffix("_total") for name in listed} == families.keys()
    for name, metric in listed.items():
        family = families[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.type, metric.meaning)


async def test_undecodable_and_refused_messages_are_dead_lettered_with_their_key_if_known(sample: Sample) -> None:
    first = await sample.rig.next_sequence("DLQ")
    await sample.rig.store([b"unreadable", b"refused", b"defect", b"good"])
    await sample.rig.settled()
    stored = await sample.rig.stored("DLQ", first)
    records_of(stored)
    letters = {letter.data: letter.headers for letter in stored}
    found = {data: (h["x-penstock-code"], h["x-penstock-reason"]) for data, h in letters.items()}
    assert found == {
        b"unreadable": ("SCHEMA_VIOLATION", "not readable (at /data)"),
        b"refused": ("SINK_REFUSED", "no"),
        b"defect": ("INTERNAL", "decoding failed: ZeroDivisionError"),
    }
    assert letters[b"refused"]["x-penstock-key"] == "key of refused"


async def test_a_receipt_goes_to_the_publisher_s_own_inbox_only(sample: Sample) -> None:
    ingress = await sample.rig.broker("ingress")
    victim = await sample.rig.broker("scorer")
    heard: list[bytes] = []
    stolen: list[Message] = []
    mine, theirs = ingress.inbox(), victim.inbox()
    await ingress.subscribe(mine, lambda message: heard.append(message.data))
    await victim.subscribe(theirs, stolen.append)
    await victim.flush()
    await ingress.publish(subject(), b"forged", {"x-reply-to": theirs})
    await ingress.publish(subject(), b"honest", {"x-reply-to": mine})
    await until(lambda: heard == [b'{"stored":"honest"}'])
    await sample.rig.settled()
    await victim.flush()
    assert not stolen
    assert any(line["message"] == "reply_refused" for line in sample.logged())


async def test_logs_are_json_lines_without_payloads(sample: Sample) -> None:
    await sample.rig.store([b"refused top secret", b"defect top secret", b"unreadable top secret"])
    await sample.rig.settled()
    assert (await sample.end())[0] == 0
    lines = sample.logged()
    assert {"worker_started", "delivery_decode_failed", "worker_stopped"} <= {line["message"] for line in lines}
    assert {line["process"] for line in lines} == {"indexer"}
    assert b"top secret" not in sample.log.read_bytes()
