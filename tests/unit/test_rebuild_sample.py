"""Whether a document of a rebuilt index is the record of the store."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.scoring import vectors
from penstock.services.operator.replay.rebuild_sample import holds

VECTOR = (0.6, -0.8, *[0.0] * (vectors.DIMS - 2))
RECORD: dict[str, Any] = {"key": "a", "stored_at": "2026-11-01T12:00:00Z", "score": 0.5}
SCORE = {**RECORD, "vector": vectors.to_text(VECTOR)}
LATER = {"stored_at": "2026-11-01T12:00:00.1Z"}


@pytest.mark.parametrize(
    ("document", "record", "equal"),
    [
        (RECORD, RECORD, True),
        (None, RECORD, False),
        ({**RECORD, "score": 0.6}, RECORD, False),
        ({**RECORD, "score": 0.6, **LATER}, RECORD, True),
        (RECORD, {**RECORD, **LATER}, False),
        ({**RECORD, "vector": [each + 1e-7 for each in VECTOR]}, SCORE, True),
        ({**RECORD, "vector": [0.8, -0.6, *VECTOR[2:]]}, SCORE, False),
        (RECORD, SCORE, False),
    ],
)
def test_a_document_holds_its_record_or_a_later_one(
    document: dict[str, Any] | None, record: dict[str, Any], equal: bool
) -> None:
    assert holds(document, record) is equal
