"""Every error of Cassandra has one meaning, and only a refusal of the row itself drops it."""

from __future__ import annotations

import pytest
from cassandra import InvalidRequest, OperationTimedOut, Unauthorized, Unavailable, WriteTimeout
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import OverloadedErrorMessage

from penstock import errors
from penstock.consume import Again, Drop, Retry
from penstock.services.writer.verdicts import of_error


@pytest.mark.parametrize(
    "error",
    [
        OperationTimedOut(),
        WriteTimeout("slow", write_type=0),
        Unavailable("too few replicas"),
        NoHostAvailable("none", {"127.0.0.1": ConnectionRefusedError()}),
        NoHostAvailable("none", ["127.0.0.1"]),
        OverloadedErrorMessage(0x1001, "overloaded", {}),
        ConnectionError("lost"),
        errors.Unavailable("STORE_UNAVAILABLE", "not reached yet"),
    ],
)
def test_transient_failures_are_retried(error: Exception) -> None:
    assert isinstance(of_error(error, rows=1), Again)


@pytest.mark.parametrize(
    "error", [Unauthorized("no MODIFY permission"), InvalidRequest("unconfigured table events")], ids=str
)
def test_what_an_operator_must_repair_waits(error: Exception) -> None:
    assert isinstance(of_error(error, rows=50), Retry)


def test_a_row_that_is_refused_is_found_by_splitting_and_dropped_alone() -> None:
    refused = InvalidRequest("Not enough bytes to read a uuid")
    assert of_error(refused, rows=2) == "split"
    dropped = of_error(refused, rows=1)
    assert isinstance(dropped, Drop)
    assert "Not enough bytes" in dropped.reason
