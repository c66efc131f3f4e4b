"""Prints plans, runs and reports on the terminal, or as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from penstock.cli.console import Cell, print_json, print_line, print_table
from penstock.cli.printable import shown
from penstock.cli.replay_client import named_target
from penstock.rpc.messages import RebuiltIndex, ReplayPlan, ReplayReport, ReplayRun, ReplayRuns, ReplayStatus

ENDED = ("done", "failed", "cancelled")
LINE_SECONDS = 5.0  # between lines of a watch in a pipe that say the same
_STYLES = {
    "running": "green",
    "swapping": "green",
    "paused": "yellow",
    "failed": "bold red",
    "cancelled": "dim",
    "planned": "cyan",
}


def plan(found: ReplayPlan, json: bool) -> None:
    """A plan, with the hash that starts it."""
    if json:
        print_json(found.to_json())
        return
    out = Console(highlight=False, soft_wrap=True)
    least = "" if found.exact else "at least "
    target = named_target(found.target, found.effect)
    out.print(f"[bold]{found.effect}[/] {found.source} to [bold]{target}[/]: {found.does}")
    for part in found.ranges:
        out.print(f"  {part.stream} {part.first} to {part.last}: {least}{part.planned:,} messages")
        for filter in part.filters[:5]:
            out.print(f"    {filter}", style="dim", markup=False)
        if len(part.filters) > 5:
            out.print(f"    … and {len(part.filters) - 5} more", style="dim")
    for title, counts in (
        ("type", found.counts.by_type),
        ("publisher", found.counts.by_publisher),
        ("day", found.counts.by_day),
    ):
        out.print(f"by {title}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()), markup=False)
    out.print(
        f"{least}{found.counts.total:,} messages, about {size(found.bytes)}; up to {size(found.disk)} of disk;"
        f" {_time(found.seconds)} at {found.rate:,.0f} per second"
    )
    for warning in found.warnings:
        out.print(f"warning: {shown(warning)}", style="yellow", markup=False)
    if found.exact:
        out.print(f"to start it: penstock replay apply {found.hash}")
    else:
        out.print("[bold red]this plan cannot be applied:[/] its counts are not exact; plan again")


def counted(found: ReplayPlan) -> None:
    """How far the count of the store is, on standard error."""
    words = "; ".join(found.warnings).partition(";")[0]
    note(f"counted {found.counts.total:,} so far: {words}")


def note(text: str) -> None:
    """A remark, on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, style="dim", markup=False)


def run(found: ReplayRun, json: bool) -> None:
    """A run, on one line."""
    if json:
        print_json(found.to_json())
        return
    Console(highlight=False, soft_wrap=True).print(f"{found.id} is {_state(found)}; planned {found.planned:,}")


def rebuilt(found: RebuiltIndex, json: bool) -> None:
    """The two indices of a rebuild."""
    if json:
        print_json(found.to_json())
        return
    beside = f"beside it {found.beside}" if found.beside else "nothing beside it"
    Console(highlight=False, soft_wrap=True).print(
        f"rebuild of {found.alias} {found.state.replace('_', ' ')}: live {found.live}, {beside}"
    )


def runs(found: ReplayRuns, json: bool) -> None:
    """Many runs."""
    if json:
        print_json(found.to_json())
        return
    rows: list[tuple[Cell, ...]] = []
    for each in found.runs:
        last = each.changes[-1] if each.changes else None
        target, numbers = named_target(each.target, each.effect), (f"{each.planned:,}", f"{each.rate:,.0f}")
        change = (last.at[:19], last.by, last.why) if last else ("", "", "")
        rows.append((each.id, Text.from_markup(_state(each)), target, each.source, *numbers, *change))
    headers = ("run", "state", "target", "source", "planned", "rate", "since", "by", "reason")
    print_table(headers, rows, empty="no runs", whole=("run",))
    for unread in found.unreadable:
        note(shown(f"run {unread.id} cannot be read: {unread.why}"))


