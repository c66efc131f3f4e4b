"""How far a run to a subscriber is, as the bucket keeps it: what was sent, and what of that is not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from penstock.broker import Keys, if_there
from penstock.errors import Refused
from penstock.replay import sequence_set


@dataclass(frozen=True, slots=True)
class Page:
    """Messages that were sent together: `end` is the highest sequence that one of them has on REPLAY, `at` when they
    were sent, Unix seconds, `bytes` their payloads'."""

    end: int
    at: int
    stream: str
    sequences: tuple[int, ...]
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """`part` and `after`: the range of the run, and the last sequence in it that was sent or left out. `life`: of
    REPLAY, from its creation on. `closed`: the run has ended, and what is still on REPLAY is taken back."""

    part: int = 0
    after: int = 0
    fed: int = 0
    done: bool = False
    closed: bool = False
    life: str = ""
    pages: tuple[Page, ...] = ()

    @property
    def bytes_ahead(self) -> int:
        """Of the payloads that are not acknowledged."""
        return sum(page.bytes for page in self.pages)

    def behind(self, after: int, fed: int, page: Page | None) -> Place:
        """The place behind a page; None: nothing of it had to be sent."""
        pages = self.pages if page is None else (*self.pages, page)
        return replace(self, after=after, fed=self.fed + fed, pages=pages)

    def next_part(self, parts: int) -> Place:
        """The place at the beginning of the next range, or at the end of the last."""
        return replace(self, part=self.part + 1, after=0, done=self.part + 1 >= parts)

    def acknowledged(self, floor: int, oldest: int, life: str) -> list[Page]:
        """The pages at or below `floor`; never those sent before `oldest` (Unix seconds), which may have expired
        instead, and none that were sent to another REPLAY than that of `life`."""
        if life != self.life:
            return []
        return [page for page in self.pages if page.end <= floor and page.at >= oldest]

    def without(self, pages: Sequence[Page]) -> Place:
        """The place when these pages are acknowledged."""
        return replace(self, pages=tuple(page for page in self.pages if page not in pages))


class Places:
    """Reads and writes the place of one run, by compare-and-set."""

    def __init__(self, keys: Keys, run: str) -> None:
        self.place = Place()
        self._keys = keys
        self._key = f"feed.{run}"
        self._revision = -1  # not read yet
        self._one = asyncio.Lock()  # at a time changes it

    async def read(self) -> Place:
        """The place; it is read from the bucket once, and again after a conflict."""
        if self._revision >= 0:
            return self.place
        entry = await if_there(self._keys.get(self._key))
        if entry is None:
            self.place, self._revision = Place(), 0
        else:
            body = orjson.loads(entry.value)
            pages = [
                Page(**{**each, "sequences": tuple(sequence_set.decode(each["sequences"]))}) for each in body["pages"]
            ]
            self.place, self._revision = Place(**{**body, "pages": tuple(pages)}), entry.revision
        return self.place

    async def change(self, change: Callable[[Place], Place]) -> None:
        """Writes the place as `change` makes it. Raises Refused CONFLICT when another leads, and is further."""
        async with self._one:
            await self._write(change(await self.read()))

    async def _write(self, place: Place) -> None:
        pages = [
            {name: getattr(page, name) for name in ("end", "at", "stream", "bytes")}
            | {"sequences": sequence_set.encode(page.sequences)}
            for page in place.pages
        ]
        members = {name: getattr(place, name) for name in ("part", "after", "fed", "done", "closed", "life")}
        try:
            value = orjson.dumps({**members, "pages": pages})
            self._revision = await self._keys.put(self._key, value, expected=self._revision)
        except Refused:
            self._revision = -1
            raise
        self.place = place
