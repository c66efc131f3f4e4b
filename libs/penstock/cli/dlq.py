"""penstock dlq list, show, stats, plan, redrive; and of dlq_mark.py park, drop, reopen, export."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli import dlq_mark, replay, replay_show
from penstock.cli import dlq_show as show
from penstock.cli.dlq_match import STATES_OF_PLAN, matching
from penstock.cli.options import By, Json, Reason, user
from penstock.cli.replay_client import ask_once
from penstock.rpc.messages import DeadLetter, DeadLetterGroups, DeadLetterPage, DeadLetterStats, ReplayPlan

app = typer.Typer(
    no_args_is_help=True,
    help="List, redrive and mark dead letters, the messages that workers could not process. They cannot be"
    " changed or deleted; their state is kept beside them.",
)

SERVICE = "dead_letters"
AT_LEAST = 7  # exit code: the plan's counts are not exact, and it cannot be applied


@app.command("list")
@matching()
def list_dead_letters(
    match: dict[str, Any],
    single: Annotated[
        bool, typer.Option("--single", help="List single dead letters, newest first, instead of groups.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most dead letters, with --single.")] = 50,
    before: Annotated[int, typer.Option(min=0, help="With --single: only those with a smaller number.")] = 0,
    json: Json = False,
) -> None:
    """Show dead letters by worker, code, type and publisher. A range stands for many messages."""
    if not single:
        show.groups(DeadLetterGroups.model_validate(ask_once(SERVICE, "groups", {"match": match})), json)
        return
    body = {"match": match, "limit": limit, "open_ranges": True} | ({"before": before} if before else {})
    show.page(DeadLetterPage.model_validate(ask_once(SERVICE, "list", body)), json)


@app.command("show")
def show_dead_letter(
    dead_letter: Annotated[int, typer.Argument(min=1, help="Number of the dead letter.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write only the payload, unchanged.")] = False,
    json: Json = False,
) -> None:
    """Show one dead letter: where it comes from, why it failed, earlier failures, and the payload."""
    show.dead_letter(DeadLetter.model_validate(ask_once(SERVICE, "show", {"sequence": dead_letter})), json, raw)


@app.command()
def stats(json: Json = False) -> None:
    """Count dead letters by state, and forecast when their stream will be full."""
    show.stats(DeadLetterStats.model_validate(ask_once(SERVICE, "stats", {})), json)


@app.command()
@matching(workers=False, states=STATES_OF_PLAN)
def plan(
    worker: Annotated[str, typer.Argument(help="The worker that failed: indexer, writer or scorer.")],
    match: dict[str, Any],
    fix: Annotated[
        Path | None, typer.Option("--fix", help="File with a JSON merge patch (RFC 7396) for the payloads.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="Messages per second, over all replicas.")] = 1000.0,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Count what a redrive would do. Nothing happens until `redrive` gets the plan's hash."""
    time, spans = match.pop("time", None), match.pop("sequences", [])
    body = {
        "target": worker,
        "source": "dead_letters",
        "match": match,
        "sequences": [{"stream": "DLQ", **span} for span in spans],
        "rate": rate,
        "reason": reason,
        "by": user(by),
        **({"time": time} if time else {}),
        **({"patch": _patch(fix)} if fix else {}),
    }
    found = ReplayPlan.model_validate(ask_once("operator", "plan", body))
    replay_show.plan(found, json)
    if not found.exact:
        raise typer.Exit(AT_LEAST)


app.command(
    "redrive",
    help="Start the run of a plan, by its hash. Refused when a dead letter changed since. It is a run like any other:"
    " see `penstock replay`.",
)(replay.apply)
app.command()(dlq_mark.park)
app.command()(dlq_mark.drop)
app.command()(dlq_mark.reopen)
app.command()(dlq_mark.export)


def _patch(file: Path) -> dict[str, Any]:
    try:
        found = jsonlib.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} holds no JSON: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{file} is no JSON object; a merge patch of an event is one")
    return found
