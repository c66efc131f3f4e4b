"""question on svc.<service>.<operation>.<caller> → operation → answer to the caller's own inbox.

NATS services as ADR-32 describes them: `$SRV.PING|INFO|STATS`, a queue group, errors in headers. The server enforces
the caller in the subject; only the ingress may speak on behalf of a person, and an answer goes nowhere but to the
caller.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from penstock.audit.record import asked, audit_record
from penstock.broker import MAX_PAYLOAD, Broker, Message, Subscription
from penstock.contracts import load
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.rpc import metrics
from penstock.rpc.caller import TRUSTED_PROXY, Caller, Json, caller_of, json_object
from penstock.rpc.client import ERROR, TIMEOUT

_log = structlog.get_logger("penstock.rpc.server")

QUEUE = "q"  # the queue group that ADR-32 names
ERROR_CODE = "Nats-Service-Error-Code"
AUDITED = ("search", "store")  # services that answer with events
WAITING = 8  # questions held for each that may be worked on; a burst is not an overload
LONGEST = 30.0  # seconds for a question, where the contract says nothing


Operation = Callable[[Json, Caller], Awaitable[Json]]


@dataclass(slots=True)
class _Stats:
    requests: int = 0
    errors: int = 0
    nanoseconds: int = 0
    last_error: str = ""


@dataclass(slots=True)
class Responder:
    """A running service; `stop` ends it after the questions in hand are answered."""

    broker: Broker
    service: str
    operations: Mapping[str, Operation]
    concurrency: int
    id: str = field(default_factory=lambda: os.urandom(11).hex())
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _subscriptions: list[Subscription] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _stats: dict[str, _Stats] = field(default_factory=dict)
    _limits: dict[str, float] = field(default_factory=dict)
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.concurrency)

    async def start(self) -> None:
        """Begins to answer."""
        known = load().services.get(self.service)
        for operation in self.operations:
            contract = known.operations.get(operation) if known else None
            self._limits[operation] = contract.timeout.total_seconds() if contract else LONGEST
            self._stats[operation] = _Stats()
        for subject in (f"svc.{self.service}.{operation}.*" for operation in self.operations):
            self._subscriptions.append(await self.broker.subscribe(subject, self._asked, queue=QUEUE))
        for verb in ("PING", "INFO", "STATS"):
            for subject in (f"$SRV.{verb}", f"$SRV.{verb}.{self.service}", f"$SRV.{verb}.{self.service}.{self.id}"):
                self._subscriptions.append(await self.broker.subscribe(subject, self._surveyed))

    @property
    def in_progress(self) -> int:
        """Requests that were taken and are not answered yet."""
        return len(self._tasks)

    async def stop(self, grace: float = 3.0) -> None:
        """Takes no more questions, finishes those in hand within `grace` seconds."""
        for subscription in self._subscriptions:
            await subscription.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _asked(self, message: Message) -> None:
        parts = message.subject.split(".")
        operation, caller = parts[2], parts[3]
        if not self._may_answer(message.reply, caller):
            metrics.ANSWERS.labels(self.service, operation, "REPLY_REFUSED").inc()
            _log.error("reply_refused", service=self.service, operation=operation, caller=caller)
            return
        if len(self._tasks) >= WAITING * self.concurrency:
            busy = Unavailable("OVERLOADED", f"{self.service} has {len(self._tasks)} questions in hand", retry_after=1)
            self._refuse(message, operation, busy)
            return
        task = asyncio.create_task(self._answer(message, operation, caller))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _may_answer(self, reply: str, caller: str) -> bool:
        # In CORE the server replaces the inbox of a caller in APP by an address of its own, which nobody can choose.
        return reply.startswith(f"_INBOX.{caller}.") or (self.broker.prefix == "$JS.API" and reply.startswith("_R_."))

    async def _answer(self, message: Message, operation: str, caller: str) -> None:
        started = time.perf_counter_ns()
        try:
            asker = caller_of(message.headers, caller)
            request = json_object(message.data)
            async with asyncio.timeout(min(self._limits[operation], _seconds(message.headers.get(TIMEOUT)))):
                async with self._free:
                    try:
                        answer = await self.operations[operation](request, asker)
                    except PenstockError as error:
                        await self._tell(operation, request, error, asker, started)
                        raise
            await self._tell(operation, request, answer, asker, started)
            payload = orjson.dumps(answer)
            if len(payload) > MAX_PAYLOAD:
                raise Refused(
                    "QUERY_INVALID", f"the answer has {len(payload)} bytes, more than {MAX_PAYLOAD}: ask for less"
                )
            self.broker.send(message.reply, payload)
            result = "ok"
        except PenstockError as error:
            result = error.code
            self._refuse(message, operation, error)
        except TimeoutError:
            result = "TIMED_OUT"
            self._refuse(message, operation, Unavailable("TIMED_OUT", f"{operation} took too long", retry_after=1))
        except Exception as error:  # noqa: BLE001 - a defect in one operation must not end the service
            result = "INTERNAL"
            _log.error("question_failed", service=self.service, operation=operation, exc_info=error)
            self._refuse(message, operation, PenstockError("INTERNAL", f"{self.service}.{operation} failed"))
        stats = self._stats[operation]
        stats.requests += 1
        stats.nanoseconds += time.perf_counter_ns() - started
        metrics.ANSWERS.labels(self.service, operation, result).inc()
        metrics.ANSWER_SECONDS.labels(self.service, operation).observe((time.perf_counter_ns() - started) / 1e9)

    async def _tell(
        self, operation: str, request: Json, answer: Json | PenstockError, asker: Caller, started: int
    ) -> None:
        """Puts a question onto the audit trail, unless the ingress asks, which does so itself. What cannot be put
        there is not answered: raises Unavailable."""
        if self.service not in AUDITED or asker.identity == TRUSTED_PROXY:
            return
        seconds = (time.perf_counter_ns() - started) / 1e9
        said = asked(request, answer, seconds, load().types)
        record = audit_record(asker.identity, self.broker.identity, operation=f"{self.service}.{operation}", **said)
        await self.broker.publish(f"audit.{self.broker.identity}.question", record)

    def _refuse(self, message: Message, operation: str, error: PenstockError) -> None:
        stats = self._stats[operation]
        stats.errors += 1
        stats.last_error = error.code
        entry = load().errors.get(error.code)
        headers = {ERROR: f"{error.code}: {error.detail}"[:512], ERROR_CODE: str(entry.status if entry else 500)}
        body = {"code": error.code, "detail": error.detail, "pointer": error.pointer, "retriable": error.retriable}
        if error.retry_after is not None:
            body["retry_after"] = error.retry_after
        try:
            self.broker.send(message.reply, orjson.dumps(body), headers=headers)
        except PenstockError as failed:
            _log.warning("answer_lost", service=self.service, operation=operation, reason=failed.detail)

    def _surveyed(self, message: Message) -> None:
        if not message.reply.startswith(("_INBOX.", "_R_.")):
            return
        verb = message.subject.split(".")[1].lower()
        body: dict[str, Any] = {
            "type": f"io.nats.micro.v1.{verb}_response",
            "name": self.service,
            "id": self.id,
            "version": "1.0.0",
            "metadata": {"identity": self.broker.identity},
        }
        if verb == "info":
            body["description"] = f"Answers svc.{self.service}.*.*"
            body["endpoints"] = [self._endpoint(operation) for operation in self.operations]
        elif verb == "stats":
            body["started"] = self.started.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            body["endpoints"] = [self._endpoint(operation) | self._counts(operation) for operation in self.operations]
        self.broker.send(message.reply, orjson.dumps(body))

    def _endpoint(self, operation: str) -> dict[str, Any]:
        return {"name": operation, "subject": f"svc.{self.service}.{operation}.*", "queue_group": QUEUE}

    def _counts(self, operation: str) -> dict[str, Any]:
        stats = self._stats[operation]
        return {
            "num_requests": stats.requests,
            "num_errors": stats.errors,
            "last_error": stats.last_error,
            "processing_time": stats.nanoseconds,
            "average_processing_time": stats.nanoseconds // max(stats.requests, 1),
        }


async def serve(
    broker: Broker, service: str, operations: Mapping[str, Operation], *, concurrency: int = 32
) -> Responder:
    """Answers questions to `service`, `concurrency` at a time. Beyond WAITING times as many they are refused as
    OVERLOADED."""
    responder = Responder(broker, service, operations, concurrency)
    await responder.start()
    return responder


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or LONGEST), 0.001), 10 * LONGEST)
    except ValueError:
        return LONGEST
