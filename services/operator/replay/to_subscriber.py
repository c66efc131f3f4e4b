"""run to a subscriber → its events, in order and at its pace → REPLAY → the subscriber's consumer ─▶ ack = confirmed

The subscriber need not know of runs: what it acknowledges is gone from its consumer, and so confirmed. Where it records
an outcome of its own before that (skipped, parked), that one counts. How far the run is stands in the bucket, written
after each page: a leader that takes over sends at most one page again, and counts none of it twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import structlog

from penstock.broker import Message, StoredMessage, request_many
from penstock.consume import ACK
from penstock.contracts import Contracts, load, nats_subjects
from penstock.contracts.subjects import replay_log
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.events import Checker
from penstock.replay.ledger import Ledger
from penstock.replay.origin import EVENT_ID, STREAM_NAME
from penstock.replay.outcomes import Kind, encode
from penstock.replay.pace import Pace
from penstock.replay.run import Run
from penstock.rpc.messages import ReplayRange
from penstock.services.operator.replay.ordered_reader import OrderedReader
from penstock.services.operator.replay.page_publisher import Outgoing, PagePublisher
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.subscriber_place import Page, Place, Places
from penstock.services.operator.replay.supply import Supplied

_log = structlog.get_logger("penstock.operator.replay")

PAGE = 256  # messages between two places
PAGE_SECONDS = 0.2  # of the rate in a page
AHEAD_SECONDS = 1.0  # of the rate that the subscriber may have waiting and in hand together,
AHEAD_LEAST, AHEAD_MOST = 256, 5000  # but so many messages at least and at most
MOST_PAGES = 200  # that are not acknowledged; beyond it the place would not fit its key
TURN_SECONDS = 1.0  # of feeding at a time
WAIT_SECONDS = 0.3  # that a look waits for it
CLOSE_SECONDS = 6.0  # that the end of a run waits for what is being sent
# For which what is sent is certain to be there; REPLAY lets it expire an hour later.
KEPT_SECONDS = int(load().streams[STREAM_NAME].max_age.total_seconds()) - 3600
BACK_MESSAGES = 64  # taken back at a time


class ToSubscriber:
    """Sends one run. Only a running one is fed, at the rate that its driver allows."""

    def __init__(self, runs: Runs, contracts: Contracts, run: Run) -> None:
        self.pace = Pace()
        self._run = run
        self._broker = runs.broker
        self._checker = Checker(contracts)
        self._places = Places(runs.keys, run.id)
        self._publisher = PagePublisher(runs.broker, run.id, run.target)
        self._reader: tuple[int, OrderedReader] | None = None  # of the range with that number
        self._unsent: list[StoredMessage] = []  # read, and not sent yet
        self._turn: asyncio.Task[None] | None = None
        self._closing = False
        self._floor = (0, time.monotonic())  # of the consumer's acknowledgements at the last look; since when
        self._fault = ""
        self._lost = False  # whether messages left REPLAY without an acknowledgement

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """Nothing has to be made: a subscriber has its consumer at all times."""
        del slot
        return run.ranges

    async def look(self, run: Run, ledger: Ledger) -> Supplied:
        """Counts what is acknowledged, and feeds for a moment where there is room."""
        info = await self._broker.jetstream.consumer_info(STREAM_NAME, run.target)
        # As it was at the last look: what the subscriber recorded before it acknowledged is in the ledger by now.
        await self._settle(ledger, self._floor[0])
        if info.ack_floor_stream_seq != self._floor[0] or not info.ack_pending:
            self._floor = (info.ack_floor_stream_seq, time.monotonic())
        place = self._places.place
        in_flight = info.pending + info.ack_pending
        room = int(min(max(run.rate * AHEAD_SECONDS, AHEAD_LEAST), AHEAD_MOST)) - in_flight
        if run.state == "running" and room > 0 and not place.done and (self._turn is None or self._turn.done()):
            self._turn = asyncio.create_task(self._feed(room), name=f"feed {run.id}")
        if self._turn is not None:
            await asyncio.wait([self._turn], timeout=WAIT_SECONDS)
        place = self._places.place
        return Supplied(
            left=max(run.planned - place.fed, 0) + info.pending,
            in_hand=info.ack_pending,
            settled=place.done and not place.pages,
            pace=self.pace,
            why=self._why(info.pending, info.ack_pending, info.waiting),
            instances=int(info.waiting > 0),
        )

    async def close(self, run: Run, ledger: Ledger) -> None:
        """Takes back what the subscriber has not acknowledged. Raises Unavailable while it has some in hand."""
        self._closing = True
        if self._turn is not None:
            await asyncio.wait([self._turn], timeout=CLOSE_SECONDS)
            if not self._turn.done():
                raise Unavailable("SERVICE_UNAVAILABLE", f"run {run.id} is still being sent", retry_after=1)
        info = await self._broker.jetstream.consumer_info(STREAM_NAME, run.target)
        if not (await self._places.read()).closed:
            await self._settle(ledger, info.ack_floor_stream_seq)
            await self._places.change(lambda place: replace(place, closed=True))
        if info.pending or info.ack_pending:
            await self._take_back()
            info = await self._broker.jetstream.consumer_info(STREAM_NAME, run.target)
        if left := info.pending + info.ack_pending:
            reason = f"{run.target} has {left} messages of run {run.id} in hand; they come back after {info.ack_wait} s"
            raise Unavailable("SERVICE_UNAVAILABLE", reason, retry_after=1)

    def _why(self, pending: int, in_hand: int, waiting: int) -> str:
        """What keeps the run from going on, as far as it is the subscriber."""
        target, (_, since) = self._run.target, self._floor
        silent = time.monotonic() - since
        if self._lost:
            return f"messages left REPLAY before {target} acknowledged them; cancel the run and plan the rest again"
        if self._fault:
            return self._fault
        if in_hand and silent > TURN_SECONDS * 5:
            return f"{target} has {in_hand} messages in hand and has acknowledged none for {silent:.0f} s"
        if pending and not in_hand and not waiting:
            return f"{target} does not fetch: {pending} messages wait for it"
        return ""

    # -- acknowledged

    async def _settle(self, ledger: Ledger, floor: int) -> None:
        """Records what is acknowledged up to `floor` as confirmed, but for what has an outcome already."""
        place = await self._places.read()
        info = await self._broker.jetstream.stream_info(STREAM_NAME)
        oldest = int(time.time()) - KEPT_SECONDS
        life = f"{info.epoch}/{info.config.get('first_seq')}"
        if not place.life:
            await self._places.change(lambda place: replace(place, life=life))
            place = self._places.place
        pages = place.acknowledged(floor, oldest, life)
        self._lost = bool(place.pages) and (place.pages[0].at < oldest or life != place.life)
        if not pages or place.closed:
            return
        found: dict[str, dict[Kind, list[int]]] = {}
        for page in pages:
            new = [each for each in page.sequences if ledger.outcome(page.stream, each) is None]
            found.setdefault(page.stream, {}).setdefault("confirmed", []).extend(new)
        await self._record(found)
        await self._places.change(lambda place: place.without(pages))

    async def _record(self, found: dict[str, dict[Kind, list[int]]]) -> None:
        await self._broker.publish(replay_log(self._broker.identity, self._run.id), encode(found))

    # -- sending

    async def _feed(self, room: int) -> None:
        """Sends up to `room` messages. What fails is tried again at the next look."""
        until = time.monotonic() + TURN_SECONDS
        try:
            await self._places.read()
            while room > 0 and not self._closing and (left := until - time.monotonic()) > 0:
                place = self._places.place
                if place.done or len(place.pages) >= MOST_PAGES:
                    break
                most = max(min(PAGE, room, int(self.pace.rate * PAGE_SECONDS)), 1)
                if not self._unsent:
                    self._unsent = await self._read(place, most)
                if not self._unsent:
                    await self._places.change(lambda place: place.next_part(len(self._run.ranges)))
                    continue
                taken = False
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        taken = await self.pace.take(len(self._unsent))
                if not taken:
                    break
                await self._send(place, self._unsent)
                room -= len(self._unsent)
                self._unsent = []
            self._fault = ""
        except PenstockError as error:
            if error.code == "CONFLICT":  # another leads, and is further
                self._unsent, self._reader = [], None
            elif error.detail != self._fault:
                _log.warning("subscriber_not_fed", run=self._run.id, code=error.code, reason=error.detail)
            self._fault = error.detail

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
            await self._record({part.stream: {"filtered": left_out}})
        page = Page(end, int(time.time()), part.stream, tuple(each.sequence for each in chosen)) if chosen else None
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

    # -- taking back

    async def _take_back(self) -> None:
        """Acknowledges what nobody has in hand, so that the subscriber's next run begins with its own messages."""
        pull = nats_subjects.pull(STREAM_NAME, self._run.target)
        prefix = nats_subjects.ack_prefix(STREAM_NAME, self._run.target)
        body = orjson.dumps({"batch": BACK_MESSAGES, "no_wait": True})
        count = BACK_MESSAGES
        while count == BACK_MESSAGES:
            count = 0

            def take(message: Message) -> bool:
                nonlocal count
                if not message.reply.startswith(prefix):
                    return True
                self._broker.send(message.reply, ACK)
                count += 1
                return count == BACK_MESSAGES

            await request_many(self._broker, pull, body, take, timeout=2.0)


def _outgoing(message: StoredMessage, epoch: int) -> Outgoing:
    try:
        id = orjson.loads(message.data)["id"]
    except (ValueError, KeyError, TypeError):
        id = ""
    headers = {name: value[:64] for name, value in message.headers.items() if name == "traceparent"}
    if isinstance(id, str) and id:
        headers[EVENT_ID] = id
    return Outgoing(
        message.stream, message.sequence, message.stored_at_ns, epoch, message.subject, message.data, headers
    )
