"""The chain of the audit trail on a real server: what was removed or changed is named, whoever was killed meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.audit import hash_chain
from penstock.audit.seal import Signer, read_seal, seal_keys
from penstock.audit.verify import Report, Verifier, verify
from penstock.broker import JetStream, StoredMessage, StreamInfo
from penstock.errors import Refused
from tests.support.auditors import Auditors
from tests.support.broker_rig import Rig
from tests.support.until import until

COPY = "COPY"


class Reader:
    """Reads the trail as it is, or with some records otherwise: `changed` by sequence."""

    def __init__(self, jetstream: JetStream) -> None:
        self.jetstream = jetstream
        self.changed: dict[int, dict[str, Any]] = {}

    async def stream_info(self, stream: str) -> StreamInfo:
        return await self.jetstream.stream_info(stream)

    async def get_many(self, stream: str, **how: Any) -> list[StoredMessage]:
        page = await self.jetstream.get_many(stream, **how)
        return [replace(message, **self.changed.get(message.sequence, {})) for message in page]

    async def report(self, rig: Rig, stream: str = hash_chain.STREAM) -> Report:
        keys = seal_keys(rig.place.seal_keys)
        return await Verifier(self, keys, None, stream).run()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
async def auditors(rig: Rig) -> Auditors:
    """A trail with some dozens of records and a few seals, on which nothing is written any more."""
    auditors = Auditors(rig, 1)
    auditors.start()
    writer = await rig.broker("writer")
    for _ in range(4):
        for number in range(12):
            await writer.publish("audit.writer.query", b'{"actor":"somebody","number":%d}' % number)
        await auditors.sealed()
    auditors.kill()
    return auditors


@pytest.fixture
async def reader(rig: Rig, auditors: Auditors) -> Reader:
    return Reader(rig.core.jetstream)


@pytest.fixture
async def copy(rig: Rig, auditors: Auditors) -> AsyncIterator[str]:
    """The trail with its sequences and times in another stream, from which records can be removed."""
    await rig.core.jetstream.create_stream(
        {"name": COPY, "mirror": {"name": hash_chain.STREAM}, "allow_direct": True, "mirror_direct": False}
    )
    last = (await rig.core.jetstream.stream_info(hash_chain.STREAM)).last_seq

    async def whole() -> bool | None:
        return (await rig.core.jetstream.stream_info(COPY)).last_seq == last or None

    await until(whole)
    yield COPY
    await rig.core.jetstream.api(f"STREAM.DELETE.{COPY}", {})


async def middle(rig: Rig) -> int:
    """The sequence of a record with others on both sides, in a stretch that is sealed."""
    messages = await rig.core.jetstream.get_many(hash_chain.STREAM, sequence=1, subject="audit.writer.query")
    return messages[20].sequence


async def test_a_reader_can_verify_the_sealed_trail(rig: Rig, auditors: Auditors) -> None:
    examiner = await rig.broker("examiner")
    report = await verify(examiner.jetstream, seal_keys(rig.place.seal_keys))
    state = await rig.core.jetstream.stream_info(hash_chain.STREAM)
    assert report.good, report.what
    assert (report.proven_from, report.chain_from, report.kept_from) == (state.first_seq,) * 3
    assert report.records == state.messages == report.proven_to - report.proven_from + 1 + report.unsealed
    assert report.seals >= 4


async def test_a_record_that_was_changed_is_named(rig: Rig, reader: Reader) -> None:
    bad = await middle(rig)
    for change in (
        {"data": b'{"actor":"nobody","number":8}'},
        {"subject": "audit.writer.other"},
        {"stored_at_ns": 1_800_000_000_000_000_000},
    ):
        reader.changed = {bad: change}
        report = await reader.report(rig)
        assert (report.good, report.bad) == (False, bad)
        assert "changed" in report.what
        assert report.proven_to < bad


async def test_a_record_that_was_removed_is_named(rig: Rig, reader: Reader, copy: str) -> None:
    assert (await reader.report(rig, copy)).good
    bad = await middle(rig)
    await rig.core.jetstream.api(f"STREAM.MSG.DELETE.{copy}", {"seq": bad})
    report = await reader.report(rig, copy)
    assert (report.good, report.bad) == (False, bad)
    assert "removed" in report.what


async def test_records_removed_at_the_end_are_named(rig: Rig, reader: Reader, copy: str) -> None:
    last = (await rig.core.jetstream.stream_info(copy)).last_seq
    for sequence in (last - 1, last):
        await rig.core.jetstream.api(f"STREAM.MSG.DELETE.{copy}", {"seq": sequence})
    report = await reader.report(rig, copy)
    assert (report.good, report.bad) == (False, last - 1)


async def test_where_the_beginning_has_expired_the_rest_is_proven(rig: Rig, reader: Reader, copy: str) -> None:
    kept = await middle(rig)
    await rig.core.jetstream.api(f"STREAM.PURGE.{copy}", {"seq": kept})
    report = await reader.report(rig, copy)
    assert report.good, report.what
    assert report.kept_from == kept < report.proven_from <= report.proven_to
    assert report.chain_from == 0
    bad = report.proven_from + 1
    reader.changed = {bad: {"data": b"{}"}}
    assert (await reader.report(rig, copy)).bad == bad


async def test_a_seal_signed_by_another_key_or_altered_is_refused(rig: Rig, reader: Reader, tmp_path: Path) -> None:
    [first, *_] = await rig.core.jetstream.get_many(hash_chain.STREAM, sequence=1, subject="audit.auditor.seal")
    seal = read_seal(first.data)
    stranger = Signer(tmp_path).sign(seal.before, seal.head, seal.time, seal.marks)
    reader.changed = {first.sequence: {"data": stranger.to_json("auditor")}}
    assert (await reader.report(rig)).bad == first.sequence
    forged = replace(
        stranger, key=seal.key, signature=seal.signature, head=hash_chain.Head(seal.head.sequence, bytes(32))
    )
    reader.changed = {first.sequence: {"data": forged.to_json("auditor")}}
    assert (await reader.report(rig)).bad == first.sequence


async def test_nobody_else_may_write_a_seal(rig: Rig) -> None:
    operator = await rig.broker("operator")
    with pytest.raises(Refused) as refused:
        await operator.publish("audit.auditor.seal", b"{}")
    assert refused.value.code == "FORBIDDEN"


async def test_a_killed_sealer_resumes_and_two_sealers_do_not_conflict(rig: Rig, auditors: Auditors) -> None:
    writer = await rig.broker("writer")
    auditors.start(0)
    auditors.start(1)
    for round in range(3):
        for _ in range(10):
            await writer.publish("audit.writer.query", b'{"actor":"somebody"}')
        if round == 1:
            auditors.kill(0)
            auditors.start(0)
    await auditors.sealed()
    auditors.kill(0)
    auditors.kill(1)
    report = await Reader(rig.core.jetstream).report(rig)
    assert report.good, report.what
    assert report.proven_from == (await rig.core.jetstream.stream_info(hash_chain.STREAM)).first_seq
