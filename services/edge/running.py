"""The running HAProxy: started with the newest configuration, told to load another one, and seen to have done so."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import NoReturn

from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.errors import PenstockError, Unavailable
from penstock.services.edge.configuration import Folder, binary

POLL_SECONDS = 0.05


def become(folder: Folder) -> NoReturn:
    """This process turns into HAProxy's master: SIGUSR2 reloads, SIGUSR1 ends after the last request, SIGTERM now."""
    folder.process.write_text(str(os.getpid()))
    program = binary()
    os.execv(program, [program, "-W", "-f", str(folder.configuration)])  # noqa: S606


def reload(settings: ElasticsearchSettings, folder: Folder, *, timeout: float = 20.0) -> int:
    """Has the master start a process with the configuration on disk; returns when that process answers: its number.

    The old process takes no new connections, and ends with its last one. Raises Unavailable SERVICE_UNAVAILABLE when
    there is no edge, PenstockError CHILD_NOT_READY when no new process came within `timeout` seconds.
    """
    before = serving(settings)
    master = _master(folder)
    os.kill(master, signal.SIGUSR2)
    deadline = time.monotonic() + timeout
    while True:
        now = serving(settings)
        if now is not None and now != before:
            return now
        if time.monotonic() > deadline:
            raise PenstockError(
                "CHILD_NOT_READY",
                f"the edge did not load its configuration within {timeout:.0f} s; it goes on with the one before, "
                f"and its log says why",
            )
        time.sleep(POLL_SECONDS)


def serving(settings: ElasticsearchSettings) -> int | None:
    """Number of the process that takes new connections now, or None."""
    found = _says(settings).get("process")
    return found if isinstance(found, int) else None


def configuration(settings: ElasticsearchSettings) -> str | None:
    """Name of the configuration that takes new connections now, or None."""
    found = _says(settings).get("configuration")
    return str(found) if found is not None else None


def _says(settings: ElasticsearchSettings) -> dict[str, object]:
    url = f"http://127.0.0.1:{settings.local_port('edge_stats')}/running"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            said: dict[str, object] = json.load(answer)
            return said
    except (OSError, HTTPException, ValueError):
        return {}


def _master(folder: Folder) -> int:
    with suppress(OSError, ValueError):
        master = int(folder.process.read_text())
        # The number may be another program's by now.
        if b"haproxy" in Path(f"/proc/{master}/cmdline").read_bytes().split(b"\0")[0]:
            return master
    raise Unavailable("SERVICE_UNAVAILABLE", f"no edge runs from {folder.root}; `penstock up` starts it")
