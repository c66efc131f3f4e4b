"""times and sequences asked for → first and last sequence of each stream. Relative times are frozen here, once."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from penstock.broker import Broker, StreamInfo, if_there
from penstock.contracts import duration
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.rpc.messages import PlanReplay

_RELATIVE = re.compile(r"-P[0-9YDTHMS]+\Z")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Both ends included; empty when `last` lies before `first`. `warning`: what of the bounds is not kept any more."""

    info: StreamInfo
    first: int
    last: int
    warning: str = ""


def moment(text: str, now_ns: int) -> int:
    """Unix nanoseconds of an RFC 3339 time, `now`, or `-PT2H`. Raises Refused REPLAY_BOUNDS_INVALID, also beyond
    now."""
    try:
        if text == "now":
            return now_ns
        if _RELATIVE.match(text):
            return max(now_ns - int(duration(text[1:]).total_seconds()) * 1_000_000_000, 0)
        found = timestamps.parse(text)
    except (ValueError, Refused):
        raise Refused("REPLAY_BOUNDS_INVALID", f"{text!r} is no RFC 3339 time, `now` or `-PT2H`") from None
    if found > now_ns:
        raise Refused("REPLAY_BOUNDS_INVALID", f"{text} lies in the future")
    return found


async def resolve(broker: Broker, request: PlanReplay, streams: Iterable[str]) -> dict[str, Bounds]:
    """The bounds of each stream. Raises Refused REPLAY_UNBOUNDED or REPLAY_BOUNDS_INVALID."""
    wanted = {each.stream: each for each in request.sequences}
    if len(wanted) < len(request.sequences):
        raise Refused("REPLAY_BOUNDS_INVALID", "a stream is given twice", pointer="/sequences")
    if wanted and request.time is not None:
        raise Refused("REPLAY_BOUNDS_INVALID", "give times or sequences, not both")
    infos = {name: await broker.jetstream.stream_info(name) for name in streams if not wanted or name in wanted}
    if unknown := set(wanted) - set(infos):
        raise Refused("REPLAY_BOUNDS_INVALID", f"the source does not read {', '.join(sorted(unknown))}")
    if wanted:
        return {name: _of_sequences(info, wanted[name].first, wanted[name].last) for name, info in infos.items()}
    if request.time is None or request.time.from_ is None:
        raise Refused("REPLAY_UNBOUNDED", "neither times nor sequences say where to begin")
    now_ns = time.time_ns()
    begin = moment(request.time.from_, now_ns)
    end = moment(request.time.to, now_ns) if request.time.to is not None else None
    if end is not None and begin >= end:
        raise Refused("REPLAY_BOUNDS_INVALID", "`from` does not lie before `to`")
    return await _of_times(broker, infos, begin, end)


def _of_sequences(info: StreamInfo, first: int, last: int | None) -> Bounds:
    last = info.last_seq if last is None else last
    if first > last:
        raise Refused("REPLAY_BOUNDS_INVALID", f"{info.name}: {first} lies behind {last}")
    if last > info.last_seq:
        raise Refused("REPLAY_BOUNDS_INVALID", f"{info.name} ends at {info.last_seq}, before {last}")
    kept = max(first, info.first_seq)
    warning = ""
    if kept > first:
        warning = f"{info.name}: {min(kept, last + 1) - first} sequences from {first} on are no longer kept"
    return Bounds(info, kept, last, warning)


async def _of_times(broker: Broker, infos: Mapping[str, StreamInfo], begin: int, end: int | None) -> dict[str, Bounds]:
    found = {}
    for name, info in infos.items():
        first = await first_since(broker, name, begin)
        after = await first_since(broker, name, end) if end is not None else None
        last = info.last_seq if after is None else after - 1
        warning = ""
        if first == info.first_seq and info.messages and await _older(broker, info, begin):
            warning = f"{name}: nothing from before its oldest message, {first}, is kept; the store may have it"
        found[name] = Bounds(info, info.last_seq + 1 if first is None else first, last, warning)
    return found


async def first_since(broker: Broker, stream: str, time_ns: int) -> int | None:
    """The sequence of the first message stored at that time or later; none where there is none."""
    message = await if_there(broker.jetstream.get(stream, start_time=timestamps.text(time_ns)))
    return message.sequence if message is not None else None


async def _older(broker: Broker, info: StreamInfo, begin: int) -> bool:
    """Whether the stream has dropped messages, and so perhaps some from after `begin`."""
    oldest = await broker.jetstream.get(info.name, sequence=info.first_seq)
    return oldest.stored_at_ns > begin and info.first_seq != int(info.config.get("first_seq", 1) or 1)


def of_period(period: str) -> tuple[int, int]:
    """Unix nanoseconds of a decade, year, month or day, the end not included. Raises Refused REPLAY_BOUNDS_INVALID."""
    parts = [int(part) for part in period.rstrip("s").split("-")]
    year, month, day = (*parts, 1, 1)[:3]
    try:
        first = datetime(year, month, day, tzinfo=UTC)
        if len(parts) == 1:
            end = first.replace(year=first.year + (10 if period.endswith("s") else 1))
        elif len(parts) == 2:
            end = (first + timedelta(days=31)).replace(day=1)
        else:
            end = first + timedelta(days=1)
    except ValueError:
        raise Refused("REPLAY_BOUNDS_INVALID", f"{period} is no period of a calendar", pointer="/period") from None
    return int(first.timestamp()) * 1_000_000_000, int(end.timestamp()) * 1_000_000_000
