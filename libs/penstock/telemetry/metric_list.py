"""contracts/metrics.yaml → the metrics of the fleet as data, by group and by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from penstock import yaml_text
from penstock.settings import shipped_contracts

FILE = "metrics.yaml"
Kind = Literal["counter", "gauge", "histogram"]

_DATA = ConfigDict(frozen=True, extra="forbid")


class Metric(BaseModel):
    """One metric. `labels` maps each label to its meaning, `when_bad` says what to do when the value looks wrong;
    `buckets` are a histogram's, where they are not those of durations."""

    model_config = _DATA

    type: Kind
    unit: str
    labels: Mapping[str, str] = {}
    meaning: str
    when_bad: str
    buckets: tuple[float, ...] = ()


class Group(BaseModel):
    """Metrics of one part of the fleet. `exported_by`: the services whose /metrics has them."""

    model_config = _DATA

    title: str
    exported_by: tuple[str, ...]
    metrics: Mapping[str, Metric]


@cache
def read(root: Path) -> dict[str, Group]:
    """The groups of the contracts folder `root`, by their keys; read once per folder.

    Raises OSError, yaml.YAMLError or pydantic.ValidationError, which names the member at fault.
    """
    return {key: Group.model_validate(body) for key, body in yaml_text.read(root / FILE).items()}


def by_name(groups: Mapping[str, Group]) -> Iterator[tuple[str, Metric]]:
    """Each metric with its name."""
    for group in groups.values():
        yield from group.metrics.items()


@cache
def shipped() -> Mapping[str, Metric]:
    """The metrics of this release by name: the code goes with them, wherever the settings look for contracts."""
    return dict(by_name(read(shipped_contracts())))
