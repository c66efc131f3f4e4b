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
from penstock.broker.connection import MAX_PAYLOAD, Broker, Subscription
from penstock.broker.protocol import Message
from penstock.contracts import subjects
from penstock.contracts.load import load
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.telemetry import metrics

_log = structlog.get_logger("penstock.rpc.server")

QUEUE = "q"  # the queue group that ADR-32 names
ERROR = "Nats-Service-Error"
ERROR_CODE = "Nats-Service-Error-Code"
ON_BEHALF = "x-on-behalf"
TIMEOUT = "x-timeout"  # seconds that the caller waits
TRACEPARENT = "traceparent"
SPEAKER = "ingress"  # the one identity that is believed about others
AUDITED = ("search", "store")  # services that answer with events
ALL = "*"
WAITING = 8  # questions held for each that may be worked on; a burst is not an overload
LONGEST = 30.0  # seconds for a question, where the contract says nothing


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the ingress asks for, and what they may read; `*` in `datasets` is every dataset."""

    name: str
    datasets: frozenset[str]
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. `datasets` and `roles` are what counts: the person's where there is one, else the identity's."""

    identity: str
    on_behalf: Person | None = None
    datasets: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    traceparent: str = ""

    def may_read(self, dataset: str) -> bool:
        """Whether answers to this asker may hold events of the dataset."""
        return ALL in self.datasets or dataset in self.datasets


Json = dict[str, Any]
Operation = Callable[[Json, Asker], Awaitable[Json]]


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
            asker = asker_of(message.headers, caller)
            request = _object(message.data)
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
        self, operation: str, request: Json, answer: Json | PenstockError, asker: Asker, started: int
    ) -> None:
        """Puts a question onto the audit trail, unless the ingress asks, which does so itself. What cannot be put
        there is not answered: raises Unavailable."""
        if self.service not in AUDITED or asker.identity == SPEAKER:
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


async def ask(
    broker: Broker,
    service: str,
    operation: str,
    request: Mapping[str, Any],
    *,
    on_behalf: Person | None = None,
    timeout: float = 5.0,
    traceparent: str = "",
) -> dict[str, Any]:
    """Asks and awaits the answer. Raises the answering side's error, or SERVICE_UNAVAILABLE, or TIMED_OUT."""
    headers = {TIMEOUT: f"{timeout:.3f}"}
    if on_behalf is not None:
        person = {"name": on_behalf.name, "datasets": sorted(on_behalf.datasets), "roles": sorted(on_behalf.roles)}
        headers[ON_BEHALF] = orjson.dumps(person).decode()
    if traceparent:
        headers[TRACEPARENT] = traceparent
    subject = subjects.ask(service, operation, broker.identity)
    message = await broker.request(subject, orjson.dumps(request), timeout=timeout, headers=headers)
    if message.raw_headers and ERROR in message.headers:
        raise _error(message)
    return _object(message.data)


def asker_of(headers: Mapping[str, str], caller: str) -> Asker:
    """Who asks. Raises Refused FORBIDDEN when anybody but the ingress speaks on behalf of others."""
    text = headers.get(ON_BEHALF)
    traceparent = headers.get(TRACEPARENT, "")
    if text is None:
        # The ingress has no rights of its own to anybody's data; another identity may read what its questions reach.
        own = frozenset() if caller == SPEAKER else frozenset({ALL})
        return Asker(caller, None, own, frozenset(), traceparent)
    if caller != SPEAKER:
        raise Refused("FORBIDDEN", f"{caller} may not ask on behalf of others")
    value = _object(text.encode())
    try:
        person = Person(str(value["name"]), frozenset(value["datasets"]), frozenset(value["roles"]))
    except (KeyError, TypeError) as error:
        raise Refused("QUERY_INVALID", "on behalf of whom is not readable") from error
    return Asker(caller, person, person.datasets, person.roles, traceparent)


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused("JSON_INVALID", f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused("QUERY_INVALID", "not an object")
    return value


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or LONGEST), 0.001), 10 * LONGEST)
    except ValueError:
        return LONGEST


def _error(message: Message) -> PenstockError:
    try:
        body = orjson.loads(message.data)
        kind = Unavailable if body["retriable"] else Refused
        return kind(body["code"], body["detail"], pointer=body["pointer"], retry_after=body.get("retry_after"))
    except (ValueError, KeyError, TypeError):  # a service that is not ours
        return PenstockError("INTERNAL", message.headers[ERROR])
