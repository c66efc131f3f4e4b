"""Whether what brings the rows of a table back was done since they were lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

from pydantic import ValidationError

from penstock.broker import Broker, Keys, StreamInfo
from penstock.contracts import Contracts
from penstock.replay.run import BUCKET, Range, Run

SOURCES = {"events": "events", "periods": "events", "scores": "scores"}  # of the replay that restores a table


class Repairs:
    """Looks at finished runs, and at the consumer of the audit trail."""

    def __init__(self, broker: Broker, contracts: Contracts) -> None:
        self._runs = Keys(broker, BUCKET)
        self._jetstream = broker.jetstream
        self._contracts = contracts

    async def ends(self, name: str) -> dict[str, int]:
        """The last sequence of each stream from which a replay restores a table. Raises Unavailable."""
        source = SOURCES.get(name)
        return {info.name: info.last_seq for info in await self._infos(source)} if source is not None else {}

    async def made(self, name: str, since: str, ends: Mapping[str, int]) -> bool:
        """Whether rows that were noticed as lost at `since`, when the streams ended with the sequences `ends`, were
        written again. The rebuild of a table that holds nothing of its own, as `timeline`, is not asked about here: it
        makes another table live. Raises Unavailable."""
        if name == "audit":
            consumer = await self._jetstream.consumer_info("AUDIT", "writer")
            is_later = datetime.fromisoformat(consumer.created) > datetime.fromisoformat(since)
            return is_later and consumer.idle
        source = SOURCES.get(name)
        if source is None:
            return False
        infos = await self._infos(source)
        return any(
            _is_later(run, source, since)
            and all(covers(run.ranges, info, ends.get(info.name, 0), self._subjects(info.name)) for info in infos)
            for run in await self._finished()
        )

    def _subjects(self, stream: str) -> Set[str]:
        return set(self._contracts.streams[stream].subjects)

    async def _infos(self, source: str) -> list[StreamInfo]:
        names = self._contracts.event_streams if source == "events" else ("SCORES",)
        return [await self._jetstream.stream_info(name) for name in names]

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


def _is_later(run: Run, source: str, since: str) -> bool:
    """Whether a run over everything of a source began after that time."""
    began = next((each.at for each in run.changes if each.state == "running"), None)
    is_over_all = (run.target, run.source, run.match) == ("writer", source, {})
    return is_over_all and began is not None and datetime.fromisoformat(began) > datetime.fromisoformat(since)


def covers(ranges: Iterable[Range], info: StreamInfo, end: int, subjects: Set[str]) -> bool:
    """Whether one of the ranges has all messages up to the sequence `end` that a stream still holds."""
    return (
        not info.messages
        or end < info.first_seq
        or any(
            (part.stream, part.epoch) == (info.name, info.epoch)
            and part.first <= info.first_seq
            and part.last >= end
            and subjects <= set(part.filters)
            for part in ranges
        )
    )
