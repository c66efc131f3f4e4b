"""message of SCORES, DLQ, AUDIT, REPLAY or tail.> → its record type (contracts/records), and whether it keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from penstock.contracts import Contracts, wording
from penstock.contracts.records import RecordType
from penstock.errors import Refused
from penstock.events import ijson
from penstock.events.violation import sentence

_SERVERS = "Nats-"  # how the names of headers begin that belong to the broker


@dataclass(frozen=True, slots=True)
class Record:
    """A message that keeps to its contract. `value`: the payload as JSON; None where the payload is the original's."""

    type: RecordType
    value: Any


def read_record(contracts: Contracts, subject: str, headers: Mapping[str, str], payload: bytes) -> Record:
    """Finds the record type of a message and checks the message against it.

    Raises Refused RECORD_INVALID with a pointer into {"subject", "headers", "payload"}.
    """
    type = record_type(contracts, subject, headers)
    if type.header_validator is not None:
        described = type.headers["properties"] if type.headers else {}
        own = {name: text for name, text in headers.items() if name in described or not name.startswith(_SERVERS)}
        _check(type.header_validator, own, type, "headers")
    if type.payload_validator is None:
        return Record(type, None)
    try:
        value = ijson.parse(payload)
    except Refused as error:
        raise Refused("RECORD_INVALID", f"{type.record}: {error}", pointer="/payload") from None
    check_payload(type, value)
    return Record(type, value)


def check_payload(type: RecordType, value: Any) -> None:
    """Raises Refused RECORD_INVALID when a payload, parsed, breaks the schema of its type."""
    if type.payload_validator is not None:
        _check(type.payload_validator, value, type, "payload")


def record_type(contracts: Contracts, subject: str, headers: Mapping[str, str]) -> RecordType:
    """The type of a message. Raises Refused RECORD_INVALID when no type has such a subject, with such fixed headers."""
    found = [type for type in contracts.records.values() if type.subject_pattern.match(subject)]
    for type in found:
        if all(headers.get(name) == text for name, text in type.fixed_headers.items()):
            return type
    if not found:
        raise Refused("RECORD_INVALID", f"no record type has the subject {subject[:256]!r}", pointer="/subject")
    name = next(iter(found[0].fixed_headers))
    names = " or ".join(type.fixed_headers[name] for type in found)
    raise Refused("RECORD_INVALID", f"{name} must be {names}", pointer=wording.pointer(["headers", name]))


def _check(validator: jsonschema_rs.Draft202012Validator, value: Any, type: RecordType, part: str) -> None:
    if validator.is_valid(value):
        return
    error = next(iter(validator.iter_errors(value)))
    unexpected = getattr(error.kind, "unexpected", None)
    path = [part, *error.instance_path, *(unexpected[:1] if unexpected else ())]
    raise Refused(
        "RECORD_INVALID", f"{type.record}: {sentence(error, 'the record')[:300]}", pointer=wording.pointer(path)
    )
