"""log files → the ingress → each store, counted there; then searches over them.

Every figure is read from the streams and the stores themselves; nothing here knows what the answer should be.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.rule import Rule
from rich.table import Table

from penstock.auth import api_keys
from penstock.auth.connect import connect_as
from penstock.cli import client
from penstock.cli.shipping import zones
from penstock.cli.shipping.batches import Shipper
from penstock.cli.shipping.sources import Files, Problems, paths
from penstock.cli.show import print_hits
from penstock.contracts import load
from penstock.errors import PenstockError, Refused
from penstock.events import Checker
from penstock.stack.ledger import STAGES, Ledger, ledger
from penstock.stack.place import CHECKOUT, Place
from penstock.stack.probes import percentile, time_stages

IDENTITY = "demo"
MOST = 20_000  # events of this machine's logs, which may be long; files that were named are sent whole
PROBES = 200  # events that are sent one by one to time each stage
PATIENCE = 600.0  # seconds for all stores to catch up


def run(place: Place, files: list[str], console: Console) -> None:
    """The whole demo on a running stack. Raises PenstockError when a stage does not catch up."""
    _use_key(place)
    problems = Problems()
    source = Files(paths(files or _own_files(place), problems), zones.of_machine(), None, problems)
    sent = _ship(source if files else islice(source, MOST), console)
    for file, reason in problems.found:
        console.print(f"  [red]{file}[/]: {reason}")
    with ledger(place) as book:
        asyncio.run(_catch_up(place, book, sent, console))
        waits = asyncio.run(time_stages(client.api_url(), client.bearer_key(), count=PROBES, at_once=8))
        _show_counts(asyncio.run(_on_stream(place, sent)), book, sent, console)
    _show_waits(waits, console)
    _ask(console)
    url = client.api_url()
    console.print(
        f"\nLook on: [bold]{url}/docs[/] · penstock search 'your words' · penstock tail · penstock status\n"
        f'curl -H "Authorization: Bearer $(cat {client.key_path()})" {url}/v1/anomalies',
        soft_wrap=True,
    )


def _use_key(place: Place) -> None:
    """The demo's key, where the commands look for theirs; made at the first run."""
    path = client.key_path()
    if not path.exists():
        text, _ = api_keys.create(
            place.keys,
            load(),
            identity=IDENTITY,
            datasets=[api_keys.ALL],
            types=[api_keys.ALL],
            roles=["sender", "reader"],
            now_ns=time.time_ns(),
        )
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)


def _own_files(place: Place) -> list[str]:
    """This machine's logs that we may read, and those of the servers just started."""
    found = [
        str(path)
        for folder in (Path("/var/log"), place.state / "logs")
        for path in sorted(folder.glob("*.log"))
        if path.is_file() and os.access(path, os.R_OK) and path.stat().st_size
    ]
    if not found:
        raise Refused("NOT_FOUND", "there are no readable log files; name some: make demo FILES='…'")
    return found


def _ship(events: Iterable[bytes], console: Console) -> set[str]:
    """Sends the events; returns the keys of those that the ingress has on disk."""
    sent: set[str] = set()

    def seen(result: dict[str, object]) -> None:
        if result["status"] in ("accepted", "duplicate"):
            sent.add(str(result["key"]))

    began = time.monotonic()
    with console.status("sending") as status:
        shipper = Shipper(seen=seen)
        shipped = asyncio.run(
            shipper.run(events, lambda now: status.update(f"sending: {now.settled:,} events on disk"))
        )
    took = time.monotonic() - began
    refused = sum(each.count for each in shipped.refused.values())
    console.print(
        f"sent {shipped.read:,} events in {took:.1f} s ({shipped.read / took:,.0f}/s): {shipped.accepted:,} accepted, "
        f"{shipped.duplicate:,} duplicate, {refused:,} refused"
    )
    for code, each in shipped.refused.items():
        console.print(f"  [red]{code}[/] {each.count:,}, first: {each.detail} (at {each.pointer or '/'})", markup=True)
    return sent


