"""Generated passwords: one file each in <state>/secrets, readable by the owner only, never printed."""

from __future__ import annotations

import os
import secrets

from penstock.stack.place import Place


def password(place: Place, name: str) -> str:
    """The password of that name; made at the first call."""
    path = place.folder("secrets") / name
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(value := secrets.token_urlsafe(24))
        file.flush()
        os.fsync(file.fileno())  # a password that the server knows and the disk does not would lock us out
    return value
