"""penstock migrate plan, apply, drop: rebuilds of the indices whose mapping is not today's, one after the other.

Exit codes: 0 every index has today's mapping · 1 refused or unavailable, with a code · 2 usage · 3 a rebuild failed
· 4 one was cancelled · 8 some mappings differ · 9 they are planned, and another person must apply the plans.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from typing import Annotated, Any

import typer

from penstock.cli import migrate_show, replay_show
from penstock.cli.replay_client import Operator
from penstock.elasticsearch import names
from penstock.errors import Refused
from penstock.rpc.messages import IndexMapping, IndexMappings, RebuiltIndex, ReplayPlan, ReplayRun, ReplayStatus

app = typer.Typer(
    no_args_is_help=True,
    help="Rebuild the indices whose mapping has changed. Exit codes: 0 every index has today's mapping, 1 refused,"
    " 3 a rebuild failed, 4 one was cancelled, 8 some mappings differ, 9 another person must apply the plans.",
)

EXIT = {"failed": 3, "cancelled": 4}
DIFFER, NEEDS_ANOTHER = 8, 9
ENDED = ("done", "failed", "cancelled")
WATCH_SECONDS = 0.5

Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="Only this dataset; repeatable.")]
Periods = Annotated[list[str] | None, typer.Option("--period", help="Only this period: 2026-11, 2026, 2010s.")]
Unknown = Annotated[
    bool,
    typer.Option("--skip-unknown", help="Leave out indices that do not say which mapping they were created with."),
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Recorded in the audit trail.")]
By = Annotated[str, typer.Option("--by", help="Who does it. Default: the user of this shell.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def plan(datasets: Datasets = None, periods: Periods = None, skip_unknown: Unknown = False, json: Json = False) -> None:
    """List the indices whose mapping differs from today's, and how."""

    async def planning() -> list[IndexMapping]:
        async with Operator() as operator:
            return await Migration(operator, datasets, periods, skip_unknown).indices()

    found = asyncio.run(planning())
    migrate_show.indices(found, json)
    if any(each.state != "current" for each in found):
        raise typer.Exit(DIFFER)


@app.command()
def apply(
    datasets: Datasets = None,
    periods: Periods = None,
    skip_unknown: Unknown = False,
    rate: Annotated[float, typer.Option(min=0.01, help="Events per second, over all indexers.")] = 5000.0,
    drop: Annotated[bool, typer.Option("--drop", help="Delete each old index when its rebuild is verified.")] = False,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Rebuild each of these indices beside the live one, verify it and swap it in. Run it again to go on."""
    settings = {"rate": rate, "reason": reason, "by": by or getpass.getuser()}

    async def applying() -> None:
        async with Operator() as operator:
            migration = Migration(operator, datasets, periods, skip_unknown)
            await migration.apply(settings, drop, migrate_show.steps(json), json)
            if any(each.state != "current" for each in await migration.indices()):
                raise typer.Exit(DIFFER)

    asyncio.run(applying())


@app.command()
def drop(
    datasets: Datasets = None, periods: Periods = None, reason: Reason = "", by: By = "", json: Json = False
) -> None:
    """Delete the old indices of finished rebuilds. This cannot be undone."""

    async def dropping() -> None:
        async with Operator() as operator:
            body = {"reason": reason, "by": by or getpass.getuser()}
            found = await Migration(operator, datasets, periods, skip_unknown=False).indices()
            for each in found:
                if each.rebuild == "swapped":  # shown one by one, as what is gone is gone when a later one fails
                    replay_show.rebuilt(await _drop(operator, each, body), json)

    asyncio.run(dropping())


class Migration:
    """What is left to do is what the indices say, so it can be begun again at any time, by anybody."""

    def __init__(
        self, operator: Operator, datasets: list[str] | None, periods: list[str] | None, skip_unknown: bool
    ) -> None:
        self._operator = operator
        self._wanted: dict[str, Any] = {"datasets": datasets or [], "periods": periods or []}
        self._skip_unknown = skip_unknown

    async def indices(self) -> list[IndexMapping]:
        """All that were asked for, in the order of their aliases."""
        found: list[IndexMapping] = []
        after: dict[str, str] = {}
        while True:
            page = IndexMappings.model_validate(await self._operator.ask("mappings", {**self._wanted, **after}))
            found += page.indices
            if not page.left or not page.indices:
                return [each for each in found if not (self._skip_unknown and each.state == "unknown")]
            after = {"after": page.indices[-1].alias}

    async def apply(self, settings: dict[str, Any], drop: bool, step: Callable[..., None], json: bool) -> None:
        """Rebuilds what differs. Raises Refused, or typer.Exit where a run does not end well, or may be applied by
        another person only: then all is planned."""
        todo = [each for each in await self.indices() if each.state != "current"]
        for each in todo:
            _refuse_open(each)
        planned: list[ReplayPlan] = []
        for number, each in enumerate(todo, 1):
            step(number, len(todo), each)
            run = each.run
            plan = await self._plan(each, settings) if run is None else None
            if plan is not None and (run := await self._apply(plan, settings)) is None:
                planned.append(plan)
            if run is None:
                continue
            if code := EXIT.get(await self._watch(run, json)):
                raise typer.Exit(code)
            if drop:
                await _drop(self._operator, each.model_copy(update={"run": run}), settings)
        if planned:
            migrate_show.planned(planned, json)
            raise typer.Exit(NEEDS_ANOTHER)
        step(len(todo), len(todo), None)

    async def _plan(self, index: IndexMapping, settings: dict[str, Any]) -> ReplayPlan | None:
        """The plan that rebuilds the index; None where the store has nothing of its period."""
        dataset, period = names.dataset_and_period(index.alias)
        match: dict[str, Any] = {"datasets": [dataset]}
        if index.alias.startswith("scored-"):
            match["models"] = [index.alias.split("-", 2)[1]]
        body = {
            "target": "indexer",
            "source": "store",
            "effect": "rebuild",
            "period": period,
            "match": match,
            **settings,
        }
        try:
            return await self._operator.plan(body, replay_show.counted)
        except Refused as error:
            if error.code != "REPLAY_EMPTY":
                raise
            replay_show.note(f"{index.alias}: {error.detail}; left as it is")
            return None

    async def _apply(self, plan: ReplayPlan, settings: dict[str, Any]) -> str | None:
        """The plan's run; None where whoever planned may not apply."""
        try:
            applied = await self._operator.ask("apply", {"plan": plan.hash, "by": settings["by"]})
        except Refused as error:
            if error.code != "REPLAY_APPROVAL_MISSING":
                raise
            return None
        return ReplayRun.model_validate(applied).id

    async def _watch(self, run: str, json: bool) -> str:
        with replay_show.watching(json) as shown:
            while True:
                found = ReplayStatus.model_validate(await self._operator.ask_again("status", {"run": run}))
                shown(found)
                if found.run.state in ENDED:
                    return found.run.state
                await asyncio.sleep(WATCH_SECONDS)


def _refuse_open(index: IndexMapping) -> None:
    """Raises Refused CONFLICT for an index whose rebuild is not under way, and was not dropped."""
    if index.run is not None and index.run_state in ENDED:
        raise Refused(
            "CONFLICT",
            f"run {index.run} rebuilt {index.alias} ({index.rebuild}, {index.run_state}); end that first:"
            f" penstock replay drop {index.run}",
        )


async def _drop(operator: Operator, index: IndexMapping, settings: dict[str, Any]) -> RebuiltIndex:
    body = {"run": index.run, "reason": settings["reason"], "by": settings["by"]}
    return RebuiltIndex.model_validate(await operator.ask("discard", body))
