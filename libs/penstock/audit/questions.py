"""A request for stored data → its record, while AUDIT has more room than the reserve.

The reserve is for those who connect, for denials, changes and seals: requests end before it, so that they alone can
never keep anybody from connecting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from penstock.audit import record
from penstock.audit.hash_chain import STREAM
from penstock.broker import Broker
from penstock.errors import PenstockError, Unavailable

RESERVE = 0.1  # of max_bytes
LOOK_SECONDS = 60.0  # in which requests write far less than the reserve
FULL_LOOK_SECONDS = 5.0  # while there is no room: more may be made any time
LOOK_TIMEOUT = 2.0

_log = structlog.get_logger("penstock.audit.questions")


class Questions:
    """The requests that are recorded over one connection. `clock` gives seconds."""

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._look_at = 0.0
        self._refusal = ""

    async def write(self, actor: str, **members: Any) -> None:
        """Returns when the record is on disk.

        Raises Unavailable when it could not be stored, STREAM_FULL where only the reserve is left; then the request
        must not be answered.
        """
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + LOOK_SECONDS  # the others do not wait for this look
            await self._look()
        if self._refusal:
            raise Unavailable("STREAM_FULL", self._refusal, retry_after=int(FULL_LOOK_SECONDS))
        await record.write(self._broker, "query", actor, **members)

    async def _look(self) -> None:
        try:
            stream = await self._broker.jetstream.stream_info(STREAM, timeout=LOOK_TIMEOUT)
        except PenstockError as error:  # whether the record can be stored, the write shows
            _log.warning("audit_size_unknown", code=error.code, reason=error.detail)
            if self._refusal:
                self._look_at = self._clock() + FULL_LOOK_SECONDS
            return
        most = int(stream.config["max_bytes"])
        self._refusal = ""
        if most > 0 and stream.bytes > (1 - RESERVE) * most:
            self._look_at = self._clock() + FULL_LOOK_SECONDS
            used = f"{STREAM} has {stream.bytes} of {most} bytes"
            self._refusal = f"{used}; the last {RESERVE:.0%} are not for requests, so this one cannot be recorded"
            _log.error("audit_reserve_reached", bytes=stream.bytes, max_bytes=most)
