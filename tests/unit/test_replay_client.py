"""The command line's requests that take more than one turn."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.cli.replay_client import Operator
from penstock.errors import Unavailable
from penstock.rpc.messages import ReplayCounts, ReplayPlan

COUNT = "0123456789ab"


def plan(total: int, *, exact: bool = False, count: str = COUNT) -> ReplayPlan:
    return ReplayPlan(
        at="2026-11-01T12:00:00Z",
        by="ann",
        reason="a test",
        target="indexer",
        source="store",
        effect="rebuild",
        rate=5000.0,
        ranges=(),
        counts=ReplayCounts(total=total),
        exact=exact,
        count="" if exact else count,
    )


class Answers(Operator):
    """Answers one after the other."""

    def __init__(self, *answers: ReplayPlan | Unavailable) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._answers = list(answers)

    async def ask(self, operation: str, body: dict[str, Any], *, service: str = "operator") -> dict[str, Any]:
        assert (service, operation) == ("operator", "plan")
        self.bodies.append(body)
        answer = self._answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer.to_json()


async def test_a_plan_is_asked_for_until_the_store_is_counted_whole() -> None:
    operator, seen = Answers(plan(100), plan(200), plan(250, exact=True)), list[int]()
    found = await operator.plan({"target": "indexer"}, lambda each: seen.append(each.counts.total))
    assert (found.exact, found.counts.total, seen) == (True, 250, [100, 200])
    assert operator.bodies == [{"target": "indexer"}, *[{"target": "indexer", "count": COUNT}] * 2]


async def test_a_plan_that_no_request_can_count_whole_is_returned_as_it_is() -> None:
    found = await Answers(plan(100, count="")).plan({}, lambda _: pytest.fail("there is no count to go on with"))
    assert not found.exact


async def test_a_count_goes_on_when_the_operator_that_was_asked_is_gone() -> None:
    operator = Answers(plan(100), Unavailable("SERVICE_UNAVAILABLE", "gone"), plan(120, exact=True))
    assert (await operator.plan({}, lambda _: None)).counts.total == 120
    with pytest.raises(Unavailable):
        await Answers(Unavailable("SERVICE_UNAVAILABLE", "gone")).plan({}, lambda _: None)
