"""request on svc.<service>.<operation>.<caller> → operation → reply to the caller's own inbox.

The server enforces the caller in the subject; only the ingress may speak on behalf of a person, and a reply goes
nowhere but to the caller. Errors are in headers, as NATS services (ADR-32) have them; discovery.py says who answers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import structlog

from penstock.audit import record
from penstock.audit.questions import Questions
from penstock.broker import MAX_PAYLOAD, Broker, Message, Subscription
from penstock.contracts import load, nats_subjects, subjects
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.rpc import metrics
from penstock.rpc.caller import TRUSTED_PROXY, Json, RequestCaller, json_object, request_caller
from penstock.rpc.client import ERROR, TIMEOUT
from penstock.rpc.discovery import QUEUE, Discovery, Stats
from penstock.stopping import end_tasks
from penstock.telemetry import traces

_log = structlog.get_logger("penstock.rpc.server")

ERROR_CODE = "Nats-Service-Error-Code"
AUDITED = ("search", "store")  # services that answer with events
WAITING = 8  # requests held for each that may be worked on; a burst is not an overload
LONGEST = 30.0  # seconds for a request, where the contract says nothing


Operation = Callable[[Json, RequestCaller], Awaitable[Json]]


@dataclass(slots=True)
class Responder:
    """A running service; `stop` ends it after every request in progress has its answer, or an error."""

    broker: Broker
    service: str
    operations: Mapping[str, Operation]
    concurrency: int
    id: str = field(default_factory=lambda: os.urandom(11).hex())
    _subscriptions: list[Subscription] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _stats: dict[str, Stats] = field(default_factory=dict)
    _limits: dict[str, float] = field(default_factory=dict)
    _free: asyncio.Semaphore = field(init=False)
    _questions: Questions = field(init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.concurrency)
        self._questions = Questions(self.broker)

    async def start(self) -> None:
        """Begins to answer."""
        known = load().services.get(self.service)
        for operation in self.operations:
            contract = known.operations.get(operation) if known else None
            self._limits[operation] = contract.timeout.total_seconds() if contract else LONGEST
            self._stats[operation] = Stats()
        for operation in self.operations:
            subject = subjects.ask(self.service, operation, "*")
            self._subscriptions.append(await self.broker.subscribe(subject, self._received, queue=QUEUE))
        self._subscriptions += await Discovery(self.broker, self.service, self.id, self._stats).start()

    @property
    def in_progress(self) -> int:
        """Requests that were taken and are not answered yet."""
        return len(self._tasks)

    async def stop(self, grace: float = 3.0) -> None:
        """Takes no more requests, finishes those that are on their way or in progress within `grace` seconds.
        Those that take longer are cancelled, and answered with SERVICE_UNAVAILABLE."""
        for subscription in self._subscriptions:
            subscription.leave()
        if self.broker.connected:  # the server may have sent a request here before it reads this
            with suppress(Unavailable):
                await self.broker.flush(grace)
        for subscription in self._subscriptions:
            await subscription.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        await end_tasks(*self._tasks)

    def _received(self, message: Message) -> None:
        _, operation, identity = subjects.parse_ask(message.subject)
        if not self._may_answer(message.reply, identity):
            metrics.REQUESTS.labels(self.service, operation, "REPLY_REFUSED").inc()
            _log.error("reply_refused", service=self.service, operation=operation, caller=identity)
            return
        if len(self._tasks) >= WAITING * self.concurrency:
            reason = f"{self.service} has {len(self._tasks)} requests in progress"
            self._reply_error(message, operation, Unavailable("OVERLOADED", reason, retry_after=1))
            return
        task = asyncio.create_task(self._answer(message, operation, identity))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _may_answer(self, reply: str, identity: str) -> bool:
        # In CORE the server replaces the inbox of a caller in APP by an address of its own, which nobody can choose.
        in_core = self.broker.jetstream.prefix == nats_subjects.API
        return nats_subjects.is_inbox_of(identity, reply) or (in_core and nats_subjects.is_reply_across_accounts(reply))

    async def _answer(self, message: Message, operation: str, identity: str) -> None:
        tracer = traces.tracer()
        if tracer is None:
            await self._answered(message, operation, identity)
            return
        parent = traces.parse(message.headers.get(traces.TRACEPARENT))
        sampled = parent is not None and parent.sampled and bool(tracer.take(1))
        about = traces.rpc(self.service, operation)
        span = tracer.root(f"{self.service}/{operation}", "server", parent, about, sampled=sampled)
        with traces.Step(span):
            result = await self._answered(message, operation, identity)
        entry = load().errors.get(result)
        tracer.finish(span, result if result != "ok" and (entry is None or entry.status >= 500) else "")

    async def _answered(self, message: Message, operation: str, identity: str) -> str:
        """Answers; returns `ok` or the code of the error."""
        started = time.perf_counter_ns()
        try:
            caller = request_caller(message.headers, identity)
            request = json_object(message.data)
            async with asyncio.timeout(min(self._limits[operation], _seconds(message.headers.get(TIMEOUT)))):
                async with self._free:
                    try:
                        answer = await self.operations[operation](request, caller)
                    except PenstockError as error:
                        await self._audit(operation, request, error, caller, started)
                        raise
            await self._audit(operation, request, answer, caller, started)
            payload = orjson.dumps(answer)
            if len(payload) > MAX_PAYLOAD:
                raise Refused(
                    "QUERY_INVALID", f"the answer has {len(payload)} bytes, more than {MAX_PAYLOAD}: ask for less"
                )
            self.broker.send(message.reply, payload)
            result = "ok"
        except PenstockError as error:
            result = error.code
            self._reply_error(message, operation, error)
        except TimeoutError:
            result = "TIMED_OUT"
            self._reply_error(message, operation, Unavailable("TIMED_OUT", f"{operation} took too long", retry_after=1))
        except asyncio.CancelledError:  # by `stop`; the task ends here anyway
            result = "SERVICE_UNAVAILABLE"
            stopped = f"{self.service} stopped before {operation} was finished"
            self._reply_error(message, operation, Unavailable(result, stopped, retry_after=1))
        except Exception as error:  # noqa: BLE001 - a defect in one operation must not end the service
            result = "INTERNAL"
            _log.error("request_failed", service=self.service, operation=operation, exc_info=error)
            self._reply_error(message, operation, PenstockError("INTERNAL", f"{self.service}.{operation} failed"))
        stats = self._stats[operation]
        stats.requests += 1
        stats.nanoseconds += time.perf_counter_ns() - started
        metrics.REQUESTS.labels(self.service, operation, result).inc()
        metrics.REQUEST_SECONDS.labels(self.service, operation).observe((time.perf_counter_ns() - started) / 1e9)
        return result

    async def _audit(
        self, operation: str, request: Json, answer: Json | PenstockError, caller: RequestCaller, started: int
    ) -> None:
        """Records a request, unless the ingress asks, which does so itself. What cannot be recorded is not answered:
        raises Unavailable."""
        if self.service not in AUDITED or caller.identity == TRUSTED_PROXY:
            return
        seconds = (time.perf_counter_ns() - started) / 1e9
        said = record.asked(request, answer, seconds, load().types)
        await self._questions.write(caller.identity, operation=f"{self.service}.{operation}", **said)

    def _reply_error(self, message: Message, operation: str, error: PenstockError) -> None:
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
            _log.warning("reply_send_failed", service=self.service, operation=operation, reason=failed.detail)


async def serve(
    broker: Broker, service: str, operations: Mapping[str, Operation], *, concurrency: int = 32
) -> Responder:
    """Answers requests to `service`, `concurrency` at a time. Beyond WAITING times as many they are refused as
    OVERLOADED."""
    responder = Responder(broker, service, operations, concurrency)
    await responder.start()
    return responder


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or LONGEST), 0.001), 10 * LONGEST)
    except ValueError:
        return LONGEST
