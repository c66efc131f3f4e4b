"""svc.operator.plan: what is asked for → streams, bounds, filters → counts → a plan with its hash, in the bucket.

Everything that can be refused is refused here, with the next step, and not when the run is under way.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from penstock.broker import Broker
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.replay.plan import sealed
from penstock.rpc.messages import PlanReplay, ReplayCounts, ReplayEffect, ReplayPlan, ReplayRange
from penstock.services.operator.replay import bounds, filters, subscriber_plan
from penstock.services.operator.replay.bounds import Bounds
from penstock.services.operator.replay.breakdown import Breakdown
from penstock.services.operator.replay.counting import Count, Counters
from penstock.services.operator.replay.type_warnings import of_types

SECONDS = 20.0  # for the counts of a plan; what is not known by then is "at least"

# What each worker does with a source in place, and what that needs.
DOES: dict[tuple[str, str], tuple[ReplayEffect, str]] = {
    ("indexer", "events"): ("repair", "index each event again where its document is missing or older"),
    ("indexer", "scores"): ("repair", "index each score again where its document is missing or older"),
    ("writer", "events"): ("repair", "write each event's rows again with their original timestamps"),
    ("writer", "scores"): ("repair", "write each score's rows again with their original timestamps"),
    ("scorer", "events"): ("rescore", "score each event with the model that is active now, in a state of its own"),
}
DELIVERED = "what it does with them is its own"
MUTED = "replies to publishers are muted"
STORE_FACTOR = {
    "repair": 1.0,
    "rescore": 2.0,
    "rebuild": 1.0,
    "deliver": 0.0,
}  # of the messages' bytes, at most: rows or documents that are missing


@dataclass(frozen=True, slots=True)
class _Selected:
    bounds: Bounds
    filters: tuple[str, ...]


class Planner:
    """Makes plans, and counts again for those that are to be applied."""

    def __init__(self, broker: Broker, contracts: Contracts, counters: Counters) -> None:
        self._broker = broker
        self._contracts = contracts
        self._counters = counters

    async def plan(self, request: PlanReplay, actor: str) -> ReplayPlan:
        """The plan, counted and sealed. Raises Refused with a REPLAY_… code."""
        effect, does = self._does(request)
        if request.patch is not None:
            raise Refused("REPLAY_UNSUPPORTED", "only dead letters are patched on their way", pointer="/patch")
        if not request.reason.strip():
            raise Refused("REPLAY_REASON_MISSING", "no reason is given", pointer="/reason")
        selection = filters.SOURCES[request.source](self._contracts, request.match)
        if effect == "deliver":
            subscriber_plan.refuse_many_filters(selection.filters)
        found = await bounds.resolve(self._broker, request, selection.filters)
        selected = [_Selected(each, selection.filters[name]) for name, each in found.items()]
        breakdown = Breakdown(self._broker, self._counters, self._contracts, time.monotonic() + SECONDS)
        ranges, exact = await self._ranges(selected, breakdown)
        if not ranges:
            raise Refused("REPLAY_EMPTY", f"no message matches; {self._held(selected)}")
        counts, whole = await breakdown.of(ranges)
        size = self._bytes(ranges, found)
        plan = ReplayPlan(
            at=timestamps.text(time.time_ns()),
            by=actor,
            reason=request.reason.strip(),
            target=request.target,
            source=request.source,
            effect=effect,
            rate=request.rate,
            side_effects=request.side_effects,
            ranges=tuple(ranges),
            match=selection.match,
            counts=counts,
            exact=exact and whole,
            bytes=size,
            disk=int(size * STORE_FACTOR[effect]),
            seconds=round(counts.total / request.rate, 1),
            does=does if request.side_effects else f"{does}; {DELIVERED if effect == 'deliver' else MUTED}",
            warnings=tuple(self._warnings(found, counts, whole, selection.match, effect)),
        )
        return sealed(plan)

    async def count_again(self, plan: ReplayPlan) -> None:
        """Raises Refused REPLAY_PLAN_CHANGED when the streams no longer hold what was planned, and REPLAY_RIGHT_MISSING
        when a subscriber may not have it any more."""
        if plan.effect == "deliver":
            subjects = [subject for part in plan.ranges for subject in part.filters]
            subscriber_plan.refuse_beyond(self._contracts, plan.target, subjects)
        await asyncio.gather(*(self._check(part) for part in plan.ranges))

    async def _check(self, part: ReplayRange) -> None:
        info = await self._broker.jetstream.stream_info(part.stream)
        if info.epoch != part.epoch:
            raise Refused("REPLAY_PLAN_CHANGED", f"{part.stream} was created anew since")
        first = max(part.first, info.first_seq)
        count = await self._counters.count(part.stream, part.filters, first, part.last)
        if not count.exact:
            raise Refused("REPLAY_INCOMPLETE", f"{part.stream}: the matching messages could not be counted now")
        if count.number != part.planned:
            raise Refused(
                "REPLAY_PLAN_CHANGED",
                f"{part.stream} holds {count.number} of the {part.planned} planned messages; it now begins at"
                f" {info.first_seq}, and the plan at {part.first}",
            )

    def _does(self, request: PlanReplay) -> tuple[ReplayEffect, str]:
        if subscriber_plan.is_for_subscriber(self._contracts, request):
            return "deliver", subscriber_plan.does(self._contracts, request)
        known = DOES.get((request.target, request.source))
        if known is None:
            raise Refused("REPLAY_UNSUPPORTED", f"{request.target} takes no replay of {request.source}")
        if request.effect not in (None, known[0]):
            raise Refused("REPLAY_UNSUPPORTED", f"{request.target} does not {request.effect} from {request.source}")
        return known

    async def _ranges(self, selected: list[_Selected], breakdown: Breakdown) -> tuple[list[ReplayRange], bool]:
        """The ranges that hold matching messages, and whether all were counted whole."""
        parts = [
            ReplayRange(
                stream=each.bounds.info.name,
                epoch=each.bounds.info.epoch,
                first=each.bounds.first,
                last=each.bounds.last,
                filters=each.filters,
                planned=0,
            )
            for each in selected
            if each.bounds.first <= each.bounds.last
        ]
        counts: list[Count] = list(await asyncio.gather(*(breakdown.count(part) for part in parts)))
        kept = [
            part.model_copy(update={"planned": count.number})
            for part, count in zip(parts, counts, strict=True)
            if count.number or not count.exact
        ]
        return kept, all(count.exact for count in counts)

    @staticmethod
    def _held(selected: list[_Selected]) -> str:
        return "; ".join(
            f"{info.name} holds {info.first_seq} to {info.last_seq} ({info.messages} messages)"
            if info.messages
            else f"{info.name} is empty"
            for info in (each.bounds.info for each in selected)
        )

    @staticmethod
    def _bytes(ranges: list[ReplayRange], found: dict[str, Bounds]) -> int:
        infos = {name: each.info for name, each in found.items()}
        return sum(part.planned * infos[part.stream].bytes // max(infos[part.stream].messages, 1) for part in ranges)

    def _warnings(
        self,
        found: dict[str, Bounds],
        counts: ReplayCounts,
        whole: bool,
        match: dict[str, str],
        effect: ReplayEffect,
    ) -> list[str]:
        warnings = [each.warning for each in found.values() if each.warning]
        warnings += of_types(self._contracts, counts.by_type)
        if not whole:
            warnings.append(
                "the counts by type, publisher and day are 'at least': there was no time to read them whole"
            )
        if match:
            named = " and ".join(f"{name} {value}" for name, value in match.items())
            if effect == "deliver":
                warnings.append(f"all of these are read; only {named} is delivered, the others count as filtered")
            else:
                warnings.append(f"all of these are delivered; the target itself picks out {named}")
        return warnings
