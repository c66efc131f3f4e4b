"""PENSTOCK_OPERATOR_APPROVAL=another: who planned may not apply, and over HTTP only an approver may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.errors import PenstockError
from penstock.rpc.caller import Person
from penstock.rpc.client import ask
from penstock.services.operator.__main__ import build
from tests.support.broker_rig import Rig
from tests.support.replay_console import Console, put
from tests.support.until import BOUND
from tests.support.workers import RunningWorker


@pytest.fixture(scope="module")
async def operator(rig: Rig) -> AsyncIterator[Rig]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_OPERATOR_APPROVAL", "another")
        async with RunningWorker(rig, "operator", build):
            yield rig


async def plan_of(rig: Rig, user: str) -> Any:
    sequences = await put(rig, ["evt.00.http.till.log.line.v1"] * 3)
    console = Console(await rig.broker("replayer"), user)
    return await console.plan(sequences=[{"stream": "EVENTS_HTTP", "first": sequences[0], "last": sequences[-1]}])


async def test_on_the_command_line_another_user_applies(operator: Rig) -> None:
    plan = await plan_of(operator, "ann")
    broker = await operator.broker("replayer")
    with pytest.raises(PenstockError) as caught:
        await Console(broker, "ann").apply(plan)
    assert caught.value.code == "REPLAY_APPROVAL_MISSING"
    bob = Console(broker, "bob")
    run = await bob.apply(plan)
    assert run.changes[0].by == "bob"
    await bob.change("cancel", run)


async def test_over_http_an_approver_applies(operator: Rig) -> None:
    plan = await plan_of(operator, "ann")
    ingress = await operator.broker("ingress")

    async def apply(name: str, *roles: str) -> str:
        person = Person(name, frozenset(), frozenset(roles))
        try:
            body = {"plan": plan.hash, "run": "approved"}
            found = await ask(ingress, "operator", "apply", body, on_behalf=person, timeout=BOUND)
        except PenstockError as error:
            return error.code
        return str(found["changes"][0]["by"])

    assert await apply("ann", "approver", "operator") == "REPLAY_APPROVAL_MISSING"
    assert await apply("carl", "operator") == "REPLAY_APPROVAL_MISSING"
    assert await apply("carl", "reader") == "FORBIDDEN"
    assert await apply("dora", "approver") == "dora"
    person = Person("dora", frozenset(), frozenset({"approver"}))
    with pytest.raises(PenstockError, match="FORBIDDEN"):
        await ask(ingress, "operator", "pause", {"run": "approved"}, on_behalf=person, timeout=BOUND)
    await ask(ingress, "operator", "cancel", {"run": "approved"}, on_behalf=person, timeout=BOUND)
