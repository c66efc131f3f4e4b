"""Measurements → PNG: one picture per part, rates at the left, single rounds as dots, CPU per event at the right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

_OURS, _THEIRS = "#0b6e4f", "#9aa5b1"
_SHADES = ("#0b6e4f", "#c8963e", "#7a6f9b", "#5b7f95")


def draw(results: dict[str, Any], folder: Path) -> None:
    """Writes compare-<part>.png."""
    parts: dict[str, Any] = {
        name: results[name] for name in ("lane", "indexer", "writer", "scorer", "end_to_end") if name in results
    }
    parts |= {f"{what}_posts": results["posts"][what] for what in ("single", "batches") if "posts" in results}
    for name, rows in parts.items():
        _draw(name.replace("_", " "), rows, folder / f"compare-{name.replace('_', '-')}.png")


def _draw(title: str, rows: dict[str, Any], path: Path) -> None:
    names = list(rows)[::-1]
    figure, (rates, cpu) = pyplot.subplots(1, 2, figsize=(11, 0.45 * len(names) + 1.6), sharey=True)
    colours = [_OURS if name.startswith("Penstock") else _THEIRS for name in names]
    rates.barh(names, [rows[name]["rate"] for name in names], color=colours)
    for place, name in enumerate(names):
        dots = [sample["rate"] for sample in rows[name]["samples"]]
        rates.plot(dots, [place] * len(dots), ".", color="black", markersize=4)
    rates.set_xlabel("events/s at the sink: median, rounds as dots")
    left = [0.0] * len(names)
    for shade, process in zip(_SHADES, _processes(rows), strict=False):
        widths = [rows[name]["cpu_us"].get(process, 0.0) for name in names]
        cpu.barh(names, widths, left=left, color=shade, label=process)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    cpu.set_xlabel("CPU-µs per event")
    cpu.legend(fontsize="small")
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _processes(rows: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(process for row in rows.values() for process in row["cpu_us"]))
