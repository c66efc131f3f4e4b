"""What the authority writes onto the audit trail, and how little when somebody floods it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from penstock.auth.permissions import Permissions
from penstock.auth.principal import Principal
from penstock.auth.token_verifier import Claims
from penstock.contracts import load
from penstock.errors import Refused, Unavailable
from penstock.events.records import read_record
from penstock.services.authority.audit_trail import MOST_REFUSALS, AuditTrail
from penstock.services.authority.authorization_request import Request
from penstock.services.authority.decide import Admission

REQUEST = Request("N1", "penstock", "U1", "secret.token.value", "10.0.0.7", "shop python3 1.0", 0)
CLAIMS = Claims("https://id.test", "alice", "", ("g",), 1_800_000_300, "t1", frozenset())
ADMISSION = Admission(Principal("u_1", listed=False, roles=("sender",)), Permissions((), ()), 1_800_000_300)


class Stream:
    """Takes what is published; `clock` says when."""

    def __init__(self) -> None:
        self.identity = "authority"
        self.records: list[dict[str, Any]] = []
        self.subjects: list[str] = []
        self.seconds = 0.0

    async def publish(self, subject: str, payload: bytes) -> None:
        read_record(load(), subject, {}, payload)
        self.subjects.append(subject)
        self.records.append(orjson.loads(payload))

    def clock(self) -> float:
        return self.seconds


async def test_an_admission_says_who_until_when_and_from_where_and_never_the_token() -> None:
    stream = Stream()
    await AuditTrail(stream, stream.clock).admitted(REQUEST, CLAIMS, ADMISSION)
    [record] = stream.records
    assert stream.subjects == ["audit.authority.connect"]
    assert record["identity"] == "u_1"
    assert record["subject"] == "alice"
    assert record["host"] == "10.0.0.7"
    assert record["expires"] == "2027-01-15T08:05:00+00:00"
    assert "secret" not in repr(record)


async def test_a_flood_of_refusals_is_counted_and_the_count_written_when_the_minute_is_over() -> None:
    stream = Stream()
    trail = AuditTrail(stream, stream.clock)
    for _ in range(MOST_REFUSALS + 500):
        await trail.refused(REQUEST, None, Refused("TOKEN_INVALID", "no"))
    assert len(stream.records) == MOST_REFUSALS
    stream.seconds = 61
    await trail.settle()
    assert stream.records[-1]["counts"] == {"TOKEN_INVALID": 500}
    await trail.refused(REQUEST, None, Refused("TOKEN_INVALID", "no"))
    assert stream.records[-1]["code"] == "TOKEN_INVALID"


async def test_admissions_are_written_also_during_a_flood() -> None:
    stream = Stream()
    trail = AuditTrail(stream, stream.clock)
    for _ in range(MOST_REFUSALS + 1):
        await trail.refused(REQUEST, None, Refused("TOKEN_INVALID", "no"))
    await trail.admitted(REQUEST, CLAIMS, ADMISSION)
    assert stream.records[-1]["decision"] == "admitted"


async def test_without_an_audit_record_nobody_is_admitted() -> None:
    class Full(Stream):
        async def publish(self, *_: object) -> None:
            raise Unavailable("STREAM_FULL", "on trial")

    with pytest.raises(Unavailable):
        await AuditTrail(Full(), lambda: 0.0).admitted(REQUEST, CLAIMS, ADMISSION)


def test_the_repr_of_a_request_hides_the_token() -> None:
    assert "secret" not in repr(REQUEST)
