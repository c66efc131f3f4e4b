"""Real records fit the contracts as they are: CloudTrail, log lines of twelve systems, metric series."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.contract_check.lint_examples import NOW
from penstock.contracts import load
from penstock.events import Checker
from tests.support.data_folder import data_folder

CHECKER = Checker(load())


def folder(name: str) -> Path:
    path = data_folder() / name
    if not path.is_dir():
        pytest.skip(f"no {name} in {data_folder()}; set PENSTOCK_DATA")
    return path


def taken(events: Iterator[dict[str, Any]]) -> int:
    """The number of events; raises Refused at the first that the check does not take."""
    count = 0
    for count, event in enumerate(events, 1):
        raw = json.dumps({"specversion": "1.0", "id": str(count), "source": "/test", **event}).encode()
        CHECKER.at_ingress(raw, publisher="example", door="http", now_ns=NOW)
    return count


def test_cloudtrail_records_are_valid_data_as_they_are() -> None:
    def events() -> Iterator[dict[str, Any]]:
        with gzip.open(folder("cloudtrail") / "records.jsonl.gz", "rt") as lines:
            for record in map(json.loads, lines):
                who = record["userIdentity"]
                subject = who.get("arn") or who.get("invokedBy") or record["eventSource"]
                yield {"type": "cloud.audit.v1", "subject": subject, "time": record["eventTime"], "data": record}

    assert taken(events()) == 2029


def test_log_lines_of_many_systems_are_valid_messages() -> None:
    def events() -> Iterator[dict[str, Any]]:
        for path in sorted(folder("loghub").glob("*.log")):
            for line in path.read_text(errors="replace").splitlines():
                if line.strip():
                    yield {"type": "log.line.v1", "subject": path.stem, "data": {"message": line}}

    assert taken(events()) > 20_000


def test_metric_series_since_2011_are_valid_samples() -> None:
    def events() -> Iterator[dict[str, Any]]:
        for path in sorted(folder("nab").glob("*/*.csv.gz")):
            with gzip.open(path, "rt") as lines:
                for row in list(csv.DictReader(lines))[::100]:
                    time = row["timestamp"].replace(" ", "T") + "Z"
                    data = {"name": path.name[:-7], "value": float(row["value"])}
                    yield {"type": "metric.sample.v1", "subject": path.name[:-7], "time": time, "data": data}

    assert taken(events()) > 1000
