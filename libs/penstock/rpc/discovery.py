"""$SRV.PING|INFO|STATS → who answers requests, which ones, and how often it did: NATS services as of ADR-32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from penstock.broker import Broker, Message, Subscription
from penstock.contracts import nats_subjects, subjects

QUEUE = "q"  # the queue group that ADR-32 names
VERSION = "1.0.0"


@dataclass(slots=True)
class Stats:
    """What one operation did so far."""

    requests: int = 0
    errors: int = 0
    nanoseconds: int = 0
    last_error: str = ""


@dataclass(slots=True)
class Discovery:
    """Answers discovery for one process of a service; `stats` has its operations by name."""

    broker: Broker
    service: str
    id: str
    stats: Mapping[str, Stats]
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def start(self) -> list[Subscription]:
        """Begins to answer."""
        return [
            await self.broker.subscribe(nats_subjects.discovery(verb, *which), self._received)
            for verb in nats_subjects.DISCOVERY
            for which in ((), (self.service,), (self.service, self.id))
        ]

    def _received(self, message: Message) -> None:
        if not nats_subjects.is_reply(message.reply):
            return
        verb = nats_subjects.discovery_verb(message.subject).lower()
        body: dict[str, Any] = {
            "type": f"io.nats.micro.v1.{verb}_response",
            "name": self.service,
            "id": self.id,
            "version": VERSION,
            "metadata": {"identity": self.broker.identity},
        }
        if verb == "info":
            body["description"] = f"Answers {subjects.ask(self.service, '*', '*')}"
            body["endpoints"] = [self._endpoint(operation) for operation in self.stats]
        elif verb == "stats":
            body["started"] = self.started.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            body["endpoints"] = [self._endpoint(name) | _counts(stats) for name, stats in self.stats.items()]
        self.broker.send(message.reply, orjson.dumps(body))

    def _endpoint(self, operation: str) -> dict[str, Any]:
        return {"name": operation, "subject": subjects.ask(self.service, operation, "*"), "queue_group": QUEUE}


def _counts(stats: Stats) -> dict[str, Any]:
    return {
        "num_requests": stats.requests,
        "num_errors": stats.errors,
        "last_error": stats.last_error,
        "processing_time": stats.nanoseconds,
        "average_processing_time": stats.nanoseconds // max(stats.requests, 1),
    }
