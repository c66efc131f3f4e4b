"""Which periods share an index: those that were over when the first event of them came, as few of them hold much.

    day → the index of its year        2013-05-21 → 2013
    month, year → that of its decade   2013-05, 2013 → 2010s

An event is always written through the alias of its own period, which its key names. Which index is behind that alias is
decided once, when the first event of the period arrives, and kept by Elasticsearch. So the choice may depend on the
clock: an event that is sent again finds what was chosen.
"""

from __future__ import annotations

from datetime import date, timedelta

from penstock.contracts import load, period_of
from penstock.elasticsearch import names

_DAY_CHARACTERS = 10
_LENGTHS = {"year": 4, "month": 7, "day": _DAY_CHARACTERS}


def shared_period(period: str) -> str:
    """The longer period whose index a period may share."""
    return period[:4] if len(period) == _DAY_CHARACTERS else f"{period[:3]}0s"


def shared_alias(alias: str) -> str:
    """The write alias of the index that a period may share: events-metrics-2013-05 → events-metrics-2010s."""
    return names.period_alias(names.read_alias(alias), shared_period(names.dataset_and_period(alias)[1]))


def is_period(period: str, length: str) -> bool:
    """Whether it may name an index of a dataset whose periods have that length: one of its own or a shared one."""
    return len(period) in (_LENGTHS[length], 4 if length == "day" else 5)


def is_shared(alias: str) -> bool:
    """Whether an alias is that of an index which periods share, not that of one period."""
    dataset, period = names.dataset_and_period(alias)
    found = load().datasets.get(dataset)
    return found is not None and len(period) != _LENGTHS[found.period]


def is_current(alias: str, now_ms: int) -> bool:
    """Whether the period of a write alias is the current one, the one before it, or a later one."""
    dataset, period = names.dataset_and_period(alias)
    length = load().datasets[dataset].period
    return period >= _before(period_of(length, now_ms))


def periods_within(shared: str) -> list[str]:
    """The write aliases of all periods that may share the index of an alias, in their order."""
    read, (dataset, period) = names.read_alias(shared), names.dataset_and_period(shared)
    length = load().datasets[dataset].period
    first = int(period[:4])
    day, end, found = date(first, 1, 1), date(first + (10 if period.endswith("s") else 1), 1, 1), dict[str, None]()
    while day < end:
        found[names.period_alias(read, day.isoformat()[: _LENGTHS[length]])] = None
        day += timedelta(days=1 if length == "day" else 28)
    return list(found)


def _before(period: str) -> str:
    year, month, day = (*(int(part) for part in period.split("-")), 1, 1)[:3]
    return (date(year, month, day) - timedelta(days=1)).isoformat()[: len(period)]
