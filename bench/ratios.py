"""Measurements → the ratios that say whether Penstock holds what it is meant to hold; a ratio of medians each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]


def ratios(results: dict[str, Any]) -> list[Row]:
    """One row per figure whose measurements are there."""
    return list(_rows(results))


def _rows(results: dict[str, Any]) -> Iterator[Row]:
    for part, found in _parts(results):
        ours, again = found.get("Penstock"), found.get("Penstock again")
        if ours is None:
            continue
        if again is not None:
            yield _row(f"{part}: A/A control", again["rate"] / ours["rate"], "1.00 is no noise")
        for name, other in found.items():
            if not name.startswith("Penstock"):
                yield _row(f"{part}: rate, Penstock / {name}", ours["rate"] / other["rate"], "")
                yield _row(f"{part}: own CPU, Penstock / {name}", _own(ours) / max(_own(other), 0.1), "")
                yield _row(
                    f"{part}: all CPU, Penstock / {name}", _all(ours) / max(_all(other), 0.1), "with the servers"
                )
    if "lane" in results:
        yield {**_row("lane, handler does nothing", results["lane"]["Penstock"]["cpu_us"]["own"], ""), "unit": "µs CPU"}
    half = results.get("doors", {}).get("batches_at_half_load", {}).get("Penstock")
    if half:
        yield {**_row("batches at half load: p99", half["p99_ms"], ""), "unit": "ms"}


def _parts(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in ("lane", "indexer", "writer", "scorer", "end_to_end"):
        if part in results:
            yield part.replace("_", " "), results[part]
    for what in ("single", "batches"):
        if "doors" in results:
            yield f"{what} POSTs", results["doors"][what]


def _own(row: Row) -> float:
    return float(row["cpu_us"]["own"])


def _all(row: Row) -> float:
    return float(sum(row["cpu_us"].values()))


def _row(figure: str, value: float, goal: str) -> Row:
    return {"figure": figure, "value": round(value, 3), "unit": "ratio", "goal": goal}
