"""Receives what an operator replays to it, and prints it: `python examples/receive_replay.py`, with the stack up.

It runs as the identity `alerting`, which may follow log lines. To replay the last hour to it:

    penstock replay plan subscriber:alerting --type log.line.v1 --since 1h --reason "alerting was down"
    penstock replay apply <hash> --watch
"""

from __future__ import annotations

import asyncio

from penstock import connect


async def main() -> None:
    """Prints each event and confirms it; one that is not confirmed comes again."""
    async with connect("alerting") as fleet, fleet.replayed() as events:
        print("ready", flush=True)
        async for each in events:
            event = each.event
            print(each.run, event.stream, event.sequence, event.value["data"]["message"], flush=True)
            each.confirm()


if __name__ == "__main__":
    asyncio.run(main())
