"""a difference → the commands that bring back what is missing"""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.rpc.messages import Per, Reconciled

REASON = '--reason "rows differ"'
REBUILD = (
    f"penstock replay plan writer --source store --effect rebuild --table events {REASON}"
    "  # only where single rows were deleted: a deletion is newer than what is written again"
)
BACKUP = "# the streams no longer hold these events: restore their rows from a backup of Cassandra"
_LENGTHS = {"day": timedelta(days=1), "hour": timedelta(hours=1)}


def next_steps(row: Reconciled, per: Per) -> list[str]:
    """In their order, each to be applied before the next: the store first, as an index can be filled from it. None
    where nothing is missing, or where it may be on its way."""
    begin = datetime.fromisoformat(row.period if per == "day" else f"{row.period}:00")
    end = begin + _LENGTHS[per]
    steps = []
    if row.stored.missing and not row.stored.in_flight:
        if row.first_stored:
            replayed = f"penstock replay plan writer --dataset {row.dataset} --from {row.first_stored} {REASON}"
            steps += [REBUILD, replayed]
        else:
            steps.append(BACKUP)
    if row.indexed.missing and not row.indexed.in_flight:
        times = f"--from {begin:%Y-%m-%dT%H:%M:%SZ} --to {end:%Y-%m-%dT%H:%M:%SZ}"
        steps.append(f"penstock replay plan indexer --source store --dataset {row.dataset} {times} {REASON}")
    return steps
