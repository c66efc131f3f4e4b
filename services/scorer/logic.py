"""EVENTS_HTTP, EVENTS_NATS → features → model → score record → SCORES

Lanes hand in batches; what is handed in within a few milliseconds goes through the model together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from penstock.consume import Done, Drop, Outcome, Retry
from penstock.errors import PenstockError, Unavailable
from penstock.events import Event
from penstock.publish import GroupCommitter, Result
from penstock.recent_cache import RecentCache
from penstock.scoring.features import Extractor
from penstock.services.scorer import metrics
from penstock.services.scorer.model import Model
from penstock.services.scorer.records import Scored, score_records
from penstock.telemetry import traces

GATHER_SECONDS = 0.002
GATHERED_MOST = 1_024  # events in one turn of the model; more are left for the next

Handle = Callable[[list[Event]], Awaitable[list[Outcome]]]
Receipts = tuple[Sequence[Event], "asyncio.Future[list[Scored]]", float]  # since when, by the loop's clock


def score(events: Sequence[Event], extractor: Extractor, model: Model) -> list[Scored]:
    """The score records of events. Pure: the same events and model give the same records."""
    features = extractor.extract((event.type.type, event.value, event.entity) for event in events)
    return score_records(events, features, model.answer(features), model.identity)


class Scorer:
    """Scores and publishes. There is nothing to score with, and nothing is to be handed in, before `loaded` is set."""

    def __init__(self, extractor: Extractor, committer: GroupCommitter, *, recent: int) -> None:
        self.extractor = extractor
        self.loaded = asyncio.Event()
        self._committer = committer
        self._model: Model | None = None
        self._waiting: list[Receipts] = []
        self._turn_due = False
        self._capacity = max(recent // 2, 1)
        self.handle = self.handler()

    @property
    def model(self) -> Model | None:
        """The version that scores now."""
        return self._model

    def use(self, model: Model) -> None:
        """Scores with another version from now on; batches in flight finish with the one they began with."""
        self._model = model
        self.loaded.set()

    def handler(self) -> Handle:
        """A handler that remembers which events it has scored. What others have scored, it scores again."""
        by: Model | None = None
        recent: RecentCache[str, float] = RecentCache(self._capacity)  # keys → scores by that model, which are stored

        async def handle(events: list[Event]) -> list[Outcome]:
            """One outcome per event: Done once its score is stored. Raises Unavailable while there is no model."""
            nonlocal by, recent
            if self._model is not by:
                by, recent = self._model, RecentCache(self._capacity)
            cache = recent
            known = [cache.get(event.key) for event in events]
            fresh = [event for event, score in zip(events, known, strict=True) if score is None]
            outcomes = iter(await self._publish(fresh, cache) if fresh else ())
            return [
                next(outcomes) if score is None else _done(event, score)
                for event, score in zip(events, known, strict=True)
            ]

        return handle

    async def _publish(self, events: list[Event], recent: RecentCache[str, float]) -> list[Outcome]:
        with traces.step("score", "internal", self._about_model()):
            scored = await self._scored(events)
        try:
            with traces.send_step("SCORES", len(scored)):
                results = await self._committer.submit([one.outgoing for one in scored])
        except Unavailable as error:
            return [Retry(error.retry_after or 1.0, error.detail)] * len(events)
        outcomes = []
        for event, one, result in zip(events, scored, results, strict=True):
            outcomes.append(_settled(event, one, result))
            if isinstance(outcomes[-1], Done):
                recent.put(event.key, one.score)
        return outcomes

    def _about_model(self) -> traces.Attributes | None:
        model = self._model
        if model is None or traces.current() is None:
            return None
        return {"penstock.model.name": model.identity.name, "penstock.model.version": model.identity.version}

    def _scored(self, events: Sequence[Event]) -> asyncio.Future[list[Scored]]:
        """The records of events, by the next turn of the model."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Scored]] = loop.create_future()
        self._waiting.append((events, future, loop.time()))
        if not self._turn_due:
            self._turn_due = True
            loop.call_later(GATHER_SECONDS, self._turn)
        return future

    def _turn(self) -> None:
        taken, count = 0, 0
        while taken < len(self._waiting) and (not taken or count + len(self._waiting[taken][0]) <= GATHERED_MOST):
            count += len(self._waiting[taken][0])
            taken += 1
        turn, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._turn_due = bool(self._waiting)
        if self._waiting:  # other work of the loop comes in between
            asyncio.get_running_loop().call_later(0, self._turn)
        now = asyncio.get_running_loop().time()
        for _, _, since in turn:
            metrics.QUEUE_SECONDS.observe(now - since)
        started = time.perf_counter()
        try:
            if self._model is None:
                raise Unavailable("MODEL_UNAVAILABLE", "no model is loaded yet", retry_after=1)
            records = iter(score([event for events, _, _ in turn for event in events], self.extractor, self._model))
        except Exception as error:  # noqa: BLE001  every waiting lane must get the error, and keeps its messages
            for _, future, _ in turn:
                if not future.done():
                    future.set_exception(error)
            return
        for events, future, _ in turn:
            own = [next(records) for _ in events]
            if not future.done():
                future.set_result(own)
        metrics.MODEL_SECONDS.observe(time.perf_counter() - started)
        metrics.SCORED.inc(count)


def _settled(event: Event, scored: Scored, result: Result) -> Outcome:
    if not isinstance(result, PenstockError):
        return _done(event, scored.score)
    if result.retriable:
        return Retry(result.retry_after or 1.0, result.detail)
    return Drop(result.code, f"its score cannot be stored: {result.detail}")


def _done(event: Event, score: float) -> Done:
    return Done({"stage": "scored", "key": event.key, "score": score} if event.reply_to else None)
