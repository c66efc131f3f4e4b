"""A redrive → REPLAY: dead letters with their payload, spans message by message from their streams, patched on the way.

    position in the bucket ─▶ page of DLQ or of a span ─▶ patch ─▶ replay.<worker>.<original subject> ─▶ position
                                                      └─▶ does not fit: recorded as filtered, and reported

The position is written after its page: a leader that takes over sends at most one page twice, which changes no sum.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson

from penstock.broker import Keys, StoredMessage
from penstock.contracts import subjects
from penstock.errors import Refused, Unavailable
from penstock.events.dead_letter import PREVIOUS, REDRIVES, SEQUENCE, STORED_AT, STREAM
from penstock.replay import origin
from penstock.replay.ledger import Ledger
from penstock.replay.outcomes import encode
from penstock.replay.run import Run
from penstock.rpc.messages import RedriveRefusal, ReplayRange
from penstock.services.operator.dead_letters import dead_letter, patch
from penstock.services.operator.dead_letters.chosen import Chosen, Span, read
from penstock.services.operator.dead_letters.index import Index
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.supply import Supplied

PAGE = 256  # messages between two positions
AHEAD = 3.0  # seconds of the rate that may wait on REPLAY
LEAST_AHEAD = 500  # messages that always may
LOOK_SECONDS = 0.5  # for feeding, in one look
MOST_REFUSED = 1000  # refusals that are kept with their reasons
REASON_KEPT = 200  # characters
TRACEPARENT = "traceparent"


@dataclass(slots=True)
class Position:
    """How far the feed is: what was `sent` on REPLAY, and what was `refused` instead."""

    dead_letter: int = 0  # the last dead letter that is done
    span: int = 0  # the number of the span
    sequence: int = 0  # in it, the last message that is done
    sent: int = 0
    refused: int = 0
    done: bool = False

    @classmethod
    async def load(cls, keys: Keys, run: str) -> Self:
        """Where the last leader was."""
        try:
            return cls(**orjson.loads((await keys.get(position_key(run))).value))
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
            return cls()

    async def save(self, keys: Keys, run: str) -> None:
        """For the next leader."""
        await keys.put(position_key(run), orjson.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class _Message:
    """One to send."""

    stream: str
    sequence: int
    stored_at_ns: int
    subject: str
    data: bytes
    headers: dict[str, str]
    dead_letter: int | None


def position_key(run: str) -> str:
    """The key of a run's position, in the bucket of replays."""
    return f"feed.{run}"


def refusals_key(run: str) -> str:
    """The key of what did not fit."""
    return f"refused.{run}"


