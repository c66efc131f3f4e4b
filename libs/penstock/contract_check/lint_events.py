"""What an event type and a dataset must say beyond their schema: names, indexed members, time, retention."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from penstock.contract_check.finding import Finding
from penstock.contract_check.lint_schema import lint_schema
from penstock.contract_check.schema_tree import Place, at, types
from penstock.contracts import Contracts, EventType, Indexed, subjects

MAX_KEYWORD = 2048  # characters; twice as many UTF-16 units stay below `ignore_above`, so nothing is left out
MAX_INDICES = 40  # that senders can have made by the time of events, and as many by one model's scores of them
MAX_FIELDS = 300  # of a dataset; Elasticsearch stops at 1000, subfields and those of the record included
_SHARED_DAYS = {"day": 365, "month": 3652, "year": 3652}  # of an index that past periods share
_TYPES = {
    "text": {"string"},
    "keyword": {"string"},
    "date": {"string"},
    "ip": {"string"},
    "long": {"integer"},
    "double": {"number", "integer"},
    "boolean": {"boolean"},
    "geo_point": {"object"},
}
_SCORE_KINDS = {
    "text": {"text", "keyword"},
    "categories": {"keyword", "boolean", "ip"},
    "numbers": {"long", "double"},
}


def lint_types(contracts: Contracts) -> Iterator[Finding]:
    """Findings about every event type by itself."""
    files = {path.name for path in (contracts.root / "events").glob("*.yaml")}
    for event_type in contracts.types.values():
        where = f"events/{event_type.type}.yaml"
        if f"{event_type.type}.yaml" not in files:
            yield Finding(
                where, "file-name", f"{event_type.type} is not in a file of its name", "Name the file <type>.yaml."
            )
        yield from _names(where, contracts, event_type)
        wrong = list(lint_schema(where, event_type.data))
        yield from wrong
        if wrong:
            continue  # its paths can be judged once it is a schema
        for path, indexed in event_type.indexed.items():
            yield from _indexed(f"{where} indexed.{path}", at(event_type.data, path), indexed)
        yield from _score(where, event_type)
        yield from _keeping(where, event_type)


def _names(where: str, contracts: Contracts, event_type: EventType) -> Iterator[Finding]:
    if not subjects.TYPE.match(event_type.type) or not subjects.is_token(event_type.name.split(".")[0]):
        yield Finding(
            where,
            "name",
            f"{event_type.type!r} cannot be a type",
            "Write <noun>.<noun>.v<N> with tokens [a-z][a-z0-9_]*, and begin with no reserved name (subjects.py).",
        )
    if event_type.dataset not in contracts.datasets:
        yield Finding(where, "dataset", f"no dataset {event_type.dataset!r}", "Name one of datasets.yaml.")
    for member in ("meaning", "owner"):
        if not getattr(event_type, member).strip():
            yield Finding(where, "words", f"{member} is empty", "Say it in a sentence.")
    for path in event_type.pii:
        if at(event_type.data, path) is None:
            yield Finding(where, "path", f"pii names {path}, which the data do not have", "Correct the path.")


def _indexed(where: str, place: Place | None, indexed: Indexed) -> Iterator[Finding]:
    if place is None or place.open:
        yield Finding(
            where, "path", "the data have no such member, or it is in an open object", "Index described members only."
        )
        return
    kinds = types(place.node)
    if not kinds or not kinds <= _TYPES[indexed.kind]:
        yield Finding(where, "kind", f"{', '.join(sorted(kinds))} cannot be indexed as {indexed.kind}", "Change `as`.")
    if indexed.kind == "keyword" and place.node.get("maxLength", 0) > MAX_KEYWORD:
        yield Finding(where, "kind", "too long for a keyword", f"Keep maxLength <= {MAX_KEYWORD}, or index as text.")
    if indexed.kind == "geo_point" and set(place.node.get("properties", {})) != {"lat", "lon"}:
        yield Finding(where, "kind", "a geo_point has lat and lon and nothing else", "Describe those two.")
    if indexed.search and indexed.kind not in ("text", "keyword"):
        yield Finding(where, "kind", f"{indexed.kind} cannot be searched by words", "Remove `search`.")


def _score(where: str, event_type: EventType) -> Iterator[Finding]:
    for use, kinds in _SCORE_KINDS.items():
        for path in getattr(event_type.score, use):
            indexed, place = event_type.indexed.get(path), at(event_type.data, path)
            if indexed is None or indexed.kind not in kinds or place is None or place.repeated:
                yield Finding(
                    f"{where} score.{use}",
                    "score",
                    f"{path} cannot be read as {use}",
                    f"Name an indexed member of kind {' or '.join(sorted(kinds))} that is not inside an array.",
                )


def _keeping(where: str, event_type: EventType) -> Iterator[Finding]:
    if event_type.retention < event_type.time.past:
        yield Finding(
            where,
            "retention",
            "an event may be older at its arrival than it is kept",
            "Make retention at least time.past.",
        )
    if event_type.time.future > timedelta(days=1) or event_type.time.past <= timedelta(0):
        yield Finding(where, "time", "the bounds make no sense", "Keep future <= P1D, and past above zero.")


def lint_datasets(contracts: Contracts) -> Iterator[Finding]:
    """Findings about what the types of one dataset share: index fields, and the number of periods."""
    indices = 0
    for name, dataset in contracts.datasets.items():
        where = f"datasets.yaml {name}"
        members = [event_type for event_type in contracts.types.values() if event_type.dataset == name]
        if not subjects.is_token(name):
            yield Finding(where, "name", f"{name!r} cannot be a dataset", "Use [a-z][a-z0-9_]*, no reserved name.")
        if not members:
            yield Finding(where, "unused", "no event type is in this dataset", "Remove it.")
            continue
        yield from _one_mapping(where, members)
        past = max(event_type.time.past for event_type in members)
        future = max(event_type.time.future for event_type in members)
        # Those that past periods share; the period before the current one, that one, and the next.
        indices += (past + future).days // _SHARED_DAYS[dataset.period] + 2 + 3
    if indices > MAX_INDICES:
        yield Finding(
            "datasets.yaml",
            "indices",
            f"the time bounds allow {indices} indices of events; {MAX_INDICES} are the limit",
            "Choose longer periods, or bounds that reach less far back.",
        )


def _one_mapping(where: str, members: list[EventType]) -> Iterator[Finding]:
    """One path, one mapping; and no path below a path that is indexed itself."""
    mapped: dict[str, tuple[Indexed, str]] = {}
    for event_type in members:
        for path, indexed in event_type.indexed.items():
            before, other = mapped.setdefault(path, (indexed, event_type.type))
            if before != indexed:
                yield Finding(
                    where,
                    "two-mappings",
                    f"{path} is indexed in one way by {other} and in another by {event_type.type}",
                    "Index it alike, or give one of the members another name.",
                )
    for path in mapped:
        parents = path.split(".")[:-1]
        for depth in range(1, len(parents) + 1):
            if (parent := ".".join(parents[:depth])) in mapped:
                yield Finding(
                    where, "two-mappings", f"{path} lies below {parent}, which is indexed itself", "Drop one."
                )
    if len(mapped) > MAX_FIELDS:
        yield Finding(where, "fields", f"{len(mapped)} indexed members; {MAX_FIELDS} are the limit", "Index fewer.")
