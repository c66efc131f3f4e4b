"""content → a file that readers find whole: the one before or this one, whenever they look."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace(
    path: Path, content: bytes | str, *, mode: int = 0o600, check: Callable[[Path], None] | None = None
) -> None:
    """Writes the file in place of what is there, and makes its folder. It is on disk before it is in place.

    `check` gets the draft, which is discarded when it raises.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(path, content.encode() if isinstance(content, str) else content, mode)
    try:
        if check is not None:
            check(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def create(path: Path, content: bytes) -> None:
    """Writes the file, mode 600, unless there is one: of two processes that start at once the first one counts."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(path, content, 0o600)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _draft(path: Path, content: bytes, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft
