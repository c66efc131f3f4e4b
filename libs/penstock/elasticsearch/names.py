"""Names of aliases and indices. All parts are tokens without a hyphen, so no name can be taken for another.

events-<dataset>-<period>                      write alias → events-<dataset>-<period>-g1, or the index of past periods
scored-<model>_v<version>-<dataset>-<period>   write alias → …-g1
events-<dataset>, scored-<model>_v<version>-<dataset>     read alias over all periods
"""

from __future__ import annotations

from functools import lru_cache

from penstock.contracts import load, period_of

_DAY_MS = 86_400_000


def events_alias(dataset: str, time_ms: int) -> str:
    """The alias that an event at this time is written to."""
    return _events_alias(dataset, time_ms // _DAY_MS)


def scored_alias(model: str, version: int, dataset: str, time_ms: int) -> str:
    """The alias that a score of an event at this time is written to."""
    return _scored_alias(model, version, dataset, time_ms // _DAY_MS)


def read_alias(alias: str) -> str:
    """The read alias that a write alias belongs to: `events-logs-2026-11` → `events-logs`."""
    return "-".join(alias.split("-", 2)[:2]) if alias.startswith("events-") else "-".join(alias.split("-", 3)[:3])


def events_read(dataset: str) -> str:
    """The alias to read all periods of a dataset."""
    return f"events-{dataset}"


def scored_read(model: str, version: int, dataset: str) -> str:
    """The alias to read all periods of a dataset as one model version scored it."""
    return f"scored-{model}_v{version}-{dataset}"


def period_alias(read: str, period: str) -> str:
    """The write alias of one period behind a read alias."""
    return f"{read}-{period}"


def first_index(alias: str) -> str:
    """The index behind a new write alias; a later rebuild makes g2 and swaps the aliases."""
    return f"{alias}-g1"


@lru_cache(maxsize=4096)
def _events_alias(dataset: str, day: int) -> str:
    return f"{events_read(dataset)}-{_period(dataset, day)}"


@lru_cache(maxsize=4096)
def _scored_alias(model: str, version: int, dataset: str, day: int) -> str:
    return f"{scored_read(model, version, dataset)}-{_period(dataset, day)}"


def _period(dataset: str, day: int) -> str:
    return period_of(load().datasets[dataset].period, day * _DAY_MS)


def parse_scored_read(alias: str) -> tuple[str, int, str]:
    """Model, version and dataset of a read or write alias of scores."""
    _, versioned, dataset = alias.split("-")[:3]
    model, _, version = versioned.rpartition("_v")
    return model, int(version), dataset


def dataset_and_period(alias: str) -> tuple[str, str]:
    """Of a write alias, of events or scores."""
    parts = alias.split("-", 2 if alias.startswith("events-") else 3)
    return parts[-2], parts[-1]


def dataset_of(index: str) -> str:
    """The dataset of an alias or index of events."""
    return index.split("-", 2)[1]
