"""penstock send: log files, CloudTrail records and CloudEvents → POST /v1/events."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from penstock.cli.console import print_line
from penstock.cli.printable import shown
from penstock.cli.shipping import zones
from penstock.cli.shipping.batches import Shipped, Shipper
from penstock.cli.shipping.sources import Files, Problems, paths
from penstock.contracts import step_in_shell
from penstock.errors import PenstockError

app = typer.Typer()

Kind = Literal["auto", "text", "log.line.v1", "cloud.audit.v1"]


@app.command()
def send(
    files: Annotated[
        list[str],
        typer.Argument(help="Files, folders, or - for standard input; gzip, bzip2, xz and UTF-16 are understood."),
    ],
    kind: Annotated[
        Kind, typer.Option("--type", help="auto decides line by line; text treats JSON as text, too.")
    ] = "auto",
    zone: Annotated[
        str, typer.Option(help="Time zone of times without one, for example Europe/Berlin; else this machine's.")
    ] = "",
    batch: Annotated[int, typer.Option(min=1, max=5000, help="Most events per request.")] = 500,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests in flight at a time.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send log lines, CloudTrail records or CloudEvents (JSON Lines, or one JSON document).

    Sending the same files again is safe, also when they have grown or were rotated: their events get the same ids and
    times, and duplicates are not stored. Lines of standard input that say no time are new each time.
    """
    try:
        held = ZoneInfo(zone) if zone else zones.of_machine()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"{zone!r} is not a time zone", param_hint="--zone") from None
    problems = Problems()
    source = Files(paths(files, problems), held, None if kind == "auto" else kind, problems)
    shipper = Shipper(batch=batch, concurrency=concurrency, waits=_waits)
    began = time.monotonic()
    stopped: BaseException | None = None
    try:
        asyncio.run(_ship(shipper, source, quiet=as_json))
    except BaseExceptionGroup as group:
        stopped = _first(group)
    except (KeyboardInterrupt, PenstockError) as error:
        stopped = error
    if as_json or shipper.shipped.settled or stopped is None:
        (_report_json if as_json else _report)(shipper.shipped, source, time.monotonic() - began, own_zone=not zone)
    if stopped is not None:
        raise stopped from None
    if shipper.shipped.refused or problems.found:
        raise typer.Exit(1)


def _waits(reason: PenstockError, seconds: float) -> None:
    print_line(f"{reason.detail}; trying again for up to {seconds:.0f} s", style="yellow", stderr=True)


async def _ship(shipper: Shipper, source: Files, *, quiet: bool) -> Shipped:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return await shipper.run(source)
    columns = (
        TextColumn("{task.fields[events]} events"),
        BarColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=source.total if source.has_end else None, events="0", rate="0")

        def moved(shipped: Shipped) -> None:
            rate = shipped.settled / max(time.monotonic() - began, 0.001)
            bar.update(task, completed=source.read, events=f"{shipped.settled:,}", rate=f"{rate:,.0f}")

        return await shipper.run(source, moved)


def _report_json(shipped: Shipped, source: Files, seconds: float, *, own_zone: bool) -> None:
    counts = {**asdict(shipped), "cut": source.cut, "zone": zones.name_of(source.zone), "own_zone": own_zone}
    problems = [{"file": file, "reason": reason} for file, reason in source.problems.found]
    rate = round(shipped.settled / max(seconds, 0.001))
    print(json.dumps({**counts, "problems": problems, "seconds": round(seconds, 3), "events_per_second": rate}))


def _report(shipped: Shipped, source: Files, seconds: float, *, own_zone: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    rate = shipped.settled / max(seconds, 0.001)
    console.print(
        f"{shipped.accepted:,} accepted, {shipped.duplicate:,} duplicate, "
        f"{sum(each.count for each in shipped.refused.values()):,} refused, in {seconds:.1f} s ({rate:,.0f}/s)"
    )
    if not shipped.read:
        console.print("[yellow]nothing to send:[/] there is no line in what was named")
    if source.cut:
        console.print(f"[yellow]{source.cut:,} cut:[/] their label cut_characters says how much of each was left out")
    if own_zone and source.used_zone:
        console.print(f"times without a zone were read as {zones.name_of(source.zone)}, this machine's; see --zone")
    if not shipped.durable:
        console.print("[yellow]not durable:[/] accepted events may not be on disk; /readyz of the ingress says why")
    for code, refusals in shipped.refused.items():
        console.print(f"[red]{code}[/] {refusals.count:,} times, first:", end=" ")
        console.print(shown(f"{refusals.detail} (at {refusals.pointer or '/'}) in {refusals.event}"), markup=False)
        console.print(f"  {step_in_shell(code)}", markup=False, style="dim")
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for file, reason in source.problems.found:
        errors.print(shown(f"{file}: {reason}"), markup=False, style="red")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that stopped the sending; the others are its consequences."""
    matched = group.split(PenstockError)[0] or group
    error: BaseException = matched
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
