"""Messages as they were on the wire in one version, and what today's code makes of them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.broker import StoredMessage, encode_headers
from penstock.consume import Delivery
from penstock.contracts import load
from penstock.events import Checker, Event
from penstock.events.records import read_record
from penstock.replay import origin
from penstock.scoring.score import read_score
from penstock.services.operator.dead_letters.dead_letter import head_of

FOLDER = Path(__file__).resolve().parents[1] / "wire"
CONTRACTS = load()
CHECKER = Checker(CONTRACTS)


@dataclass(frozen=True, slots=True)
class WireMessage:
    """A stored message: its place on its stream, and its bytes."""

    stream: str
    sequence: int
    stored_at_ns: int
    subject: str
    headers: Mapping[str, str]
    data: bytes


def save(path: Path, message: WireMessage) -> None:
    """Writes a message and its outcome."""
    body = asdict(message) | {"data": b64encode(message.data).decode(), "outcome": outcome(message)}
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")


def saved(path: Path) -> tuple[WireMessage, Any]:
    """A message and the outcome that it had when it was written."""
    body = json.loads(path.read_bytes())
    kept = body.pop("outcome")
    return WireMessage(**body | {"data": b64decode(body["data"])}), kept


def all_files() -> Iterator[Path]:
    """Every message of every version."""
    yield from sorted(FOLDER.glob("*/*.json"))


def outcome(message: WireMessage) -> Any:
    """What its reader makes of it, as JSON. Raises Refused when it does not take it."""
    kind = message.subject.partition(".")[0]
    return json.loads(json.dumps(_READERS[kind](message), default=str))


def _event(message: WireMessage) -> Any:
    return _facts(CHECKER.delivered(message))


def _facts(event: Event) -> dict[str, Any]:
    names = ("key", "publisher", "door", "pp", "entity", "time_ns", "stream", "sequence", "stored_at_ns")
    found = {name: getattr(event, name) for name in (*names, "reply_to", "traceparent", "epoch", "value")}
    return {"type": event.type.type, **found, "raw": event.raw.decode()}


def _score(message: WireMessage) -> Any:
    found = asdict(read_score(message, CONTRACTS))
    return found | {"raw": found["raw"].decode()}


def _dead_letter(message: WireMessage) -> Any:
    stored = StoredMessage(**asdict(message))
    record = read_record(CONTRACTS, message.subject, message.headers, message.data)
    return {"record": record.type.record, "head": head_of(stored, "open").to_json(), "value": record.value}


def _audit(message: WireMessage) -> Any:
    record = read_record(CONTRACTS, message.subject, message.headers, message.data)
    return {"record": record.type.record, "value": record.value}


def _replay(message: WireMessage) -> Any:
    raw = b"NATS/1.0\r\n" + encode_headers(dict(message.headers)) + b"\r\n"
    facts = ["1", str(message.sequence), "1", str(message.stored_at_ns), "0"]
    delivery = Delivery(message.subject, "", raw, message.data, message.stream, "indexer", facts)
    run = origin.restore(delivery)
    return {"run": run, "event": _facts(CHECKER.delivered(delivery)) | {"epoch": delivery.epoch}}


_READERS = {"evt": _event, "score": _score, "dlq": _dead_letter, "audit": _audit, "replay": _replay}
