"""A publisher that sends what fails, one by one and without end, takes its share of DLQ only, and nothing is lost."""

from __future__ import annotations

import orjson

from penstock.broker import StoredMessage
from penstock.consume import DeadLetters, Delivery, Done, Drop, Lane, LaneOptions, Outcome, Share
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working, subject
from tests.support.records import records_of
from tests.support.until import until

SHARE = Share(full_per_minute=10, ranges=3, range_every=3600.0, apart=0.0, waiting=40)
SENT, LARGE = 200, 20_000
RANGE_BYTES = 2048  # of a range on the stream, with its headers and subjects


def refuse(delivery: Delivery) -> Outcome:
    code = "TYPE_UNKNOWN" if delivery.sequence % 2 else "SINK_REFUSED"
    return Drop(code, "no such field: " + "x" * 5000) if delivery.data.startswith(b"bad") else Done()


def covered(letters: list[StoredMessage], publisher: str) -> tuple[set[int], int, list[int]]:
    """The sequences of full dead letters and between the ends of ranges, the messages that both stand for, and the
    sizes of the ranges."""
    sequences: set[int] = set()
    messages, sizes = 0, []
    for letter in letters:
        if f".{publisher}." not in letter.subject:
            continue
        if letter.headers["x-penstock-form"] == "full":
            sequences.add(int(letter.headers["x-penstock-sequence"]))
            messages += 1
            continue
        body = orjson.loads(letter.data)
        assert body["code"] == letter.headers["x-penstock-code"]
        sequences |= set(range(body["from"], body["to"] + 1))
        messages += body["count"]
        sizes.append(len(letter.data) + len(letter.subject) + sum(len(n) + len(v) for n, v in letter.headers.items()))
    return sequences, messages, sizes


async def test_one_poison_publisher_fills_its_share_and_an_honest_one_gets_full_dead_letters(rig: Rig) -> None:
    await rig.consumer()
    indexer, ingress = await rig.broker("indexer"), await rig.broker("ingress")
    first, before = await rig.next_sequence("DLQ"), (await rig.core.jetstream.stream_info("DLQ")).bytes
    dead_letters, sink = DeadLetters(indexer, "indexer", share=SHARE, clock=lambda: 0.0), Sink(refuse)
    lane = Lane(indexer, STREAM, CONSUMER, sink.handle, LaneOptions(linger=0.0), dead_letters=dead_letters)
    sent: list[int] = []
    count = bad = 0

    async def publish(publisher: str, data: bytes) -> int:
        """One by one: each is a batch of its own."""
        nonlocal count
        sequence = (await ingress.publish(subject(publisher), data)).sequence
        count += 1
        await sink.wait(count)
        return sequence

    async def unsettled() -> int | None:
        """What waits on the consumer, once it is all that has no dead letter."""
        info = await rig.core.jetstream.consumer_info(STREAM, CONSUMER)
        _, messages, _ = covered(await rig.stored("DLQ", first), "flood")
        return info.ack_pending if info.ack_pending == SENT - messages else None

    async with Working(lane):
        for number in range(SENT):
            if number % 10 == 0:  # others are well, or the brake would keep everything
                for publisher in ("shop", "till", "billing"):
                    await publish(publisher, b"good")
            sent.append(await publish("flood", b"bad" + b"x" * LARGE))
            if number % 50 == 1:
                await publish("shop", b"bad, once")
                bad += 1
        assert await until(unsettled), "nothing is settled before the range that covers it is stored"
        assert "DEAD_LETTER_SHARE_USED: flood " in dead_letters.note()
    await rig.settled()

    letters = await rig.stored("DLQ", first)
    records_of(letters)
    sequences, messages, ranges = covered(letters, "flood")
    assert set(sent) <= sequences
    assert messages == SENT, "each once"
    assert len(ranges) <= SHARE.ranges + SENT // SHARE.waiting * 2 + 2, (
        "not one for each batch, of which there were 200"
    )
    assert max(ranges) <= RANGE_BYTES
    taken = (await rig.core.jetstream.stream_info("DLQ")).bytes - before
    assert taken <= SHARE.full_per_minute * (LARGE + RANGE_BYTES) + len(ranges) * RANGE_BYTES + bad * RANGE_BYTES
    assert [letter.data for letter in letters if ".shop." in letter.subject] == [b"bad, once"] * bad
    assert {letter.headers["x-penstock-form"] for letter in letters if ".shop." in letter.subject} == {"full"}
