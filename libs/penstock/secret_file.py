"""A secret in a file of its own, mode 600: written once, the same for two processes that start at once."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from penstock import atomic_file
from penstock.errors import Refused


def ensure(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of the file; `make` gives it where there is no file. Raises as `read` does."""
    if not path.exists():
        atomic_file.create(path, make())
    return read(path)


def read(path: Path) -> bytes:
    """The content without the white space around it. Raises Refused CREDENTIALS_INVALID: absent, empty, not private."""
    try:
        mode, content = stat.S_IMODE(path.stat().st_mode), path.read_bytes().strip()
    except OSError as error:
        raise Refused("CREDENTIALS_INVALID", f"{path} cannot be read: {error.strerror}") from None
    if mode & 0o007:
        raise Refused("CREDENTIALS_INVALID", f"{path} may be read by anyone; its mode must be 600")
    if not content:
        raise Refused("CREDENTIALS_INVALID", f"{path} is empty")
    return content


class Followed:
    """The content of a file that may be replaced while the process runs; a file that breaks leaves the last content.

    Raises Refused CREDENTIALS_INVALID at the start, as `read` does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._value = read(path).decode()
        self._seen = version(path)

    def value(self) -> str:
        """The content as it is now; costs one stat."""
        if (now := version(self._path)) != self._seen:
            self._seen = now
            with suppress(Refused):
                self._value = read(self._path).decode()
        return self._value


def version(path: Path) -> tuple[int, int, int] | None:
    """Another value for another content, without reading it; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def random_text() -> bytes:
    """A new secret: 192 random bits as text."""
    return secrets.token_urlsafe(24).encode()
