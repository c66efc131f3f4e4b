"""ranges of a run → its events, in order and at its pace → REPLAY; the place is written behind each page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
import structlog

from penstock.broker import Broker, StoredMessage
from penstock.contracts import Contracts
from penstock.contracts.subjects import replay_log
from penstock.errors import PenstockError, Refused
from penstock.events import Checker
from penstock.replay.origin import EVENT_ID
from penstock.replay.outcomes import encode
from penstock.replay.pace import Pace
from penstock.replay.run import Run
from penstock.services.operator.replay.ordered_reader import OrderedReader
from penstock.services.operator.replay.page_publisher import Outgoing, PagePublisher
from penstock.services.operator.replay.subscriber_place import Page, Place, Places

_log = structlog.get_logger("penstock.operator.replay")

PAGE = 256  # messages between two places
PAGE_SECONDS = 0.2  # of the rate in a page
MOST_PAGES = 200  # that are not acknowledged; beyond it the place would not fit its key
# Of payloads that are not acknowledged: REPLAY is shared, and a subscriber that does not fetch must leave room in it.
MOST_BYTES = 16 << 20
LONGEST_ID = 256  # characters; an event that no worker would take can have one as long as the message
TURN_SECONDS = 1.0  # of feeding at a time


class SubscriberFeed:
    """Feeds one run, a turn at a time; `pace` is granted from outside. `fault` is why the last turn failed."""

    def __init__(self, broker: Broker, contracts: Contracts, run: Run, places: Places) -> None:
        self.pace = Pace()
        self.fault = ""
        self.ending = False  # set: no page is begun any more
        self._run = run
        self._broker = broker
        self._checker = Checker(contracts)
        self._places = places
        self._publisher = PagePublisher(broker, run.id, run.target)
        self._reader: tuple[int, OrderedReader] | None = None  # of the range with that number
        self._unsent: list[StoredMessage] = []  # read, and not sent yet
        self._read_at = (0, 0)  # part and place behind which that lies

    async def turn(self, room: int) -> None:
        """Sends up to `room` messages, for at most TURN_SECONDS. What fails is tried again at the next turn."""
        try:
            await self._places.read()
            await self._send_pages(room, time.monotonic() + TURN_SECONDS)
            self.fault = ""
        except PenstockError as error:
            if error.code == "CONFLICT":  # another leads, and is further
                self._unsent, self._reader = [], None
            elif error.detail != self.fault:
                _log.warning("subscriber_not_fed", run=self._run.id, code=error.code, reason=error.detail)
            self.fault = error.detail
        except Exception as error:  # noqa: BLE001 - nobody awaits the turn, so a defect would show nowhere
            if self.fault != (fault := f"{type(error).__name__} while it is fed; the operator's log says more"):
                _log.exception("subscriber_not_fed", run=self._run.id)
            self.fault = fault

    async def _send_pages(self, room: int, until: float) -> None:
        while room > 0 and not self.ending and (left := until - time.monotonic()) > 0:
            place = self._places.place
            if place.done or len(place.pages) >= MOST_PAGES or place.bytes_ahead >= MOST_BYTES:
                return
            if self._read_at != (place.part, place.after):  # sent by a write that seemed to have failed, or by another
                self._unsent, self._reader, self._read_at = [], None, (place.part, place.after)
            if not self._unsent:
                self._unsent = await self._read(place, max(min(PAGE, room, int(self.pace.rate * PAGE_SECONDS)), 1))
            if not self._unsent:
                await self._places.change(lambda place: place.next_part(len(self._run.ranges)))
                self._moved()
                continue
            if not await self._may_send(len(self._unsent), left):
                return
            await self._send(place, self._unsent)
            room -= len(self._unsent)
            self._unsent = []
            self._moved()

    def _moved(self) -> None:
        self._read_at = (self._places.place.part, self._places.place.after)

    async def _may_send(self, messages: int, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self.pace.take(messages)
        return False

    async def _read(self, place: Place, most: int) -> list[StoredMessage]:
        if self._reader is None or self._reader[0] != place.part:
            part = self._run.ranges[place.part]
            self._reader = (place.part, OrderedReader(self._broker, part, place.after))
        return await self._reader[1].page(most)

    async def _send(self, place: Place, messages: Sequence[StoredMessage]) -> None:
        part = self._run.ranges[place.part]
        chosen = [each for each in messages if self._matches(each)]
        end = await self._publisher.publish([_outgoing(each, part.epoch) for each in chosen])
        if left_out := [each.sequence for each in messages if each not in chosen]:
            record = encode({part.stream: {"filtered": left_out}})
            await self._broker.publish(replay_log(self._broker.identity, self._run.id), record)
        sequences = tuple(each.sequence for each in chosen)
        size = sum(len(each.data) for each in chosen)
        page = Page(end, int(time.time()), part.stream, sequences, size) if chosen else None
        await self._places.change(lambda now: now.behind(messages[-1].sequence, len(messages), page))

    def _matches(self, message: StoredMessage) -> bool:
        """Whether the conditions hold that no subject expresses."""
        if not self._run.match:
            return True
        try:
            event: Any = self._checker.delivered(message)
        except Refused:
            return False
        return all(getattr(event, name) == wanted for name, wanted in self._run.match.items())


def _outgoing(message: StoredMessage, epoch: int) -> Outgoing:
    try:
        id = orjson.loads(message.data)["id"]
    except (ValueError, KeyError, TypeError):
        id = ""
    headers = {name: value[:64] for name, value in message.headers.items() if name == "traceparent"}
    if isinstance(id, str) and 0 < len(id) <= LONGEST_ID:
        headers[EVENT_ID] = id
    return Outgoing(
        message.stream, message.sequence, message.stored_at_ns, epoch, message.subject, message.data, headers
    )
