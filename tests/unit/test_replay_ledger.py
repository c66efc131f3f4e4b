"""Outcomes as sets: whatever comes twice, late or from elsewhere, the sums are those of the messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.replay.ledger import Ledger
from penstock.replay.outcomes import Kind, decode, encode
from penstock.rpc.messages import ReplayOutcomes, ReplayRange

FIRST, LAST = 5_000_000_001, 5_000_000_200


def ledger() -> Ledger:
    return Ledger([part("EVENTS_HTTP"), part("EVENTS_NATS")])


def part(stream: str) -> ReplayRange:
    return ReplayRange(stream=stream, epoch=1, first=FIRST, last=LAST, filters=(), planned=0)


KINDS: tuple[Kind, ...] = ("confirmed", "skipped", "parked", "filtered")
records = st.lists(
    st.dictionaries(
        st.sampled_from(["EVENTS_HTTP", "EVENTS_NATS"]),
        st.dictionaries(st.sampled_from(KINDS), st.lists(st.integers(FIRST, LAST), max_size=30), max_size=4),
        max_size=2,
    ),
    max_size=12,
)


@given(records)
def test_every_message_counts_once_as_what_was_recorded_first(
    found: list[dict[str, dict[Kind, list[int]]]],
) -> None:
    expected: dict[tuple[str, int], Kind] = {}
    for record in found:
        for stream, kinds in record.items():
            for kind, sequences in kinds.items():
                for sequence in sequences:
                    expected.setdefault((stream, sequence), kind)
    once, twice = ledger(), ledger()
    for record in found:
        once.add(decode(encode(record)))
    for record in [*found, *found]:
        twice.add(record)
    for each in (once, twice):
        assert each.total == len(expected)
        assert each.all == ReplayOutcomes(**{kind: list(expected.values()).count(kind) for kind in KINDS})
        assert each.foreign == 0


def test_what_is_in_no_range_is_foreign() -> None:
    found = ledger()
    found.add({"SCORES": {"confirmed": [FIRST]}, "EVENTS_HTTP": {"parked": [FIRST - 1, LAST + 1, LAST]}})
    assert (found.foreign, found.total) == (3, 1)


def test_samples_are_confirmed_and_spread_over_the_range() -> None:
    found = ledger()
    found.add({"EVENTS_HTTP": {"confirmed": range(FIRST, LAST + 1, 2), "skipped": range(FIRST + 1, LAST + 1, 2)}})
    samples = found.confirmed("EVENTS_HTTP", 10)
    assert len(set(samples)) == 10
    assert all((sequence - FIRST) % 2 == 0 for sequence in samples)
    assert samples[0] < FIRST + 20 < LAST - 30 < samples[-1]
    assert found.confirmed("EVENTS_HTTP", 1000) == list(range(FIRST, LAST + 1, 2))
    assert found.confirmed("EVENTS_NATS", 10) == []
