"""penstock replay plan, apply, list, status, pause, resume, rate, cancel, report.

Exit codes: 0 done or in progress · 1 refused or unavailable, with a code · 2 usage · 3 failed · 4 cancelled
· 5 paused · 6 not verified (yet) · 7 the plan has no exact count and cannot be applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from penstock.cli import replay_show as show
from penstock.cli.moments import moment
from penstock.cli.options import By, Json, Reason, user
from penstock.cli.replay_client import Operator, ask_once, sequences_of, since_of, target_of
from penstock.events import timestamps
from penstock.rpc.messages import RebuiltIndex, ReplayPlan, ReplayReport, ReplayRun, ReplayRuns, ReplayStatus

app = typer.Typer(
    no_args_is_help=True,
    help="Plan, run and verify replays of stored events. Exit codes: 0 done or in progress, 1 refused, 3 failed,"
    " 4 cancelled, 5 paused, 6 not verified, 7 the plan has no exact count.",
)

EXIT = {"failed": 3, "cancelled": 4, "paused": 5}
NO_PROOF, AT_LEAST = 6, 7
RELATIVE = ("now", "-P")  # how times begin that the operator resolves
WANTED = {"pause": "paused", "cancel": "cancelled"}  # by operation, the state that it leads to
WATCH_SECONDS = 0.5


class Source(StrEnum):
    """Where messages come from."""

    events = "events"
    scores = "scores"
    store = "store"


Run = Annotated[str, typer.Argument(help="Id of the run.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it ends; with --json one line per change.")]


@app.command()
def plan(
    target: Annotated[str, typer.Argument(help="indexer, writer or scorer; subscriber:NAME for a subscriber.")],
    source: Annotated[Source, typer.Option(help="What to replay.")] = Source.events,
    effect: Annotated[str, typer.Option(help="rebuild: fill a new index, then swap it with the live one.")] = "",
    table: Annotated[str, typer.Option(help="events or timeline: the table of Cassandra to rebuild.")] = "",
    period: Annotated[str, typer.Option(help="Period by event time: 2026, 2026-11, 2010s; with --source store.")] = "",
    since: Annotated[str, typer.Option(help="How far back: 90m, 2h, 7d.")] = "",
    begin: Annotated[
        str, typer.Option("--from", help="Earliest time of storing, or event time with --source store; inclusive.")
    ] = "",
    to: Annotated[str, typer.Option(help="Latest time of storing (RFC 3339); exclusive. Default: now.")] = "",
    sequences: Annotated[list[str] | None, typer.Option("--sequences", help="STREAM:FIRST-LAST; repeatable.")] = None,
    publishers: Annotated[
        list[str] | None, typer.Option("--publisher", help="Only of this publisher; repeatable.")
    ] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this event type; repeatable.")] = None,
    datasets: Annotated[list[str] | None, typer.Option("--dataset", help="Only this dataset; repeatable.")] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="Only scores of this model; from the store of one version, like lines_v3."),
    ] = None,
    entity: Annotated[str, typer.Option(help="Only this host, service, session, …")] = "",
    key: Annotated[str, typer.Option(help="Only the event with this key.")] = "",
    rate: Annotated[float, typer.Option(min=0.01, help="Events per second, over all replicas.")] = 5000.0,
    side_effects: Annotated[
        bool, typer.Option("--side-effects", help="Let the target send what it also sends for live events.")
    ] = False,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Plan a replay and count its messages. Nothing happens until `apply` gets the plan's hash."""
    match = {
        "publishers": publishers,
        "types": types,
        "datasets": datasets,
        "models": models,
        "entity": entity,
        "key": key,
    }
    times = {"from": since_of(since) if since else _bound(begin), "to": _bound(to)}
    body: dict[str, Any] = {
        **target_of(target),
        **({"effect": effect} if effect else {}),
        **({"table": table} if table else {}),
        **({"period": period} if period else {}),
        "source": source.value,
        "time": {name: each for name, each in times.items() if each},
        "sequences": sequences_of(sequences or []),
        "match": {name: each for name, each in match.items() if each},
        "rate": rate,
        "side_effects": side_effects,
        "reason": reason,
        "by": user(by),
    }
    found = _plan({name: each for name, each in body.items() if each not in ({}, [])})
    show.plan(found, json)
    if not found.exact:
        raise typer.Exit(AT_LEAST)


@app.command()
def apply(
    hash: Annotated[str, typer.Argument(help="Hash of the plan.")],
    run: Annotated[str, typer.Option("--run", help="Id for the run; the same id again means the same run.")] = "",
    watch: Watch = False,
    by: By = "",
    json: Json = False,
) -> None:
    """Start the run of a plan. Refused if the streams no longer hold what was planned."""
    started = ReplayRun.model_validate(
        ask_once("operator", "apply", {"plan": hash, "by": user(by)} | ({"run": run} if run else {}))
    )
    if watch:
        _watch(started.id, json)
    else:
        show.run(started, json)


@app.command("list")
def list_runs(
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most runs to list.")] = 50,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Print the list after each change, until all ended.")
    ] = False,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    body = {"active": active, "limit": limit}
    if watch:
        asyncio.run(_watch_list(body, json))
    else:
        show.runs(ReplayRuns.model_validate(ask_once("operator", "list", body)), json)


