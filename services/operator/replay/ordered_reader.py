"""a range of a stream and its filters → the matching messages in the order of the stream, page by page.

A direct get takes one filter: each is read ahead by itself, and the lowest sequence of all comes next.
"""

from __future__ import annotations

import asyncio
from collections import deque

from penstock.broker import Broker, StoredMessage
from penstock.rpc.messages import ReplayRange

READ_MESSAGES = 256  # ahead, over all filters of a range
READ_BYTES = 8 << 20
PAGE_BYTES = 4 << 20
LEAST = 8  # messages ahead of one filter


class OrderedReader:
    """Reads one range from behind `after` on."""

    def __init__(self, broker: Broker, part: ReplayRange, after: int) -> None:
        self._broker = broker
        self._part = part
        count = len(part.filters)
        self._most = max(READ_MESSAGES // count, LEAST)
        self._max_bytes = max(READ_BYTES // count, 512 << 10)
        self._ahead: dict[str, deque[StoredMessage]] = {filter: deque() for filter in part.filters}
        self._next = dict.fromkeys(part.filters, max(after + 1, part.first))
        self._ended: set[str] = set()  # filters behind whose messages there are no more in the range

    async def page(self, most: int) -> list[StoredMessage]:
        """Up to `most` messages, fewer where they are large; none when the range is at its end."""
        page: list[StoredMessage] = []
        size = 0
        while len(page) < most and size < PAGE_BYTES:
            await asyncio.gather(*(self._read(filter) for filter, ahead in self._ahead.items() if not ahead))
            heads = [(ahead[0].sequence, filter) for filter, ahead in self._ahead.items() if ahead]
            if not heads:
                break
            _, filter = min(heads)
            page.append(self._ahead[filter].popleft())
            size += len(page[-1].data)
        return page

    async def _read(self, filter: str) -> None:
        if filter in self._ended:
            return
        found = await self._broker.jetstream.get_many(
            self._part.stream,
            subject=filter,
            sequence=self._next[filter],
            most=self._most,
            max_bytes=self._max_bytes,
        )
        within = [message for message in found if message.sequence <= self._part.last]
        if not found or len(within) < len(found):
            self._ended.add(filter)
        else:
            self._next[filter] = found[-1].sequence + 1
        self._ahead[filter].extend(within)
