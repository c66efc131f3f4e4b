"""Every answer of Elasticsearch has one meaning, and only a refusal of the document itself drops it."""

from __future__ import annotations

from typing import Any

import pytest
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError, ConnectionError, ConnectionTimeout

from penstock.consume import Again, Done, Drop, Retry
from penstock.services.indexer.verdicts import Create, of_item, of_replayed_item, of_request

NODE = NodeConfig("http", "localhost", 9200)


def item(status: int, type: str = "", reason: str = "") -> dict[str, Any]:
    return {"status": status, "error": {"type": type, "reason": reason}}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"status": 201}, Done),
        ({"status": 200}, Done),
        (item(409, "version_conflict_engine_exception"), Done),
        (item(429, "es_rejected_execution_exception"), Again),
        (item(503, "unavailable_shards_exception"), Again),
        (item(500, "illegal_state_exception"), Again),
        (item(404, "index_not_found_exception"), Create),
        (item(429, "cluster_block_exception", "disk usage exceeded flood-stage watermark"), Retry),
        (item(403, "cluster_block_exception"), Retry),
        (item(403, "security_exception"), Retry),
        (item(400, "index_closed_exception"), Retry),
        (item(400, "illegal_argument_exception", "no write index is defined for alias [x]"), Retry),
        (item(400, "document_parsing_exception", "failed to parse field [event.data.pid]"), Drop),
        (item(400, "illegal_argument_exception", "Document contains at least one immense term"), Drop),
        (item(400, "strict_dynamic_mapping_exception"), Drop),
    ],
)
def test_each_item_of_a_bulk_answer_has_one_verdict(answer: dict[str, Any], verdict: type) -> None:
    assert isinstance(of_item(answer), verdict)


def conflict(there: int, given: int) -> dict[str, Any]:
    reason = f"[k]: version conflict, current version [{there}] is higher or equal to the one provided [{given}]"
    return item(409, "version_conflict_engine_exception", reason)


def test_a_replay_learns_whether_newer_data_was_found() -> None:
    version = (700 << 48) + 5
    assert of_replayed_item(conflict(version, version)) == Done()
    assert of_replayed_item(conflict(version + 1, version)) == Done(unwritten="superseded")
    assert of_replayed_item({"status": 201}) == Done()
    assert isinstance(of_replayed_item(item(400, "document_parsing_exception", "no")), Drop)


def test_a_conflict_that_a_replay_cannot_read_is_not_counted() -> None:
    assert isinstance(of_replayed_item(item(409, "version_conflict_engine_exception", "another text")), Retry)


def test_a_drop_says_what_elasticsearch_said() -> None:
    dropped = of_item(item(400, "document_parsing_exception", "failed to parse field [x]"))
    assert dropped == Drop("SINK_REFUSED", "document_parsing_exception: failed to parse field [x]")


@pytest.mark.parametrize(
    ("status", "verdict"), [(429, Again), (502, Again), (503, Again), (400, Retry), (401, Retry), (403, Retry)]
)
def test_a_request_s_failure_drops_nothing(status: int, verdict: type) -> None:
    meta = ApiResponseMeta(status, "1.1", HttpHeaders(), 0.0, NODE)
    assert isinstance(of_request(ApiError("no", meta, None)), verdict)


def test_a_request_that_is_too_large_is_to_be_split() -> None:
    assert of_request(ApiError("no", ApiResponseMeta(413, "1.1", HttpHeaders(), 0.0, NODE), None)) is None


@pytest.mark.parametrize("error", [ConnectionError("refused"), ConnectionTimeout("slow")])
def test_a_request_without_an_answer_is_retried(error: ConnectionError | ConnectionTimeout) -> None:
    assert isinstance(of_request(error), Again)
