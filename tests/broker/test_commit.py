"""Group commit: a message is reported as stored only where it is, whatever happens to the batch it was in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from penstock.broker import Broker, Stored, publication
from penstock.errors import PenstockError, Unavailable
from penstock.publish import FEW, GroupCommitter, Outgoing, Result
from penstock.publish.sender_queues import TURN
from tests.support.broker_rig import STREAM, Rig, subject
from tests.support.until import BOUND


@dataclass
class Ingress:
    """A committer, and what the stream holds."""

    rig: Rig
    broker: Broker
    committer: GroupCommitter
    first: int

    async def on_stream(self) -> dict[int, bytes]:
        """Payload by sequence of what was stored in this test."""
        return {message.sequence: message.data for message in await self.rig.stored(STREAM, self.first)}

    async def in_batch(self, sequence: int) -> bool:
        """Whether the message was stored by an atomic batch."""
        subject = f"{self.rig.core.jetstream.prefix}.DIRECT.GET.{STREAM}"
        message = await self.rig.core.request(subject, b'{"seq":%d}' % sequence, timeout=BOUND)
        return "Nats-Batch-Id" in message.headers


@pytest.fixture
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    broker = await rig.broker("ingress")
    committer = GroupCommitter(broker)
    await committer.start()
    yield Ingress(rig, broker, committer, await rig.next_sequence(STREAM))
    await committer.stop()
    await broker.drain()


def out(*payloads: bytes) -> list[Outgoing]:
    return [Outgoing(subject(pp=n % 64), payload) for n, payload in enumerate(payloads)]


async def results(future: asyncio.Future[list[Result]]) -> list[Result]:
    async with asyncio.timeout(BOUND):
        return await future


def positions(found: list[Result]) -> list[int]:
    assert all(isinstance(result, Stored) for result in found), found[0]
    return [result.sequence for result in found if isinstance(result, Stored)]


@pytest.mark.parametrize("count", [1, FEW, FEW + 1])
async def test_a_few_messages_are_published_and_more_are_a_batch(ingress: Ingress, count: int) -> None:
    payloads = [b"%d" % n for n in range(count)]
    sequences = positions(await results(ingress.committer.submit(out(*payloads))))
    assert await ingress.on_stream() == dict(zip(sequences, payloads, strict=True))
    assert await ingress.in_batch(sequences[0]) == (count > FEW)


async def test_what_is_submitted_while_a_group_commits_becomes_the_next_group(ingress: Ingress) -> None:
    futures = [ingress.committer.submit(out(b"%d" % n)) for n in range(3000)]
    sequences = [positions(await results(future))[0] for future in futures]
    assert await ingress.on_stream() == {sequence: b"%d" % n for n, sequence in enumerate(sequences)}
    messages = await ingress.rig.core.request(
        f"$JS.API.DIRECT.GET.{STREAM}", b'{"seq":%d}' % sequences[999], timeout=BOUND
    )
    assert messages.headers["Nats-Batch-Commit"] == "1"
    assert messages.headers["Nats-Batch-Sequence"] == "1000"


async def test_a_submission_longer_than_a_batch_is_stored_whole_and_in_order(ingress: Ingress) -> None:
    payloads = [b"%d" % n for n in range(2500)]
    sequences = positions(await results(ingress.committer.submit(out(*payloads))))
    assert sequences == sorted(sequences)
    stored = await ingress.on_stream()
    assert [stored[sequence] for sequence in sequences] == payloads


async def test_a_long_queue_of_one_sender_does_not_hold_up_another(ingress: Ingress) -> None:
    greedy = [ingress.committer.submit(out(*[b"greedy %d" % n] * 5000), "greedy") for n in range(3)]
    with pytest.raises(Unavailable, match="EVENT_SHARE_USED"):
        ingress.committer.submit(out(b"too much"), "greedy")
    honest = [ingress.committer.submit(out(b"honest"), f"honest_{n % 2}") for n in range(20)]
    last = [positions(await results(future))[0] for future in honest]
    assert max(last) < ingress.first + 2500  # of 15,000 that came before
    for future in greedy:
        sequences = positions(await results(future))
        assert sequences == sorted(sequences)
    assert positions(await results(ingress.committer.submit(out(b"again"), "greedy")))


@pytest.mark.parametrize("senders", [5, 10])
async def test_senders_that_all_have_a_long_queue_get_equal_shares(ingress: Ingress, senders: int) -> None:
    names = [b"%d" % n for n in range(senders)]
    for name in names:
        future = ingress.committer.submit(out(*[name] * (3 * TURN)), name.decode())
    await results(future)  # the last sender is the last to have its third turn
    stored = [payload for _, payload in sorted((await ingress.on_stream()).items())]
    for begin in range(0, len(stored), senders * TURN):
        assert Counter(stored[begin : begin + senders * TURN]) == dict.fromkeys(names, TURN)


async def test_sequences_are_right_while_others_write_to_the_same_stream(ingress: Ingress) -> None:
    other = GroupCommitter(await ingress.rig.broker("ingress"))
    await other.start()
    single = await ingress.rig.broker("ingress")
    busy = True

    async def publish_singly() -> dict[int, bytes]:
        stored: dict[int, bytes] = {}
        while busy:
            payload = b"single %d" % len(stored)
            stored[(await single.publish(subject(), payload)).sequence] = payload
        return stored

    async def commit(committer: GroupCommitter, name: bytes) -> dict[int, bytes]:
        stored: dict[int, bytes] = {}
        for round in range(30):
            payloads = [b"%b %d %d" % (name, round, n) for n in range(100)]
            stored |= dict(zip(positions(await results(committer.submit(out(*payloads)))), payloads, strict=True))
        return stored

    singles = asyncio.create_task(publish_singly())
    expected: dict[int, bytes] = {}
    for found in await asyncio.gather(*(commit(c, b"%d" % n) for n, c in enumerate((ingress.committer, other)))):
        expected |= found
    busy = False
    found = await singles
    assert found
    assert len(expected) == 6000
    assert await ingress.on_stream() == expected | found
    await other.stop()


async def test_headers_reach_the_stream(ingress: Ingress) -> None:
    outgoing = Outgoing(
        subject(), b"traced", {"traceparent": "00-1", "x-reply-to": "_INBOX.ingress.1\r\nNats-Rollup: all"}
    )
    (position,) = positions(await results(ingress.committer.submit([outgoing])))
    message = await ingress.rig.core.jetstream.get(STREAM, sequence=position)
    assert message.headers == {"traceparent": "00-1", "x-reply-to": "_INBOX.ingress.1  Nats-Rollup: all"}


async def test_one_message_that_the_stream_refuses_fails_alone(ingress: Ingress) -> None:
    good = [b"%d" % n for n in range(20)]
    found = await results(ingress.committer.submit(out(*good[:10], bytes(300 * 1024), *good[10:])))
    refused = found.pop(10)
    assert isinstance(refused, PenstockError)
    assert refused.code == "EVENT_TOO_LARGE"
    assert await ingress.on_stream() == dict(zip(positions(found), good, strict=True))


@pytest.mark.parametrize("place", [0, 10, 20])
async def test_a_subject_that_this_identity_may_not_use_fails_only_there(ingress: Ingress, place: int) -> None:
    forbidden = Outgoing("evt.00.nats.billing.log.line.v1", b"forged")
    good = [b"%d" % n for n in range(20)]
    found = await results(ingress.committer.submit([*out(*good[:place]), forbidden, *out(*good[place:])]))
    refused = found.pop(place)
    assert isinstance(refused, PenstockError)
    assert refused.code == "FORBIDDEN"
    assert await ingress.on_stream() == dict(zip(positions(found), good, strict=True))


async def test_a_full_stream_says_so(ingress: Ingress) -> None:
    config = (await ingress.rig.core.jetstream.stream_info(STREAM)).config
    full = (await ingress.rig.core.jetstream.stream_info(STREAM)).bytes + 1000
    await ingress.rig.core.jetstream.update_stream(config | {"max_bytes": full})
    try:
        found = await results(ingress.committer.submit(out(*[bytes(900)] * 20)))
        assert {result.code for result in found if isinstance(result, PenstockError)} == {"STREAM_FULL"}
    finally:
        await ingress.rig.core.jetstream.update_stream(config)
    positions(await results(ingress.committer.submit(out(b"room again"))))


async def test_batches_left_open_by_others_do_not_stop_commits(ingress: Ingress) -> None:
    for n in range(50):  # the server allows a stream 50 open batches, and drops an idle one after ten seconds
        headers = b"Nats-Batch-Id: open-%d\r\nNats-Batch-Sequence: 1\r\n" % n
        ingress.broker.write(publication(subject(), b"never committed", "", headers))
    payloads = [b"%d" % n for n in range(500)]
    sequences = positions(await results(ingress.committer.submit(out(*payloads))))
    stored = await ingress.on_stream()
    assert [stored[sequence] for sequence in sequences] == payloads


async def test_submissions_beyond_the_bound_are_refused_until_there_is_room(rig: Rig) -> None:
    committer = GroupCommitter(await rig.broker("ingress"), max_pending=100)
    first = committer.submit(out(*[b"x"] * 90))
    with pytest.raises(Unavailable, match="OVERLOADED"):
        committer.submit(out(*[b"x"] * 20))
    assert committer.pending == 90
    await committer.start()
    positions(await results(first))
    assert committer.pending == 0
    positions(await results(committer.submit(out(*[b"x"] * 100))))
    await committer.stop()


async def test_a_submission_that_nobody_waits_for_any_more_is_not_sent(rig: Rig) -> None:
    committer = GroupCommitter(await rig.broker("ingress"))
    first = await rig.next_sequence(STREAM)
    committer.submit(out(b"given up")).cancel()
    kept = committer.submit(out(b"kept"))
    await committer.start()
    positions(await results(kept))
    await committer.stop()
    assert [message.data for message in await rig.stored(STREAM, first)] == [b"kept"]


async def test_stopping_commits_what_is_queued_and_refuses_more(ingress: Ingress) -> None:
    future = ingress.committer.submit(out(b"last words"))
    await ingress.committer.stop()
    positions(await results(future))
    with pytest.raises(Unavailable):
        ingress.committer.submit(out(b"too late"))


async def test_without_a_server_a_submission_fails_within_its_patience(rig: Rig) -> None:
    broker = await rig.broker("ingress")
    committer = GroupCommitter(broker, patience=1.0)
    await committer.start()
    lost = asyncio.Event()
    broker.on_disconnect(lost.set)
    rig.processes.kill("nats")
    try:
        async with asyncio.timeout(BOUND):
            await lost.wait()
        started = asyncio.get_running_loop().time()
        found = await results(committer.submit(out(b"1", b"2")))
        assert asyncio.get_running_loop().time() - started < 2
        assert [result.code for result in found if isinstance(result, PenstockError)] == ["BROKER_UNAVAILABLE"] * 2
    finally:
        await asyncio.to_thread(rig.processes.restart, "nats")
        await committer.stop()


async def test_nothing_reported_as_stored_is_lost_when_the_server_is_killed_under_load(ingress: Ingress) -> None:
    stored: dict[int, bytes] = {}
    failed: list[str] = []
    killed = asyncio.Event()
    go_on = True

    async def send(name: int) -> None:
        round = 0
        while go_on:
            payloads = [b"%d %d %d" % (name, round, n) for n in range(20)]
            for result, payload in zip(await results(ingress.committer.submit(out(*payloads))), payloads, strict=True):
                if isinstance(result, Stored):
                    assert result.sequence not in stored
                    stored[result.sequence] = payload
                else:
                    failed.append(result.code)
            round += 1
            if round == 20:
                killed.set()

    senders = [asyncio.create_task(send(name)) for name in range(8)]
    async with asyncio.timeout(BOUND):
        await killed.wait()
    before = len(stored)
    for _ in range(2):
        ingress.rig.processes.kill("nats")
        await asyncio.to_thread(ingress.rig.processes.restart, "nats")
        await ingress.broker.wait_connected(5)
        positions(await results(ingress.committer.submit(out(b"between"))))
    go_on = False
    async with asyncio.timeout(BOUND):
        await asyncio.gather(*senders)
    on_stream = await ingress.on_stream()
    assert len(stored) > before
    assert not failed, "the patience is longer than a restart takes"
    assert {sequence: on_stream.get(sequence) for sequence in stored} == stored
