"""streams and consumers on the server → what is missing or altered by the contracts, soon full, or does not progress"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from penstock.broker import Broker, ConsumerInfo, StreamInfo, if_there
from penstock.contracts import Contracts
from penstock.provisioning import stream_config
from penstock.runtime import Findings
from penstock.services.operator.streams import metrics
from penstock.services.operator.streams.forecast import HOUR, Forecast, Growth, forecast
from penstock.services.operator.streams.progress import Progress, ahead_note, is_ahead, note

SOON = 72.0  # hours before a stream is full at which it is said
NEARLY = 0.8  # of max_bytes
_TIMEOUT = 5.0
_HERE = ("num_replicas",)  # what an installation decides, and not the contracts


class StreamCheck:
    """One look at all streams of the contracts; buckets are left out, as no operator may read their streams."""

    def __init__(self, broker: Broker, contracts: Contracts) -> None:
        self._jetstream = broker.jetstream
        self._streams = {name: stream_config.stream_config(name, body, 1) for name, body in contracts.streams.items()}
        self._consumers = stream_config.consumer_configs(contracts)
        self._growth = {name: Growth() for name in self._streams}
        self._progress = {key: Progress() for key in self._consumers}

    async def check(self) -> Findings:
        """Raises Unavailable."""
        infos = await asyncio.gather(
            *(if_there(self._jetstream.stream_info(name, timeout=_TIMEOUT)) for name in self._streams)
        )
        notes: list[str] = []
        there: dict[str, StreamInfo] = {}
        for (name, wanted), info in zip(self._streams.items(), infos, strict=True):
            if info is None:
                notes.append(f"the stream {name} is gone, and what only it held: `penstock provision` makes it anew")
                continue
            there[name] = info
            notes += _altered(f"the stream {name}", wanted, info.config)
            notes += self._fullness(info)
        notes += await self._consumer_notes(there)
        return Findings(notes=tuple(notes))

    async def _consumer_notes(self, there: Mapping[str, StreamInfo]) -> list[str]:
        asked = {key: wanted for key, wanted in self._consumers.items() if key[0] in there}
        infos = await asyncio.gather(
            *(if_there(self._jetstream.consumer_info(*key, timeout=_TIMEOUT)) for key in asked)
        )
        notes: list[str] = []
        for ((stream, name), wanted), info in zip(asked.items(), infos, strict=True):
            if info is None:
                notes.append(
                    f"the consumer {name} of {stream} is gone, and nothing reaches its worker: `penstock provision`"
                    " makes it anew, and it then delivers all that the stream holds"
                )
            else:
                notes += _altered(f"the consumer {name} of {stream}", wanted, info.config)
                notes += await self._position_notes(there[stream], info)
        return notes

    async def _position_notes(self, stream: StreamInfo, info: ConsumerInfo) -> list[str]:
        position = self._progress[info.stream, info.name].add(time.monotonic(), stream, info)
        labels = (info.stream, info.name)
        metrics.PENDING.labels(*labels).set(info.pending)
        metrics.UNACKNOWLEDGED.labels(*labels).set(info.ack_pending)
        metrics.FLOOR.labels(*labels).set(position.floor)
        metrics.STALLED.labels(*labels).set(position.stalled)
        if is_ahead(stream, info):  # or messages came between the two looks
            later = await if_there(self._jetstream.stream_info(info.stream, timeout=_TIMEOUT))
            if later is not None and is_ahead(later, info):
                return [ahead_note(*labels)]
        said = note(*labels, position)
        return [said] if said else []

    def _fullness(self, info: StreamInfo) -> list[str]:
        found = forecast(info, self._growth[info.name].add(time.monotonic(), info))
        metrics.MESSAGES.labels(info.name).set(info.messages)
        metrics.BYTES.labels(info.name).set(info.bytes)
        metrics.LAST.labels(info.name).set(info.last_seq)
        metrics.FULL.labels(info.name).set(found.share)
        metrics.FULL_IN.labels(info.name).set(found.hours * HOUR)
        if info.config.get("discard") != "new" or (found.share < NEARLY and found.hours > SOON):
            return []
        return [
            f"the stream {info.name} uses {found.share:.0%} of its {info.config['max_bytes']:,} bytes"
            f"{_when(found)}; when it is full it takes no more: raise its max_bytes, or lower its max_age, in"
            " contracts/streams.yaml and run `penstock provision`"
        ]


def _when(found: Forecast) -> str:
    return f", and is full in {found.hours:.0f} h at its pace" if found.hours <= SOON else ""


def _altered(what: str, wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    differing = stream_config.differences(wanted, found)
    return [
        f"{what} has {name} {old!r}, and the contracts say {new!r}: `penstock provision` sets it"
        for name, (old, new) in differing.items()
        if name not in _HERE
    ]
