"""Reads contracts/: what crosses the wire, as data, so that nothing is written down twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from penstock.contracts import topology, yaml_text
from penstock.contracts.data import Data
from penstock.contracts.records import RecordType
from penstock.settings import ROOT, load_settings

FieldKind = Literal["text", "keyword", "long", "double", "boolean", "date", "ip", "geo_point"]


class Indexed(Data):
    """One member of an event's data that can be searched, filtered or sorted by."""

    kind: FieldKind = Field(alias="as")
    search: bool = Field(False, description="full-text queries look here")


class TimeBounds(Data):
    """How far from the moment of storing an event's own time may lie."""

    past: timedelta
    future: timedelta


class Entity(Data):
    """What the CloudEvents `subject` of this type names: the unit of order."""

    meaning: str
    required: bool = False


class ScoreInput(Data):
    """The members of the data that the model reads."""

    text: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


class EventType(Data):
    """One released version of an event type (contracts/events/<type>.yaml)."""

    type: str
    meaning: str
    owner: str
    status: Literal["draft", "released"] = "released"
    dataset: str
    entity: Entity
    time: TimeBounds
    retention: timedelta
    pii: tuple[str, ...] = ()
    indexed: Mapping[str, Indexed]
    score: ScoreInput = ScoreInput()
    examples: tuple[str, ...] = ()
    data: Mapping[str, Any]

    @cached_property
    def name(self) -> str:
        """The type without its version, e.g. `log.line`."""
        return self.type.rpartition(".v")[0]

    @cached_property
    def version(self) -> int:
        """The version, e.g. 1."""
        return int(self.type.rpartition(".v")[2])

    @cached_property
    def past_ns(self) -> int:
        """The bound into the past, in nanoseconds."""
        return self.time.past // timedelta(microseconds=1) * 1000

    @cached_property
    def future_ns(self) -> int:
        """The bound into the future, in nanoseconds."""
        return self.time.future // timedelta(microseconds=1) * 1000

    @cached_property
    def search_paths(self) -> tuple[str, ...]:
        """Paths in the data that full-text queries search."""
        return tuple(path for path, field in self.indexed.items() if field.search)


class Dataset(Data):
    """Events that are read and retained together: the unit of read permission, of indices and of retention."""

    meaning: str
    owner: str
    period: Literal["day", "month", "year"]


class ErrorEntry(Data):
    """One stable code (contracts/errors.yaml)."""

    status: int
    title: str
    next_step: str


@dataclass(frozen=True)
class Contracts:
    """All of contracts/."""

    root: Path
    types: Mapping[str, EventType]
    datasets: Mapping[str, Dataset]
    errors: Mapping[str, ErrorEntry]
    streams: Mapping[str, topology.Stream]
    buckets: Mapping[str, topology.Bucket]
    services: Mapping[str, topology.Service]
    identities: Mapping[str, topology.Identity]
    roles: Mapping[str, topology.Role]
    records: Mapping[str, RecordType]


def dig(value: Any, path: str) -> Any:
    """The member of nested objects that a dotted path names, or None."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def period_of(period: str, time_ms: int) -> str:
    """The name of the index period that Unix milliseconds fall in (UTC): 2026, 2026-11 or 2026-11-21."""
    from datetime import UTC, datetime

    text = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")
    return text[: {"day": 10, "month": 7, "year": 4}[period]]


_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?\Z")


def duration(text: str) -> timedelta:
    """An ISO 8601 duration of years (365 days), days, hours, minutes and seconds."""
    match = _DURATION.match(text)
    if not match or not any(match.groups()):
        raise ValueError(f"{text!r} is not an ISO 8601 duration like P30D or PT1H")
    years, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=365 * years + days, hours=hours, minutes=minutes, seconds=seconds)


def find_root() -> Path:
    """The contracts folder: the setting, else the checkout's, else the copy inside the installed package."""
    configured = load_settings().contracts
    if configured is not None:
        return configured
    checkout = ROOT / "contracts"
    return checkout if checkout.is_dir() else Path(__file__).parents[1] / "_contracts"


def load(root: Path | None = None) -> Contracts:
    """Reads and validates the contracts folder, once per folder.

    Raises FileNotFoundError, yaml.YAMLError or pydantic.ValidationError, each naming the file or member at fault.
    """
    return _load(root or find_root())


@cache
def _load(root: Path) -> Contracts:
    types = {}
    for path in sorted((root / "events").glob("*.yaml")):
        body = _read(path)
        body["time"] = {side: duration(text) for side, text in body["time"].items()}
        body["retention"] = duration(body["retention"])
        event_type = EventType.model_validate(body)
        types[event_type.type] = event_type
    streams, buckets = topology.read_streams(_read(root / "streams.yaml"))
    identities, roles = topology.read_identities(_read(root / "identities.yaml"))
    return Contracts(
        root=root,
        types=types,
        datasets={name: Dataset.model_validate(body) for name, body in _read(root / "datasets.yaml").items()},
        errors={code: ErrorEntry.model_validate(body) for code, body in _read(root / "errors.yaml").items()},
        streams=streams,
        buckets=buckets,
        services=topology.read_services(_read(root / "services.yaml")),
        identities=identities,
        roles=roles,
        records={record.record: record for record in _records(root)},
    )


def _records(root: Path) -> Iterator[RecordType]:
    for path in sorted((root / "records").glob("*.yaml")):
        yield RecordType.model_validate(_read(path))


def _read(path: Path) -> dict[str, Any]:
    body = yaml_text.read(path)
    if not isinstance(body, dict):
        raise ValueError(f"{path} must hold a mapping")
    return body
