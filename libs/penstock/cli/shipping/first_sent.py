"""The time that a file's records without one were given when it was first sent, so that they are the same events again.

One small file for each source, in $XDG_STATE_HOME/penstock/sent. A file is known by its beginning, also when it has
grown or has another name. Where nothing can be kept, the time of the file's last change holds.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import sha256
from pathlib import Path

import orjson

from penstock import atomic_file

HEAD = 4096  # bytes by which a file is known
_MOST = 100  # files of one source, as rotation makes them


def time_of(source: str, head: bytes, written_ns: int) -> int:
    """`written_ns`, or what it was when this file was sent before; `head` is its first HEAD bytes."""
    path = _folder() / f"{sha256(source.encode()).hexdigest()[:40]}.json"
    head = head[:HEAD]
    known: list[list[int | str]] = []
    with contextlib.suppress(OSError, ValueError):
        known = orjson.loads(path.read_bytes())
    time_ns = written_ns
    for entry in known:
        length, digest, first_ns = entry
        if int(length) <= len(head) and _digest(head[: int(length)]) == digest:
            time_ns = int(first_ns)
            if length == len(head):
                return time_ns
            known.remove(entry)
            break
    known.append([len(head), _digest(head), time_ns])
    with contextlib.suppress(OSError):
        atomic_file.replace(path, orjson.dumps(known[-_MOST:]))
    return time_ns


def _digest(head: bytes) -> str:
    return sha256(head).hexdigest()[:32]


def _folder() -> Path:
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".local/state") / "penstock" / "sent"
