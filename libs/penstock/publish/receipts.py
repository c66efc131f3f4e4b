"""x-reply-to of an event → what the workers answer → which stages the event has passed: indexed, stored, scored.

One subscription serves all who wait: its subject holds 128 random bits and the tokens behind it say which group and
event an answer is for. Nobody but the workers may publish there.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
import structlog

from penstock.broker import Broker, Message

STAGES = frozenset({"indexed", "stored", "scored"})
REPLY_TO = "x-reply-to"
MOST_WAITING = 1000  # groups at one time; each holds little more than its answers

_log = structlog.get_logger("penstock.publish.receipts")


class Receipt:
    """One group of events that is waited for: the answers that came, by the event's index and stage."""

    def __init__(self, waiting: Receipts, number: int) -> None:
        self._waiting = waiting
        self._number = number
        self._stages = STAGES
        self._open: set[int] = set()  # events of which a stage has not answered
        self._all = asyncio.Event()
        self._opened = time.monotonic()
        self.answers: dict[int, dict[str, Any]] = {}

    def address(self, index: int) -> str:
        """Where the workers answer about the event with this index."""
        self._open.add(index)
        return f"{self._waiting.prefix}.{self._number:x}.{index}"

    def take(self, index: int, answer: dict[str, Any]) -> None:
        """One worker's answer; `ms` is how long after the request it came."""
        if index in self._open:
            answer["ms"] = round(1000 * (time.monotonic() - self._opened), 1)
            stages = self.answers.setdefault(index, {})
            stages[str(answer.pop("stage"))] = answer
            if stages.keys() >= self._stages:
                self._open.discard(index)
                if not self._open:
                    self._all.set()

    def leave_out(self, stage: str) -> None:
        """Does not wait for this stage any longer."""
        self._stages = self._stages - {stage}
        self._open = {index for index in self._open if not self.answers.get(index, {}).keys() >= self._stages}
        if not self._open:
            self._all.set()

    async def wait(self, indexes: set[int], seconds: float) -> bool:
        """Waits until every stage of these events has answered, at most `seconds`; says whether they all have, those
        too that were left out."""
        self._open &= indexes
        if not self._open:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._all.wait()
        except TimeoutError:
            return False
        return self._stages == STAGES

    def close(self) -> None:
        """Answers that come later are dropped."""
        self._waiting.tickets.pop(self._number, None)


class Receipts:
    """All groups that are waited for on one connection."""

    def __init__(self, broker: Broker) -> None:
        self.prefix = broker.inbox()
        self.tickets: dict[int, Receipt] = {}
        self._broker = broker
        self._last = 0

    async def start(self) -> None:
        """Listens for answers."""
        await self._broker.subscribe(f"{self.prefix}.*.*", self._take)

    def open(self) -> Receipt | None:
        """A place for one group, or none when too many are waited for."""
        if len(self.tickets) >= MOST_WAITING:
            return None
        self._last += 1
        ticket = self.tickets[self._last] = Receipt(self, self._last)
        return ticket

    def _take(self, message: Message) -> None:
        number, index = message.subject[len(self.prefix) + 1 :].split(".")
        ticket = self.tickets.get(int(number, 16))
        if ticket is None:
            return
        try:
            ticket.take(int(index), orjson.loads(message.data))
        except (ValueError, KeyError, AttributeError):
            _log.warning("answer_not_understood", subject=message.subject)
