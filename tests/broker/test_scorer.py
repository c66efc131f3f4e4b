"""The scorer as a process has it, on a real server: every event scored once, by the version that is active."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from penstock.broker import Keys, Stored, StoredMessage
from penstock.contracts import load, nats_subjects, subjects
from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.publish import GroupCommitter, Outgoing
from penstock.rpc.client import ask
from penstock.scoring import vectors
from penstock.scoring.registry import MODELS, REGISTRY, active_key, object_name
from penstock.scoring.score import read_score
from penstock.services.operator.__main__ import build as build_operator
from penstock.services.scorer.__main__ import build as build_scorer
from tests.support.broker_rig import Rig
from tests.support.records import records_of
from tests.support.scoring_models import RARE, TYPE, package, usual
from tests.support.until import BOUND, until
from tests.support.workers import RunningWorker, register

TIME = 1_790_000_000_000_000_000
LANES = [f"scorer_{lane}" for lane in range(8)]
_numbers = itertools.count()


@pytest.fixture(scope="module")
async def home(rig: Rig) -> AsyncIterator[Rig]:
    """A server with a registry that has an active model."""
    async with RunningWorker(rig, "operator", build_operator):
        await register(rig, package())
        yield rig


@pytest.fixture
async def scorer(home: Rig) -> AsyncIterator[Rig]:
    """And a scorer that has loaded it."""
    async with RunningWorker(home, "scorer", build_scorer):
        yield home


async def ship(
    rig: Rig, messages: list[str], *, headers: dict[str, str] | None = None, times: int = 1, wrong_pp: bool = False
) -> list[int]:
    """Log lines of many entities through the ingress, each `times` times; their sequences."""
    ingress = await rig.broker("ingress")
    committer = GroupCommitter(ingress)
    await committer.start()
    outgoing = []
    for message in messages:
        number = next(_numbers)
        entity = f"host-{number % 50}"
        value: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"line-{number}",
            "source": "/app",
            "type": TYPE,
            "subject": entity,
        }
        value |= {"time": timestamps.text(TIME + number * 1_000_000), "data": {"message": message}}
        pp = (subjects.partition(entity) + wrong_pp) % subjects.PARTITIONS
        outgoing += [Outgoing(subjects.event(pp, "http", "web_shop", TYPE), orjson.dumps(value), headers)] * times
    results = await committer.submit(outgoing)
    await committer.stop()
    await ingress.drain()
    assert all(isinstance(result, Stored) for result in results)
    return [result.sequence for result in results if isinstance(result, Stored)]


async def scored(rig: Rig, first: int, count: int) -> list[dict[str, Any]]:
    """Waits for `count` scores from sequence `first` on, each checked as the stores check it."""

    async def look() -> list[StoredMessage] | None:
        found = await rig.stored("SCORES", first)
        return found if len(found) >= count else None

    found = []
    for message in await until(look):
        read_score(_Delivered(message), load())
        found += [record.value for record in records_of([message])]
    return found


class _Delivered:
    def __init__(self, message: StoredMessage) -> None:
        self.subject, self.data, self.headers = message.subject, message.data, message.headers
        self.stream, self.sequence, self.stored_at_ns = message.stream, message.sequence, message.stored_at_ns


async def settled(rig: Rig) -> None:
    """Waits until no lane has anything left."""
    for lane in LANES:
        await rig.settled("EVENTS_HTTP", lane)


async def test_every_event_is_scored_once_and_then_settled(scorer: Rig) -> None:
    first = await scorer.next_sequence("SCORES")
    sequences = await ship(scorer, [usual(number) for number in range(300)])
    await settled(scorer)
    found = await scored(scorer, first, 300)
    assert sorted(record["sequence"] for record in found) == sequences
    assert len({record["key"] for record in found}) == 300


async def test_a_score_names_model_event_pattern_and_fields(scorer: Rig) -> None:
    first = await scorer.next_sequence("SCORES")
    (sequence,) = await ship(scorer, ["user 77 logged in from 10.9.8.7"], headers={"traceparent": "00-a-b-01"})
    (record,) = await scored(scorer, first, 1)
    active = orjson.loads((await Keys(await scorer.broker("scorer"), REGISTRY).get(active_key("surprise"))).value)
    assert record["model"] == {name: active[name] for name in ("name", "version", "schema", "digest")}
    assert (record["stream"], record["sequence"], record["publisher"]) == ("EVENTS_HTTP", sequence, "web_shop")
    assert record["pattern"] == "user <n> logged in from <ip>"
    assert record["fields"] == {"message": "user 77 logged in from 10.9.8.7"}
    assert sum(number * number for number in vectors.from_text(record["vector"])) == pytest.approx(1, abs=1e-5)
    (message,) = await scorer.stored("SCORES", first)
    assert message.headers["traceparent"] == "00-a-b-01"


async def test_a_rare_line_scores_higher(scorer: Rig) -> None:
    first = await scorer.next_sequence("SCORES")
    await ship(scorer, [usual(1), usual(2), RARE, "segfault at 7f00 in libc.so"])
    by_pattern = {record["pattern"]: record["score"] for record in await scored(scorer, first, 4)}
    odd = [score for pattern, score in by_pattern.items() if "panic" in pattern or "segfault" in pattern]
    assert min(odd) > 0.95 > max(set(by_pattern.values()) - set(odd))


async def test_an_event_that_was_sent_again_is_not_scored_again(scorer: Rig) -> None:
    first = await scorer.next_sequence("SCORES")
    await ship(scorer, ["user 5 logged in from 10.0.0.1"])
    await settled(scorer)
    await ship(scorer, ["user 6 logged in from 10.0.0.1"], times=1)
    (one, _) = await scored(scorer, first, 2)
    ingress = await scorer.broker("ingress")
    again = await scorer.core.jetstream.get("EVENTS_HTTP", sequence=one["sequence"])
    await ingress.publish(again.subject, again.data)
    await settled(scorer)
    assert len(await scorer.stored("SCORES", first)) == 2


async def test_a_waiting_publisher_gets_the_score_in_the_receipt(scorer: Rig) -> None:
    ingress = await scorer.broker("ingress")
    receipt: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    inbox = ingress.inbox()
    await ingress.subscribe(inbox, lambda message: receipt.set_result(orjson.loads(message.data)))
    await ingress.flush()
    first = await scorer.next_sequence("SCORES")
    await ship(scorer, [usual(3)], headers={"x-reply-to": inbox})
    async with asyncio.timeout(BOUND):
        answer = await receipt
    (record,) = await scored(scorer, first, 1)
    assert answer == {"stage": "scored", "key": record["key"], "score": record["score"]}


async def test_an_event_that_fails_the_check_is_dead_lettered(scorer: Rig) -> None:
    first, letters = await scorer.next_sequence("SCORES"), await scorer.next_sequence("DLQ")
    await ship(scorer, [usual(4)], wrong_pp=True)
    await settled(scorer)
    assert [message.subject.split(".")[:2] for message in await scorer.stored("DLQ", letters)] == [["dlq", "scorer"]]
    assert await scorer.stored("SCORES", first) == []


async def test_without_a_model_events_wait_and_none_is_lost(home: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SCORER_MODEL", "later")
    first = await home.next_sequence("SCORES")
    async with RunningWorker(home, "scorer", build_scorer, ready=False) as worker:
        sequences = await ship(home, [usual(number) for number in range(120)])
        note = "no model yet: scoring waits; train one with `penstock model train --model later --activate`"
        await until(lambda: worker.notes() == [note])
        assert worker.unready_reasons() == []
        for stream in ("EVENTS_HTTP", "EVENTS_NATS"):
            for lane in LANES:
                consumer = await home.core.jetstream.consumer_info(stream, lane)
                assert (consumer.waiting, consumer.ack_pending) == (0, 0)  # nothing is pulled, nothing in hand
        caller = await home.broker("indexer")
        with pytest.raises(Unavailable, match="MODEL_UNAVAILABLE"):
            await ask(caller, "score", "embed", {"type": "log.line.v1", "text": "user 1 logged in"})
    assert await home.stored("SCORES", first) == []  # neither waiting nor stopping lost or settled anything
    monkeypatch.setenv("PENSTOCK_SCORER_MODEL", "surprise")
    async with RunningWorker(home, "scorer", build_scorer):
        found = await scored(home, first, 120)
        await settled(home)
    assert sorted(record["sequence"] for record in found) == sequences


async def test_a_new_version_is_loaded_and_an_invalid_one_is_not(home: Rig) -> None:
    async with RunningWorker(home, "scorer", build_scorer) as worker:
        caller = await home.broker("indexer")
        before = (await ask(caller, "score", "models", {}))["models"][0]["version"]
        model = await register(home, package(seed=before + 1))

        async def swapped() -> bool | None:
            (loaded,) = (await ask(caller, "score", "models", {}))["models"]
            return loaded["version"] == model.version or None

        await until(swapped)
        first = await home.next_sequence("SCORES")
        await ship(home, [usual(9)])
        (record,) = await scored(home, first, 1)
        assert record["model"]["version"] == model.version
        operator = await home.broker("operator")
        keys = Keys(operator, REGISTRY)
        good = (await keys.get(active_key("surprise"))).value
        await keys.put(active_key("surprise"), orjson.dumps(orjson.loads(good) | {"version": 1}))
        await until(lambda: any("MODEL_INVALID" in unready_reason for unready_reason in worker.unready_reasons()))
        await ship(home, [usual(11)])
        assert (await scored(home, first, 2))[1]["model"]["version"] == model.version
        await keys.put(active_key("surprise"), good)
        await until(lambda: not worker.unready_reasons())


async def test_a_package_that_is_stored_again_is_found_without_another_activation(home: Rig) -> None:
    raw = package()
    model = await register(home, raw)
    lost = nats_subjects.object_info(MODELS, object_name("surprise", model.version))
    await home.core.jetstream.api(f"STREAM.PURGE.{nats_subjects.object_stream(MODELS)}", {"filter": lost})
    async with RunningWorker(home, "scorer", build_scorer, ready=False) as worker:
        reason = f"surprise v{model.version} cannot be loaded: NOT_FOUND: OBJ_models holds no such message"
        await until(lambda: worker.unready_reasons() == [reason])
        assert (await register(home, raw, activate=False)).version == model.version
        await until(lambda: worker.unready_reasons() == [])


async def test_a_text_is_embedded_beside_lines_like_it(scorer: Rig) -> None:
    indexer = await scorer.broker("indexer")

    async def embed(**request: Any) -> tuple[float, ...]:
        answer = await ask(indexer, "score", "embed", {"type": "log.line.v1", **request})
        return vectors.from_text(answer["vector"])

    text = await embed(text="user 4 logged in from 10.0.0.9")
    same = await embed(data={"message": "user 99 logged in from 10.0.3.9"})
    other = await embed(text="request 4 took 7 ms")
    assert _likeness(text, same) > 0.999 > 0.9 > _likeness(text, other)
    with pytest.raises(Refused, match="TYPE_UNKNOWN"):
        await embed(text="cpu", type="no.where.v1")


def _likeness(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
