"""Whether what brings the rows of a table back was done since they were lost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from penstock.broker import Broker, Keys
from penstock.contracts import Contracts
from penstock.replay.run import BUCKET, Run

SOURCES = {"events": "events", "periods": "events", "scores": "scores"}  # of the replay that restores a table


class Repairs:
    """Looks at finished runs, and at the consumer of the audit trail."""

    def __init__(self, broker: Broker, contracts: Contracts) -> None:
        self._runs = Keys(broker, BUCKET)
        self._jetstream = broker.jetstream
        self._contracts = contracts

    async def made(self, name: str, since: str) -> bool:
        """A table that is rebuilt is another one afterwards, so it is not asked about here. Raises Unavailable."""
        if name == "audit":
            consumer = await self._jetstream.consumer_info("AUDIT", "writer")
            is_later = datetime.fromisoformat(consumer.created) > datetime.fromisoformat(since)
            return is_later and not consumer.pending and not consumer.ack_pending
        source = SOURCES.get(name)
        if source is None:
            return False
        firsts = await self._firsts(source)
        return any(self._is_whole(run, source, since, firsts) for run in await self._finished())

    def _is_whole(self, run: Run, source: str, since: str, firsts: Mapping[str, int]) -> bool:
        """Whether a run has written all that the streams of its source hold."""
        began = next((each.at for each in run.changes if each.state == "running"), None)
        if (
            (run.target, run.source, run.match) != ("writer", source, {})
            or began is None
            or datetime.fromisoformat(began) <= datetime.fromisoformat(since)
        ):
            return False
        parts = {
            part.stream: part
            for part in run.ranges
            if set(self._contracts.streams[part.stream].subjects) <= set(part.filters)
        }
        return all(name in parts and parts[name].first <= first for name, first in firsts.items())

    async def _firsts(self, source: str) -> dict[str, int]:
        """Of the streams of a source that hold anything: the first sequence."""
        is_event = source == "events"
        names = [
            name
            for name, stream in self._contracts.streams.items()
            if (stream.door is not None if is_event else name == "SCORES")
        ]
        infos = [await self._jetstream.stream_info(name) for name in names]
        return {info.name: info.first_seq for info in infos if info.messages}

    async def _finished(self) -> list[Run]:
        found = []
        for entry in (await self._runs.latest("run.>")).values():
            try:
                run = Run.model_validate_json(entry.value)
            except ValidationError:
                continue  # of another release
            if run.state == "done":
                found.append(run)
        return found
