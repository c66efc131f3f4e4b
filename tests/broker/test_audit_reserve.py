"""Requests do not use up the audit trail: its last part is for those who connect and for denials."""

from __future__ import annotations

import pytest

from penstock.audit import record
from penstock.audit.questions import FULL_LOOK_SECONDS, LOOK_SECONDS, RESERVE, Questions
from penstock.errors import Unavailable
from tests.support.broker_rig import Rig

ASKED = {"operation": "search.query", "fingerprint": "0" * 32}


async def test_requests_leave_the_reserve_of_the_trail_to_connections_and_denials(rig: Rig) -> None:
    now = 0.0
    jetstream = rig.core.jetstream
    for identity in ("ingress", "indexer", "writer"):  # all that record requests may look at the size of the trail
        questions = Questions(await rig.broker(identity), lambda: now)
        for _ in range(30):
            await questions.write("alice", **ASKED)
    whole = await jetstream.stream_info("AUDIT")
    try:
        await jetstream.update_stream(whole.config | {"max_bytes": int(whole.bytes / (1 - RESERVE / 2))})
        await questions.write("alice", **ASKED)  # it looks but once a minute
        now += LOOK_SECONDS
        before = (await jetstream.stream_info("AUDIT")).last_seq
        for _ in range(2):
            with pytest.raises(Unavailable, match="the last 10% are not for requests") as refused:
                await questions.write("alice", **ASKED)
            assert (refused.value.code, refused.value.retry_after) == ("STREAM_FULL", FULL_LOOK_SECONDS)
        await record.write(await rig.broker("warden"), "revoke", "root", identity="billing", reason="on trial")
        assert (await jetstream.stream_info("AUDIT")).last_seq == before + 1
    finally:
        await jetstream.update_stream(whole.config)
    now += FULL_LOOK_SECONDS
    await questions.write("alice", **ASKED)
