"""One trace of one event: request, edge, stream, workers, stores, score and the answers to questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest

from penstock.contracts import subjects
from penstock.stack import process, up
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.collector import Collector, binary
from tests.support.ingress import Ingress, event
from tests.support.otlp_receiver import Received, Receiver
from tests.support.scoring_models import package
from tests.support.until import until
from tests.support.workers import register

WORKERS = ("indexer_0", "writer_0", "scorer_0")
CALLER = "b7ad6b7169203331"
TRACE = "0af7651916cd43dd8448eb211c80319c"
UNSAMPLED = "1af7651916cd43dd8448eb211c80319c"
MARKER = "3af7651916cd43dd8448eb211c80319c"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5  # as OTLP numbers kinds
# (service, name) of the spans of one event. Those of one process are exported in the order in which they ended.
OF_AN_EVENT = {
    ("ingress", "edge"), ("ingress", "POST /v1/events"), ("ingress", "send EVENTS_HTTP"), ("ingress", "publish group"),
    ("ingress", "wait for workers"), ("scorer", "process EVENTS_HTTP"), ("scorer", "score"), ("scorer", "send SCORES"),
    ("indexer", "process EVENTS_HTTP"), ("indexer", "bulk"), ("indexer", "process SCORES"),
    ("writer", "process EVENTS_HTTP"), ("writer", "BATCH INSERT events"),
    ("writer", "process SCORES"), ("writer", "BATCH INSERT scores"),
}  # fmt: skip


@pytest.fixture(scope="module")
async def collector(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Collector | None]:
    """A real one, where it has been built."""
    if not binary().exists():
        yield None
        return
    collector = Collector(tmp_path_factory.mktemp("collector"))
    await collector.ready()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
async def receiver(collector: Collector | None) -> AsyncIterator[Receiver]:
    receiver = Receiver(collector.url if collector is not None else "")
    yield receiver
    receiver.close()


@pytest.fixture
async def traced(rig: Rig, on_stores: Place, receiver: Receiver) -> AsyncIterator[Ingress]:
    """The ingress and all workers as processes of their own, which send spans to the receiver and trace nothing unless
    they are asked to."""
    place = on_stores.model_copy(update={"traces": True, "traces_ratio": 0.0, "fleet": {"operator": 1}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        await asyncio.to_thread(up.start_service, place, "operator_0")
        await register(rig, package())
        ingress = Ingress(place)
        starts = [asyncio.to_thread(up.start_service, place, name) for name in (*WORKERS, "ingress_0")]
        await asyncio.gather(*starts)
    yield ingress
    await ingress.stop()
    for name in (*WORKERS, "operator_0"):
        await asyncio.to_thread(process.stop, place, name)


@pytest.mark.timeout(400)
async def test_one_event_is_one_trace_from_the_request_to_the_answer(
    rig: Rig, traced: Ingress, receiver: Receiver, collector: Collector | None
) -> None:
    received = str(time.time_ns() // 1000 - 5_000)
    response = await traced.send(
        event("t-1", data={"message": "user 77 logged in from 10.9.8.7"}),
        traceparent=f"00-{TRACE}-{CALLER}-01",
        prefer="wait=30",
        penstock_received=received,
    )
    assert response.status_code == 200, response.text  # indexed, stored and scored
    [result] = response.json()["results"]
    spans = await _whole(receiver, TRACE)
    _assert_the_way_in(spans, received)
    _assert_workers(spans, result)
    _assert_batches(receiver, spans)

    await _assert_nothing_is_traced_unless_it_is_asked_for(traced, receiver)
    await _assert_a_search_goes_on_in_the_indexer(traced, receiver)
    await _assert_a_failure_is_recorded_although_it_was_not_sampled(rig, receiver)
    if collector is None:
        pytest.skip("all but the Collector was tested: tests/deploy/build_collector.sh builds it")
    assert receiver.refused == []
    await until(lambda: sorted(collector.spans(), key=_id) == sorted(receiver.spans, key=_id))


async def _whole(receiver: Receiver, trace: str) -> list[Received]:
    """All spans of an event's trace."""

    def missing() -> set[tuple[str, str]]:
        return OF_AN_EVENT - {(span.service, span.name) for span in receiver.of_trace(trace)}

    await until(lambda: not missing(), what=lambda: f"{missing()} of {trace}")
    return receiver.of_trace(trace)


def _id(span: Received) -> str:
    return span.span_id


def _only(spans: list[Received], name: str, group: str = "") -> Received:
    [found] = [span for span in spans if span.name == name and span.group.startswith(group)]
    return found


def _assert_the_way_in(spans: list[Received], received: str) -> None:
    edge, request = _only(spans, "edge"), _only(spans, "POST /v1/events")
    assert (edge.parent, edge.start_ns) == (CALLER, int(received) * 1000)
    assert (request.service, request.kind, request.parent) == ("ingress", SERVER, edge.span_id)
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["http.request.header.x-request-id"]
    sent = _only(spans, "send EVENTS_HTTP")
    assert (sent.kind, sent.parent) == (PRODUCER, request.span_id)
    assert sent.attributes["messaging.batch.message_count"] == 1
    assert _only(spans, "publish group").parent == sent.span_id
    assert _only(spans, "wait for workers").parent == request.span_id


