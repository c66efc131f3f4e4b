"""svc.workers.*, answered by the leading operator, which every replica reports to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from penstock.audit import record
from penstock.broker import Broker
from penstock.errors import Refused
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import (
    ResumedWorker,
    ResumeWorker,
    WorkerOrder,
    WorkerReplicas,
    WorkerReport,
    WorkersQuery,
)
from penstock.services.operator.access import actor_of, require
from penstock.services.operator.workers.replicas import Replicas

_log = structlog.get_logger("penstock.operator.workers")

Json = dict[str, Any]
SERVICE = "workers"
CONFIRM_SECONDS = 4.0  # for the replicas to report that they have opened their brakes


class WorkerOperations:
    """The operations of svc.workers."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._replicas = Replicas()

    @property
    def all(self) -> dict[str, Callable[[Json, RequestCaller], Awaitable[Json]]]:
        """By name, as the contract has them."""
        return {"report": self.report, "status": self.status, "resume": self.resume}

    async def report(self, request: Json, caller: RequestCaller) -> Json:
        """WorkerReport → WorkerOrder."""
        order = await self._replicas.report(caller.identity, WorkerReport.read(request))
        return WorkerOrder(resume=order).to_json()

    async def status(self, request: Json, caller: RequestCaller) -> Json:
        """WorkersQuery → WorkerReplicas."""
        require(caller, SERVICE, "status")
        return WorkerReplicas(replicas=self._replicas.all(WorkersQuery.read(request).worker)).to_json()

    async def resume(self, request: Json, caller: RequestCaller) -> Json:
        """ResumeWorker → ResumedWorker. On the audit trail before any replica is notified."""
        require(caller, SERVICE, "resume")
        wanted = ResumeWorker.read(request)
        if not wanted.reason.strip():
            raise Refused("REASON_MISSING", "no reason is given", pointer="/reason")
        found = self._replicas.all(wanted.worker)
        if not found:
            raise Refused(
                "NOT_FOUND", f"no replica of {wanted.worker} reports; `penstock worker list` has those that do"
            )
        closed = [each for each in found if each.brake is not None]
        if not closed:
            return ResumedWorker(worker=wanted.worker, resumed=[], waiting=[]).to_json()
        actor = actor_of(caller, wanted.by)
        await record.write(
            self._broker,
            "worker_resumed",
            actor,
            through=caller.identity,
            worker=wanted.worker,
            instances=[each.instance for each in closed],
            codes=sorted({code for each in closed if each.brake for code in each.brake.codes}),
            reason=wanted.reason.strip(),
        )
        waiting = await self._replicas.resume(closed, CONFIRM_SECONDS)
        resumed = [each.instance for each in closed if each.instance not in waiting]
        _log.info("worker_resumed", worker=wanted.worker, resumed=len(resumed), waiting=len(waiting), by=actor)
        return ResumedWorker(worker=wanted.worker, resumed=resumed, waiting=waiting).to_json()
