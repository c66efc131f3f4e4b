"""the server's log → publishes and subscriptions that were not permitted → audit.auditor.violations.

Best effort: the server tells of violations in its log only. It is followed from its end on, so what is written while no
auditor runs is in the log alone. Beyond MOST a minute violations are counted.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from penstock.audit import record
from penstock.broker import Broker
from penstock.errors import PenstockError
from penstock.per_minute import MINUTE, PerMinute
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.auditor")

EVERY = 2.0  # seconds
MOST = 60
READ = 1024 * 1024  # bytes at a time
# A client chooses its name, which comes first, but no subject has a space: what counts is found from the end.
_LINE = re.compile(
    r'\[ERR\] (?P<host>\S+):\d+ - cid:(?P<cid>\d+) .*"(?P<account>[^"/]*)/[a-z]+:(?P<user>[^"]*)"'
    r' - (?P<kind>Publish|Subscription) Violation.* Subject "(?P<subject>[^ ]*)"'
)


class Violations:
    """Follows one file; one that is replaced is read from its beginning."""

    def __init__(self, broker: Broker, path: Path, names: Mapping[str, str]) -> None:
        self._broker = broker
        self._path = path
        self._names = names
        self._place: tuple[int, int] | None = None  # inode and offset
        self._rest = b""
        self._limit = PerMinute(MOST)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        self._lines()  # goes to the end
        while not stop.is_set():
            await set_within(stop, EVERY)
            entries = [entry for line in self._lines() if (entry := violation(line, self._names)) is not None]
            if entries := self._limited(entries):
                await self._write(entries)

    def _lines(self) -> list[str]:
        try:
            with self._path.open("rb") as file:
                inode = self._path.stat().st_ino
                if self._place is None:
                    self._place = (inode, file.seek(0, 2))
                    return []
                if self._place[0] != inode or file.seek(0, 2) < self._place[1]:
                    self._place, self._rest = (inode, 0), b""
                file.seek(self._place[1])
                data = file.read(READ)
        except OSError:
            return []
        self._place = (inode, self._place[1] + len(data))
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def _limited(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if counted := self._limit.turn():
            said = [{"identity": who, "count": number, "seconds": int(MINUTE)} for who, number in counted.items()]
            entries = said[:MOST] + entries
        return [entry for entry in entries if self._limit.passes(entry["identity"])]

    async def _write(self, entries: list[dict[str, Any]]) -> None:
        try:
            await record.write(self._broker, "violations", None, count=len(entries), entries=entries)
        except PenstockError as error:
            _log.warning("violations_write_failed", code=error.code, reason=error.detail)


def violation(line: str, names: Mapping[str, str]) -> dict[str, Any] | None:
    """The entry of a line, if it tells of one."""
    found = _LINE.search(line)
    if found is None:
        return None
    return {
        "identity": names.get(found["user"], found["user"]),
        "account": found["account"],
        "kind": found["kind"].lower(),
        "subject": found["subject"][:256],
        "connection": int(found["cid"]),
        "host": found["host"],
    }
