"""Real events for the tests of the model, as (type, CloudEvent, entity), and the figures that they are judged by."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest

from tests.support.data_folder import data_folder

Item = tuple[str, dict[str, Any], str]
Array = npt.NDArray[Any]


def folder() -> Path:
    """Where the real data is; skips the test where it is not."""
    found = data_folder()
    if not (found / "loghub").is_dir():
        pytest.skip(f"no real data at {found}; set PENSTOCK_DATA")
    return found


def log_lines() -> list[Item]:
    """The lines of every system of loghub; the system is source and entity."""
    return [
        ("log.line.v1", {"source": f"/loghub/{path.stem}", "id": str(number), "data": {"message": line}}, path.stem)
        for path in sorted((folder() / "loghub").glob("*.log"))
        for number, line in enumerate(path.read_text(errors="replace").splitlines())
        if line.strip()
    ]


def audit_records() -> list[Item]:
    """CloudTrail records; the entity is who acted."""
    with gzip.open(folder() / "cloudtrail" / "records.jsonl.gz") as file:
        records = [orjson.loads(line) for line in file]
    return [
        ("cloud.audit.v1", {"source": "aws", "id": record["eventID"], "data": record}, _actor(record))
        for record in records
    ]


def _actor(record: dict[str, Any]) -> str:
    identity = record.get("userIdentity") or {}
    return str(identity.get("arn") or identity.get("principalId") or record["eventSource"])


def metric_samples(step: int = 1) -> Iterator[Item]:
    """Every `step`-th sample of the series of the Numenta Anomaly Benchmark."""
    for path in sorted((folder() / "nab").glob("*/*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        with gzip.open(path, "rt") as file:
            for number, row in enumerate(csv.DictReader(file)):
                if number % step == 0:
                    data = {"name": name, "value": float(row["value"]), "kind": "gauge"}
                    yield "metric.sample.v1", {"source": "nab", "id": str(number), "data": data}, name


def area_under_curve(score: Array, positive: Array) -> float:
    """The chance that a positive stands above a negative (ROC AUC; ties count half)."""
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    del values
    rank = (np.cumsum(counts) - counts + (counts + 1) / 2)[inverse]
    hits = int(positive.sum())
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(score) - hits)))


def neighbour_precision(vectors: Array, labels: Array, queries: Array, count: int = 5) -> float:
    """Share of the `count` nearest other rows that have the query's label."""
    likeness = vectors[queries] @ vectors.T
    likeness[np.arange(len(queries)), queries] = -2
    nearest = np.argpartition(-likeness, count, axis=1)[:, :count]
    return float(np.mean(labels[nearest] == labels[queries][:, None]))
