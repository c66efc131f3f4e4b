"""penstock dlq list, show, stats, plan, redrive, park, drop, reopen, export."""

from __future__ import annotations

import asyncio
import getpass
import json as jsonlib
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli import dlq_show as show
from penstock.cli import replay, replay_show
from penstock.cli.dlq_match import match_of
from penstock.cli.replay_client import Operator
from penstock.rpc.messages import (
    DeadLetter,
    DeadLetterGroups,
    DeadLetterPage,
    DeadLetterStats,
    ExportPage,
    MarkedDeadLetters,
    ReplayPlan,
)

app = typer.Typer(
    no_args_is_help=True,
    help="List, redrive and mark dead letters, the messages that workers could not process. They cannot be"
    " changed or deleted; their state is kept beside them.",
)

SERVICE = "dead_letters"
AT_LEAST = 7  # exit code: the plan's counts are not exact, and it cannot be applied

Workers = Annotated[list[str] | None, typer.Option("--worker", help="indexer, writer or scorer; repeatable.")]
Codes = Annotated[list[str] | None, typer.Option("--code", help="Error code, like SINK_REFUSED; repeatable.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Event type; repeatable.")]
Publishers = Annotated[list[str] | None, typer.Option("--publisher")]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        help="open, redriven, parked or dropped; repeatable. Default: open; for drop open and parked, for reopen parked"
        " and dropped.",
    ),
]
Since = Annotated[str, typer.Option(help="How far back: 90m, 2h, 7d.")]
DeadLetters = Annotated[
    list[str] | None, typer.Option("--number", help="Number of a dead letter, or FIRST-LAST; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Recorded in the audit trail.")]
By = Annotated[str, typer.Option("--by", help="Who does it. Default: the user of this shell.")]


@app.command("list")
def list_dead_letters(
    workers: Workers = None,
    codes: Codes = None,
    types: Types = None,
    publishers: Publishers = None,
    states: States = None,
    since: Since = "",
    dead_letters: DeadLetters = None,
    single: Annotated[
        bool, typer.Option("--single", help="List single dead letters, newest first, instead of groups.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most dead letters, with --single.")] = 50,
    before: Annotated[int, typer.Option(min=0, help="With --single: only those with a smaller number.")] = 0,
    json: Json = False,
) -> None:
    """Show dead letters by worker, code, type and publisher. A range stands for many messages."""
    match = match_of(workers, codes, types, publishers, states, since, dead_letters)
    if not single:
        show.groups(DeadLetterGroups.model_validate(_ask("groups", {"match": match})), json)
        return
    body = {"match": match, "limit": limit, "open_ranges": True} | ({"before": before} if before else {})
    show.page(DeadLetterPage.model_validate(_ask("list", body)), json)


@app.command("show")
def show_dead_letter(
    dead_letter: Annotated[int, typer.Argument(min=1, help="Number of the dead letter.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write only the payload, unchanged.")] = False,
    json: Json = False,
) -> None:
    """Show one dead letter: where it comes from, why it failed, earlier failures, and the payload."""
    show.dead_letter(DeadLetter.model_validate(_ask("show", {"sequence": dead_letter})), json, raw)


@app.command()
def stats(json: Json = False) -> None:
    """Count dead letters by state, and forecast when their stream will be full."""
    show.stats(DeadLetterStats.model_validate(_ask("stats", {})), json)


