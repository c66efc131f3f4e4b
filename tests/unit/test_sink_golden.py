"""What both sinks make of every example of the contracts, kept in tests/golden/ and compared byte for byte.

`pytest tests/unit/test_sink_golden.py --update-golden` writes the files anew; a change in them is a change of what is
stored, and wants a second look.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock.contract_check.example_files import valid_files
from penstock.services.indexer.logic import event_line, score_line
from penstock.services.writer.rows import COLUMNS, Rows, event_rows, score_rows
from tests.support.deliveries import CHECKER, CONTRACTS, delivery_of, event_of, line, score_delivery, score_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
EXAMPLES = [path for type in sorted(CONTRACTS.types) for path in valid_files(CONTRACTS, type)]
MOST_KEPT = 4096  # bytes of a file; larger results are kept by their hash


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def compare(kept: Path, result: bytes, request: pytest.FixtureRequest) -> None:
    if len(result) > MOST_KEPT:
        from hashlib import sha256

        result = f"{len(result)} bytes, SHA-256 {sha256(result).hexdigest()}\n".encode()
    if request.config.getoption("--update-golden"):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(result)
    assert result == kept.read_bytes(), f"{kept.name} differs; --update-golden writes it anew"


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_every_example_makes_its_golden_bulk_line(path: Path, request: pytest.FixtureRequest) -> None:
    event = CHECKER.delivered(delivery_of(path.read_bytes(), sequence=7))
    result = event_line(event, epoch=1035)
    action, document = result.body.splitlines()
    assert json.loads(action)["index"]["version"] == (1035 << 48) + 7
    assert json.loads(document)["event"]["data"] == event.value["data"]
    compare(GOLDEN / "indexer" / f"{name(path)}.ndjson", result.body, request)


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_every_example_makes_its_golden_rows(path: Path, request: pytest.FixtureRequest) -> None:
    event = CHECKER.delivered(delivery_of(path.read_bytes(), sequence=7))
    compare(GOLDEN / "writer" / f"{name(path)}.json", readable(event_rows(event, "month")), request)


def test_a_score_makes_its_golden_line_and_row(request: pytest.FixtureRequest) -> None:
    score = score_of(event_of(line("session opened for user 1", id="1", level="info"), sequence=7), score=0.75)
    compare(GOLDEN / "indexer" / "score.ndjson", score_line(score, epoch=1035).body, request)
    compare(GOLDEN / "writer" / "score.json", readable(score_rows(score, "month")), request)


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_the_same_message_twice_makes_the_same_bytes(path: Path) -> None:
    delivery = delivery_of(path.read_bytes(), sequence=7)
    first, again = CHECKER.delivered(delivery), CHECKER.delivered(delivery)
    assert event_line(first, 1).body == event_line(again, 1).body
    assert event_rows(first, "month") == event_rows(again, "month")


def test_line_breaks_between_members_do_not_split_the_bulk_line() -> None:
    spread = line("a\nb").replace(b'"data":', b'"data":\r\n')
    score = score_delivery(event_of(spread))
    assert event_line(event_of(spread), 1).body.count(b"\n") == 2
    assert b"\r" not in event_line(event_of(spread), 1).body
    assert score.data


def readable(rows: Rows) -> bytes:
    """Bound values as a person reads them."""
    statements = [
        {"table": table, **{column: text(column, value) for column, value in zip(COLUMNS[table], values, strict=False)}}
        | {"timestamp": int.from_bytes(values[-1], "big")}
        for table, row in rows.statements
        if (values := unbound(row))
    ]
    return json.dumps(statements, indent=1, ensure_ascii=False).encode() + b"\n"


def unbound(row: bytes) -> list[bytes]:
    """The values of a row."""
    values = []
    while row:
        length = int.from_bytes(row[:4], "big")
        values.append(row[4 : 4 + length])
        row = row[4 + length :]
    return values


def text(column: str, value: bytes) -> Any:
    if column in ("key", "event", "position"):
        return str(UUID(bytes=value))
    if column in ("pp", "version"):
        return int.from_bytes(value, "big")
    return json.loads(value) if column in ("record", "score") else value.decode()
