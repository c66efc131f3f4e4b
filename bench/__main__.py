"""`make bench`: events/s and CPU-µs per event of each process, on real servers, counted at the sinks.

    python -m bench [--events 200000] [--seconds 20] [--only broker,ingress,edge,identity,workers,end_to_end,…]

Everything runs on this machine at once, servers, fleet and load: ratios and CPU-µs carry over to
other machines, rates do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
from pathlib import Path

from rich.console import Console

from bench import (
    broker,
    compare,
    edge,
    end_to_end,
    growth,
    identity,
    ingress,
    memory,
    replay,
    replay_beside,
    traces,
    workers,
)
from bench.fleet import fleet_on
from penstock.stack.place import CHECKOUT, Place

PARTS = {
    "broker": broker.measure,
    "ingress": ingress.measure,
    "edge": edge.measure,
    "identity": identity.measure,
    "workers": workers.measure,
    "replay": replay.measure,
    "replay_beside": replay_beside.measure,
    "end_to_end": end_to_end.measure,
    "memory": memory.measure,
    "compare": compare.measure,
    "growth": growth.measure,
    "traces": traces.measure,
}
USUAL = "broker,ingress,workers,end_to_end"


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measures the chosen parts, one after the other, each on servers of its own."""
    console = Console(stderr=True)
    results: dict[str, object] = {"machine": f"{platform.machine()}, Python {platform.python_version()}"}
    for number, name in enumerate(arguments.only.split(",")):
        console.print(f"[bold]{name}[/] starts its servers …")
        # Connecting with nkeys: what is measured needs neither issuer nor authority (`identity` starts its own).
        base_port = arguments.port_base + 100 * number
        place = Place(state=arguments.state / name, port_base=base_port, auth="nkeys")
        async with fleet_on(place) as base:
            results[name] = await PARTS[name](base, arguments, console)
    return results


def main() -> None:
    """Reads the arguments, prints tables while it measures and JSON at the end."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--events", type=int, default=200_000, help="backlog of the workers")
    parser.add_argument("--seconds", type=float, default=20, help="length of each load, in seconds")
    parser.add_argument("--workers", default=",".join(replay.SINKS), help="whose replays are measured")
    parser.add_argument("--kinds", default="restore,repair", help="of the indexer's replays")
    parser.add_argument(
        "--replay-rate", type=float, default=replay_beside.RATE, help="events a second of replay_beside"
    )
    parser.add_argument("--minutes", type=float, default=10, help="length of the memory run, in minutes")
    parser.add_argument("--rate", type=float, default=memory.RATE, help="events a second of the memory run")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each contestant of compare and traces")
    parser.add_argument(
        "--parts", default=compare.PARTS, help=f"parts of compare, separated by commas; default: {compare.PARTS}"
    )
    parser.add_argument("--largest", type=int, default=1_000_000, help="largest backlog of growth, in events")
    parser.add_argument("--quick", action="store_true", help="a smoke test of compare; its figures are not kept")
    parser.add_argument("--only", default=USUAL, help=f"benchmarks to run, of {', '.join(PARTS)}; default: {USUAL}")
    parser.add_argument("--state", type=Path, default=CHECKOUT / ".state" / "bench")
    parser.add_argument("--port-base", type=int, default=8400)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {sorted(unknown)[0]!r}")
    results = asyncio.run(run(arguments))
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
