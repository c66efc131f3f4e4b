"""What an identity may do while others are there: events at a rate, questions a few at a time."""

from __future__ import annotations

import asyncio
import time

import pytest

from penstock.errors import Unavailable
from penstock.services.ingress.access import company as company_module
from penstock.services.ingress.access.company import SECONDS, Company
from penstock.services.ingress.queries import gate as gate_module
from penstock.services.ingress.queries.gate import Gate
from penstock.services.ingress.submit import event_pace
from penstock.services.ingress.submit.event_pace import AHEAD, DEBT, LONGEST, PORTION, EventPace
from tests.support.until import BOUND

RATE = 1000


class Clock:
    """The time of the modules under test, which a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (company_module, event_pace, gate_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def company(clock: Clock) -> Company:
    """One with somebody else in it."""
    company = Company()
    company.note("honest")
    return company


def test_only_others_are_company_and_only_for_a_while(clock: Clock) -> None:
    company = Company()
    company.note("greedy")
    assert not company.has("greedy")
    assert company.has("honest")
    company.note("honest")
    company.note("greedy")
    assert company.has("greedy")
    clock.now += SECONDS
    company.note("greedy")
    assert not company.has("greedy")
    company.note("honest")
    company.end()
    assert not company.has("greedy")


def test_who_is_alone_sends_as_fast_as_it_can(clock: Clock) -> None:
    pace = EventPace(RATE, Company())
    assert [pace.begin("greedy", 5000) for _ in range(20)] == [0.0] * 20


def test_with_company_an_identity_has_its_rate_and_the_others_are_not_touched(clock: Clock, company: Company) -> None:
    pace = EventPace(RATE, company)
    accepted = 0
    for _ in range(600):  # a minute, ten attempts a second
        clock.now += 0.1
        company.note("honest")
        pace.begin("honest", 10)
        try:
            pace.must_have_room("greedy")
        except Unavailable:
            with pytest.raises(Unavailable, match="EVENT_SHARE_USED"):
                pace.begin("greedy", 500)
        else:
            pace.begin("greedy", 500)
            accepted += 500
    assert 60 * RATE <= accepted <= (60 + AHEAD + DEBT + 1) * RATE


async def test_portions_come_at_the_rate_and_all_at_once_when_the_others_have_gone() -> None:
    company = Company()
    company.note("honest")
    pace = EventPace(200, company)
    began = time.monotonic()
    portions = []
    async with asyncio.timeout(BOUND):
        async for first, end in pace.portions("greedy", began, 800):
            portions.append((first, end))
            if len(portions) == 5:
                company.end()
    took = time.monotonic() - began
    assert portions[0] == (0, 8)
    assert portions[4][1] <= took * 200 + 8
    assert portions[5][1] == 800
    assert [first for first, _ in portions] == [0, *(end for _, end in portions[:-1])]


async def test_a_request_goes_on_for_a_bounded_time_and_is_paid_for_in_full(company: Company, clock: Clock) -> None:
    pace = EventPace(10, company)
    pace.begin("greedy", 5000)
    first, end = await anext(pace.portions("greedy", clock.now, 5000))
    assert (first, end) == (0, int(PORTION * 5000 / LONGEST))
    clock.now += LONGEST + DEBT
    company.note("honest")
    with pytest.raises(Unavailable, match="EVENT_SHARE_USED"):
        pace.must_have_room("greedy")


async def test_who_keeps_the_workers_busy_is_answered_one_by_one(clock: Clock, company: Company) -> None:
    gate = Gate(4, company)
    at_work = most = 0

    async def ask(identity: str, seconds: float) -> None:
        nonlocal at_work, most
        async with gate.one(identity):
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0)
            clock.now += seconds
            company.note("honest")
            at_work -= 1

    async with asyncio.timeout(BOUND):
        await asyncio.gather(*(ask("greedy", 0.5) for _ in range(8)))
        assert most == 4
        most = 0
        await asyncio.gather(*(ask("greedy", 0.5) for _ in range(8)))
        assert most == 1
        most = 0
        await asyncio.gather(*(ask("honest", 0.5) for _ in range(4)))
        assert most == 4  # as much work as the greedy one had at first, and less than that one has had lately
        company.end()
        await asyncio.gather(*(ask("greedy", 0.5) for _ in range(8)))
        assert most == 8


async def test_a_question_that_waits_for_too_long_is_refused_and_one_that_is_left_frees_its_place(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "PATIENCE", 0.05)
    gate = Gate(1, company)
    async with gate.one("greedy"):
        with pytest.raises(Unavailable, match="QUERY_SHARE_USED"):
            async with gate.one("greedy"):
                pass
        async with gate.one("honest"):
            pass

        async def ask() -> None:
            async with gate.one("greedy"):
                pass

        left = asyncio.create_task(ask())
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait([left])
    async with asyncio.timeout(BOUND), gate.one("greedy"):
        pass
