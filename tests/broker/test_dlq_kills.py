"""A redrive outlives the operator that drives it: another goes on from the position that it wrote last."""

from __future__ import annotations

from tests.support.broker_rig import Rig, Sink, subject
from tests.support.dead_letters import DeadLetterConsole, fail
from tests.support.operators import Operators
from tests.support.replay_console import Console
from tests.support.replay_hosts import Replica
from tests.support.until import until

COUNT = 1500
AGAIN = 256  # a page of the feed, which may be sent a second time


async def test_a_redrive_goes_on_when_its_operator_is_killed(rig: Rig, operators: Operators) -> None:
    indexer = await rig.broker("indexer")
    since = await rig.next_sequence("DLQ")
    sequences = await rig.store([b"{}"] * COUNT, publisher="till")
    await rig.consumer()  # the live indexer has handled them, and brakes nothing
    await fail(indexer, subject("till"), [b"{}"] * COUNT, first=sequences[0])
    console = Console(await rig.broker("replayer"))
    bounds = [{"stream": "DLQ", "first": since}]
    plan = await console.plan(target="indexer", source="dead_letters", sequences=bounds, rate=300.0)
    sink = Sink()
    async with Replica(indexer, sink.handle):
        run = await console.apply(plan)
        await sink.wait(100)
        operators.kill(0)
        status = await console.in_state(run, "done", "failed", bound=60.0)
    assert status.run.state == "done", status.run.changes
    seen = [each.sequence for each in sink.seen]
    assert set(seen) == set(sequences)
    assert len(seen) - len(sequences) <= AGAIN
    report = await console.report(status.run)
    assert report.holds
    assert report.streams[0].outcomes.confirmed == COUNT
    dead_letters = DeadLetterConsole(await rig.broker("replayer"))

    async def redriven() -> bool:
        return (await dead_letters.groups(states=["redriven"], workers=["indexer"])).dead_letters == COUNT

    await until(redriven)
