"""A file that one process at a time holds, for as long as it works on what lies beside it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import Unavailable

SECONDS = 10.0
_PAUSE = 0.02


@contextmanager
def locked(path: Path, seconds: float | None = None) -> Iterator[None]:
    """Holds the lock file `path` (made with mode 600, as whoever can open it can hold it) until the block ends.

    Raises Unavailable FILE_LOCKED when another process still has it after `seconds` (default: SECONDS).
    """
    seconds = SECONDS if seconds is None else seconds
    deadline = time.monotonic() + seconds
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        "FILE_LOCKED", f"another process has held {path} for {seconds:g} s", retry_after=seconds
                    ) from None
                time.sleep(_PAUSE)
        yield
