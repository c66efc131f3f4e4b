"""svc.operator.plan with the source dead_letters → a plan that also binds which dead letters and which patch."""

from __future__ import annotations

import time

from penstock.broker import Broker, Keys
from penstock.contracts import Contracts, subscribers
from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.events.dead_letter import MOST_REDRIVES
from penstock.replay import origin
from penstock.replay.plan import sealed
from penstock.rpc.messages import (
    DeadLetterMatch,
    PlanReplay,
    ReplayPlan,
    ReplayRange,
)
from penstock.services.operator.dead_letters import patch
from penstock.services.operator.dead_letters.choose import Choice, Chooser
from penstock.services.operator.dead_letters.chosen import Chosen
from penstock.services.operator.dead_letters.index import STREAM, Index
from penstock.services.operator.dead_letters.redrive_counts import RedriveCounts
from penstock.services.operator.dead_letters.select import bounded, select
from penstock.services.operator.replay.counting import Counters
from penstock.services.operator.replay.type_warnings import of_types

MOST_DEAD_LETTERS = 100_000  # in one plan, which reads each


class RedrivePlanner:
    """Makes plans of redrives, and looks again at those that are to be applied."""

    def __init__(self, broker: Broker, contracts: Contracts, keys: Keys, index: Index, counters: Counters) -> None:
        self._broker = broker
        self._contracts = contracts
        self._keys = keys
        self._index = index
        self._counts = RedriveCounts(broker, contracts, counters)
        self._chooser = Chooser(broker, contracts)

    async def plan(self, request: PlanReplay, actor: str) -> ReplayPlan:
        """The plan, stored under its hash. Raises Refused with a REPLAY_… code."""
        self._check(request)
        text = patch.canonical(request.patch) if request.patch is not None else ""
        match = _match(request)
        sequences, exhausted = await self._select(match)
        choice = await self._chooser.choose(request.target, sequences)
        choice.spans, exact = await self._counts.of_spans(choice.spans)
        choice.spans = [span for span in choice.spans if span.planned]
        chosen = choice.chosen()
        ranges = _ranges(choice, request.target)
        if not ranges:
            raise Refused("REPLAY_EMPTY", f"no dead letter of {request.target} matches; {_left_out(choice, exhausted)}")
        counts, size = await self._counts.of_choice(choice)
        plan = sealed(
            ReplayPlan(
                at=timestamps.text(time.time_ns()),
                by=actor,
                reason=request.reason.strip(),
                target=request.target,
                source="dead_letters",
                effect="redrive",
                rate=request.rate,
                side_effects=request.side_effects,
                ranges=ranges,
                counts=counts,
                exact=exact,
                bytes=size,
                disk=size,
                seconds=round(counts.total / request.rate, 1),
                does=f"hand each failed message to the {request.target} again, and to nobody else",
                warnings=(*_warnings(choice, exhausted, request), *of_types(self._contracts, sorted(counts.by_type))),
                dead_letters=len(chosen.dead_letters),
                dead_letter_states=tuple(match.states),
                selection=chosen.digest,
                patch=text,
                patch_digest=patch.digest(text) if text else "",
            )
        )
        await chosen.save(self._keys, plan.hash)
        return plan

    async def count_again(self, plan: ReplayPlan) -> None:
        """Raises Refused REPLAY_PLAN_CHANGED when a dead letter or a message is no longer as it was planned."""
        chosen = await Chosen.load(self._keys, plan.hash)
        if chosen.digest != plan.selection:
            raise Refused("REPLAY_PLAN_CHANGED", "what is kept of the dead letters is not what was planned")
        await self._whole()
        changed = [each for each in chosen.dead_letters if self._index.state(each) not in plan.dead_letter_states]
        gone = [each for each in chosen.dead_letters if self._index.group(each) is None]
        if changed or gone:
            first = (changed or gone)[0]
            raise Refused(
                "REPLAY_PLAN_CHANGED",
                f"{len(changed)} of {plan.dead_letters} dead letters have another state since and {len(gone)} expired,"
                f" {first} first",
            )
        for part in plan.ranges:
            if (await self._broker.jetstream.stream_info(part.stream)).epoch != part.epoch:
                raise Refused("REPLAY_PLAN_CHANGED", f"{part.stream} was created anew since")
        found, exact = await self._counts.of_spans(chosen.spans)
        if not exact:
            raise Refused("REPLAY_INCOMPLETE", "the messages of the ranges could not be counted now")
        for span, now in zip(chosen.spans, found, strict=True):
            if span.planned != now.planned:
                raise Refused(
                    "REPLAY_PLAN_CHANGED",
                    f"{span.stream} holds {now.planned} of {span.planned} messages from {span.first} to {span.last}",
                )

    def _check(self, request: PlanReplay) -> None:
        targets = self._contracts.streams[origin.STREAM_NAME].consumers.keys() - set(subscribers(self._contracts))
        if request.target not in targets:
            raise Refused("REPLAY_UNSUPPORTED", f"{request.target} takes no dead letters back")
        if request.effect not in (None, "redrive"):
            raise Refused("REPLAY_UNSUPPORTED", f"dead letters are redriven; {request.effect} is not done from them")
        if not request.reason.strip():
            raise Refused("REPLAY_REASON_MISSING", "no reason is given", pointer="/reason")
        for member in ("datasets", "models", "entity", "key"):
            if getattr(request.match, member):
                raise Refused("REPLAY_FILTER_INVALID", f"dead letters have no {member}", pointer=f"/match/{member}")
        if any(each.stream != STREAM for each in request.sequences):
            raise Refused("REPLAY_BOUNDS_INVALID", f"the sequences of dead letters are those of {STREAM}")

    async def _whole(self) -> None:
        await self._index.fresh()
        if not self._index.complete:
            raise Unavailable("OVERLOADED", "the dead letters are still being read", retry_after=5)

    async def _select(self, match: DeadLetterMatch) -> tuple[list[int], int]:
        """The dead letters, and how many more match that were tried too often."""
        if not bounded(match.model_copy(update={"workers": []})):
            raise Refused("REPLAY_UNBOUNDED", "no code, type, publisher, time or dead letter says which ones")
        await self._whole()
        found, exhausted = [], 0
        async for each in select(self._index, match):
            if each.group.redrives >= MOST_REDRIVES:
                exhausted += 1
            else:
                found.append(each.sequence)
        if len(found) > MOST_DEAD_LETTERS:
            raise Refused(
                "REPLAY_FILTER_INVALID",
                f"{len(found)} dead letters match; at most {MOST_DEAD_LETTERS} go into one plan",
            )
        return found, exhausted


