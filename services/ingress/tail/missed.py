"""Last-Event-ID → the frames of what the streams stored since, read from them.

An id holds the last sequence of each stream, so that nothing of any stream is shown twice or left out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping

from penstock.broker import Broker
from penstock.consume import Copies
from penstock.errors import Refused
from penstock.events import Event, record

MOST = 10_000  # messages of a stream that are read; of those before them only the gap is shown
MOST_ID = 512  # characters of an id that are read
GAP = b'event: gap\ndata: {"dropped":null}\n\n'
_POSITION = re.compile(r"([A-Z][A-Z0-9_]*):(\d{1,18})", re.ASCII)


class Missed:
    """What a client that was here before has missed; `positions` are where it is in each stream."""

    def __init__(self, broker: Broker, copies: Copies, last_seen: str) -> None:
        found = _POSITION.findall(last_seen[:MOST_ID])
        self.positions = {name: int(number) for name, number in found if name in copies.streams}
        self._broker = broker
        self._copies = copies

    async def frames(self, wants: Callable[[Event], bool], pp: int | None) -> AsyncIterator[bytes]:
        """The frames of events that the client wants; `pp` is the only partition in which they can be."""
        for stream in list(self.positions):
            last = await last_of(self._broker, stream)
            begin = max(self.positions[stream] + 1, last - MOST + 1)
            if begin > self.positions[stream] + 1:
                yield GAP
            async for event in self._events(stream, begin, last, pp):
                self.positions[stream] = event.sequence
                if wants(event):
                    yield frame_of(event, self.positions)
            self.positions[stream] = last

    async def _events(self, stream: str, begin: int, last: int, pp: int | None) -> AsyncIterator[Event]:
        subject = "evt.>" if pp is None else f"evt.{pp:02x}.>"
        while begin <= last:
            page = await self._broker.jetstream.get_many(stream, sequence=begin, subject=subject)
            for message in page:
                if message.sequence > last:
                    return
                try:
                    yield self._copies.stored(message)
                except Refused:
                    continue  # what the stores do not keep is not shown
            if not page:
                return
            begin = page[-1].sequence + 1


async def last_of(broker: Broker, stream: str) -> int:
    """The sequence of the message that the stream stored last."""
    return (await broker.jetstream.stream_info(stream)).last_seq


def frame_of(event: Event, positions: Mapping[str, int]) -> bytes:
    """The frame of an event, with the positions in all streams as its id."""
    return f"event: event\nid: {id_of(positions)}\ndata: ".encode() + record(event) + b"\n\n"


def id_of(positions: Mapping[str, int]) -> str:
    """The id that says where a client is."""
    return ",".join(f"{stream}:{sequence}" for stream, sequence in sorted(positions.items()))
