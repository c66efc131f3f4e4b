"""stream info → the epoch of each stream of events: a stream that was created anew has a higher one."""

from __future__ import annotations

import asyncio

import structlog

from penstock.broker import Broker
from penstock.contracts import Contracts
from penstock.errors import PenstockError
from penstock.stopping import set_within

_log = structlog.get_logger(__name__)
_EVERY = 30.0  # seconds


async def read_epochs(broker: Broker, contracts: Contracts) -> dict[str, int]:
    """The epoch of each stream of events."""
    return {name: (await broker.jetstream.stream_info(name)).epoch for name in contracts.event_streams}


async def follow_epochs(epochs: dict[str, int], broker: Broker, stop: asyncio.Event) -> None:
    """Keeps `epochs` current until `stop`. A new one is noticed late without harm: it only makes a version lower."""
    while not await set_within(stop, _EVERY):
        for stream in epochs:
            try:
                epochs[stream] = (await broker.jetstream.stream_info(stream)).epoch
            except PenstockError as error:
                _log.warning("stream_info_failed", stream=stream, reason=error.detail)
