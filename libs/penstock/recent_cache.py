"""A bounded memory of recent answers: two generations of a dict, cheaper per look-up than an LRU."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class RecentCache(Generic[K, V]):
    """Keeps at least the `capacity` newest or lately used entries, and at most twice as many."""

    __slots__ = ("_new", "_old", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value kept under `key`, or None."""
        value = self._new.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keeps `value`; when the newer generation is full, the older one is forgotten."""
        if len(self._new) >= self.capacity:
            self._old = self._new
            self._new = {}
        self._new[key] = value

    def __len__(self) -> int:
        return len(self._new) + len(self._old)