async def refusals(keys: Keys, run: str) -> list[RedriveRefusal]:
    """What did not fit, for the report."""
    try:
        entry = await keys.get(refusals_key(run))
    except Refused as error:
        if error.code != "NOT_FOUND":
            raise
        return []
    return [RedriveRefusal(**each) for each in orjson.loads(entry.value)]


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
        self._refusals: list[RedriveRefusal] = []
        self._half_sent: set[tuple[str, int]] = set()  # of a page that could not be sent whole

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
        settled = position.done and not info.pending and not info.ack_pending
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
            self._refusals = await refusals(self._keys, self._run.id)
            self._chosen = await Chosen.load(self._keys, self._run.plan)
            self._position = await Position.load(self._keys, self._run.id)
        return self._position

    async def _feed(self, position: Position, most: int) -> None:
        """One page: sends it and writes the position behind it."""
        sent = self._chosen.sent
        following = sent[bisect_right(sent, position.dead_letter) :][:most]
        if following:
            page = [_of_dead_letter(each) async for each in read(self._broker.jetstream, self._run.target, following)]
            await self._send(position, page)
            position.dead_letter = following[-1]
        elif position.span < len(self._chosen.spans):
            span = self._chosen.spans[position.span]
            begin = max(position.sequence + 1, span.first)
            found = await self._broker.jetstream.get_many(span.stream, subject=span.filter, sequence=begin, most=most)
            page = [_of_span(span, each) for each in found if each.sequence <= span.last]
            await self._send(position, page)
            if len(page) < len(found) or not found:
                position.span, position.sequence = position.span + 1, 0
            else:
                position.sequence = found[-1].sequence
        else:
            position.done = True
        await position.save(self._keys, self._run.id)

    async def _send(self, position: Position, page: Sequence[_Message]) -> None:
        refused: list[RedriveRefusal] = []
        sending: list[tuple[_Message, bytes]] = []
        for each in page:
            try:
                sending.append((each, patch.apply(self._patch, each.data) if self._patch is not None else each.data))
            except Refused as error:
                refused.append(_refusal(each, error))
        await self._publish_all(sending)
        if refused:
            await self._record(refused)
        position.sent += len(sending)
        position.refused += len(refused)

    async def _record(self, refused: Sequence[RedriveRefusal]) -> None:
        by_stream: dict[str, list[int]] = {}
        for each in refused:
            by_stream.setdefault(each.stream, []).append(each.sequence)
        record = encode({stream: {"filtered": found} for stream, found in by_stream.items()})
        await self._broker.publish(subjects.replay_log(self._broker.identity, self._run.id), record)
        known = {(each.stream, each.sequence) for each in self._refusals}
        self._refusals += [each for each in refused if (each.stream, each.sequence) not in known]
        del self._refusals[MOST_REFUSED:]
        await self._keys.put(refusals_key(self._run.id), orjson.dumps([each.to_json() for each in self._refusals]))

    async def _publish_all(self, sending: Sequence[tuple[_Message, bytes]]) -> None:
        """All of a page, or, when that fails, the rest of it the next time. Raises Unavailable."""
        rest = [(each, data) for each, data in sending if (each.stream, each.sequence) not in self._half_sent]
        results = await asyncio.gather(*(self._publish(each, data) for each, data in rest), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            done = (each for (each, _), result in zip(rest, results, strict=True) if result not in failures)
            self._half_sent |= {(each.stream, each.sequence) for each in done}
            raise failures[0]
        self._half_sent.clear()

    async def _publish(self, message: _Message, data: bytes) -> None:
        headers = message.headers | origin.headers(
            self._run.id,
            stream=message.stream,
            sequence=message.sequence,
            stored_at_ns=message.stored_at_ns,
            epoch=self._epochs[message.stream],
        )
        await self._broker.publish(origin.subject(self._run.target, message.subject), data, headers)


def supplier(runs: Runs, index: Index) -> Callable[[Run], FeedSupply]:
    """For the leader."""
    return lambda run: FeedSupply(runs, index, run)


def _refusal(message: _Message, error: Refused) -> RedriveRefusal:
    reason = f"{error.detail} (at {error.pointer})" if error.pointer else error.detail
    return RedriveRefusal(
        dead_letter=message.dead_letter,
        stream=message.stream,
        sequence=message.sequence,
        code=error.code,
        reason=reason[:REASON_KEPT],
    )


def _of_dead_letter(message: StoredMessage) -> _Message:
    headers = {PREVIOUS: str(message.sequence), REDRIVES: str(dead_letter.redrives_of(message) + 1)}
    return _Message(
        stream=message.headers[STREAM],
        sequence=dead_letter.number(message, SEQUENCE),
        stored_at_ns=dead_letter.number(message, STORED_AT),
        subject=subjects.parse_dead_letter(message.subject)[1],
        data=message.data,
        headers=headers | _trace(message),
        dead_letter=message.sequence,
    )


def _of_span(span: Span, message: StoredMessage) -> _Message:
    headers = {PREVIOUS: str(span.previous), REDRIVES: str(span.redrives + 1)}
    return _Message(
        stream=span.stream,
        sequence=message.sequence,
        stored_at_ns=message.stored_at_ns,
        subject=message.subject,
        data=message.data,
        headers=headers | _trace(message),
        dead_letter=None,
    )


def _trace(message: StoredMessage) -> dict[str, str]:
    found = message.headers.get(TRACEPARENT, "")[:64]
    return {TRACEPARENT: found} if found else {}
