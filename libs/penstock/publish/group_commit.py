"""submissions → one atomic batch at a time (ADR-50) → where each message is stored.

Group commit: while one batch waits for the disk, what is submitted meanwhile becomes the next, so groups grow with
the load and nobody waits for a clock. A few messages are published one by one, which is faster then. Whatever goes
wrong with a batch, its messages are published again one by one, each with an answer of its own. A message may so be
stored twice (when a batch was stored and its answer lost); every sink writes by key and takes that as one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress

import orjson
import structlog

from penstock.broker import MAX_PAYLOAD, Broker, Message, Stored, encode_headers, error_of, publication, resolve
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.publish import metrics
from penstock.publish.commit_step import commit_step
from penstock.publish.pipelined import publish_singly
from penstock.publish.sender_queues import SenderQueues
from penstock.publish.submission import Entry, Outgoing, Result, Submission

_log = structlog.get_logger("penstock.publish.group_commit")

MOST_IN_BATCH = 1000  # the server's limit
FEW = 8  # a batch costs the server about as much as eight publishes: up to here those are faster (python -m bench)
GROUP_BYTES = 4 * 1024 * 1024
PENDING_BYTES = 64 * 1024 * 1024
SENDER_PART = 0.75  # of the messages that may wait, those of one sender
AFTER_FAILURE = 1.0  # seconds in which groups go one by one: what broke a batch rarely breaks just one


class GroupCommitter:
    """Puts messages on one stream, with at most one batch in flight.

    `max_pending` bounds the messages, PENDING_BYTES the bytes that wait or are in flight; `patience` is the longest
    that a submission waits, in seconds. Submissions of one sender keep their order, except after an error.
    """

    def __init__(
        self, broker: Broker, *, max_batch: int = MOST_IN_BATCH, max_pending: int = 20_000, patience: float = 10.0
    ) -> None:
        self._broker = broker
        self._max_batch = min(max_batch, MOST_IN_BATCH)
        self._max_pending = max_pending
        self._patience = patience
        self._queue = SenderQueues()
        self._pending = 0
        self._pending_bytes = 0
        self._work = asyncio.Event()
        self._singly_until = 0.0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Messages that wait or are in flight."""
        return self._pending

    async def start(self) -> None:
        """Begins to commit."""
        metrics.QUEUED.set_function(lambda: self._pending)
        self._task = asyncio.create_task(self._run(), name="committer")

    async def stop(self, timeout: float = 5.0) -> None:
        """Takes no more, finishes what waits; what is left after `timeout` seconds fails as BROKER_UNAVAILABLE."""
        self._stopping = True
        self._work.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for submission in list(self._queue):
            self._queue.done(submission)
            _fail(submission, Unavailable("BROKER_UNAVAILABLE", "the process is stopping", retry_after=2))

    def submit(self, items: Sequence[Outgoing], sender: str = "") -> asyncio.Future[list[Result]]:
        """Queues messages; the future gives a Stored or the error of each, in their order, and never fails itself.

        A named `sender` may have three quarters of what may wait. Raises Unavailable EVENT_SHARE_USED when it has that,
        OVERLOADED when too much waits, Refused when a message can never be sent; then none is queued.
        """
        size = 0
        for subject, payload, _ in items:
            if " " in subject or not subject.isprintable():
                raise Refused("SUBJECT_INVALID", f"{subject!r} is not a subject")
            if len(payload) > MAX_PAYLOAD:
                raise Refused("EVENT_TOO_LARGE", f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
            size += len(payload)
        full = self._pending + len(items) > self._max_pending or self._pending_bytes + size > PENDING_BYTES
        if self._stopping or (full and self._pending):
            raise Unavailable("OVERLOADED", f"{self._pending} messages wait for the stream", retry_after=1)
        of_sender = self._queue.pending(sender)
        if sender and of_sender and of_sender + len(items) > self._max_pending * SENDER_PART:
            raise Unavailable("EVENT_SHARE_USED", f"{of_sender} events of {sender} wait for the stream", retry_after=1)
        submission = Submission(items, size, time.monotonic() + self._patience, sender)
        if not items:
            submission.future.set_result([])
            return submission.future
        self._pending += len(items)
        self._pending_bytes += size
        submission.future.add_done_callback(lambda _: self._release(submission))
        self._queue.put(submission)
        self._work.set()
        return submission.future

    def _release(self, submission: Submission) -> None:
        self._pending -= len(submission.items)
        self._pending_bytes -= submission.size
        self._queue.settled(submission)

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._work.clear()
                await self._work.wait()
                continue
            group = self._take()
            if not group:
                continue
            try:
                with commit_step(group):
                    await self._commit(group)
            except Exception as error:  # noqa: BLE001 - the committer must outlive any defect; nobody may wait for ever
                _log.error("commit_failed", exc_info=error)
                _settle_rest(group, Unavailable("BROKER_UNAVAILABLE", "the commit failed", retry_after=1))
            except asyncio.CancelledError:
                _settle_rest(group, Unavailable("BROKER_UNAVAILABLE", "the process is stopping", retry_after=2))
                raise

    def _take(self) -> list[Entry]:
        """The next group, senders in turn; what nobody waits for any more is left out."""
        group: list[Entry] = []
        size = used = 0  # bytes; messages of the turn
        now = time.monotonic()
        while self._queue:
            submission = self._queue.next()
            if submission.future.done() or submission.deadline < now:
                if self._queue.done(submission):
                    used = 0
                _fail(submission, Unavailable("BROKER_UNAVAILABLE", "the stream did not answer in time", retry_after=2))
                continue
            turn = self._queue.turn
            end = min(len(submission.items), submission.taken + turn - used)
            while submission.taken < end:
                size += len(submission.items[submission.taken].payload)
                if group and (len(group) == self._max_batch or size > GROUP_BYTES):
                    if used:  # a sender that found the group full is the first of the next one
                        self._queue.rotate()
                    return group
                group.append((submission, submission.taken))
                submission.taken += 1
                used += 1
            if submission.taken == len(submission.items) and self._queue.done(submission):
                used = 0
            elif used >= turn:
                self._queue.rotate()
                used = 0
        return group

    async def _commit(self, group: list[Entry]) -> None:
        started = time.monotonic()
        if len(group) <= FEW:
            await publish_singly(self._broker, group)
            metrics.COMMIT_SECONDS.observe(time.monotonic() - started)
            metrics.COMMIT_MESSAGES.observe(len(group))
            return
        reason = "recent_failure"
        if started >= self._singly_until:
            try:
                last = await self._commit_batch(group)
            except PenstockError as error:
                reason = error.code.lower()
                self._singly_until = time.monotonic() + AFTER_FAILURE
                _log.warning("batch_failed", code=error.code, reason=error.detail, messages=len(group))
            else:
                metrics.COMMIT_SECONDS.observe(time.monotonic() - started)
                metrics.COMMIT_MESSAGES.observe(len(group))
                first = last.sequence - len(group) + 1
                for offset, (submission, index) in enumerate(group):
                    submission.settle(index, Stored(last.stream, first + offset))
                return
        metrics.COMMIT_FALLBACKS.labels(reason).inc()
        await publish_singly(self._broker, group)

    async def _commit_batch(self, group: list[Entry]) -> Stored:
        """Sends the group as one batch; returns where its last message is. Raises PenstockError: nothing is known
        then."""
        patience = min(submission.deadline for submission, _ in group) - time.monotonic()
        await self._broker.wait_connected(patience)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        submission, index = group[-1]
        reply = self._broker.expect(resolve(answer), submission.items[index].subject)
        batch = os.urandom(16).hex()
        try:
            # At once: whoever the last batch was stored for is being answered in this turn of the loop, and meanwhile
            # the server could be at work.
            self._broker.write(_batch_bytes(group, batch, reply), now=True)
            async with asyncio.timeout(max(patience / 2, 0.1)):  # the other half is for the second try
                message = await answer
        except TimeoutError:
            raise Unavailable("TIMED_OUT", "no answer to a batch") from None
        finally:
            self._broker.forget(reply)
        return _batch_stored(message, batch, len(group))


def _batch_bytes(group: list[Entry], batch: str, reply: str) -> bytes:
    head = f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: "
    operations = []
    for number, (submission, index) in enumerate(group, 1):
        subject, payload, headers = submission.items[index]
        lines = f"{head}{number}\r\n".encode()
        if headers:
            lines += encode_headers(headers)
        if number == len(group):
            operations.append(publication(subject, payload, reply, lines + b"Nats-Batch-Commit: 1\r\n"))
        else:
            operations.append(publication(subject, payload, "", lines))
    return b"".join(operations)


def _batch_stored(message: Message, batch: str, count: int) -> Stored:
    """The server's answer to a commit: it must be about this batch and about all of it."""
    try:
        body = orjson.loads(message.data)
        if "error" not in body:
            if body["batch"] == batch and body["count"] == count:
                return Stored(body["stream"], body["seq"])
            raise Unavailable("BROKER_UNAVAILABLE", f"the stream answered about another batch: {body}")
    except (ValueError, KeyError, TypeError):
        raise Unavailable("BROKER_UNAVAILABLE", "no stream answered to the batch") from None
    raise error_of(body["error"], "batch")


def _fail(submission: Submission, error: PenstockError) -> None:
    for index in range(len(submission.items)):
        submission.settle(index, error)


def _settle_rest(group: list[Entry], error: PenstockError) -> None:
    for submission, index in group:
        submission.settle(index, error)