def _assert_workers(spans: list[Received], result: dict[str, object]) -> None:
    sent = _only(spans, "send EVENTS_HTTP")
    stores = {"indexer": ("bulk", "elasticsearch"), "writer": ("BATCH INSERT events", "cassandra")}
    for worker, (write, system) in stores.items():
        processed = _only(spans, "process EVENTS_HTTP", worker)
        assert (processed.service, processed.kind, processed.parent) == (worker, CONSUMER, sent.span_id)
        assert processed.attributes["messaging.message.id"] == f"EVENTS_HTTP:{result['sequence']}"
        [written] = [span for span in spans if span.parent == processed.span_id]
        assert (written.name, written.kind) == (write, CLIENT)
        assert (written.attributes["db.system.name"], written.attributes["db.operation.batch.size"]) == (system, 1)
    scored = _only(spans, "process EVENTS_HTTP", "scorer")
    assert (scored.service, scored.parent) == ("scorer", sent.span_id)
    below = {span.name for span in spans if span.parent == scored.span_id}
    assert below == {"score", "send SCORES", "process SCORES"}
    assert not any(span.error for span in spans)


def _assert_batches(receiver: Receiver, spans: list[Received]) -> None:
    """Each event's span names its batch, whose span names what it was sent with, and holds the request itself."""
    for processed in [span for span in spans if span.name.startswith("process")]:
        [(trace, id)] = processed.links
        [batch] = [span for span in receiver.of_trace(trace) if span.span_id == id]
        assert batch.name == processed.name
        assert batch.attributes["messaging.batch.message_count"] == 1
        assert batch.links == ((TRACE, processed.parent),)
        assert len(receiver.of_trace(trace)) > 1


async def _assert_nothing_is_traced_unless_it_is_asked_for(traced: Ingress, receiver: Receiver) -> None:
    """An event that is sampled comes behind: when its spans are here, those of the others would be."""
    sequences = []
    for headers in ({"traceparent": f"00-{UNSAMPLED}-{CALLER}-00"}, {}):
        response = await traced.send(event(f"u-{len(headers)}"), prefer="wait=30", **headers)
        assert response.status_code == 200
        sequences.append(response.json()["results"][0]["sequence"])
    received = str(time.time_ns() // 1000)
    marker = f"00-{MARKER}-{CALLER}-01"
    response = await traced.send(event("m-1"), traceparent=marker, prefer="wait=30", penstock_received=received)
    assert response.status_code == 200
    await _whole(receiver, MARKER)
    assert receiver.of_trace(UNSAMPLED) == []
    assert {span.trace_id for span in receiver.spans if span.name == "POST /v1/events"} == {TRACE, MARKER}
    ids = {span.attributes.get("messaging.message.id") for span in receiver.spans}
    assert not ids & {f"EVENTS_HTTP:{sequence}" for sequence in sequences}


async def _assert_a_search_goes_on_in_the_indexer(traced: Ingress, receiver: Receiver) -> None:
    trace = "2" + TRACE[1:]
    headers = traced.headers(traceparent=f"00-{trace}-{CALLER}-01")
    answer = await traced.client.post("/v1/search", json={"text": "logged"}, headers=headers)
    assert answer.status_code == 200, answer.text

    def all_there() -> list[Received] | None:
        spans = receiver.of_trace(trace)
        return spans if {"ingress", "indexer"} <= {span.service for span in spans} else None

    spans = await until(all_there)
    [asked, answered] = sorted((span for span in spans if span.name == "search/query"), key=lambda span: span.start_ns)
    assert (asked.service, asked.parent) == ("ingress", _only(spans, "POST /v1/search").span_id)
    assert (answered.service, answered.kind, answered.parent) == ("indexer", SERVER, asked.span_id)
    below = [span.attributes.get("db.system.name") for span in spans if span.parent == answered.span_id]
    assert "elasticsearch" in below


async def _assert_a_failure_is_recorded_although_it_was_not_sampled(rig: Rig, receiver: Receiver) -> None:
    ingress = await rig.broker("ingress")
    stored = await ingress.publish(subjects.event(1, "http", "shop", "log.line.v1"), orjson.dumps({"not": "an event"}))
    name = f"EVENTS_HTTP:{stored.sequence}"

    def failed() -> list[Received] | None:
        spans = [span for span in receiver.spans if span.attributes.get("messaging.message.id") == name]
        return spans if len(spans) == 3 else None

    found = await until(failed)
    assert {(span.service, span.error) for span in found} == {(name, True) for name in ("indexer", "writer", "scorer")}
    assert {span.attributes["error.type"] for span in found} == {"ENVELOPE_INVALID"}