@app.command()
def plan(
    worker: Annotated[str, typer.Argument(help="The worker that failed: indexer, writer or scorer.")],
    codes: Codes = None,
    types: Types = None,
    publishers: Publishers = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", help="open (default), parked or redriven; repeatable.")
    ] = None,
    since: Since = "",
    dead_letters: DeadLetters = None,
    fix: Annotated[
        Path | None, typer.Option("--fix", help="File with a JSON merge patch (RFC 7396) for the payloads.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="Messages per second, over all replicas.")] = 1000.0,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Count what a redrive would do. Nothing happens until `redrive` gets the plan's hash."""
    match = match_of(None, codes, types, publishers, states, since, dead_letters)
    time, spans = match.pop("time", None), match.pop("sequences", [])
    body = {
        "target": worker,
        "source": "dead_letters",
        "match": match,
        "sequences": [{"stream": "DLQ", **span} for span in spans],
        "rate": rate,
        "reason": reason,
        "by": _user(by),
        **({"time": time} if time else {}),
        **({"patch": _patch(fix)} if fix else {}),
    }
    found = ReplayPlan.model_validate(_ask("plan", body, service="operator"))
    replay_show.plan(found, json)
    if not found.exact:
        raise typer.Exit(AT_LEAST)


app.command(
    "redrive",
    help="Start the run of a plan, by its hash. Refused when a dead letter changed since. It is a run like any other:"
    " see `penstock replay`.",
)(replay.apply)


@app.command()
def park(
    workers: Workers = None,
    codes: Codes = None,
    types: Types = None,
    publishers: Publishers = None,
    states: States = None,
    since: Since = "",
    dead_letters: DeadLetters = None,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Set open dead letters aside until somebody decides what becomes of them."""
    _mark("park", match_of(workers, codes, types, publishers, states, since, dead_letters), reason, by, json)


@app.command()
def drop(
    workers: Workers = None,
    codes: Codes = None,
    types: Types = None,
    publishers: Publishers = None,
    states: States = None,
    since: Since = "",
    dead_letters: DeadLetters = None,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Give up open and parked dead letters. They stay on their stream until they expire."""
    _mark("drop", match_of(workers, codes, types, publishers, states, since, dead_letters), reason, by, json)


@app.command()
def reopen(
    workers: Workers = None,
    codes: Codes = None,
    types: Types = None,
    publishers: Publishers = None,
    states: States = None,
    since: Since = "",
    dead_letters: DeadLetters = None,
    reason: Reason = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Open parked and dropped dead letters again."""
    _mark("reopen", match_of(workers, codes, types, publishers, states, since, dead_letters), reason, by, json)


@app.command()
def export(
    file: Annotated[str, typer.Argument(help="File to write, or - for standard output.")] = "-",
    workers: Workers = None,
    codes: Codes = None,
    types: Types = None,
    publishers: Publishers = None,
    states: States = None,
    since: Since = "",
    dead_letters: DeadLetters = None,
    reason: Reason = "",
    by: By = "",
) -> None:
    """Write dead letters as lines of JSON, whole: number, state, headers, payload."""
    match = match_of(workers, codes, types, publishers, states, since, dead_letters)
    if file == "-":
        asyncio.run(_export(None, match, reason, _user(by)))
        return
    try:
        count = asyncio.run(_export(Path(file), match, reason, _user(by)))
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}") from None
    typer.echo(f"{count} dead letters written to {file}", err=True)


async def _export(file: Path | None, match: dict[str, Any], reason: str, by: str) -> int:
    body = {"match": match, "after": 0, "reason": reason, "by": by}
    async with Operator() as operator:
        page = ExportPage.model_validate(await operator.ask("export", body, service=SERVICE))
        count = 0
        # Opened only now: a request that is refused leaves no empty file behind.
        with file.open("x", encoding="utf-8") if file else nullcontext(sys.stdout) as out:
            while True:
                for dead_letter in page.dead_letters:
                    out.write(jsonlib.dumps(show.exported(dead_letter)) + "\n")
                count += len(page.dead_letters)
                if page.next is None:
                    return count
                again = body | {"after": page.next}
                page = ExportPage.model_validate(await operator.ask("export", again, service=SERVICE))


def _mark(operation: str, match: dict[str, Any], reason: str, by: str, json: bool) -> None:
    found = MarkedDeadLetters.model_validate(_ask(operation, {"match": match, "reason": reason, "by": _user(by)}))
    if json:
        print(jsonlib.dumps(found.to_json()))
        return
    print(f"{found.dead_letters:,} dead letters ({found.messages:,} messages) are {found.state} now")


def _patch(file: Path) -> dict[str, Any]:
    try:
        found = jsonlib.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} holds no JSON: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{file} is no JSON object; a merge patch of an event is one")
    return found


def _ask(operation: str, body: dict[str, Any], *, service: str = SERVICE) -> dict[str, Any]:
    async def asking() -> dict[str, Any]:
        async with Operator() as operator:
            return await operator.ask(operation, body, service=service)

    return asyncio.run(asking())


def _user(by: str) -> str:
    return by or getpass.getuser()
