"""what is asked for → filter subjects per stream, which the server applies, and the rest, which the target applies.

One module function a source: `events` and `scores`. Others (dead letters, the store) come beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import product

from penstock.contracts import Contracts
from penstock.contracts.subjects import partition
from penstock.errors import Refused
from penstock.events.event_key import key_partition
from penstock.rpc.messages import ReplayMatch

MOST = 1000  # filter subjects of a consumer: the server compares each with each
ANY = "*"
NAMES = {"evt": (3, 4), "score": (2, 3)}  # where a subject has its publisher or model, and where its type begins


@dataclass(frozen=True, slots=True)
class Selection:
    """Filter subjects by stream, and the conditions that no subject can express."""

    filters: dict[str, tuple[str, ...]]
    match: dict[str, str] = field(default_factory=dict)


def events(contracts: Contracts, match: ReplayMatch) -> Selection:
    """Of the streams of events. Raises Refused REPLAY_FILTER_INVALID."""
    _refuse(match, "models", "codes")
    types = types_of(contracts, match)
    streams = {name: stream.door for name, stream in contracts.streams.items() if stream.door is not None}
    filters: dict[str, tuple[str, ...]] = {}
    for name, door in streams.items():
        if not (match.publishers or types or match.entity or match.key):
            filters[name] = contracts.streams[name].subjects
            continue
        publishers = [each for each in match.publishers or [ANY] if _publishes(contracts, each, door)]
        if publishers:
            filters[name] = _subjects(
                f"evt.{pp}.{door}.{publisher}.{type}"
                for pp, publisher, type in product(_partitions(match), publishers, types or [">"])
            )
    if not filters:
        raise Refused("REPLAY_FILTER_INVALID", f"none of {', '.join(match.publishers)} publishes events")
    return Selection(filters, _rest(match))


def scores(contracts: Contracts, match: ReplayMatch) -> Selection:
    """Of the stream of scores. Raises Refused REPLAY_FILTER_INVALID."""
    _refuse(match, "publishers", "codes")
    types = types_of(contracts, match)
    if not (match.models or types or match.entity or match.key):
        return Selection({"SCORES": contracts.streams["SCORES"].subjects}, _rest(match))
    parts = product(_partitions(match), match.models or [ANY], types or [">"])
    return Selection({"SCORES": _subjects(f"score.{pp}.{model}.{type}" for pp, model, type in parts)}, _rest(match))


SOURCES: dict[str, Callable[[Contracts, ReplayMatch], Selection]] = {"events": events, "scores": scores}


def tokens_of(filter: str) -> list[str]:
    """The tokens of a filter, with a wildcard for each that a final `>` stands for before the type."""
    tokens = filter.split(".")
    missing = NAMES[tokens[0]][1] - len(tokens) + 1
    return [*tokens[:-1], *["*"] * missing, ">"] if missing > 0 else tokens


def types_of(contracts: Contracts, match: ReplayMatch) -> list[str]:
    """The types asked for, those of the datasets asked for, or both at once; none: all."""
    for type in match.types:
        if type not in contracts.types:
            raise Refused("REPLAY_FILTER_INVALID", f"{type} is no type of the contracts", pointer="/match/types")
    for dataset in match.datasets:
        if dataset not in contracts.datasets:
            raise Refused("REPLAY_FILTER_INVALID", f"{dataset} is no dataset", pointer="/match/datasets")
    if not match.datasets:
        return list(dict.fromkeys(match.types))
    within = [name for name, each in contracts.types.items() if each.dataset in match.datasets]
    found = [name for name in within if not match.types or name in match.types]
    if not found:
        raise Refused("REPLAY_FILTER_INVALID", "no type is both of these types and of these datasets")
    return found


def _publishes(contracts: Contracts, publisher: str, door: str) -> bool:
    """Whether messages of the publisher can be on the stream of the door: an identity has one door."""
    identity = contracts.identities.get(publisher)
    return identity is None or identity.door == door


def _partitions(match: ReplayMatch) -> list[str]:
    found = {partition(match.entity)} if match.entity is not None else set()
    found |= {key_partition(match.key)} if match.key is not None else set()
    if len(found) > 1:
        raise Refused("REPLAY_FILTER_INVALID", "the key is of another entity", pointer="/match/key")
    return [f"{pp:02x}" for pp in found] or [ANY]


def _rest(match: ReplayMatch) -> dict[str, str]:
    wanted = {"entity": match.entity, "key": match.key}
    return {name: value for name, value in wanted.items() if value is not None}


def _refuse(match: ReplayMatch, *members: str) -> None:
    for member in members:
        if getattr(match, member):
            raise Refused("REPLAY_FILTER_INVALID", f"this source has no {member}", pointer=f"/match/{member}")


def _subjects(found: Iterable[str]) -> tuple[str, ...]:
    subjects = tuple(dict.fromkeys(found))
    if len(subjects) > MOST:
        raise Refused("REPLAY_FILTER_INVALID", f"{len(subjects)} combinations of the conditions; at most {MOST}")
    return subjects
