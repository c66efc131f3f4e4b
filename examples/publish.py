"""A service that publishes its events directly on NATS: `python examples/publish.py`, with the stack up.

It runs as the identity `billing` (contracts/identities.yaml), which may publish log lines and interactions in its own
name and nothing else. `penstock up` creates its credentials.
"""

from __future__ import annotations

import asyncio

from penstock import PenstockError, connect


async def main() -> None:
    """One event, then many, then one that violates its contract."""
    async with connect("billing") as publisher:
        line = publisher.event("log.line.v1", {"message": "invoice 17 paid", "level": "info"}, entity="shop-1")
        published = await publisher.publish(line)
        print(f"on disk: {published.key} as {published.stream} {published.sequence}")

        # The same id and time are the same event, however often it is sent: each store keeps it once.
        clicks = [
            publisher.event(
                "user.interaction.v1",
                {"action": "click", "element": "pay", "position": number},
                entity="session-9",
                id=f"click-{number}",
            )
            for number in range(100)
        ]
        results = await publisher.publish_many(clicks)
        print(f"on disk: {sum(not isinstance(result, PenstockError) for result in results)} interactions")

        try:
            await publisher.publish(publisher.event("log.line.v1", {"massage": "?"}, entity="shop-1"))
        except PenstockError as error:
            print(f"refused: {error.code}, {error.detail}")


if __name__ == "__main__":
    asyncio.run(main())
