"""The command line while no operator leads, which alone serves some of its requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.cli import replay_client
from penstock.cli.replay_client import Operator
from penstock.errors import PenstockError
from penstock.rpc.caller import RequestCaller
from penstock.rpc.server import serve
from tests.support.broker_rig import Rig
from tests.support.until import until


async def test_a_command_waits_for_the_next_leader_and_says_so_and_fails_when_there_is_none(
    rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator()
    operator._broker = await rig.broker("replayer")
    errors = ""

    def noted() -> bool:
        nonlocal errors
        errors += capsys.readouterr().err
        return bool(errors)

    async def status(_: dict[str, Any], __: RequestCaller) -> dict[str, Any]:
        return {"replicas": []}

    monkeypatch.setattr(replay_client, "LEADER_SECONDS", 30.0)
    asking = asyncio.create_task(operator.ask("status", {}, service="workers"))
    await until(noted)
    leader = await serve(await rig.broker("operator"), "workers", {"status": status})
    assert await asking == {"replicas": []}
    assert errors + capsys.readouterr().err == "no operator serves workers now; waiting for one\n"
    await leader.stop(0.3)

    monkeypatch.setattr(replay_client, "LEADER_SECONDS", 0.5)
    with pytest.raises(PenstockError) as caught:
        await operator.ask("status", {}, service="workers")
    assert caught.value.code == "SERVICE_UNAVAILABLE"
