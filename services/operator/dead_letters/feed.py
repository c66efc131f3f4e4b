"""A redrive → REPLAY: dead letters with their payload, spans message by message from their streams, patched on the way.

    position in the bucket ─▶ page of DLQ or of a span ─▶ patch ─▶ replay.<worker>.<original subject> ─▶ position
                                                      └─▶ does not fit: recorded as filtered, and reported

The position is written after its page: a leader that takes over sends at most one page twice, which changes no sum.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from penstock.errors import Refused, Unavailable
from penstock.events.dead_letter import SEQUENCE, STREAM
from penstock.replay import origin
from penstock.replay.ledger import Ledger
from penstock.replay.run import Run
from penstock.rpc.messages import RedriveRefusal, ReplayRange
from penstock.services.operator.dead_letters import dead_letter, patch
from penstock.services.operator.dead_letters.chosen import Chosen, read
from penstock.services.operator.dead_letters.feed_message import FeedMessage, of_dead_letter, of_span
from penstock.services.operator.dead_letters.index import Index
from penstock.services.operator.dead_letters.position import Position
from penstock.services.operator.dead_letters.refusals import Refusals, refusal
from penstock.services.operator.replay.page_publisher import Outgoing, PagePublisher
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.supply import Supplied

PAGE = 256  # messages between two positions
AHEAD = 3.0  # seconds of the rate that may wait on REPLAY
LEAST_AHEAD = 500  # messages that always may
LOOK_SECONDS = 0.5  # for feeding, in one look


class FeedSupply:
    """Delivers a redrive. Its target has a consumer on REPLAY at all times."""

    def __init__(self, runs: Runs, index: Index, run: Run) -> None:
        self._runs = runs
        self._keys = runs.keys
        self._broker = runs.broker
        self._index = index
        self._run = run
        self._epochs = {part.stream: part.epoch for part in run.ranges}
        self._patch: Any = None
        self._chosen = Chosen((), (), ())
        self._position: Position | None = None
        self._refusals = Refusals(runs.broker, runs.keys, run.id)
        self._publisher = PagePublisher(runs.broker, run.id, run.target)

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """Nothing to prepare."""
        del slot
        return run.ranges

    async def look(self, run: Run, ledger: Ledger) -> Supplied:
        """Feeds as much as may wait on REPLAY, for at most LOOK_SECONDS."""
        position = await self._load()
        if run.state == "running" and not position.done:
            room = max(int(AHEAD * run.rate), LEAST_AHEAD) - (position.sent + position.refused - ledger.total)
            end = time.monotonic() + LOOK_SECONDS
            try:
                while room > 0 and not position.done and time.monotonic() < end:
                    before = position.sent
                    await self._feed(position, min(room, PAGE))
                    room -= position.sent - before
            except Unavailable as error:
                if error.code != "STREAM_FULL":
                    raise
        info = await self._broker.jetstream.consumer_info(origin.STREAM_NAME, run.target)
        left = run.planned - position.sent - position.refused + info.pending
        settled = position.done and info.idle
        return Supplied(max(left, 0), info.ack_pending, settled)

    async def close(self, run: Run, ledger: Ledger) -> None:
        """Marks the dead letters whose messages have an outcome as redriven; the others stay as they were."""
        await self._load()
        redriven: list[int] = []
        async for message in read(self._broker.jetstream, run.target, self._chosen.dead_letters):
            if dead_letter.form_of(message) == "range":
                settled = run.state == "done"
            else:
                found = ledger.outcome(message.headers.get(STREAM, ""), dead_letter.number(message, SEQUENCE))
                settled = found in ("confirmed", "skipped", "parked")
            if settled:
                redriven.append(message.sequence)
        await self._index.states.move(redriven, "redriven", ("open", "parked"))

    async def _load(self) -> Position:
        if self._position is None:
            text = (await self._runs.plan(self._run.plan)).patch
            self._patch = orjson.loads(text) if text else None
            await self._refusals.load()
            self._chosen = await Chosen.load(self._keys, self._run.plan)
            self._position = await Position.load(self._keys, self._run.id)
        return self._position

    async def _feed(self, position: Position, most: int) -> None:
        """One page: sends it and writes the position behind it."""
        sent = self._chosen.sent
        following = sent[bisect_right(sent, position.dead_letter) :][:most]
        if following:
            found = [each async for each in read(self._broker.jetstream, self._run.target, following)]
            await self._send(position, [of_dead_letter(each, self._epochs) for each in found])
            position.dead_letter = following[-1]
        elif position.span < len(self._chosen.spans):
            span = self._chosen.spans[position.span]
            begin = max(position.sequence + 1, span.first)
            found = await self._broker.jetstream.get_many(span.stream, subject=span.filter, sequence=begin, most=most)
            page = [of_span(span, each, self._epochs) for each in found if each.sequence <= span.last]
            await self._send(position, page)
            if len(page) < len(found) or not found:
                position.span, position.sequence = position.span + 1, 0
            else:
                position.sequence = found[-1].sequence
        else:
            position.done = True
        await position.save(self._keys, self._run.id)

    async def _send(self, position: Position, page: Sequence[FeedMessage]) -> None:
        refused: list[RedriveRefusal] = []
        sending: list[Outgoing] = []
        for each in page:
            try:
                sending.append(self._patched(each.original))
            except Refused as error:
                refused.append(refusal(each, error))
        await self._publisher.publish(sending)
        if refused:
            await self._refusals.record(refused)
        position.sent += len(sending)
        position.refused += len(refused)

    def _patched(self, message: Outgoing) -> Outgoing:
        return message if self._patch is None else replace(message, data=patch.apply(self._patch, message.data))


def supplier(runs: Runs, index: Index) -> Callable[[Run], FeedSupply]:
    """For the leader."""
    return lambda run: FeedSupply(runs, index, run)