def _match(request: PlanReplay) -> DeadLetterMatch:
    wanted = request.match
    spans = [{"first": each.first, "last": each.last or 1 << 53} for each in request.sequences]
    return DeadLetterMatch.read(
        {
            "workers": [request.target],
            "codes": wanted.codes,
            "types": wanted.types,
            "publishers": wanted.publishers,
            "states": wanted.states or ["open"],
            "sequences": spans,
        }
    ).model_copy(update={"time": request.time})


def _ranges(choice: Choice, target: str) -> tuple[ReplayRange, ...]:
    """For each stream of origin what comes from it."""
    bounds: dict[str, list[tuple[int, int, int]]] = {}
    for each in choice.sent:
        bounds.setdefault(each.stream, []).append((each.sequence, each.sequence, 1))
    for span in choice.spans:
        bounds.setdefault(span.stream, []).append((span.first, span.last, span.planned))
    return tuple(
        ReplayRange(
            stream=stream,
            epoch=choice.infos[stream].epoch,
            first=min(first for first, _, _ in found),
            last=max(last for _, last, _ in found),
            filters=(f"replay.{target}.>",),
            planned=sum(planned for _, _, planned in found),
        )
        for stream, found in sorted(bounds.items())
    )


def _left_out(choice: Choice, exhausted: int) -> str:
    reasons = [f"{count} are left out, as {why}" for why, count in choice.left_out.items()]
    if exhausted:
        reasons.append(f"{exhausted} failed after {MOST_REDRIVES} redrives and stay parked")
    return "; ".join(reasons) or "`penstock dlq list` shows what there is"


def _warnings(choice: Choice, exhausted: int, request: PlanReplay) -> list[str]:
    warnings = [_left_out(choice, exhausted)] if choice.left_out or exhausted else []
    if choice.redriven_before:
        warnings.append(f"{choice.redriven_before} of the dead letters failed in a redrive before")
    if choice.spans:
        count = sum(span.planned for span in choice.spans)
        warnings.append(f"ranges are opened: all {count} messages of their publishers in them are handled again")
    if choice.expired:
        warnings.append(f"about {choice.expired} messages of ranges are no longer on their streams")
    if touched := sorted(set(patch.IDENTIFYING) & set(request.patch or ())):
        warnings.append(f"the patch sets {', '.join(touched)}: the stores will take the messages for other events")
    return warnings
