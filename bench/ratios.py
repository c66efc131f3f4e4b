"""Measurements → ratios of medians, each beside its goal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """A lower bound, or an upper one."""

    bound: float
    least: bool = True

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.bound:g}"

    def reached(self, value: float) -> bool:
        """Whether the value meets the goal."""
        return value >= self.bound if self.least else value <= self.bound


# For one run on two cores that servers, contestants and load share.
RATES = {
    ("single POSTs", "empty FastAPI handler"): Goal(0.7),
    ("single POSTs", "FastAPI, await js.publish"): Goal(2.5),
    ("single POSTs", "Go, js.Publish"): Goal(1.0),
    ("batches POSTs", "atomic batches of 1000"): Goal(0.6),
    ("indexer", "Go, BulkIndexer"): Goal(0.9),
    ("writer", "direct batches"): Goal(0.8),
    ("end to end", "Go, group commit"): Goal(0.7),
    ("end to end", "Go, js.PublishAsync"): Goal(1.0),
    ("end to end", "FastAPI, FastStream"): Goal(4.0),
}
CPU = {("end to end", "FastAPI, FastStream"): Goal(0.25, least=False)}
OWN = {part: Goal(most, least=False) for part, most in {"lane": 20, "indexer": 30, "writer": 40, "scorer": 83}.items()}
HALF_LOAD = Goal(25, least=False)


def ratios(results: dict[str, Any]) -> list[Row]:
    """One row per figure whose measurements are there: `goal` where there is one, and whether it is `reached`."""
    return [
        asdict(figure) | {"goal": str(figure.goal or ""), "reached": figure.reached} for figure in _figures(results)
    ]


@dataclass(frozen=True, slots=True)
class _Figure:
    figure: str
    value: float
    unit: str = "ratio"
    goal: Goal | None = None

    @property
    def reached(self) -> bool | None:
        return self.goal.reached(self.value) if self.goal else None


def _figures(results: dict[str, Any]) -> Iterator[_Figure]:
    for part, found in _parts(results):
        ours, again = found.get("Penstock"), found.get("Penstock again")
        if ours is None:
            continue
        if again is not None:
            yield _ratio(f"{part}: A/A control", again["rate"], ours["rate"])
        if part in OWN:
            yield _Figure(f"{part}: own CPU an event", round(_own(ours), 1), "µs", OWN[part])
        for name, other in found.items():
            if not name.startswith("Penstock"):
                pair = f"Penstock / {name}"
                yield _ratio(f"{part}: rate, {pair}", ours["rate"], other["rate"], RATES.get((part, name)))
                yield _ratio(f"{part}: own CPU, {pair}", _own(ours), _own(other), CPU.get((part, name)))
                yield _ratio(f"{part}: all CPU, {pair}", _all(ours), _all(other))
    half = results.get("posts", {}).get("batches_at_half_load", {}).get("Penstock")
    if half:
        yield _Figure("batches at half load: p99", half["p99_ms"], "ms", HALF_LOAD)


def _parts(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in ("lane", "indexer", "writer", "scorer", "end_to_end"):
        if part in results:
            yield part.replace("_", " "), results[part]
    for what in ("single", "batches"):
        if "posts" in results:
            yield f"{what} POSTs", results["posts"][what]


def _own(row: Row) -> float:
    return float(row["cpu_us"]["own"])


def _all(row: Row) -> float:
    return float(sum(row["cpu_us"].values()))


def _ratio(figure: str, ours: float, other: float, goal: Goal | None = None) -> _Figure:
    return _Figure(figure, round(ours / max(other, 0.1), 3), goal=goal)
