"""stream → FastStream, batches by pull → one statement per row by cassandra-driver → acknowledged

python writer.py <set>
"""

from __future__ import annotations

import asyncio
import os
import sys
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster
from cassandra.concurrent import execute_concurrent
from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.security import SASLPlaintext
from settings import NATS, PASSWORD, STREAM, USER, key_of

SET = sys.argv[1]
host, _, port = os.environ["PEER_CASSANDRA"].partition(":")
password = Path(os.environ["PEER_CASSANDRA_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
cluster = Cluster(
    [host],
    port=int(port),
    auth_provider=PlainTextAuthProvider(os.environ["PEER_CASSANDRA_USERNAME"], password),
    protocol_version=4,
)
session = cluster.connect(os.environ["PEER_KEYSPACE"])
EVENT = session.prepare("INSERT INTO events (period, pp, key, dataset, record) VALUES (?, ?, ?, ?, ?)")
ENTRY = session.prepare(
    "INSERT INTO timeline (period, pp, entity, key, type, publisher, summary) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
broker = NatsBroker(NATS, security=SASLPlaintext(USER, PASSWORD), logger=None)


@broker.subscriber(
    f"peer.{SET}.>",
    durable=f"{SET}_writer",
    stream=JStream(STREAM, declare=False),
    pull_sub=PullSub(batch_size=1000, timeout=0.2, batch=True),
)
async def write(messages: list[dict[str, Any]]) -> None:
    """Two statements per event, a hundred at a time; the batch is acknowledged when this returns."""
    statements = []
    for event in messages:
        key, entity = key_of(event), event["subject"]
        period = datetime.fromisoformat(event["time"]).strftime("%Y-%m")
        pp = zlib.crc32(entity.encode()) % 64
        record = orjson.dumps({"key": key, "time": event["time"], "entity": entity, "event": event})
        summary = str(event["data"].get("message", ""))[:200]
        statements.append((EVENT, (period, pp, UUID(key), "logs", record)))
        statements.append((ENTRY, (period, pp, entity, UUID(key), event["type"], "peer", summary)))
    await asyncio.to_thread(execute_concurrent, session, statements, concurrency=100, raise_on_first_error=True)


if __name__ == "__main__":
    asyncio.run(FastStream(broker, logger=None).run())
