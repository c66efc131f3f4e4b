"""The connections of one server: how many there may be, how long each may wait, and who makes room for a newcomer.

Nobody has shown credentials yet when a connection begins, so one that waits for its client is worth nothing to anybody
else: when there are as many as there may be, the one that has waited longest is closed for each that begins. Only when
all of them are at work on requests is a newcomer refused; then a reserve is left in which health checks are answered.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Collection
from enum import Enum
from typing import Protocol

from penstock.services.ingress import metrics
from penstock.services.ingress.settings import IngressSettings

SWEEP_SECONDS = 0.5
ROOM = 32  # connections that are closed at one time, so that a flood of newcomers costs little
HEALTH = frozenset({"/livez", "/readyz", "/metrics"})  # what the reserve is for


class Phase(Enum):
    """What a connection waits for."""

    FIRST_BYTE = "first_byte"  # of its client, ever
    HEAD = "head"  # for the rest of a request's head, or of a body that nobody reads any more
    IDLE = "idle"  # for the next request
    READER = "reader"  # for its client to read
    ANSWER = "answer"  # for us


class Connection(Protocol):
    """One client's."""

    since: float  # time of the event loop at which it began, or `sign` was first seen
    sign: object

    def phase(self) -> Phase:
        """Now."""

    def progress(self) -> object:
        """Another value as soon as the client has done something."""

    def close(self) -> None:
        """At once; the server no longer counts it."""


class Connections:
    """The bounds. `of_server` are the connections that the server has."""

    def __init__(self, settings: IngressSettings) -> None:
        self._most = settings.ingress_connections
        self._reserve = settings.ingress_connections_reserve
        self._seconds = {
            Phase.FIRST_BYTE: settings.ingress_first_byte_seconds,
            Phase.HEAD: settings.ingress_head_seconds,
            Phase.READER: settings.ingress_reader_seconds,
        }

    def is_full(self, of_server: Collection[object]) -> bool:
        """Whether only the reserve is left."""
        return len(of_server) > self._most

    def admit(self, newcomer: Connection, of_server: Collection[Connection]) -> None:
        """Makes room for it, or closes it if there is none."""
        if len(of_server) <= self._most:
            return
        waiting = [each for each in of_server if each is not newcomer and each.phase() in _WORTHLESS]
        for each in heapq.nsmallest(ROOM, waiting, key=lambda each: (each.phase() is Phase.IDLE, each.since)):
            _close(each, "made_room")
        if len(of_server) > self._most + self._reserve:
            _close(newcomer, "no_room")

    def sweep(self, of_server: Collection[Connection], now: float) -> None:
        """Closes those that have waited too long."""
        for each in list(of_server):
            phase, sign = each.phase(), each.progress()
            if phase is not Phase.FIRST_BYTE and sign != each.sign:
                each.sign, each.since = sign, now
            elif now - each.since >= self._seconds.get(phase, float("inf")):
                _close(each, phase.value)

    async def watch(self, of_server: Collection[Connection]) -> None:
        """Sweeps until it is cancelled."""
        metrics.CONNECTIONS.set_function(lambda: len(of_server))
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(of_server, loop.time())


_WORTHLESS = (Phase.FIRST_BYTE, Phase.HEAD, Phase.IDLE)


def _close(connection: Connection, why: str) -> None:
    metrics.CONNECTIONS_CLOSED.labels(why).inc()
    connection.close()