def status(found: ReplayStatus, json: bool) -> None:
    """How far a run is."""
    if json:
        print_json(found.to_json())
        return
    out = Console(highlight=False, soft_wrap=True)
    done = found.outcomes
    share = 100 * done.total / max(found.run.planned, 1)
    out.print(f"{found.run.id} is {_state(found.run)}: {done.total:,} of {found.run.planned:,} ({share:.1f} %)")
    out.print(
        f"  {done.confirmed:,} confirmed, {done.skipped:,} skipped as older, {done.parked:,} parked,"
        f" {done.filtered:,} filtered; {found.in_hand:,} in flight"
    )
    if found.run.state not in ENDED:
        out.print(
            f"  {found.rate:,.0f} per second of {found.run.rate:,.0f} requested; {found.allowed:,.0f} allowed now"
            f"{_left(found)}"
        )
        replicas = "1 replica" if found.instances == 1 else f"{found.instances} replicas"
        out.print(
            f"  live {found.run.target}: {found.live.pending:,} pending, {found.live.behind_seconds:.1f} s behind;"
            f" {replicas} working"
        )
    if found.why:
        out.print(f"  {shown(found.why)}", style="yellow", markup=False)
    if found.run.changes:
        last = found.run.changes[-1]
        since = f"  since {last.at[:19]} by {last.by}: {last.why or 'no reason given'}"
        out.print(shown(since), style="dim", markup=False)


def report(found: ReplayReport, json: bool) -> None:
    """The verification of a run."""
    if json:
        print_json(found.to_json())
        return
    out = Console(highlight=False, soft_wrap=True)
    table = Table("stream", "planned", "confirmed", "skipped", "parked", "filtered", "missing", box=None)
    for proof in found.streams:
        numbers = (proof.planned, *proof.outcomes.model_dump().values(), proof.missing)
        table.add_row(proof.stream, *(f"{number:,}" for number in numbers))
    out.print(table)
    if found.seconds is not None:
        out.print(f"{_time(found.seconds)}, {found.rate or 0:,.0f} per second")
    if (sample := found.sample) is not None:
        out.print(
            f"{sample.store}: {sample.compared} compared, {sample.equal} equal, {len(sample.differ)} different,"
            f" {len(sample.absent)} missing, {sample.expired} no longer on the stream"
        )
        if sample.in_store is not None:
            times = "times" if found.run.source == "store" else "times of storing"
            out.print(f"{sample.store} counts {sample.in_store:,} of these types, publishers and {times}")
        elif sample.store == "elasticsearch":
            out.print(f"not counted at the store: no question to {sample.store} means just what was replayed")
        for key in (*sample.differ, *sample.absent):
            out.print(f"  {key}", style="red")
    holds = "[green]verified[/]" if found.holds else "[bold red]not verified[/]"
    out.print(f"{found.run.id} is {_state(found.run)}: {holds}")


@contextmanager
def watching(json: bool) -> Iterator[Callable[[ReplayStatus], None]]:
    """Shows each status as it comes: a progress bar, lines in a pipe, or one line of JSON per change."""
    if json:
        last = ""

        def line(found: ReplayStatus) -> None:
            nonlocal last
            body = found.to_json()
            if (text := str({**body, "at": ""})) != last:
                last = text
                print_json(body)

        yield line
        return
    if not Console().is_terminal:
        yield _Lines().add
        return
    progress = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    task, says = progress.add_task("", total=None), Text()
    with Live(Group(progress, says)):

        def bar(found: ReplayStatus) -> None:
            description = f"{found.run.id} {_state(found.run)}"
            progress.update(task, description=description, total=found.run.planned, completed=found.outcomes.total)
            says.plain = shown(_says(found))

        yield bar


class _Lines:
    """For a pipe: a line when something else holds the run up, and every few seconds."""

    def __init__(self) -> None:
        self._last = ("", "")
        self._at = 0.0

    def add(self, found: ReplayStatus) -> None:
        """Prints it, if there is something new."""
        now, this = time.monotonic(), (found.run.state, found.why)
        if this == self._last and now - self._at < LINE_SECONDS:
            return
        self._last, self._at = this, now
        numbers = f"{found.outcomes.total:,} of {found.run.planned:,}"
        print_line(f"{found.run.id} is {found.run.state}: {numbers}; {_says(found)}")


def _says(found: ReplayStatus) -> str:
    if found.run.state in ENDED:
        return found.run.changes[-1].why if found.run.changes else ""
    why = f"; {found.why}" if found.why else ""
    live = f"live {found.run.target} {found.live.pending:,} pending"
    return f"{found.rate:,.0f} per second{_left(found)}; {live}{why}"


def _left(found: ReplayStatus) -> str:
    return f", {_time(found.seconds_left)} left" if found.seconds_left is not None else ""


def _state(found: ReplayRun) -> str:
    style = _STYLES.get(found.state)
    return f"[{style}]{found.state}[/]" if style else found.state


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def size(bytes: int) -> str:
    """For people: 1.5 MiB."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if bytes >= size:
            return f"{bytes / size:.1f} {unit}"
    return f"{bytes} bytes"
