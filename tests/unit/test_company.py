"""What an identity may do while others are there: events at a rate, questions a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.errors import Unavailable
from penstock.services.ingress.access import company as company_module
from penstock.services.ingress.access.company import SECONDS, Company
from penstock.services.ingress.queries import gate as gate_module
from penstock.services.ingress.queries.gate import Gate
from penstock.services.ingress.submit import event_pace
from penstock.services.ingress.submit.event_pace import AHEAD, DEBT, LONGEST, PORTION, EventPace
from tests.support.until import BOUND, until

RATE = 1000


class Clock:
    """The time of the modules under test, which a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


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


async def test_portions_come_at_the_rate_and_all_at_once_when_the_others_have_gone(
    company: Company, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_pace, "asyncio", clock)
    began = clock.now
    portions = EventPace(200, company).portions("greedy", began, 800)
    for number in range(5):
        assert await anext(portions) == (8 * number, 8 * number + 8)
        assert clock.now - began == pytest.approx(number * PORTION)
    clock.now += 1.0
    first, end = await anext(portions)
    assert first == 40
    assert end == pytest.approx(40 + 192 + 8, abs=1)  # what became due while the last one took so long, and its own
    company.end()
    assert [each async for each in portions] == [(end, 800)]


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


class Questions:
    """Questions of the greedy one, which go on until they are ended, and the names of those at work."""

    def __init__(self, gate: Gate) -> None:
        self.at_work: list[str] = []
        self._gate = gate
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        """In this order."""
        for name in names:
            self._tasks[name] = asyncio.create_task(self._ask(name))
            await asyncio.sleep(0)

    async def go_on(self) -> None:
        """Those that were given a place are at work then; no time passes in which one looks by itself."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def _ask(self, name: str) -> None:
        async with self._gate.one("greedy"):
            self.at_work.append(name)
            await asyncio.Event().wait()

    async def end(self, *names: str) -> None:
        """These, or all."""
        tasks = [self._tasks.pop(name) for name in names or list(self._tasks)]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.fixture
async def held_back(clock: Clock, company: Company) -> AsyncIterator[tuple[Gate, Questions]]:
    """A gate, and somebody who has a question at work, more work behind it than all others, and further questions."""
    gate = Gate(4, company)
    async with gate.one("greedy"):
        clock.now += 5.0
        company.note("honest")
    questions = Questions(gate)
    await questions.ask("1", "2", "3", "4")
    assert questions.at_work == ["1"]
    yield gate, questions
    await questions.end()


async def test_questions_that_wait_are_released_in_their_order(held_back: tuple[Gate, Questions]) -> None:
    _, questions = held_back
    await questions.end("2", "1")  # one that waits, too
    await until(lambda: questions.at_work == ["1", "3"])


async def test_all_that_wait_are_released_at_the_stop(held_back: tuple[Gate, Questions]) -> None:
    gate, questions = held_back
    gate.end()
    await questions.go_on()
    assert questions.at_work == ["1", "2", "3", "4"]


@pytest.fixture(params=[6.0, SECONDS], ids=["work is forgotten", "others have gone"])
def others_have_gone(
    held_back: tuple[Gate, Questions], clock: Clock, company: Company, request: pytest.FixtureRequest
) -> bool:
    """So much later there is room for those that are held back."""
    clock.now += request.param
    if request.param < SECONDS:
        company.note("honest")
    return bool(request.param == SECONDS)


async def test_a_newcomer_waits_behind_those_that_wait_and_all_go_on_when_there_is_room(
    held_back: tuple[Gate, Questions], others_have_gone: bool
) -> None:
    _, questions = held_back
    await questions.ask("5")
    await questions.go_on()
    assert {"1", "2", "3", "4"} <= set(questions.at_work)
    assert ("5" in questions.at_work) == others_have_gone


@pytest.mark.usefixtures("others_have_gone")
async def test_those_that_wait_see_by_themselves_that_there_is_room(
    held_back: tuple[Gate, Questions],
) -> None:
    _, questions = held_back
    await until(lambda: questions.at_work == ["1", "2", "3", "4"])


async def test_a_question_that_waits_for_too_long_is_refused_and_frees_its_place(
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
    async with asyncio.timeout(BOUND), gate.one("greedy"):
        pass
