"""penstock send: log files, CloudTrail records and CloudEvents → POST /v1/events."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from penstock.cli.shipping.batches import Shipped, Shipper
from penstock.cli.shipping.log_lines import LogFile
from penstock.errors import PenstockError

app = typer.Typer()

# Which files of a folder are sent.
PATTERNS = ("*.log", "*.log.gz", "*.jsonl", "*.jsonl.gz", "syslog", "messages")
Kind = Literal["auto", "text", "log.line.v1", "cloud.audit.v1"]


class Files:
    """The events of several files one after the other; knows how many bytes of them have been read."""

    def __init__(self, paths: list[Path | None], zone: ZoneInfo, kind: str | None) -> None:
        self.total = sum(path.stat().st_size for path in paths if path)
        self.has_end = None not in paths
        self._paths = paths
        self._zone = zone
        self._kind = kind
        self._before = 0
        self._file: IO[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        for path in self._paths:
            if path is None:
                log = LogFile(None, written_ns=time.time_ns(), zone=self._zone, kind=self._kind)
                yield from log.events(sys.stdin.buffer)
                continue
            with path.open("rb") as self._file:
                written_ns = path.stat().st_mtime_ns
                log = LogFile(path, written_ns=written_ns, zone=self._zone, kind=self._kind)
                yield from log.events(gzip.GzipFile(fileobj=self._file) if path.suffix == ".gz" else self._file)
                self._before += self._file.tell()
            self._file = None

    @property
    def read(self) -> int:
        """Bytes on disk that have been read."""
        return self._before + (self._file.tell() if self._file and not self._file.closed else 0)


@app.command()
def send(
    files: Annotated[list[str], typer.Argument(help="Files, folders, or - for standard input; .gz is unpacked.")],
    kind: Annotated[
        Kind, typer.Option("--type", help="auto decides line by line; text treats JSON as text, too.")
    ] = "auto",
    zone: Annotated[str, typer.Option(help="Time zone of times without one, for example Europe/Berlin.")] = "UTC",
    batch: Annotated[int, typer.Option(min=1, max=5000, help="Most events per request.")] = 500,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests in flight at a time.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send log lines, CloudTrail records or CloudEvents (JSON Lines).

    Sending the same files again is safe: their events get the same ids, and duplicates are not stored.
    """
    try:
        source = Files(paths(files), ZoneInfo(zone), None if kind == "auto" else kind)
    except (ZoneInfoNotFoundError, ValueError):
        raise typer.BadParameter(f"{zone!r} is not a time zone", param_hint="--zone") from None
    began = time.monotonic()
    try:
        shipped = asyncio.run(_ship(source, batch, concurrency, quiet=as_json))
    except BaseExceptionGroup as group:
        raise _first(group) from None
    _report(shipped, time.monotonic() - began, as_json)
    if shipped.refused:
        raise typer.Exit(1)


async def _ship(source: Files, batch: int, concurrency: int, *, quiet: bool) -> Shipped:
    shipper = Shipper(batch=batch, concurrency=concurrency)
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


def _report(shipped: Shipped, seconds: float, as_json: bool) -> None:
    rate = shipped.settled / max(seconds, 0.001)
    if as_json:
        print(json.dumps({**asdict(shipped), "seconds": round(seconds, 3), "events_per_second": round(rate)}))
        return
    console = Console(highlight=False)
    console.print(
        f"{shipped.accepted:,} accepted, {shipped.duplicate:,} duplicate, "
        f"{sum(each.count for each in shipped.refused.values()):,} refused, in {seconds:.1f} s ({rate:,.0f}/s)"
    )
    if not shipped.durable:
        console.print("[yellow]not durable:[/] the NATS server does not sync each write to disk")
    for code, refusals in shipped.refused.items():
        console.print(f"[red]{code}[/] {refusals.count:,} times, first:", end=" ")
        console.print(
            f"{refusals.detail} (at {refusals.pointer or '/'}) in {refusals.event}", markup=False, soft_wrap=True
        )


def paths(names: list[str]) -> list[Path | None]:
    """The files that the names mean; None is standard input. Raises typer.BadParameter."""
    found: list[Path | None] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(None)
        elif path.is_dir():
            found += sorted({each for pattern in PATTERNS for each in path.rglob(pattern) if each.is_file()})
        elif path.is_file():
            found.append(path)
        else:
            raise typer.BadParameter(f"{name} is not a file or folder", param_hint="FILES")
    if not found:
        raise typer.BadParameter(f"no files match {', '.join(PATTERNS)}", param_hint="FILES")
    return found


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that stopped the sending; the others are its consequences."""
    matched = group.split(PenstockError)[0] or group
    error: BaseException = matched
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
