"""Batches of 1000 from one connection → atomic commits across the account boundary, one in flight, nothing checked.

python -m bench.ceilings.batches <events> <pid of NATS>
"""

from __future__ import annotations

import asyncio
import os
import sys

import orjson

from bench.ceilings.records import stored_events
from bench.ceilings.timed import timed
from penstock.broker import Broker, Message, publication
from penstock.errors import PenstockError
from penstock.settings import load_settings

SIZE = 1000


async def run(count: int, server: int) -> None:
    """Commits `count` events."""
    settings = load_settings()
    messages = [(event.subject, event.raw) for event in stored_events(count)]
    broker = await Broker.connect(settings.nats, "ingress", settings.credentials_folder)
    with timed(server) as done:
        for begin in range(0, len(messages), SIZE):
            await _commit(broker, messages[begin : begin + SIZE])
            done.events += len(messages[begin : begin + SIZE])
    await broker.drain()


async def _commit(broker: Broker, group: list[tuple[str, bytes]]) -> None:
    answer: asyncio.Future[Message | PenstockError] = asyncio.get_running_loop().create_future()
    reply = broker.expect(answer.set_result, group[-1][0])
    head = f"Nats-Batch-Id: {os.urandom(16).hex()}\r\nNats-Batch-Sequence: "
    operations = [
        publication(subject, raw, "", f"{head}{number}\r\n".encode())
        for number, (subject, raw) in enumerate(group[:-1], 1)
    ]
    last = f"{head}{len(group)}\r\nNats-Batch-Commit: 1\r\n".encode()
    broker.write(b"".join(operations) + publication(*group[-1], reply, last))
    async with asyncio.timeout(10):
        found = await answer
    if isinstance(found, PenstockError):
        raise found
    if orjson.loads(found.data).get("count") != len(group):
        raise RuntimeError(f"the stream answered {found.data!r}")


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), int(sys.argv[2])))
