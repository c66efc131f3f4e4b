"""run whose source is the store → pages of Cassandra's partitions, in order → REPLAY → the target's lane

How far it is stands in the bucket, written after each page: a leader that takes over goes on behind the last page, and
feeds at most one page again, which changes no sum.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import orjson
import structlog

from penstock.broker import if_there
from penstock.errors import NoResponder, PenstockError
from penstock.replay.ledger import Ledger
from penstock.replay.origin import STREAM_NAME
from penstock.replay.run import Run
from penstock.rpc.messages import ReplayRange, StoreSelection
from penstock.services.operator.replay import store_pages
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.supply import Supplied
from penstock.stopping import end_tasks

_log = structlog.get_logger("penstock.operator.replay")

AHEAD_SECONDS = 2.0  # of the run's rate that may wait on REPLAY,
AHEAD_LEAST, AHEAD_MOST = 500, 20_000  # but so many messages at least and at most
TURN_SECONDS = 1.0  # of feeding at a time
WAIT_SECONDS = 0.3  # that a look waits for it


class FromStore:
    """Feeds one run. Only a running one is fed, and no further ahead than its target needs."""

    def __init__(self, runs: Runs, run: Run) -> None:
        if run.store is None:
            raise ValueError(f"run {run.id} has no selection of the store")
        self._runs = runs
        self._pages = store_pages.Pages(runs.broker)
        self.read(run.store)
        self._place = Place()
        self._revision = -1  # of the place in the bucket; -1: not read yet
        self._turn: asyncio.Task[None] | None = None
        self._fault = ""  # why the last page was not fed

    def read(self, selection: StoreSelection) -> None:
        """What is read, from its beginning."""
        self.selection = selection
        self._places = store_pages.partitions(selection)

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """Nothing has to be made."""
        del slot
        return run.ranges

    async def look(self, run: Run, ledger: Ledger) -> Supplied:
        """Feeds for a moment, where there is room."""
        del ledger
        info = await self._runs.broker.jetstream.consumer_info(STREAM_NAME, run.target)
        waiting = info.pending + info.ack_pending
        ahead = int(min(max(run.rate * AHEAD_SECONDS, AHEAD_LEAST), AHEAD_MOST))
        if run.state == "running" and not self._place.done and (self._turn is None or self._turn.done()):
            self._turn = asyncio.create_task(self._feed(run, ahead - waiting), name=f"feed {run.id}")
        if self._turn is not None:
            await asyncio.wait([self._turn], timeout=WAIT_SECONDS)
        place = self._place
        counted = place.done and place.fed == run.planned
        if place.done and not counted:
            await self._runs.recount(run.id, place.streams, self._recounted(run))
        return Supplied(
            left=max(run.planned - place.fed, 0) + info.pending,
            in_hand=info.ack_pending,
            settled=place.done and not waiting,
            counted=counted,
            why=self._fault,
        )

    async def close(self, run: Run, ledger: Ledger) -> None:
        """Ends what is being fed. What lies on REPLAY is passed over by the target's next run."""
        del run, ledger
        await end_tasks(self._turn)

    def _recounted(self, run: Run) -> str:
        difference = self._place.fed - run.planned
        if difference < 0:
            return f"{-difference} records were replaced since the plan by newer ones of their key, and are left out"
        return f"{difference} records were stored between the plan and the beginning of the run"

    async def _feed(self, run: Run, room: int) -> None:
        """Feeds up to `room` records. What fails is tried again at the next look."""
        until = time.monotonic() + TURN_SECONDS
        try:
            await self._read_place(run)
            streams = store_pages.bounds_of(run.ranges, self.selection)
            while room > 0 and not self._place.done and time.monotonic() < until:
                place = self._places[self._place.part] if self._place.part < len(self._places) else None
                if place is None:
                    await self._save(run, self._place.ended())
                    return
                page = await self._pages.ask(
                    place, self._place.after, streams, self.selection, run=run.id, target=run.target, most=room
                )
                streams_fed = {span.stream: span.count for span in page.streams}
                await self._save(run, self._place.behind(page.last_key, page.end, streams_fed))
                room -= page.matched
                self._fault = ""
        except PenstockError as error:
            if error.code == "CONFLICT":  # another leads, and is further
                self._revision = -1
            else:
                silent = isinstance(error, NoResponder)
                self._fault = f"no records come from the writers: {'is one running?' if silent else error.detail}"
            _log.warning("store_not_fed", run=run.id, code=error.code, reason=error.detail)

    async def _read_place(self, run: Run) -> None:
        if self._revision >= 0:
            return
        entry = await if_there(self._runs.keys.get(_key(run)))
        if entry is None:
            self._revision = 0
        else:
            self._place, self._revision = Place.decode(entry.value), entry.revision

    async def _save(self, run: Run, place: Place) -> None:
        self._revision = await self._runs.keys.put(_key(run), place.encode(), expected=self._revision)
        self._place = place


class Place:
    """How far a run has read: the number of a partition, the last key in it, and what was fed by stream."""

    def __init__(
        self, part: int = 0, after: str | None = None, streams: Counter[str] | None = None, done: bool = False
    ) -> None:
        self.part = part
        self.after = after
        self.streams: Counter[str] = streams if streams is not None else Counter()
        self.done = done

    @property
    def fed(self) -> int:
        """Records fed so far, each once."""
        return self.streams.total()

    def behind(self, last_key: str | None, end: bool, streams: dict[str, int]) -> Place:
        """The place behind a page."""
        fed = self.streams + Counter(streams)
        return Place(self.part + 1, None, fed) if end else Place(self.part, last_key, fed)

    def ended(self) -> Place:
        """Everything is fed."""
        return Place(self.part, None, self.streams, done=True)

    def encode(self) -> bytes:
        """As the bucket keeps it."""
        return orjson.dumps({"part": self.part, "after": self.after, "streams": self.streams, "done": self.done})

    @classmethod
    def decode(cls, value: bytes) -> Place:
        """From the bucket."""
        body = orjson.loads(value)
        return cls(body["part"], body["after"], Counter(body["streams"]), body["done"])


def _key(run: Run) -> str:
    return f"feed.{run.id}"
