"""stream → FastStream, batches by pull → elasticsearch's async_bulk → acknowledged

python indexer.py <set>
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk
from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.security import SASLPlaintext
from settings import NATS, PASSWORD, STREAM, USER, key_of

SET = sys.argv[1]
INDEX = os.environ["PEER_INDEX"]
client = AsyncElasticsearch(os.environ["PEER_ELASTICSEARCH"], request_timeout=60)
broker = NatsBroker(NATS, security=SASLPlaintext(USER, PASSWORD), logger=None)


@broker.subscriber(
    f"peer.{SET}.>",
    durable=f"{SET}_indexer",
    stream=JStream(STREAM, declare=False),
    pull_sub=PullSub(batch_size=1000, timeout=0.2, batch=True),
)
async def index(messages: list[dict[str, Any]]) -> None:
    """One bulk per batch; the batch is acknowledged when this returns."""
    actions = []
    for event in messages:
        key = key_of(event)
        record = {"key": key, "time": event["time"], "entity": event["subject"], "event": event}
        actions.append({"_op_type": "index", "_index": INDEX, "_id": key, "_source": record})
    await async_bulk(client, actions, chunk_size=1000)


if __name__ == "__main__":
    asyncio.run(FastStream(broker, logger=None).run())
