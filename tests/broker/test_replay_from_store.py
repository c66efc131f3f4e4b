"""A run that is fed from the store goes on when a writer is killed with a page in hand, and says what holds it up."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from penstock.contracts import load
from penstock.errors import Unavailable
from penstock.replay.ledger import Ledger
from penstock.replay.run import Change, Holder, Range, Run
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import FedPage, FeedPage, RecordMatch, StoreSelection, StreamSpan
from penstock.rpc.server import serve
from penstock.services.operator.replay.from_store import FromStore
from penstock.services.operator.replay.leader import Leader
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.supply import Supplied
from tests.support.broker_rig import Rig
from tests.support.until import until

AT = "2026-11-29T00:00:00Z"
RESUMED_SECONDS = 5.0
RECORDS = 3
SELECTION = StoreSelection(periods=("2026-10", "2026-11"), match=RecordMatch(entity="till_1"), lives={"EVENTS_NATS": 1})
PLANNED = RECORDS * len(SELECTION.periods)
PART = Range(stream="EVENTS_NATS", epoch=1, first=1, last=100, filters=(), planned=PLANNED)
RUN = Run(
    id="r-fed", plan="p", target="scorer", source="store", effect="rescore", ranges=(PART,), planned=PLANNED,
    rate=1000.0, state="running", store=SELECTION,
)  # fmt: skip


async def test_a_page_in_the_hands_of_a_killed_writer_is_asked_for_again(rig: Rig) -> None:
    asked: list[FeedPage] = []

    async def page(request: dict[str, Any], _: RequestCaller) -> dict[str, Any]:
        asked.append(FeedPage.read(request))
        if len(asked) == 2:
            await asyncio.Event().wait()  # as if it were killed now
        span = StreamSpan(stream="EVENTS_NATS", count=RECORDS, first=1, last=RECORDS)
        return FedPage(scanned=RECORDS, matched=RECORDS, bytes=300, end=True, streams=[span]).to_json()

    feed = FromStore(Runs(await rig.broker("operator")), RUN)
    reasons: set[str] = set()

    async def fed() -> Supplied | None:
        supplied = await feed.look(RUN, Ledger(RUN.ranges))
        reasons.add(supplied.why)
        return supplied if supplied.settled and supplied.counted else None

    async def said() -> bool:
        return not await fed() and any("is one running?" in why for why in reasons)

    await until(said)  # no writer runs
    writer = await serve(await rig.broker("writer"), "store_replay", {"page": page})
    began = time.monotonic()
    supplied = await until(fed)
    assert time.monotonic() - began < RESUMED_SECONDS
    await feed.close(RUN, Ledger(RUN.ranges))
    await writer.stop()
    assert [each.period for each in asked] == ["2026-10", "2026-11", "2026-11"]
    assert asked[2].limit < asked[1].limit  # it may also have been too large
    assert supplied.left == 0
    assert supplied.why == ""
    assert any("page" in why and "within" in why for why in reasons), reasons


class Unprepared(FromStore):
    """Cannot begin yet."""

    async def start(self, run: Run, slot: str) -> tuple[Range, ...]:
        del run, slot
        raise Unavailable("SERVICE_UNAVAILABLE", "the writer is not there yet", retry_after=1)


async def test_a_run_that_cannot_begin_says_why(rig: Rig) -> None:
    runs, lost = Runs(await rig.broker("operator")), asyncio.Event()
    run = RUN.model_copy(
        update={"id": "r-early", "state": "planned", "changes": (Change(state="planned", at=AT, by="ann"),)}
    )
    await runs.create(run, "ann")
    await runs.take(run.target, Holder(run.id), (await runs.holder(run.target))[1])
    leader = Leader(runs, load(), {"store": lambda run: Unprepared(runs, run)})
    leading = asyncio.create_task(leader.run(lost))

    async def says_why() -> bool:
        status = await runs.progress(run.id)
        return (status.get("why"), status.get("run", {}).get("state")) == ("the writer is not there yet", "planned")

    await until(says_why)
    lost.set()
    await leading
    await runs.move(run.id, "cancelled", "ann")
    await runs.finish(run)
