"""Plans whose source is the store: every record of the periods is read and counted, by the writers, page by page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from penstock.broker import Broker, ConsumerInfo, StreamInfo
from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.elasticsearch.shared_periods import is_period, is_shared
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.replay.plan import plan_key, sealed
from penstock.rpc.messages import (
    PlanReplay,
    RecordMatch,
    ReplayCounts,
    ReplayEffect,
    ReplayMatch,
    ReplayPlan,
    ReplayRange,
    StoredUpTo,
    StoreSelection,
)
from penstock.services.operator.replay import filters, store_pages
from penstock.services.operator.replay.bounds import moment, of_period
from penstock.services.operator.replay.indices import TABLE, RebuiltIndices, busy, is_table
from penstock.services.operator.replay.planning import MUTED, STORE_FACTOR
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.store_count import SECONDS, StoreCount, StoreCounts, fingerprint, name_of
from penstock.services.operator.replay.type_warnings import of_types

WRITER = "writer"
DOES: dict[str, tuple[ReplayEffect, str]] = {
    "indexer": ("repair", "index each stored event again where its document is missing or older"),
    "scorer": ("rescore", "score each stored event with the model that is active now, in a state of its own"),
}
DOES_SCORES: dict[str, tuple[ReplayEffect, str]] = {
    "indexer": ("repair", "index each stored score again where its document is missing or older"),
}


class StorePlanner:
    """Makes plans. They end where the writer's work ends: what it has not stored yet is no part of them."""

    def __init__(self, broker: Broker, contracts: Contracts, runs: Runs, *, seconds: float = SECONDS) -> None:
        """`seconds`: for the count of a plan in one request."""
        self._seconds = seconds
        self._broker = broker
        self._contracts = contracts
        self._keys = runs.keys
        self._indices = RebuiltIndices(runs)
        self._counts = StoreCounts(runs.keys)

    async def plan(self, request: PlanReplay, actor: str) -> ReplayPlan:
        """The plan, stored under its hash. Raises Refused with a REPLAY_… code."""
        effect, does = self._does(request)
        alias, within = "", list[str]()
        if effect == "rebuild":
            alias, within = await self._alias(request)
            does = f"{does} {alias.removeprefix(TABLE)} anew beside the live one, check it, and swap the two"
        if request.table is not None and (request.target, effect) != ("writer", "rebuild"):
            raise Refused("REPLAY_UNSUPPORTED", "only the writer rebuilds a table", pointer="/table")
        if not request.reason.strip():
            raise Refused("REPLAY_REASON_MISSING", "no reason is given", pointer="/reason")
        if request.count is not None:
            count, revision = await self._counts.find(request.count, request)
        else:
            count, revision = await self._new_count(request, within), 0
        await count.go_on(self._broker, self._seconds)
        name = request.count or name_of(count)
        if not count.whole:
            await self._counts.keep(count, name, revision)
        elif not count.total:
            periods = ", ".join(count.selection.periods)
            where = f"it was looked for in {periods}" if periods else "the store holds nothing of these times"
            raise Refused("REPLAY_EMPTY", f"no record of the store matches; {where}")
        plan = ReplayPlan(
            at=timestamps.text(time.time_ns()),
            by=actor,
            reason=request.reason.strip(),
            target=request.target,
            source="store",
            effect=effect,
            rate=request.rate,
            side_effects=request.side_effects,
            store=count.selection,
            alias=alias,
            disk=int(count.bytes * STORE_FACTOR[effect]),
            seconds=round(count.total / request.rate, 1),
            does=does if request.side_effects else f"{does}; {MUTED}",
            count="" if count.whole else name,
            **counted(count, of_types(self._contracts, sorted(count.by_type))),
        )
        plan = sealed(plan)
        await self._keys.put(plan_key(plan.hash), orjson.dumps(plan.to_json()))
        return plan

    async def _new_count(self, request: PlanReplay, within: list[str]) -> StoreCount:
        match, infos = self._match(request).model_copy(update={"within": within}), await self._infos()
        lives = {info.name: int(info.config.get("first_seq", 0) or 0) for info, _ in infos}
        return StoreCount(
            request=fingerprint(request),
            selection=StoreSelection(
                periods=await store_pages.periods(self._broker, match.begin, match.end), match=match, lives=lives
            ),
            streams=[
                StoredUpTo(
                    stream=info.name,
                    epoch=info.epoch,
                    first=lives[info.name],
                    last=writer.settled_to(info.last_seq) if match.model is None else info.last_seq,
                )
                for info, writer in infos
            ],
        )

    async def count_again(self, plan: ReplayPlan) -> None:
        """Raises Refused REPLAY_PLAN_CHANGED when a stream was created anew. Records are never removed; one that was
        replaced since by a newer one of its key is left out of the run, which then says so."""
        for part in plan.ranges:
            if (await self._broker.jetstream.stream_info(part.stream)).epoch != part.epoch:
                raise Refused("REPLAY_PLAN_CHANGED", f"{part.stream} was created anew since")

    @staticmethod
    def _does(request: PlanReplay) -> tuple[ReplayEffect, str]:
        if (request.target, request.effect) == ("writer", "rebuild"):
            return "rebuild", "fill the table"
        if (request.target, request.effect) == ("indexer", "rebuild"):
            return "rebuild", "make the index"
        known = DOES_SCORES.get(request.target) if request.match.models else DOES.get(request.target)
        if known is None:
            raise Refused("REPLAY_UNSUPPORTED", f"{request.target} takes no replay of the store", pointer="/target")
        if request.effect not in (None, known[0]):
            raise Refused("REPLAY_UNSUPPORTED", f"{request.target} does not {request.effect} from the store")
        return known

    def _match(self, request: PlanReplay) -> RecordMatch:
        """Times and conditions. Raises Refused REPLAY_UNBOUNDED, REPLAY_BOUNDS_INVALID or REPLAY_FILTER_INVALID."""
        if request.sequences:
            raise Refused("REPLAY_BOUNDS_INVALID", "the store is bounded by the events' own time, not by sequences")
        match, (begin, end) = request.match, _times(request)
        if match.codes or match.key is not None:
            raise Refused("REPLAY_FILTER_INVALID", "the store is searched by publisher, type, dataset and entity")
        scored_by = _model_version(match.models)
        types = filters.types_of(self._contracts, match)
        return RecordMatch(
            begin=timestamps.text(begin),
            end=timestamps.text(end) if end is not None else None,
            datasets=match.datasets,
            types=types if match.types else [],
            publishers=match.publishers,
            entity=match.entity,
            model=scored_by[0] if scored_by else None,
            version=scored_by[1] if scored_by else None,
        )

    async def _alias(self, request: PlanReplay) -> tuple[str, list[str]]:
        """Of what is to be rebuilt: a table, the index of a whole period of one dataset, or one that these periods
        share. Raises PenstockError."""
        alias = self._table_alias(request) if request.target == "writer" else self._index_alias(request)
        found, _ = await self._indices.find(alias)
        if found is not None:
            raise Refused("CONFLICT", busy(found))
        if is_table(alias):
            return alias, []
        there = await self._indices.describe(alias)
        if there.shared:
            rebuilt = names.dataset_and_period(there.shared)[1]
            raise Refused(
                "REPLAY_FILTER_INVALID",
                f"{request.period} shares the index of {rebuilt} with other periods: give that as the period",
                pointer="/period",
            )
        if is_shared(alias) and not there.members:
            raise Refused("REPLAY_FILTER_INVALID", f"no past periods share the index of {request.period}")
        return alias, [names.dataset_and_period(each)[1] for each in there.members]

    @staticmethod
    def _table_alias(request: PlanReplay) -> str:
        bounded = request.period is not None or request.time is not None
        if request.table is None or bounded or request.match != ReplayMatch():
            raise Refused("REPLAY_FILTER_INVALID", "a table is rebuilt whole: give its name, events or timeline, only")
        return f"{TABLE}{request.table}"

    def _index_alias(self, request: PlanReplay) -> str:
        match = request.match
        if len(match.datasets) != 1 or request.period is None:
            raise Refused("REPLAY_FILTER_INVALID", "a rebuild needs one dataset, one of its periods, and nothing else")
        if match.types or match.publishers or match.entity is not None:
            raise Refused("REPLAY_FILTER_INVALID", "an index is rebuilt whole: by dataset and period only")
        name = match.datasets[0]
        dataset = self._contracts.datasets.get(name)
        if dataset is None or not is_period(request.period, dataset.period):
            by = f"; its indices are by {dataset.period}" if dataset is not None else ""
            raise Refused("REPLAY_FILTER_INVALID", f"{request.period} is no period of {name}{by}")
        scored_by = _model_version(match.models)
        read = names.events_read(name) if scored_by is None else names.scored_read(*scored_by, name)
        return names.period_alias(read, request.period)

    async def _infos(self) -> list[tuple[StreamInfo, ConsumerInfo]]:
        jetstream = self._broker.jetstream
        return [
            (await jetstream.stream_info(name), await jetstream.consumer_info(name, WRITER))
            for name in self._contracts.event_streams
        ]


