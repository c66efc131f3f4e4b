"""The operators: each answers svc.operator.*; the one that leads drives replays and keeps the registry of models."""

from __future__ import annotations

import asyncio
from functools import partial

from penstock.broker import Broker
from penstock.contracts import load
from penstock.replay.run import Run
from penstock.rpc.server import Responder, serve
from penstock.runtime import Parts, Watch, main
from penstock.services.operator.dead_letters import feed, metrics, refusals
from penstock.services.operator.dead_letters.index import Index
from penstock.services.operator.dead_letters.operations import DeadLetterOperations
from penstock.services.operator.dead_letters.redrive_plan import RedrivePlanner
from penstock.services.operator.lease import Lease
from penstock.services.operator.model_check import ModelCheck
from penstock.services.operator.reconcile.operations import ReconcileOperations
from penstock.services.operator.reconcile.regular import Regular
from penstock.services.operator.registry import Registry
from penstock.services.operator.replay.counting import Counters
from penstock.services.operator.replay.from_store import FromStore
from penstock.services.operator.replay.leader import Leader
from penstock.services.operator.replay.mapping_operations import MappingOperations
from penstock.services.operator.replay.operations import Operations, SourcePlanner
from penstock.services.operator.replay.planning import Planner
from penstock.services.operator.replay.rebuild_operations import RebuildOperations
from penstock.services.operator.replay.rebuilding import Rebuilding
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.store_planning import StorePlanner
from penstock.services.operator.replay.supply import Supplies, Supply
from penstock.services.operator.replay.swapping import Swapping
from penstock.services.operator.replay.to_subscriber import ToSubscriber
from penstock.services.operator.settings import load_operator_settings
from penstock.services.operator.streams.check import StreamCheck
from penstock.services.operator.workers.operations import WorkerOperations
from penstock.settings import Settings, load_settings
from penstock.stopping import end_tasks


async def build(broker: Broker, settings: Settings) -> Parts:
    """One replica."""
    contracts = load()
    runs = Runs(broker)
    index, counters, lease = Index(broker), Counters(broker), Lease(runs.keys)
    registry = Registry(broker)
    reconciling = ReconcileOperations(broker, contracts, index)
    regular = Regular(reconciling.compare)
    planner = Planner(broker, contracts, counters)
    redrives = RedrivePlanner(broker, contracts, runs.keys, index, counters)
    planners: dict[str, SourcePlanner] = {
        "events": planner,
        "scores": planner,
        "dead_letters": redrives,
        "store": StorePlanner(broker, contracts, runs),
    }
    approval = load_operator_settings().approval
    operations = Operations(broker, contracts, runs, approval, planners, partial(refusals.of_run, runs.keys))
    dead_letters = DeadLetterOperations(broker, index)

    async def answer_dead_letters(stop: asyncio.Event) -> None:
        service = await serve(broker, "dead_letters", dead_letters.all, concurrency=4)
        await stop.wait()
        await service.stop(0.3)

    def from_store(run: Run) -> Supply:
        return Rebuilding(runs, contracts, run) if run.effect == "rebuild" else FromStore(runs, run)

    async def lead(lost: asyncio.Event) -> None:
        # Only one at a time: an upload to the registry lives in the memory of who takes its pieces.
        supplies: Supplies = {
            "dead_letters": feed.supplier(runs, index),
            "store": from_store,
            "subscriber": partial(ToSubscriber, runs, contracts),
        }
        leader = Leader(runs, contracts, supplies, {"rebuild": Swapping(runs)})
        services: list[Responder] = []
        comparing = asyncio.create_task(regular.run(lost))
        try:
            services.append(await serve(broker, "registry", registry.operations, concurrency=8))
            services.append(await serve(broker, "replay", {"progress": leader.progress}, concurrency=8))
            services.append(await serve(broker, "workers", WorkerOperations(broker).all, concurrency=32))
            await broker.flush()
            lease.led = True
            await leader.run(lost)
        finally:
            await end_tasks(comparing)
            for service in services:
                await service.stop(0.3)

    return Parts(
        service="operator",
        operations={
            **operations.all,
            **RebuildOperations(runs).all,
            "mappings": MappingOperations(runs).mappings,
            "reconcile": reconciling.reconcile,
        },
        concurrency=8,
        note=regular.note,
        unready_reason=lambda: "" if lease.led else "no operator leads yet",
        watches=(
            Watch("streams", StreamCheck(broker, contracts).check, settings.check_seconds),
            Watch("models", ModelCheck(broker, registry).check, settings.check_seconds),
        ),
        background=[
            lambda stop: lease.run(stop, lead),
            index.follow,
            lambda stop: metrics.report(index, stop),
            answer_dead_letters,
        ],
    )


if __name__ == "__main__":
    main("operator", build, load_settings())
