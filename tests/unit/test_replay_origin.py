"""A message of REPLAY is handled as the message that it was made of."""

from __future__ import annotations

import pytest

from penstock.broker import encode_headers
from penstock.consume import Delivery
from penstock.events.dead_letter import RUN
from penstock.replay import origin

SUBJECT = "evt.2a.http.web_shop.log.line.v1"


def delivery(subject: str, headers: dict[str, str]) -> Delivery:
    facts = ["1", "17", "17", "1790000000000000000", "0"]
    reply = "$JS.ACK.REPLAY.indexer." + ".".join(facts)
    raw = b"NATS/1.0\r\n" + encode_headers(headers) + b"\r\n"
    return Delivery(subject, reply, raw, b"{}", "REPLAY", "indexer", facts)


def test_it_has_the_place_and_the_subject_of_its_origin() -> None:
    headers = origin.headers("r1", stream="EVENTS_HTTP", sequence=5, stored_at_ns=99, epoch=3) | {"traceparent": "00-1"}
    replayed = delivery(origin.subject("indexer", SUBJECT), headers)
    assert origin.restore(replayed) == "r1"
    assert (replayed.subject, replayed.stream, replayed.sequence) == (SUBJECT, "EVENTS_HTTP", 5)
    assert (replayed.stored_at_ns, replayed.epoch) == (99, 3)
    assert replayed.headers["traceparent"] == "00-1"


def test_it_is_settled_where_it_came_from() -> None:
    replayed = delivery(origin.subject("indexer", SUBJECT), origin.headers("r", stream="S", sequence=1, stored_at_ns=1))
    origin.restore(replayed)
    assert replayed.reply.startswith("$JS.ACK.REPLAY.indexer.")
    assert replayed.epoch == 0


@pytest.mark.parametrize("missing", [RUN, "x-penstock-stream", "x-penstock-sequence", "x-penstock-stored-at"])
def test_without_an_origin_it_is_refused_and_unchanged(missing: str) -> None:
    headers = origin.headers("r", stream="EVENTS_HTTP", sequence=5, stored_at_ns=99)
    del headers[missing]
    replayed = delivery(origin.subject("indexer", SUBJECT), headers)
    with pytest.raises(ValueError, match=missing):
        origin.restore(replayed)
    assert (replayed.stream, replayed.sequence) == ("REPLAY", 17)


@pytest.mark.parametrize("wrong", ["-", "five", ""])
def test_a_sequence_that_is_no_number_is_refused(wrong: str) -> None:
    headers = origin.headers("r", stream="EVENTS_HTTP", sequence=5, stored_at_ns=99) | {"x-penstock-sequence": wrong}
    with pytest.raises(ValueError, match="invalid literal"):
        origin.restore(delivery(origin.subject("indexer", SUBJECT), headers))
