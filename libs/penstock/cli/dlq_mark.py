"""penstock dlq park, drop, reopen, export: what becomes of dead letters that are not redriven."""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli import dlq_show as show
from penstock.cli.dlq_match import matching
from penstock.cli.options import By, Json, Reason, user
from penstock.cli.replay_client import Operator, ask_once
from penstock.rpc.messages import ExportPage, MarkedDeadLetters

SERVICE = "dead_letters"


@matching()
def park(match: dict[str, Any], reason: Reason = "", by: By = "", json: Json = False) -> None:
    """Set open dead letters aside until somebody decides what becomes of them."""
    _mark("park", match, reason, by, json)


@matching()
def drop(match: dict[str, Any], reason: Reason = "", by: By = "", json: Json = False) -> None:
    """Give up open and parked dead letters. They stay on their stream until they expire."""
    _mark("drop", match, reason, by, json)


@matching()
def reopen(match: dict[str, Any], reason: Reason = "", by: By = "", json: Json = False) -> None:
    """Open parked and dropped dead letters again."""
    _mark("reopen", match, reason, by, json)


@matching()
def export(
    match: dict[str, Any],
    file: Annotated[str, typer.Argument(help="File to write, or - for standard output.")] = "-",
    reason: Reason = "",
    by: By = "",
) -> None:
    """Write dead letters as lines of JSON, whole: number, state, headers, payload."""
    if file == "-":
        asyncio.run(_export(None, match, reason, user(by)))
        return
    try:
        count = asyncio.run(_export(Path(file), match, reason, user(by)))
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
    body = {"match": match, "reason": reason, "by": user(by)}
    found = MarkedDeadLetters.model_validate(ask_once(SERVICE, operation, body))
    if json:
        print(jsonlib.dumps(found.to_json()))
        return
    print(f"{found.dead_letters:,} dead letters ({found.messages:,} messages) are {found.state} now")
