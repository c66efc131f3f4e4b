"""Events that can never be stored, published straight on a subject past the ingress's check → one dead letter from each
worker, with code, payload and origin; the good ones around them go through."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass

import orjson

from penstock.broker import Broker
from penstock.contract_check.example_files import invalid
from penstock.contracts import load, subjects
from penstock.contracts.subjects import Door
from penstock.events import Event, timestamps
from tests.support.full_stack import WORKERS, FullStack
from tests.support.senders import Senders

DAY_NS = 86_400_000_000_000
FULL_LETTERS = 50  # of one publisher; of more in a minute a worker keeps the range only
GOOD_PER_BAD = 2  # of the same publisher, or most of what several publishers send is refused, and the brake closes


@dataclass(frozen=True, slots=True)
class Poison:
    """What is published, and the code that every worker must find."""

    raw: bytes
    code: str
    subject: str
    door: Door
    publisher: str


def poisons() -> list[Poison]:
    """Every invalid example of the contracts; billing publishes its types, others what it may not."""
    found: list[Poison] = []
    for type in load().types:
        for example in invalid(load(), type):
            door, publisher = whose(type, Counter(poison.publisher for poison in found))
            raw = of_today(example.raw)
            subject = subjects.event(partition(raw), door, publisher, type)
            found.append(Poison(raw, example.code, subject, door, publisher))
    return found


def whose(type: str, so_far: Counter[str]) -> tuple[Door, str]:
    if type == "metric.sample.v1":
        return "nats", "metrics_agent"
    if type in ("log.line.v1", "user.interaction.v1") and so_far["billing"] < FULL_LETTERS:
        return "nats", "billing"
    return "http", "till" if type == "cloud.audit.v1" else "app_store"  # as an ingress without a check would


def of_today(raw: bytes) -> bytes:
    """The examples are written for one day; what is meant to be recent, or in the future, must be so now."""
    now = time.time_ns()
    future = timestamps.text((now + 2 * DAY_NS) // 1_000_000 * 1_000_000).encode()
    yesterday = timestamps.text(now - DAY_NS)[:10].encode()
    return re.sub(rb"2026-11-01(?=T11:5)", yesterday, raw.replace(b"2026-11-01T13:00:01Z", future))


def partition(raw: bytes) -> int:
    """That of its entity, where it can be read."""
    try:
        value = orjson.loads(raw)
        return subjects.partition(value["subject"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0


def good_one(senders: Senders, poison: Poison) -> Event:
    """A good event of the same publisher; the metrics agent may publish samples only."""
    while True:
        event = senders.checked(poison.publisher, poison.door)
        if poison.publisher != "metrics_agent" or event.type.type == "metric.sample.v1":
            return event


async def test_each_bad_event_is_dead_lettered_once_by_each_worker_and_the_good_ones_pass(
    full_stack: FullStack,
) -> None:
    await full_stack.settled()
    brokers = {
        name: await Broker.connect(full_stack.place.nats, name, full_stack.place.credentials_folder)
        for name in ("billing", "metrics_agent", "ingress")
    }
    senders = full_stack.senders()
    expected: Counter[tuple[str, str, str, str, bytes]] = Counter()
    try:
        for poison in poisons():
            broker = brokers["ingress" if poison.door == "http" else poison.publisher]
            stored = await broker.publish(poison.subject, poison.raw)
            for worker in WORKERS:
                expected[worker, poison.code, stored.stream, str(stored.sequence), poison.raw] += 1
            for _ in range(GOOD_PER_BAD):
                good = good_one(senders, poison)
                await broker.publish(good.subject, good.raw)
                full_stack.accepted.add(good.key)
        full_stack.note(f"{len(expected)} dead letters expected")
        await full_stack.settled()
        full_stack.note("everything is settled")
    finally:
        for broker in brokers.values():
            await broker.drain(1.0)

    letters = (await full_stack.dead_letters())[full_stack.letters :]
    full_stack.letters += len(letters)
    found = Counter(
        (
            letter.subject.split(".")[1],
            letter.headers["x-penstock-code"],
            letter.headers["x-penstock-stream"],
            letter.headers.get("x-penstock-sequence", "a range"),
            letter.data,
        )
        for letter in letters
    )
    assert found == expected
    assert {letter.subject.split(".", 2)[2] for letter in letters} == {poison.subject for poison in poisons()}
    await full_stack.assert_complete()
