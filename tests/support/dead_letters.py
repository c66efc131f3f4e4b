"""Dead letters as workers store them, and requests of svc.dead_letters.* as the command line sends them."""

from __future__ import annotations

import time
from typing import Any

from penstock.broker import Broker
from penstock.consume import DeadLetters, Delivery, Drop, Share
from penstock.rpc.client import ask
from penstock.rpc.messages import (
    DeadLetter,
    DeadLetterGroups,
    DeadLetterPage,
    DeadLetterStats,
    ExportPage,
    MarkedDeadLetters,
)
from tests.support.until import BOUND


class DeadLetterConsole:
    """Everything that `penstock dlq` can ask for, as one user."""

    def __init__(self, broker: Broker, user: str = "ann") -> None:
        self._broker = broker
        self._user = user

    async def groups(self, **match: Any) -> DeadLetterGroups:
        return DeadLetterGroups.model_validate(await self.ask("groups", {"match": match}))

    async def page(self, *, match: dict[str, Any] | None = None, **members: Any) -> DeadLetterPage:
        return DeadLetterPage.model_validate(await self.ask("list", {"match": match or {}, **members}))

    async def show(self, sequence: int) -> DeadLetter:
        return DeadLetter.model_validate(await self.ask("show", {"sequence": sequence}))

    async def stats(self) -> DeadLetterStats:
        return DeadLetterStats.model_validate(await self.ask("stats", {}))

    async def mark(self, operation: str, reason: str = "a test", **match: Any) -> MarkedDeadLetters:
        body = {"match": match, "reason": reason, "by": self._user}
        return MarkedDeadLetters.model_validate(await self.ask(operation, body))

    async def export(self, after: int = 0, reason: str = "a test", **match: Any) -> ExportPage:
        body = {"match": match, "after": after, "reason": reason, "by": self._user}
        return ExportPage.model_validate(await self.ask("export", body))

    async def ask(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        return await ask(self._broker, "dead_letters", operation, body, timeout=BOUND)


def delivery(subject: str, data: bytes, *, sequence: int, stream: str = "EVENTS_HTTP") -> Delivery:
    """A message as a worker has it in hand."""
    facts = ["1", str(sequence), "1", str(time.time_ns()), "0"]
    return Delivery(subject, "", None, data, stream, "test", facts)


async def fail(
    worker: Broker,
    subject: str,
    payloads: list[bytes],
    *,
    code: str = "SINK_REFUSED",
    reason: str = "no such field",
    first: int = 1,
    full: int = 1_000_000,
) -> None:
    """Has the worker store dead letters of messages of one subject; beyond `full` a minute as one range."""
    dead_letters = DeadLetters(worker, worker.identity, share=Share(full_per_minute=full))
    dropped = [
        (delivery(subject, data, sequence=first + place), Drop(code, reason)) for place, data in enumerate(payloads)
    ]
    assert all(await dead_letters.store(dropped))
