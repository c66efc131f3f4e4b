"""run to a subscriber → its events, in order and at its pace → REPLAY → the subscriber's consumer ─▶ ack = confirmed

The subscriber need not know of runs: what it acknowledges is gone from its consumer, and so confirmed. Where it records
an outcome of its own before that (skipped, parked), that one counts. How far the run is stands in the bucket, written
after each page: a leader that takes over sends at most one page again, and counts none of it twice.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import orjson

from penstock.broker import Message, request_many
from penstock.consume import ACK
from penstock.contracts import Contracts, load, nats_subjects
from penstock.contracts.subjects import replay_log
from penstock.errors import Unavailable
from penstock.replay.ledger import Ledger
from penstock.replay.origin import STREAM_NAME
from penstock.replay.outcomes import Kind, encode
from penstock.replay.run import Run
from penstock.rpc.messages import ReplayRange
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.subscriber_feed import SubscriberFeed
from penstock.services.operator.replay.subscriber_place import Places
from penstock.services.operator.replay.supply import Supplied

AHEAD_SECONDS = 1.0  # of the rate that the subscriber may have waiting and in hand together,
AHEAD_LEAST, AHEAD_MOST = 256, 5000  # but so many messages at least and at most
WAIT_SECONDS = 0.3  # that a look waits for what is being sent
SILENT_SECONDS = 5.0  # without an acknowledgement, after which the status says so
CLOSE_SECONDS = 6.0  # that the end of a run waits for what is being sent
# For which what is sent is certain to be there; REPLAY lets it expire an hour later.
KEPT_SECONDS = int(load().streams[STREAM_NAME].max_age.total_seconds()) - 3600
BACK_MESSAGES = 64  # taken back at a time


class ToSubscriber:
    """Sends one run. Only a running one is fed, at the rate that its driver allows."""

    def __init__(self, runs: Runs, contracts: Contracts, run: Run) -> None:
        self._run = run
        self._broker = runs.broker
        self._places = Places(runs.keys, run.id)
        self._feed = SubscriberFeed(runs.broker, contracts, run, self._places)
        self._turn: asyncio.Task[None] | None = None
        self._floor = (0, time.monotonic())  # of the consumer's acknowledgements at the last look; since when
        self._last_floor = -1  # up to which a run that has ended counts what is acknowledged; -1: not known yet
        self._lost = False  # whether messages left REPLAY without an acknowledgement

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """Nothing has to be made: a subscriber has its consumer at all times."""
        del slot
        return run.ranges

    async def look(self, run: Run, ledger: Ledger) -> Supplied:
        """Counts what is acknowledged, and feeds for a moment where there is room."""
        info = await self._broker.jetstream.consumer_info(STREAM_NAME, run.target)
        # As it was at the last look: what the subscriber recorded before it acknowledged is in the ledger now, unless
        # this leader is new, and still reads it.
        if ledger.complete:
            await self._settle(ledger, self._floor[0])
        if info.ack_floor_stream_seq != self._floor[0] or not info.ack_pending:
            self._floor = (info.ack_floor_stream_seq, time.monotonic())
        place = self._places.place
        in_flight = info.pending + info.ack_pending
        room = int(min(max(run.rate * AHEAD_SECONDS, AHEAD_LEAST), AHEAD_MOST)) - in_flight
        if run.state == "running" and room > 0 and not place.done and (self._turn is None or self._turn.done()):
            self._turn = asyncio.create_task(self._feed.turn(room), name=f"feed {run.id}")
        if self._turn is not None:
            await asyncio.wait([self._turn], timeout=WAIT_SECONDS)
        place = self._places.place
        return Supplied(
            left=max(run.planned - place.fed, 0) + info.pending,
            in_hand=info.ack_pending,
            settled=place.done and not place.pages,
            pace=self._feed.pace,
            why=self._why(info.pending, info.ack_pending, info.waiting),
            instances=int(info.waiting > 0),
        )

    async def close(self, run: Run, ledger: Ledger) -> None:
        """Takes back what the subscriber has not acknowledged. Raises Unavailable while it has some in hand."""
        self._feed.ending = True
        if self._turn is not None:
            await asyncio.wait([self._turn], timeout=CLOSE_SECONDS)
            if not self._turn.done():
                raise Unavailable("SERVICE_UNAVAILABLE", f"run {run.id} is still being sent", retry_after=1)
        info = await self._broker.jetstream.consumer_info(STREAM_NAME, run.target)
        place = await self._places.read()
        if not place.closed:
            if place.pages and self._last_floor < 0:  # what was recorded before that must be in the ledger first
                self._last_floor = info.ack_floor_stream_seq
                reason = f"what {run.target} has acknowledged of run {run.id} is still being counted"
                raise Unavailable("SERVICE_UNAVAILABLE", reason, retry_after=1)
            await self._settle(ledger, self._last_floor)
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
        if self._feed.fault:
            return self._feed.fault
        if in_hand and silent > SILENT_SECONDS:
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
        await self._broker.publish(replay_log(self._broker.identity, self._run.id), encode(found))
        await self._places.change(lambda place: place.without(pages))

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
