"""Follows log lines as they are stored and prints them: `python examples/follow.py 10`, with the stack up.

It runs as the identity `dashboard`, which may follow and query events, and publish nothing.
"""

from __future__ import annotations

import asyncio
import sys

from penstock import connect


async def main(most: int) -> None:
    """Prints `most` log lines."""
    async with connect("dashboard") as fleet, fleet.follow("log.line.v1") as events:
        print("following", flush=True)
        async for event in events:
            print(event.key, event.publisher, event.entity, event.value["data"]["message"], flush=True)
            most -= 1
            if not most:
                return


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
