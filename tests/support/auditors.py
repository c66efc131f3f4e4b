"""Auditors as processes of their own on a rig's server, and what they put onto the trail."""

from __future__ import annotations

import sys
from typing import Any

import orjson

from penstock.broker import StoredMessage
from penstock.stack import http_probe, process
from tests.support.broker_rig import Rig
from tests.support.records import records_of
from tests.support.until import until

SECONDS = 0.3  # of a window, and between seals


class Auditors:
    """Processes `auditor_<number>`, and the records since `first`."""

    def __init__(self, rig: Rig, first: int) -> None:
        self.rig = rig
        self.first = first

    def start(self, number: int = 0) -> None:
        """Starts one, and waits until it is ready."""
        place = self.rig.place
        port = place.local_port("auditor") + number
        child = process.Child(
            name=f"auditor_{number}",
            command=(sys.executable, "-m", "penstock.services.auditor"),
            ports={"HTTP": port},
            environment={
                "PENSTOCK_PORT": str(port),
                "PENSTOCK_AUDIT_SECONDS": str(SECONDS),
                "PENSTOCK_NATS_LOG_FILE": str(place.log("nats")),
            },
        )
        record = process.start(place, child)
        process.wait_ready(place, record, lambda: http_probe.answers(port, "/readyz"), 60)

    def kill(self, number: int = 0) -> None:
        """SIGKILL."""
        self.rig.processes.kill(f"auditor_{number}")

    async def messages(self, subject: str = "audit.auditor.>") -> list[StoredMessage]:
        """What is on the trail under the subject."""
        found: list[StoredMessage] = []
        first = self.first
        while page := await self.rig.core.jetstream.get_many("AUDIT", sequence=first, subject=subject):
            found += page
            first = page[-1].sequence + 1
        records_of(found)
        return found

    async def records(self, what: str) -> list[dict[str, Any]]:
        """The records of one kind."""
        return [orjson.loads(message.data) for message in await self.messages(f"audit.auditor.{what}")]

    async def entry(self, what: str, **members: Any) -> dict[str, Any]:
        """The first entry with these members, as soon as it is there."""

        async def look() -> dict[str, Any] | None:
            entries = [entry for record in await self.records(what) for entry in record["entries"]]
            return next((entry for entry in entries if members.items() <= entry.items()), None)

        return await until(look, 60)

    async def recorded(self, stream: str) -> list[dict[str, Any]]:
        """The windows of a stream, as soon as they go to its end."""
        last = (await self.rig.core.jetstream.stream_info(stream)).last_seq

        async def look() -> list[dict[str, Any]] | None:
            windows = await self.records(f"published.{stream}")
            return windows if windows and windows[-1]["to"] >= last else None

        return await until(look, 60)

    async def sealed(self) -> int:
        """Waits until all that is on the trail now is sealed; up to where."""
        last = (await self.rig.core.jetstream.stream_info("AUDIT")).last_seq

        async def look() -> int | None:
            seals = await self.records("seal")
            return seals[-1]["head"]["sequence"] if seals and seals[-1]["head"]["sequence"] >= last else None

        return await until(look, 60)
