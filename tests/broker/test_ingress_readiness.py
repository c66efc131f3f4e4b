"""When the ingress says that it takes no events: after a commit failed, until one succeeds."""

from __future__ import annotations

from penstock.broker import Stored
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.services.ingress.broker.link import FULL, Link
from tests.support.broker_rig import Rig
from tests.support.until import until

FAILED: list[Stored | PenstockError] = [Unavailable("BROKER_UNAVAILABLE", "a test")]


async def test_only_what_was_stored_makes_it_ready_again_after_a_commit_failed(rig: Rig) -> None:
    link = Link(rig.place)
    await link.start()
    try:
        await until(lambda: link.connected is not None)
        for code in FULL:
            link.committed([Unavailable(code, "a test")])
            assert link.problems() == []  # of one sender, and no matter of the others
        link.committed(FAILED)
        for code in FULL:
            link.committed([Unavailable(code, "a test")] * 2)
            assert link.problems() == ["commit: BROKER_UNAVAILABLE"]
        link.committed([Refused("EVENT_TOO_LARGE", "a test")])
        assert link.problems() == ["commit: BROKER_UNAVAILABLE"]
        link.committed([Unavailable(FULL[0], "a test"), Stored("EVENTS_HTTP", 1)])
        assert link.problems() == []
    finally:
        await link.stop()
