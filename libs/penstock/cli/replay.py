"""penstock replay plan, apply, list, status, pause, resume, rate, cancel, report.

Exit codes: 0 done, or still under way · 1 refused or unavailable, with a code · 2 usage · 3 the run failed · 4 it was
cancelled · 5 it is paused · 6 its proof does not hold (yet) · 7 the plan's counts are "at least": it cannot be applied.
"""

from __future__ import annotations

import asyncio
import getpass
from enum import StrEnum
from typing import Annotated, Any

import typer

from penstock.cli import replay_show as show
from penstock.cli.replay_client import Operator, sequences_of, since_of
from penstock.rpc.messages import ReplayPlan, ReplayReport, ReplayRun, ReplayRuns, ReplayStatus

app = typer.Typer(
    no_args_is_help=True,
    help="Replays: plan one, apply its hash, watch it, prove it. Exit codes: 0 done or under way, 1 refused, 3 failed,"
    " 4 cancelled, 5 paused, 6 proof does not hold, 7 counts are 'at least'.",
)

EXIT = {"failed": 3, "cancelled": 4, "paused": 5}
NO_PROOF, AT_LEAST = 6, 7
ENDED = ("done", "failed", "cancelled")
WATCH_SECONDS = 0.5


class Source(StrEnum):
    """Where messages come from."""

    events = "events"
    scores = "scores"


Run = Annotated[str, typer.Argument(help="id of the run")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="follow it until it has ended; with --json a line a change")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="goes onto the audit trail")]
By = Annotated[str, typer.Option("--by", help="who does it; default: the user of this shell")]


@app.command()
def plan(
    target: Annotated[str, typer.Argument(help="indexer, writer or scorer")],
    source: Annotated[Source, typer.Option(help="what to replay")] = Source.events,
    since: Annotated[str, typer.Option(help="how far back, like 90m, 2h, 7d")] = "",
    begin: Annotated[str, typer.Option("--from", help="RFC 3339 time of storing; inclusive")] = "",
    to: Annotated[str, typer.Option(help="RFC 3339 time of storing; exclusive. Default: the end as it is now")] = "",
    sequences: Annotated[
        list[str] | None, typer.Option("--sequences", help="STREAM:FIRST-LAST; may be given for several streams")
    ] = None,
    publishers: Annotated[list[str] | None, typer.Option("--publisher")] = None,
    types: Annotated[list[str] | None, typer.Option("--type")] = None,
    datasets: Annotated[list[str] | None, typer.Option("--dataset")] = None,
    models: Annotated[list[str] | None, typer.Option("--model", help="of scores")] = None,
    entity: Annotated[str, typer.Option(help="host, service, session, …")] = "",
    key: Annotated[str, typer.Option(help="of one event")] = "",
    rate: Annotated[float, typer.Option(min=0.01, help="events a second, over all replicas")] = 5000.0,
    side_effects: Annotated[
        bool, typer.Option("--side-effects", help="let the target send what it sends live")
    ] = False,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Count what a replay would do. Nothing happens until `apply` gets the plan's hash."""
    match = {
        "publishers": publishers,
        "types": types,
        "datasets": datasets,
        "models": models,
        "entity": entity,
        "key": key,
    }
    times = {"from": since_of(since) if since else begin, "to": to}
    body: dict[str, Any] = {
        "target": target,
        "source": source.value,
        "time": {name: each for name, each in times.items() if each},
        "sequences": sequences_of(sequences or []),
        "match": {name: each for name, each in match.items() if each},
        "rate": rate,
        "side_effects": side_effects,
        "reason": reason,
        "by": _user(by),
    }
    found = ReplayPlan.model_validate(_ask("plan", {name: each for name, each in body.items() if each not in ({}, [])}))
    show.plan(found, json)
    if not found.exact:
        raise typer.Exit(AT_LEAST)


@app.command()
def apply(
    hash: Annotated[str, typer.Argument(help="of the plan")],
    run: Annotated[str, typer.Option("--run", help="id for the run; the same id again is the same run")] = "",
    watch: Watch = False,
    by: By = "",
    json: Json = False,
) -> None:
    """Start the run of a plan. Refused when the streams no longer hold what was planned."""
    started = ReplayRun.model_validate(_ask("apply", {"plan": hash, "by": _user(by)} | ({"run": run} if run else {})))
    if watch:
        _watch(started.id, json)
    else:
        show.run(started, json)


@app.command("list")
def list_runs(
    active: Annotated[bool, typer.Option("--active", help="only those that have not ended")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    json: Json = False,
) -> None:
    """Show runs, newest first."""
    show.runs(ReplayRuns.model_validate(_ask("list", {"active": active, "limit": limit})), json)


@app.command()
def status(run: Run, watch: Watch = False, json: Json = False) -> None:
    """Show how far a run is, how fast, what its target's live traffic does, and what holds it back."""
    if watch:
        _watch(run, json)
        return
    found = ReplayStatus.model_validate(_ask("status", {"run": run}))
    show.status(found, json)
    _exit(found)


@app.command()
def pause(run: Run, reason: Reason = "", by: By = "", json: Json = False) -> None:
    """Hold a run; what is in hand is still finished."""
    _change("pause", run, reason, by, json)


@app.command()
def resume(run: Run, reason: Reason = "", by: By = "", json: Json = False) -> None:
    """Let a paused run go on."""
    _change("resume", run, reason, by, json)


@app.command()
def rate(
    run: Run,
    rate: Annotated[float, typer.Argument(min=0.01, help="events a second, over all replicas")],
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Give a run another rate."""
    _change("rate", run, reason, by, json, rate=rate)


@app.command()
def cancel(run: Run, reason: Reason = "", by: By = "", json: Json = False) -> None:
    """End a run for good. What it has done stays."""
    _change("cancel", run, reason, by, json)


@app.command()
def report(
    run: Run,
    verify: Annotated[bool, typer.Option("--verify", help="compare samples of the contents with the store")] = False,
    samples: Annotated[int, typer.Option(min=1, max=1000, help="for --verify")] = 200,
    json: Json = False,
) -> None:
    """Prove a run: planned = confirmed + skipped + parked + filtered."""
    found = ReplayReport.model_validate(_ask("report", {"run": run, "verify": samples if verify else 0}))
    show.report(found, json)
    if not found.holds:
        raise typer.Exit(NO_PROOF)


def _change(operation: str, run: str, reason: str, by: str, json: bool, **members: Any) -> None:
    body = {"run": run, "reason": reason, "by": _user(by), **members}
    show.run(ReplayRun.model_validate(_ask(operation, body)), json)


def _watch(run: str, json: bool) -> None:
    async def watching() -> ReplayStatus:
        async with Operator() as operator:
            with show.watching(json) as shown:
                while True:
                    found = ReplayStatus.model_validate(await operator.ask_again("status", {"run": run}))
                    shown(found)
                    if found.run.state in ENDED:
                        return found
                    await asyncio.sleep(WATCH_SECONDS)

    _exit(asyncio.run(watching()))


def _exit(found: ReplayStatus) -> None:
    if code := EXIT.get(found.run.state):
        raise typer.Exit(code)


def _ask(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    async def asking() -> dict[str, Any]:
        async with Operator() as operator:
            return await operator.ask(operation, body)

    return asyncio.run(asking())


def _user(by: str) -> str:
    return by or getpass.getuser()
