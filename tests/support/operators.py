"""Operators as processes of their own on a rig's server, to be killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.stack import http_probe, process
from tests.support.broker_rig import Rig


class Operators:
    """Processes `operator_<number>`; the first that starts leads."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def start(self, number: int = 0) -> None:
        """Starts one, and waits until it is ready: until somebody leads."""
        place = self.rig.place
        port = place.local_port("operator", number)
        child = process.Child(
            name=f"operator_{number}",
            command=(sys.executable, "-m", "penstock.services.operator"),
            ports={"HTTP": port},
            environment={"PENSTOCK_PORT": str(port), "PENSTOCK_INSTANCE": str(number)},
        )
        record = process.start(place, child)
        process.wait_ready(place, record, lambda: (http_probe.get(port, "/readyz") or (0, b""))[0] == 200, 60)

    def kill(self, number: int = 0) -> None:
        """SIGKILL."""
        self.rig.processes.kill(f"operator_{number}")

    def end(self, number: int = 0) -> None:
        """SIGKILL if it runs; returns when it is gone, so that another may take its name and port."""
        record = process.alive(self.rig.place, f"operator_{number}")
        if record is not None:
            process.kill(record)


@contextmanager
def two_operators(rig: Rig) -> Iterator[Operators]:
    """Two of them, ended at the end."""
    operators = Operators(rig)
    try:
        for number in range(2):
            operators.start(number)
        yield operators
    finally:
        for number in range(2):
            operators.end(number)
