"""The processes of one place, and what a fault test does to them: kill, start again, signal, freeze."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from penstock.stack import nats, process, up
from penstock.stack.place import Place
from tests.support.until import until


class Processes:
    """Servers and services by name: `nats`, `elasticsearch`, `cassandra`, `indexer_0`."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def kill(self, name: str) -> None:
        """SIGKILL; returns when it is gone."""
        record = process.alive(self.place, name)
        assert record, f"{name} does not run, so it cannot be killed"
        process.kill(record)

    def restart(self, name: str) -> None:
        """Start it again after a kill, with the data that it left, and wait until it is ready."""
        if name == nats.NAME:
            conf = (self.place.state / "nats" / "nats.conf").read_text()  # whichever it was started with
            nats.wait_ready(self.place, nats.start(self.place, conf))
        elif name in up.SERVERS:
            up.start_server(self.place, name)
        else:
            up.start_service(self.place, name)

    def try_signal(self, name: str, number: signal.Signals) -> process.Record | None:
        """Sends a signal to a process that may have ended, even in this moment; None if it has."""
        record = process.alive(self.place, name)
        if record is None:
            return None
        try:
            os.kill(record.pid, number)
        except ProcessLookupError:
            return None
        return record

    def signal(self, name: str, number: signal.Signals) -> process.Record:
        """Sends a signal to a running process."""
        record = self.try_signal(name, number)
        assert record, f"{name} does not run"
        return record

    @asynccontextmanager
    async def frozen(self, name: str) -> AsyncIterator[None]:
        """The process answers nothing meanwhile, as in a long pause of its machine."""
        record = self.signal(name, signal.SIGSTOP)
        try:
            await until(lambda: _all_stopped(record.pid))  # a thread that runs stops a little after the signal
            yield
        finally:
            self.signal(name, signal.SIGCONT)


def _all_stopped(pid: int) -> bool:
    try:
        states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread ended between the listing and the reading
        return False
    return set(states) == {"T"}
