"""The cost of authentication: at the ingress, beside the same ingress without it, and at the broker.

HTTP load → ingress (token verified before · bearer key · open) → CPU-µs per request
clients → NATS → two replicas of the authority → connects a second
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet, load
from bench.rounds import Measure, Sample, as_json, interleave, middle
from bench.watch import cpu_seconds, resident_mb
from penstock.stack import fleet, process, up
from penstock.stack.place import Place
from tests.support.authority_rig import AuthorityRig, raw_connect
from tests.support.mint import Mint

SINGLE = {"batch": 1, "connections": 32}
CONNECTS = 1500  # in one round
AT_ONCE = 32


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """CPU per request of each kind of credential, and connects a second."""
    mint = await asyncio.to_thread(lambda: Mint(base.place.state / "mint"))
    requests = await _at_ingress(base, mint, arguments, console)
    connects = await _connects(base.place, arguments, console)
    return {"requests": requests, "connects": connects}


# -- the ingress


async def _at_ingress(base: Fleet, mint: Mint, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    place = base.place.model_copy(update={"issuers_file": mint.issuers_file})
    verifying, opened = await asyncio.to_thread(_start, place)
    url, open_url = (f"http://127.0.0.1:{place.local_port('ingress', number)}" for number in (0, 1))
    token = mint.person("bench", "penstock-senders", life=36_000)
    seconds = arguments.seconds / 4
    contestants: dict[str, Measure] = {
        "open": partial(_requests, place, open_url, token, opened, seconds),
        "token": partial(_requests, place, url, token, verifying, seconds),
        "key": partial(_requests, place, url, base.key, verifying, seconds),
        "open again": partial(_requests, place, open_url, token, opened, seconds),
    }
    found = await interleave(contestants, arguments.rounds)
    for name in ("ingress_0", "ingress_open"):
        await asyncio.to_thread(process.stop, place, name)
    table = Table("credentials", "requests/s", "ingress µs", "of open", "p50 ms", title="single events, 32 connections")
    base_us = middle(found["open"]).cpu_us["ingress"]
    ratios = {}
    for name, samples in found.items():
        row = middle(samples)
        ratios[name] = round(row.cpu_us["ingress"] / base_us, 3)
        table.add_row(name, f"{row.rate:,.0f}", f"{row.cpu_us['ingress']:.0f}", f"{ratios[name]:.3f}", f"{row.p50_ms}")
    console.print(table)
    return {"ratios": ratios, **as_json(found)}


def _start(place: Place) -> tuple[int, int]:
    """The pids of the ingress that authenticates and of the one that does not."""
    [child] = [each for each in fleet.children(place) if each.name == "ingress_0"]
    port = place.local_port("ingress", 1)
    other = process.Child(
        name="ingress_open",
        command=(sys.executable, "-m", "bench.open_ingress"),
        ports={"HTTP": port},
        environment={"PENSTOCK_PORT": str(port), "PENSTOCK_INSTANCE": "1"},
    )
    records = [process.start(place, each) for each in (child, other)]
    for each, record in zip((child, other), records, strict=True):
        fleet.wait_ready(place, each, record)
    return records[0].pid, records[1].pid


async def _requests(place: Place, url: str, secret: str, pid: int, seconds: float) -> Sample:
    before = cpu_seconds(pid)
    seen = await load(url, secret, place, seconds=seconds, **SINGLE)
    requests = seen["answers"].get("202", 0)
    if requests != sum(seen["answers"].values()):
        raise RuntimeError(f"{url} refused some: {seen['answers']}")
    micros = 1e6 * (cpu_seconds(pid) - before) / requests
    return Sample(requests / seen["seconds"], {"ingress": micros}, seen["p50_ms"], seen["p99_ms"], resident_mb(pid))


# -- the broker


async def _connects(base: Place, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    place = Place(state=base.state / "callout", port_base=base.port_base + 60, auth="callout")
    try:
        rig = await AuthorityRig(place, await asyncio.to_thread(lambda: Mint(place.state / "mint"))).open()
        ways: dict[str, Callable[[], list[str]]] = {
            "tokens seen before": lambda: [rig.mint.token(life=3600)] * CONNECTS,
            "every token new": lambda: [
                rig.mint.token(life=3600, jti=f"{n}-{time.time_ns()}") for n in range(CONNECTS)
            ],
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        micros: dict[str, list[float]] = {name: [] for name in ways}
        pids = [_pid(place, f"authority_{number}") for number in range(2)]
        for number in range(arguments.rounds + 1):  # the first one warms up
            for name, make in ways.items():
                tokens = await asyncio.to_thread(make)
                cpu, began = sum(map(cpu_seconds, pids)), time.perf_counter()
                await _all(place, iter(tokens))
                if number:
                    rates[name].append(CONNECTS / (time.perf_counter() - began))
                    micros[name].append(1e6 * (sum(map(cpu_seconds, pids)) - cpu) / CONNECTS)
        one = [await _one(place, rig.mint.token(life=3600)) for _ in range(200)]
        await rig.close()
    finally:
        await asyncio.to_thread(up.clean, place)
    table = Table("connects, two replicas", "per second", "authority µs", title=f"{AT_ONCE} at once")
    for name in ways:
        table.add_row(name, f"{median(rates[name]):,.0f}", f"{median(micros[name]):.0f}")
    console.print(table)
    return {
        name: {"rate": round(median(rates[name])), "rates": [round(each) for each in rates[name]],
               "authority_us": round(median(micros[name]))}
        for name in ways
    } | {"one at a time, ms": round(1000 * median(one), 2)}  # fmt: skip


async def _all(place: Place, tokens: Iterator[str]) -> None:
    async def client() -> None:
        for token in tokens:
            answer = await raw_connect(place, {"auth_token": token})
            if not answer.startswith("PONG"):
                raise RuntimeError(f"not let in: {answer}")

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def _one(place: Place, token: str) -> float:
    began = time.perf_counter()
    await raw_connect(place, {"auth_token": token})
    return time.perf_counter() - began


def _pid(place: Place, name: str) -> int:
    record = process.alive(place, name)
    if record is None:
        raise RuntimeError(f"{name} does not run")
    return record.pid
