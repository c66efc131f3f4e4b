"""What is being tried alone, remembered across the death of the process: one small file per message.

A message that kills its worker leaves its file behind; the next process finds it and counts. Written without a sync:
it has to outlive the process, not the machine. Replicas on one machine share the folder; elsewhere each counts for
itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import structlog

_log = structlog.get_logger("penstock.consume.crash_counter")

KEPT_SECONDS = 8 * 24 * 3600  # longer than a stream keeps its messages


class CrashCounter:
    """The record of tries under `folder`. `alone` is held during a try: one in the whole process at a time."""

    def __init__(self, folder: Path) -> None:
        self.alone = asyncio.Lock()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()

    def begin(self, stream: str, consumer: str, sequence: int) -> int:
        """Notes that a try begins; returns how many earlier ones never ended."""
        path = self._path(stream, consumer, sequence)
        unfinished = 0
        try:
            with contextlib.suppress(FileNotFoundError, ValueError):
                unfinished = int(path.read_text())
            path.write_text(str(unfinished + 1))
        except OSError as error:  # a full disk must not stop the lane; it only makes it forget
            _log.error("crash_count_write_failed", path=str(path), reason=str(error))
        return unfinished

    def end(self, stream: str, consumer: str, sequence: int) -> None:
        """Notes that the process survived the try."""
        with contextlib.suppress(OSError):
            self._path(stream, consumer, sequence).unlink(missing_ok=True)

    def _path(self, stream: str, consumer: str, sequence: int) -> Path:
        return self._folder / f"{stream}.{consumer}.{sequence}"
