"""The keys accepted lately, so that a sender who tries again is told `duplicate` and the fleet is spared the work."""

from __future__ import annotations

from penstock.broker import Stored


class Recent:
    """Keys with where they are stored: the last `size` of them, and up to as many more.

    Two dictionaries that take turns cost less than moving each key to the end of one. A key that is forgotten does no
    harm, since every store writes by key.
    """

    def __init__(self, size: int = 32_768) -> None:
        self._size = size
        self._young: dict[str, Stored] = {}
        self._old: dict[str, Stored] = {}

    def get(self, key: str) -> Stored | None:
        """Where the event was stored when it came before."""
        return self._young.get(key) or self._old.get(key)

    def put(self, key: str, stored: Stored) -> None:
        """Remembers an event that is on disk."""
        self._young[key] = stored
        if len(self._young) >= self._size:
            self._old, self._young = self._young, {}
