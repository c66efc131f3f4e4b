"""`python -m tests.support.wire_capture <version>`: today's messages, written to tests/wire/<version>.

A version that is there already stays as it is: what was released was sent like that, for good.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from penstock.audit import record
from penstock.audit.hash_chain import Head
from penstock.audit.seal import Signer
from penstock.broker import Broker
from penstock.consume import DeadLetters, Delivery, Drop, Share
from penstock.contract_check.example_files import valid_files
from penstock.contract_check.lint_examples import NOW
from penstock.contracts import subjects
from penstock.events import Event
from penstock.events.dead_letter import RUN
from penstock.replay import origin
from penstock.scoring.features import Extractor
from penstock.scoring.package import verify
from penstock.services.scorer.logic import score
from penstock.services.scorer.model import Model
from tests.support.scoring_models import package
from tests.support.wire import CHECKER, CONTRACTS, FOLDER, WireMessage, save

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@dataclass
class Capture:
    """Takes what would be published by an identity."""

    identity: str
    sent: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> object:
        self.sent.append((subject, data, headers or {}))
        return None


def accepted(path: Path, door: subjects.Door, publisher: str) -> Event:
    event = CHECKER.at_ingress(path.read_bytes(), publisher=publisher, door=door, now_ns=NOW)
    event.stream, event.sequence, event.stored_at_ns = f"EVENTS_{door.upper()}", 7, NOW
    event.traceparent = TRACE["traceparent"]
    return event


def events() -> Iterator[tuple[str, WireMessage]]:
    for type in sorted(CONTRACTS.types):
        for path in valid_files(CONTRACTS, type):
            if path.stem != "largest":
                event = accepted(path, "http", "web_shop")
                yield f"event_http.{type}.{path.stem}", message(event.stream, event.subject, event.raw, TRACE)
                event = accepted(path, "nats", "billing")
                headers = TRACE | {"x-reply-to": "_INBOX.billing.1"}
                yield f"event_nats.{type}.{path.stem}", message(event.stream, event.subject, event.raw, headers)


def message(stream: str, subject: str, data: bytes, headers: Mapping[str, str]) -> WireMessage:
    return WireMessage(stream, 7, NOW, subject, dict(headers), data)


def typical(type: str) -> Path:
    return next(path for path in valid_files(CONTRACTS, type) if path.stem == "typical")


def scores() -> Iterator[tuple[str, WireMessage]]:
    model = Model.load("surprise", 3, verify(package()))
    for type in sorted(CONTRACTS.types):
        for each in score([accepted(typical(type), "http", "web_shop")], Extractor(CONTRACTS), model):
            sent = each.outgoing
            yield f"score.{type}", message("SCORES", sent.subject, sent.payload, sent.headers or {})


async def dead_letters() -> list[tuple[str, WireMessage]]:
    event = accepted(typical("log.line.v1"), "http", "web_shop")
    found = []
    for name, full, headers in (("full", 60, {}), ("range", 0, {}), ("of_a_replay", 60, {RUN: "r1"})):
        capture = Capture("indexer")
        store = DeadLetters(cast(Broker, capture), "indexer", share=Share(full_per_minute=full), headers=headers)
        delivery = Delivery(event.subject, "", None, event.raw, event.stream, "indexer", ["2", "7", "1", str(NOW), "0"])
        await store.store([(delivery, Drop("SINK_REFUSED", "no such field (at /data/level)", event.key))])
        found += [(f"dead_letter.{name}", message("DLQ", *sent)) for sent in capture.sent]
    return found


async def audit() -> list[tuple[str, WireMessage]]:
    found = []
    for name, type in CONTRACTS.records.items():
        if type.stream == "AUDIT" and name != "audit.seal.v1":
            example = json.loads(typical(name).read_bytes())
            members = dict(example["payload"])
            del members["time"]
            actor, through = members.pop("actor", None), members.pop("through")
            found.append((name, message("AUDIT", example["subject"], record.encode(actor, through, **members), {})))
    with TemporaryDirectory() as folder:
        before, head = Head(6, b"\1" * 32), Head(7, b"\2" * 32)
        seal = Signer(Path(folder)).sign(before, head, "2026-11-01T12:00:00.000Z", b"\3" * 8)
        found.append(("audit.seal.v1", message("AUDIT", "audit.auditor.seal", seal.to_json("auditor"), {})))
    return found


def replayed() -> Iterator[tuple[str, WireMessage]]:
    event = accepted(typical("log.line.v1"), "http", "web_shop")
    place = origin.headers("r1", stream=event.stream, sequence=7, stored_at_ns=NOW, epoch=3)
    yield "replay", message("REPLAY", origin.subject("indexer", event.subject), event.raw, place)


async def main(version: str) -> None:
    """Writes every message of a new version."""
    folder = FOLDER / version
    if folder.exists():
        sys.exit(f"{folder} is there: a version stays as it was released; write the next one")
    found = [*events(), *scores(), *await dead_letters(), *await audit(), *replayed()]
    folder.mkdir(parents=True)
    for name, each in found:
        save(folder / f"{name}.json", each)
    print(f"{len(found)} messages in {folder}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