@app.command()
def status(run: Run, watch: Watch = False, json: Json = False) -> None:
    """Show a run's progress, rate, effect on live traffic, and what limits it."""
    if watch:
        _watch(run, json)
        return
    found = ReplayStatus.model_validate(ask_once("operator", "status", {"run": run}))
    show.status(found, json)
    _exit(found)


@app.command()
def pause(run: Run, reason: Reason = "", watch: Watch = False, by: By = "", json: Json = False) -> None:
    """Pause a run; messages in flight are still finished."""
    _change("pause", run, reason, by, json, watch)


@app.command()
def resume(run: Run, reason: Reason = "", watch: Watch = False, by: By = "", json: Json = False) -> None:
    """Resume a paused run."""
    _change("resume", run, reason, by, json, watch)


@app.command()
def rate(
    run: Run,
    rate: Annotated[float, typer.Argument(min=0.01, help="Events per second, over all replicas.")],
    reason: Reason = "",
    watch: Watch = False,
    by: By = "",
    json: Json = False,
) -> None:
    """Change the rate of a run."""
    _change("rate", run, reason, by, json, watch, rate=rate)


@app.command()
def cancel(run: Run, reason: Reason = "", watch: Watch = False, by: By = "", json: Json = False) -> None:
    """Cancel a run for good; what it has done stays."""
    _change("cancel", run, reason, by, json, watch)


@app.command()
def rollback(run: Run, reason: Reason = "", by: By = "", json: Json = False) -> None:
    """Put the index that a rebuild replaced back into place, in one step."""
    _rebuilt("rollback", run, reason, by, json)


@app.command()
def drop(run: Run, reason: Reason = "", by: By = "", json: Json = False) -> None:
    """Delete the index that is not live, and end the rebuild. This cannot be undone."""
    _rebuilt("discard", run, reason, by, json)


@app.command()
def report(
    run: Run,
    verify: Annotated[bool, typer.Option("--verify", help="Also compare samples with the store.")] = False,
    samples: Annotated[int, typer.Option(min=1, max=1000, help="Number of samples for --verify.")] = 200,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Wait until the run has ended.")] = False,
    json: Json = False,
) -> None:
    """Verify a run: planned = confirmed + skipped + parked + filtered."""
    if watch:
        asyncio.run(_followed(run, "", lambda _: None))
    found = ReplayReport.model_validate(
        ask_once("operator", "report", {"run": run, "verify": samples if verify else 0})
    )
    show.report(found, json)
    if not found.holds:
        raise typer.Exit(NO_PROOF)


def _bound(text: str) -> str | None:
    return text if text.startswith(RELATIVE) else moment(text or None)


def _plan(body: dict[str, Any]) -> ReplayPlan:
    async def planning() -> ReplayPlan:
        async with Operator() as operator:
            return await operator.plan(body, show.counted)

    return asyncio.run(planning())


def _change(operation: str, run: str, reason: str, by: str, json: bool, watch: bool, **members: Any) -> None:
    body = {"run": run, "reason": reason, "by": user(by), **members}
    changed = ReplayRun.model_validate(ask_once("operator", operation, body))
    if not watch:
        show.run(changed, json)
        return
    _watch(run, json, wanted=WANTED.get(operation, ""))


def _watch(run: str, json: bool, wanted: str = "") -> None:
    """Shows the run until it ends or is in the state `wanted`, which is then no failure."""
    with show.watching(json) as shown:
        found = asyncio.run(_followed(run, wanted, shown))
    if found.run.state != wanted:
        _exit(found)


async def _followed(run: str, wanted: str, shown: Callable[[ReplayStatus], None]) -> ReplayStatus:
    async with Operator() as operator:
        while True:
            found = ReplayStatus.model_validate(await operator.ask_again("status", {"run": run}))
            shown(found)
            if found.run.state in show.ENDED or (found.run.state == wanted and _is_obeyed(found)):
                return found
            await asyncio.sleep(WATCH_SECONDS)


def _is_obeyed(found: ReplayStatus) -> bool:
    """Whether the operator has looked at the run since its last change of state."""
    return bool(found.at) and timestamps.parse(found.at) > timestamps.parse(found.run.changes[-1].at)


async def _watch_list(body: dict[str, Any], json: bool) -> None:
    async with Operator() as operator:
        last: ReplayRuns | None = None
        while last is None or any(each.state not in show.ENDED for each in last.runs):
            if last is not None:
                await asyncio.sleep(WATCH_SECONDS)
            found = ReplayRuns.model_validate(await operator.ask_again("list", body))
            if found != last:
                show.runs(found, json)
            last = found


def _exit(found: ReplayStatus) -> None:
    if code := EXIT.get(found.run.state):
        raise typer.Exit(code)


def _rebuilt(operation: str, run: str, reason: str, by: str, json: bool) -> None:
    show.rebuilt(
        RebuiltIndex.model_validate(ask_once("operator", operation, {"run": run, "reason": reason, "by": user(by)})),
        json,
    )
