"""The consumers of a run: per stream the one that its target pulls from, and its tail, which nobody pulls.

main   from the first sequence on      pending: not delivered yet, of the range and of what lies behind it
tail   from behind the last one on     pending: what lies behind the range
main - tail = what of the range is not delivered yet, exactly, whatever is deleted or arrives meanwhile
"""

from __future__ import annotations

from typing import Any

from penstock.broker import Broker, ConsumerInfo, if_there
from penstock.contracts import load
from penstock.contracts.topology import REPLAY_TAIL
from penstock.errors import Refused
from penstock.rpc.messages import ReplayRange

TIMEOUT = 20.0  # seconds for a creation, which counts what matches


async def create(
    broker: Broker, stream: str, name: str, first: int, filters: tuple[str, ...], **more: Any
) -> ConsumerInfo:
    """Creates a consumer from `first` on. Raises Refused PROVISION_REFUSED when there is another of that name."""
    config = {
        "name": name,
        "durable_name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": first,
        # Without a filter the server need not look at subjects: a count takes milliseconds, not seconds.
        "filter_subjects": [] if filters == load().streams[stream].subjects else list(filters),
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "max_deliver": -1,
        **more,
    }
    return await broker.jetstream.ensure_consumer(stream, config, action="create", timeout=TIMEOUT)


async def delete(broker: Broker, stream: str, name: str) -> None:
    """Deletes a consumer, if it is there."""
    await if_there(broker.jetstream.delete_consumer(stream, name))


async def open_pair(broker: Broker, part: ReplayRange, run: str) -> None:
    """The pair of a range, made anew unless it is this run's own."""
    contract = load().streams[part.stream].consumers[part.consumer.rpartition("_")[0]]
    settings = {
        "ack_wait": int(contract.ack_wait.total_seconds() * 1e9),
        "max_ack_pending": contract.max_ack_pending,
        "max_waiting": 512,
    }
    description = f"replay {run}"
    for name, first in ((part.consumer + REPLAY_TAIL, part.last + 1), (part.consumer, part.first)):
        try:
            found = await broker.jetstream.consumer_info(part.stream, name)
            if found.config.get("description") == description:
                continue
            await delete(broker, part.stream, name)
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
        await create(broker, part.stream, name, first, part.filters, description=description, **settings)


async def close_pair(broker: Broker, part: ReplayRange) -> None:
    """Deletes the pair of a range."""
    for name in (part.consumer, part.consumer + REPLAY_TAIL):
        await delete(broker, part.stream, name)
