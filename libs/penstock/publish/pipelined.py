"""messages → published one by one, a window of them in flight → each with the stream's own answer.

The way out when a batch fails: what is wrong with one message reaches only its own submission.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from penstock.broker import Broker, Message, encode_headers, publication, stored
from penstock.errors import PenstockError, Unavailable

if TYPE_CHECKING:
    from penstock.publish.submission import Entry

WINDOW = 256  # publishes in flight
ANSWER_SECONDS = 3.0  # without any answer before the window is sent again
PAUSE = 0.1  # seconds before another try when the broker or the stream is not there


async def publish_singly(broker: Broker, group: list[Entry]) -> None:
    """Settles every entry, at the latest at its submission's deadline. What gets no answer is sent again until then."""
    left = group
    while left := _unexpired(left):
        try:
            await broker.wait_connected(min(s.deadline for s, _ in left) - time.monotonic())
            left = await _Window(broker, left).run()
        except Unavailable:
            continue
        if left:
            await asyncio.sleep(PAUSE)


def _unexpired(entries: list[Entry]) -> list[Entry]:
    now = time.monotonic()
    left = []
    for submission, index in entries:
        if submission.future.done():
            continue
        if submission.deadline <= now:
            error = Unavailable("BROKER_UNAVAILABLE", "the stream did not answer in time", retry_after=2)
            submission.settle(index, error)
        else:
            left.append((submission, index))
    return left


class _Window:
    """One pass over the entries; `run` returns those without an answer."""

    def __init__(self, broker: Broker, entries: list[Entry]) -> None:
        self._broker = broker
        self._entries = deque(entries)
        self._in_flight: dict[int, str] = {}
        self._again: list[Entry] = []
        self._changed = asyncio.Event()

    async def run(self) -> list[Entry]:
        number = 0
        sent: dict[int, Entry] = {}
        broken = False
        while self._entries or self._in_flight:
            while self._entries and len(self._in_flight) < WINDOW and not broken:
                entry = self._entries.popleft()
                number += 1
                sent[number] = entry
                try:
                    self._send(number, entry)
                except Unavailable:
                    self._entries.appendleft(entry)
                    broken = True
            if not self._in_flight:
                break
            self._changed.clear()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                for lost, reply in self._in_flight.items():
                    self._broker.forget(reply)
                    self._again.append(sent[lost])
                self._in_flight.clear()
                broken = True
            broken = broken or not self._broker.connected
        return [*self._again, *self._entries]

    def _send(self, number: int, entry: Entry) -> None:
        submission, index = entry
        subject, payload, headers = submission.items[index]
        reply = self._broker.expect(partial(self._answered, number, entry), subject)
        try:
            self._broker.write(publication(subject, payload, reply, encode_headers(headers) if headers else b""))
        except Unavailable:
            self._broker.forget(reply)
            raise
        self._in_flight[number] = reply

    def _answered(self, number: int, entry: Entry, answer: Message | PenstockError) -> None:
        self._in_flight.pop(number, None)
        self._changed.set()
        submission, index = entry
        try:
            if isinstance(answer, PenstockError):
                raise answer
            submission.settle(index, stored(answer, submission.items[index].subject))
        except PenstockError as error:
            if error.code == "BROKER_UNAVAILABLE":
                self._again.append(entry)
            else:
                submission.settle(index, error)