def counted(count: StoreCount, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The members of a plan that say what was counted."""
    epochs = {each.stream: each.epoch for each in count.streams}
    part = f"{count.done} of {len(count.partitions)} partitions are counted; plan again, with this count, to go on"
    return {
        "ranges": tuple(
            ReplayRange(stream=name, epoch=epochs[name], first=first, last=last, filters=(), planned=number)
            for name, (number, first, last) in sorted(count.spans.items())
        ),
        "counts": ReplayCounts(
            total=count.total,
            by_type=dict(sorted(count.by_type.items())),
            by_publisher=dict(sorted(count.by_publisher.items())),
            by_day=dict(sorted(count.by_day.items())),
        ),
        "exact": count.whole,
        "bytes": count.bytes,
        "warnings": (*(() if count.whole else (part,)), *warnings),
    }


def _model_version(models: list[str]) -> tuple[str, int] | None:
    """Of the one that is asked for, like lines_v3. Raises Refused REPLAY_FILTER_INVALID."""
    if not models:
        return None
    model, _, version = models[0].rpartition("_v")
    if len(models) > 1 or not model or not (version.isascii() and version.isdigit()) or not int(version):
        raise Refused(
            "REPLAY_FILTER_INVALID",
            "scores of the store are those of one model version, like lines_v3",
            pointer="/match/models",
        )
    return model, int(version)


def _times(request: PlanReplay) -> tuple[int, int | None]:
    """Unix nanoseconds, the end not included. Raises Refused REPLAY_UNBOUNDED or REPLAY_BOUNDS_INVALID."""
    if request.table is not None:
        return 0, None
    if request.period is not None:
        if request.time is not None and (request.time.from_ or request.time.to):
            raise Refused("REPLAY_BOUNDS_INVALID", "give a period or times, not both")
        return of_period(request.period)
    if request.time is None or request.time.from_ is None:
        raise Refused("REPLAY_UNBOUNDED", "no time says where to begin")
    now_ns = time.time_ns()
    begin = moment(request.time.from_, now_ns)
    end = moment(request.time.to, now_ns) if request.time.to is not None else None
    if end is not None and begin >= end:
        raise Refused("REPLAY_BOUNDS_INVALID", "`from` does not lie before `to`")
    return begin, end