async def _catch_up(place: Place, book: Ledger, sent: set[str], console: Console) -> None:
    """Bars until every stage has every key; the first model is trained in between if there is none."""
    columns = (TextColumn("{task.description:>13}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console) as bars:
        tasks = {stage: bars.add_task(stage, total=len(sent)) for stage in STAGES}
        missing = {stage: set(sent) for stage in STAGES}

        async def until(stages: Iterable[str]) -> None:
            end = time.monotonic() + PATIENCE
            while any(missing[stage] for stage in stages):
                for stage in stages:
                    if missing[stage]:
                        missing[stage] = set(book.missing(stage, missing[stage]))
                        bars.update(tasks[stage], completed=len(sent) - len(missing[stage]))
                if time.monotonic() > end:
                    lacking = ", ".join(f"{stage} {len(missing[stage])}" for stage in stages if missing[stage])
                    raise PenstockError("TIMED_OUT", f"after {PATIENCE:.0f} s some events are still missing: {lacking}")
                await asyncio.sleep(0.2)

        await until(("indexed", "stored"))
        if not await _has_model(place):
            bars.console.print("training the first model on the events in Elasticsearch …")
            await asyncio.to_thread(_train, place)
        await until(STAGES)


async def _has_model(place: Place) -> bool:
    from penstock.rpc.client import ask

    broker = await connect_as("trainer", place, patience=5.0)
    try:
        found = await ask(broker, "registry", "list", {}, timeout=10.0)
    finally:
        await broker.drain()
    return any(model["state"] == "active" for model in found["models"])


def _train(place: Place) -> None:
    log = place.log("trainer")
    command = [sys.executable, "-m", "penstock.services.trainer", "--activate", "--reason", "first model"]
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            stdout=output,
            stderr=output,
            cwd=CHECKOUT,
            env={**os.environ, **place.environment()},
            check=False,
            timeout=PATIENCE,
        )
    if done.returncode:
        raise PenstockError("CHILD_DIED", f"the trainer exited with status {done.returncode}; its log is {log}")


async def _on_stream(place: Place, sent: set[str]) -> int:
    """How many of the keys are on their stream: each message is read back and its key computed anew."""
    checker = Checker(load())
    found: set[str] = set()
    broker = await connect_as("operator", place)
    try:
        info = await broker.jetstream.stream_info("EVENTS_HTTP")
        sequence = info.first_seq
        while sequence <= info.last_seq:
            messages = await broker.jetstream.get_many("EVENTS_HTTP", sequence=sequence)
            if not messages:
                break
            found.update(checker.delivered(message).key for message in messages)
            sequence = messages[-1].sequence + 1
    finally:
        await broker.drain()
    return len(found & sent)


def _show_counts(on_stream: int, book: Ledger, sent: set[str], console: Console) -> None:
    counts = book.counts(sent)
    table = Table("sent", "on the stream", "in Elasticsearch", "in Cassandra", "scored", "score in Cassandra")
    figures = [len(sent), on_stream, counts["indexed"], counts["stored"], counts["scored"], counts["scores stored"]]
    table.add_row(*(f"{figure:,}" for figure in figures))
    console.print(table)
    if len(set(figures)) != 1:
        raise PenstockError("INTERNAL", f"the counts differ: {figures}")


def _show_waits(waits: dict[str, list[float]], console: Console) -> None:
    table = Table("from accept to", "p50 ms", "p99 ms", "events sent one by one")
    for stage, times in waits.items():
        table.add_row(stage, f"{percentile(times, 0.5):.0f}", f"{percentile(times, 0.99):.0f}", str(len(times)))
    console.print(table)


def _ask(console: Console) -> None:
    console.print(Rule("penstock search error", align="left"))
    found = client.ask("POST", "/v1/search", body={"text": "error", "size": 5})
    print_hits(found, score="relevance")
    unusual = client.ask("GET", "/v1/anomalies", params={"one_per_pattern": "true", "size": 5})
    one = (found["hits"] or unusual["hits"])[0]
    console.print(Rule(f"penstock similar {one['key']}", align="left"))
    print_hits(client.ask("POST", "/v1/similar", body={"key": one["key"], "size": 5}), score="similarity")
    console.print(Rule("penstock anomalies --distinct", align="left"))
    print_hits(unusual)
