"""Submissions that wait, one queue for each sender; senders take turns, so a long queue delays its own sender only."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator

from penstock.publish.submission import Submission

TURN = 250  # messages of one turn while others wait; a sender has its next one when all that wait have had theirs


class SenderQueues:
    """Within one sender the order is that of submission."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Submission]] = {}  # in the order of their next turn; none is empty
        self._pending: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[Submission]:
        for queue in self._queues.values():
            yield from queue

    def pending(self, sender: str) -> int:
        """Messages of the sender that wait or are in flight."""
        return self._pending.get(sender, 0)

    def put(self, submission: Submission) -> None:
        """Behind the sender's others. `settled` has to follow."""
        sender = submission.sender
        self._pending[sender] = self._pending.get(sender, 0) + len(submission.items)
        queue = self._queues.get(sender)
        if queue is None:
            queue = self._queues[sender] = deque()
        queue.append(submission)

    def settled(self, submission: Submission) -> None:
        """All of it has a result."""
        if rest := self._pending[submission.sender] - len(submission.items):
            self._pending[submission.sender] = rest
        else:
            del self._pending[submission.sender]

    def next(self) -> Submission:
        """The first submission of the sender whose turn it is."""
        return next(iter(self._queues.values()))[0]

    def done(self, submission: Submission) -> bool:
        """The one that `next` gave needs no further turn; whether it was its sender's last."""
        queue = self._queues[submission.sender]
        queue.popleft()
        if queue:
            return False
        del self._queues[submission.sender]
        return True

    def rotate(self) -> None:
        """The turn of the next sender."""
        if len(self._queues) > 1:
            sender = next(iter(self._queues))
            self._queues[sender] = self._queues.pop(sender)

    @property
    def turn(self) -> int:
        """Messages of one turn: where nobody else waits, without a bound."""
        return TURN if len(self._queues) > 1 else sys.maxsize
