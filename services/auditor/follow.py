"""stream → a page of messages → entries → audit.auditor.<what>, each record saying from where to where it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from penstock.broker import Broker, StoredMessage
from penstock.services.auditor import metrics
from penstock.services.auditor.journal import STAND_BY, Journal, keep_on
from penstock.services.auditor.stream_place import is_same, recorded_until
from penstock.stopping import set_within

EVERY = 2.0  # seconds
PAGE = 500
MOST_BYTES = 40 * 1024  # of the entries of a record; AUDIT takes 64 KiB

Entry = dict[str, Any]
Describe = Callable[[Sequence[StoredMessage]], Sequence[Entry | None]]


class Follow:
    """Follows one stream. `describe` gives an entry for each message, or None for what does not go onto the trail."""

    def __init__(self, broker: Broker, stream: str, what: str, describe: Describe, stand_by: float = STAND_BY) -> None:
        self.unready_reason = ""
        self._broker = broker
        self._stream = stream
        self._describe = describe
        self._journal = Journal(broker, what, stand_by)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await keep_on(self._lead, self._journal, stop, self._say)

    def _say(self, unready_reason: str) -> None:
        self.unready_reason = unready_reason

    async def _lead(self, stop: asyncio.Event) -> None:
        """Until `stop`, or until the stream is another one."""
        last = await self._journal.last()
        stream = await self._broker.jetstream.stream_info(self._stream)
        seen = written = recorded_until(stream, last)
        while not stop.is_set():
            page = await self._broker.jetstream.get_many(self._stream, sequence=seen + 1, most=PAGE)
            if not page and not is_same(await self._broker.jetstream.stream_info(self._stream), stream, seen):
                return
            for to, entries in _parts(page, self._describe(page)):
                body = {"stream": self._stream, "from": written + 1, "to": to}
                await self._journal.write(body | {"count": len(entries), "entries": entries})
                metrics.ENTRIES.labels(self._stream).inc(len(entries))
                written = to
            if page:
                seen = page[-1].sequence
            self.unready_reason = ""
            if len(page) < PAGE:
                await set_within(stop, EVERY)


def _parts(page: Sequence[StoredMessage], entries: Sequence[Entry | None]) -> Iterator[tuple[int, list[Entry]]]:
    """(last, entries) of each record; nothing for messages without any."""
    part: list[Entry] = []
    last = size = 0
    for message, entry in zip(page, entries, strict=True):
        if entry is None:
            continue
        bytes = len(orjson.dumps(entry))
        if part and size + bytes > MOST_BYTES:
            yield last, part
            part, size = [], 0
        part.append(entry)
        size += bytes
        last = message.sequence
    if part:
        yield last, part
