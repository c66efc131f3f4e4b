"""`penstock migrate apply` where whoever planned a rebuild may not apply it."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from penstock.cli.migrate import NEEDS_ANOTHER, Migration
from penstock.cli.replay_client import Operator
from penstock.errors import Refused
from penstock.rpc.messages import IndexMapping, IndexMappings, ReplayCounts, ReplayPlan

INDICES = [
    IndexMapping(alias=alias, index=f"{alias}-g1", state=state, changes=[], documents=10, bytes=1000)
    for alias, state in (
        ("events-logs-2025", "current"),
        ("events-logs-2026", "differs"),
        ("events-metrics-2026-11", "differs"),
    )
]


class Approved(Operator):
    """Plans what it is asked for, and lets nobody apply their own plan."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, operation: str, body: dict[str, Any], *, service: str = "operator") -> dict[str, Any]:
        assert service == "operator"
        self.asked.append(operation)
        match operation:
            case "mappings":
                return IndexMappings(indices=INDICES).to_json()
            case "plan":
                alias = f"events-{body['match']['datasets'][0]}-{body['period']}"
                return plan(alias, body["by"]).to_json()
            case _:
                raise Refused("REPLAY_APPROVAL_MISSING", f"{body['by']} planned this; another must apply it")


def plan(alias: str, by: str) -> ReplayPlan:
    return ReplayPlan(
        hash=f"{len(alias):064x}",
        at="2026-11-01T12:00:00Z",
        by=by,
        reason="a test",
        target="indexer",
        source="store",
        effect="rebuild",
        rate=5000.0,
        ranges=(),
        alias=alias,
        counts=ReplayCounts(total=10),
    )


@pytest.mark.parametrize("json", [False, True])
async def test_everything_is_planned_and_the_next_step_is_named(json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    operator = Approved()
    migration = Migration(operator, None, None, skip_unknown=False)
    with pytest.raises(typer.Exit) as ended:
        await migration.apply(
            {"reason": "a test", "by": "ann", "rate": 5000.0}, drop=False, step=lambda *_: None, json=json
        )
    assert ended.value.exit_code == NEEDS_ANOTHER
    assert operator.asked == ["mappings", "plan", "apply", "plan", "apply"]
    out = capsys.readouterr().out
    for alias in ("events-logs-2026", "events-metrics-2026-11"):
        assert alias in out
        assert f"{len(alias):064x}" in out
    assert "ann" in out
    assert ("penstock replay apply" in out) == (not json)
    assert "events-logs-2025" not in out
