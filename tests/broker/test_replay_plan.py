"""Plans on a real server: counts equal what is there, bounds and filters are frozen, and what cannot be is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import orjson
import pytest

from penstock.broker import Broker
from penstock.errors import PenstockError, Refused
from penstock.events import timestamps
from penstock.replay.plan import hash_of
from penstock.rpc.messages import ReplayPlan
from tests.support.broker_rig import Rig
from tests.support.replay_console import Console, put

PUBLISHERS = ("web_shop", "till")
TYPES = ("log.line.v1", "metric.sample.v1", "user.interaction.v1")


@pytest.fixture(scope="module")
async def stored(operator: Rig) -> list[tuple[int, str]]:
    """(sequence, subject) of messages of every partition, publisher and type on EVENTS_HTTP."""
    subjects = [
        f"evt.{pp:02x}.http.{publisher}.{type}" for pp in range(64) for publisher in PUBLISHERS for type in TYPES
    ]
    return list(zip(await put(operator, subjects), subjects, strict=True))


def http(stored: list[tuple[int, str]]) -> list[dict[str, Any]]:
    return [{"stream": "EVENTS_HTTP", "first": stored[0][0], "last": stored[-1][0]}]


async def refused(console: Console, **members: Any) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        await console.plan(**members)
    return caught.value


async def test_a_plan_counts_by_type_publisher_and_day(console: Console, stored: list[tuple[int, str]]) -> None:
    plan = await console.plan(sequences=http(stored))
    assert plan.exact
    assert plan.counts.total == len(stored) == plan.ranges[0].planned
    assert plan.counts.by_type == dict.fromkeys(TYPES, 128)
    assert plan.counts.by_publisher == {"till": 192, "web_shop": 192}
    assert sum(plan.counts.by_day.values()) == len(stored)
    assert plan.by == "ann"
    assert plan.seconds == pytest.approx(len(stored) / plan.rate, abs=0.1)


@pytest.mark.parametrize(
    "match",
    [
        {"publishers": ["till"]},
        {"types": ["log.line.v1"]},
        {"publishers": ["till"], "types": ["metric.sample.v1", "log.line.v1"]},
        {"datasets": ["logs"]},
        {"entity": "web_1"},
    ],
    ids=lambda match: "-".join(match),
)
async def test_a_filtered_plan_counts_what_matches_between_its_bounds(
    console: Console, stored: list[tuple[int, str]], match: dict[str, Any]
) -> None:
    part = stored[50:-50]
    plan = await console.plan(sequences=http(part), match=match)
    (found,) = plan.ranges
    expected = [subject for _, subject in part if any(_matches(filter, subject) for filter in found.filters)]
    assert expected
    assert plan.counts.total == len(expected)
    assert plan.counts.by_type == Counter(subject.split(".", 4)[4] for subject in expected)
    assert plan.counts.by_publisher == Counter(subject.split(".")[3] for subject in expected)


async def test_every_partition_is_counted(console: Console, operator: Rig, stored: list[tuple[int, str]]) -> None:
    plan = await console.plan(sequences=http(stored), match={"types": [TYPES[0]], "publishers": ["till"]})
    assert plan.counts.total == 64


async def test_counts_are_exact_while_events_arrive(
    console: Console, operator: Rig, stored: list[tuple[int, str]]
) -> None:
    done = asyncio.Event()

    async def live() -> int:
        count = 0
        while not done.is_set():
            await put(operator, ["evt.00.http.till.log.line.v1"] * 20)
            count += 20
        return count

    traffic = asyncio.create_task(live())
    plans = [await console.plan(sequences=http(stored), match={"types": [TYPES[0]]}) for _ in range(5)]
    done.set()
    assert await traffic > 0
    assert [(plan.counts.total, plan.exact) for plan in plans] == [(128, True)] * 5


async def test_times_are_frozen_into_sequences(console: Console, operator: Rig, stored: list[tuple[int, str]]) -> None:
    edges = [await operator.core.jetstream.get("EVENTS_HTTP", sequence=stored[n][0]) for n in (10, 20)]
    since, to = (timestamps.text(edge.stored_at_ns) for edge in edges)
    plan = await console.plan(time={"from": since, "to": to}, match={"publishers": list(PUBLISHERS)})
    (part,) = plan.ranges
    assert (part.first, part.last) == (stored[10][0], stored[19][0])
    assert plan.counts.total == 10
    relative = await console.plan(time={"from": "-PT1H"}, match={"publishers": list(PUBLISHERS)})
    assert relative.ranges[0].last == (await operator.core.jetstream.stream_info("EVENTS_HTTP")).last_seq


async def test_the_hash_is_over_all_of_the_plan(console: Console, stored: list[tuple[int, str]]) -> None:
    plan = await console.plan(sequences=http(stored))
    assert plan.hash == hash_of(plan)
    for change in ({"rate": 1.0}, {"reason": "another"}, {"target": "indexer"}, {"disk": plan.disk + 1}):
        assert hash_of(plan.model_copy(update=change)) != plan.hash
    assert ReplayPlan.model_validate_json(orjson.dumps(plan.to_json())).hash == plan.hash


async def test_what_cannot_be_planned_is_refused(console: Console, stored: list[tuple[int, str]]) -> None:
    bounds = {"sequences": http(stored)}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("REPLAY_REASON_MISSING", bounds | {"reason": " "}),
        ("REPLAY_UNBOUNDED", {}),
        ("REPLAY_UNBOUNDED", {"time": {"to": "now"}}),
        ("REPLAY_BOUNDS_INVALID", {"time": {"from": "-PT1H", "to": "-PT2H"}}),
        ("REPLAY_BOUNDS_INVALID", {"time": {"from": "2200-01-01T00:00:00Z"}}),
        ("REPLAY_BOUNDS_INVALID", {"time": {"from": "-PT1H", "to": "2200-01-01T00:00:00Z"}}),
        ("REPLAY_BOUNDS_INVALID", {"time": {"from": "yesterday"}}),
        ("REPLAY_BOUNDS_INVALID", {"sequences": [{"stream": "EVENTS_HTTP", "first": 1 << 50}]}),
        ("REPLAY_BOUNDS_INVALID", {"sequences": [{"stream": "EVENTS_HTTP", "first": 1, "last": 1 << 50}]}),
        ("REPLAY_BOUNDS_INVALID", {"sequences": [{"stream": "SCORES", "first": 1}]}),
        ("REPLAY_BOUNDS_INVALID", bounds | {"time": {"from": "-PT1H"}}),
        ("REPLAY_FILTER_INVALID", bounds | {"match": {"types": ["no.such.v1"]}}),
        ("REPLAY_FILTER_INVALID", bounds | {"match": {"datasets": ["nothing"]}}),
        ("REPLAY_FILTER_INVALID", bounds | {"match": {"models": ["lines"]}}),
        ("REPLAY_EMPTY", bounds | {"match": {"publishers": ["nobody"]}}),
        ("REPLAY_UNSUPPORTED", bounds | {"target": "auditor"}),
        ("REPLAY_UNSUPPORTED", bounds | {"effect": "rebuild"}),
        ("REPLAY_UNSUPPORTED", bounds | {"target": "scorer", "source": "scores"}),
    ]
    for code, members in cases:
        assert (await refused(console, **members)).code == code, members


async def test_a_person_needs_the_role(operator: Rig, stored: list[tuple[int, str]]) -> None:
    from penstock.rpc.caller import Person
    from penstock.rpc.client import ask

    ingress: Broker = await operator.broker("ingress")
    body = {"target": "writer", "sequences": http(stored), "reason": "a test", "by": "mallory"}
    for person in (None, Person("bob", frozenset(), frozenset({"reader"}))):
        with pytest.raises(Refused, match="FORBIDDEN"):
            await ask(ingress, "operator", "plan", body, on_behalf=person, timeout=20.0)
    ann = Person("ann", frozenset(), frozenset({"operator"}))
    plan = ReplayPlan.model_validate(await ask(ingress, "operator", "plan", body, on_behalf=ann, timeout=20.0))
    assert plan.by == "ann"


def _matches(filter: str, subject: str) -> bool:
    wanted, given = filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))
