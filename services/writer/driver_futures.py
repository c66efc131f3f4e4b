"""answers on the driver's thread → futures of the event loop, with one wake-up for all that come together."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from cassandra.cluster import ResponseFuture

_Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Bridge:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._answers: deque[_Answer] = deque()
        self._woken = False

    def future(self, response: ResponseFuture) -> asyncio.Future[Any]:
        """Resolves with the first page of rows, or raises what the driver reports."""
        future: asyncio.Future[Any] = self._loop.create_future()
        response.add_callbacks(self._came, self._failed, callback_args=(future,), errback_args=(future,))
        return future

    # On the driver's thread; must neither block nor raise.

    def _came(self, rows: Any, future: asyncio.Future[Any]) -> None:
        self._hand_over((future, rows, None))

    def _failed(self, error: BaseException, future: asyncio.Future[Any]) -> None:
        self._hand_over((future, None, error))

    def _hand_over(self, answer: _Answer) -> None:
        self._answers.append(answer)
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._deliver)

    # On the loop's thread.

    def _deliver(self) -> None:
        self._woken = False  # before the queue is emptied: an answer that comes now wakes again
        while self._answers:
            future, rows, error = self._answers.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(rows)
            else:
                future.set_exception(error)
