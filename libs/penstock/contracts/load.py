"""Reads contracts/: what crosses the wire, as data, so that nothing is written down twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from penstock import yaml_text
from penstock.contracts import topology
from penstock.contracts.data import Data
from penstock.contracts.event_types import EventType
from penstock.contracts.identities import Identity, Role, read_identities
from penstock.contracts.objectives import Objective, read_objectives
from penstock.contracts.records import RecordType
from penstock.contracts.services import Service, read_services
from penstock.contracts.values import duration
from penstock.settings import load_settings, shipped_contracts
from penstock.telemetry import metric_list


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
    in_shell: str = ""


@dataclass(frozen=True)
class Contracts:
    """All of contracts/."""

    root: Path
    types: Mapping[str, EventType]
    datasets: Mapping[str, Dataset]
    errors: Mapping[str, ErrorEntry]
    streams: Mapping[str, topology.Stream]
    buckets: Mapping[str, topology.Bucket]
    services: Mapping[str, Service]
    identities: Mapping[str, Identity]
    roles: Mapping[str, Role]
    records: Mapping[str, RecordType]
    metrics: Mapping[str, metric_list.Group]
    objectives: Mapping[str, Objective]

    @property
    def event_streams(self) -> tuple[str, ...]:
        """The streams of accepted events, one for each door."""
        return tuple(name for name, stream in self.streams.items() if stream.door is not None)


def find_root() -> Path:
    """The contracts folder: the setting, else the checkout's, else the copy inside the installed package."""
    configured = load_settings().contracts
    if configured is not None:
        return configured
    return shipped_contracts()


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
    identities, roles = read_identities(_read(root / "identities.yaml"))
    return Contracts(
        root=root,
        types=types,
        datasets={name: Dataset.model_validate(body) for name, body in _read(root / "datasets.yaml").items()},
        errors={code: ErrorEntry.model_validate(body) for code, body in _read(root / "errors.yaml").items()},
        streams=streams,
        buckets=buckets,
        services=read_services(_read(root / "services.yaml")),
        identities=identities,
        roles=roles,
        records={record.record: record for record in _records(root)},
        metrics=metric_list.read(root),
        objectives=read_objectives(_read(root / "objectives.yaml")),
    )


def _records(root: Path) -> Iterator[RecordType]:
    for path in sorted((root / "records").glob("*.yaml")):
        yield RecordType.model_validate(_read(path))


def _read(path: Path) -> dict[str, Any]:
    body = yaml_text.read(path)
    if not isinstance(body, dict):
        raise ValueError(f"{path} must hold a mapping")
    return body
