"""Subjects: built and taken apart alike, and nothing odd passes for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contracts import subjects
from penstock.errors import Refused


@given(st.text(max_size=200))
def test_partition_is_one_of_64(entity: str) -> None:
    assert 0 <= subjects.partition(entity) < 64


def test_partition_stays_the_same_for_ever() -> None:
    """Order and scaling hang on it; crc32 of the UTF-8 bytes modulo 64."""
    assert [subjects.partition(entity) for entity in ("", "host-1", "häuser")] == [0, 35, 37]


@pytest.mark.parametrize("door", ["http", "nats"])
def test_event_subject_comes_apart_as_it_was_built(door: subjects.Door) -> None:
    built = subjects.event(28, door, "billing", "log.line.v1")
    assert built == f"evt.1c.{door}.billing.log.line.v1"
    assert subjects.parse_event(built) == subjects.EventSubject(28, door, "billing", "log.line.v1")


@pytest.mark.parametrize(
    "subject",
    [
        "evt.40.nats.billing.log.line.v1",
        "evt.1C.nats.billing.log.line.v1",
        "evt.1c.kafka.billing.log.line.v1",
        "evt.1c.nats.billing.log.v0",
        "evt.1c.nats.billing.log.line",
        "evt.1c.nats.billing.Log.line.v1",
        "evt.1c.nats.billing.log..line.v1",
        "evt.1c.nats.billing.log.line.v1.more",
        "score.1c.nats.billing.log.line.v1",
        "evt",
    ],
)
def test_other_subjects_are_refused(subject: str) -> None:
    with pytest.raises(Refused, match="SUBJECT_INVALID"):
        subjects.parse_event(subject)


@pytest.mark.parametrize("token", ["Billing", "1st", "bil-ling", "", "http", "all", "a.b", "a" * 65, "a\n"])
def test_invalid_and_reserved_subject_tokens_are_refused(token: str) -> None:
    assert not subjects.is_token(token)
