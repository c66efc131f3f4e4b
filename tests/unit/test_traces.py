"""What is traced, what is not, and that nothing waits for a collector."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from penstock.consume import Delivery, Done, Drop, Outcome, Retry
from penstock.consume.traced_batch import TracedBatch
from penstock.errors import Refused, Unavailable
from penstock.services.ingress.access.credentials import AUTHENTICATED
from penstock.services.ingress.http.traced_app import TracedApp
from penstock.telemetry.traces import Span, Step, Tracer, current, parse, step, store_step, unsampled
from penstock.telemetry.traces.allowance import Allowance
from penstock.telemetry.traces.endpoint import endpoint, resource
from penstock.telemetry.traces.log_ids import add_trace_ids
from penstock.telemetry.traces.sender import Sender

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


class Kept:
    """A tracer, and the spans that it exports."""

    def __init__(self, *, ratio: float = 0.0, events: int = 100, errors: int = 10) -> None:
        self.spans: list[Span] = []
        self.tracer = Tracer(self._keep, ratio=ratio, events=events, errors=errors)

    def _keep(self, spans: Sequence[Span]) -> None:
        self.spans += spans

    def request(self, given: str | None = None, error: str = "") -> Span:
        """A request that is over."""
        span = self.tracer.begin("POST /", "server", parse(given), {})
        with Step(span), step("below", "internal"):
            pass
        self.tracer.finish(span, error)
        return span


def delivery(sequence: int, traceparent: str = "") -> Delivery:
    headers = f"NATS/1.0\r\ntraceparent: {traceparent}\r\n\r\n".encode() if traceparent else None
    facts = ["1", str(sequence), "1", "1", "0"]
    return Delivery("evt.00.http.shop.log.line.v1", "$JS.ACK", headers, b"{}", "EVENTS_HTTP", "indexer", facts)


def process(kept: Kept, batch: list[Delivery], outcomes: list[Outcome]) -> TracedBatch:
    traced = TracedBatch(kept.tracer, batch, "EVENTS_HTTP", "indexer")
    with Step(traced.span), store_step("elasticsearch", "bulk", size=len(batch)):
        pass
    traced.finish(outcomes)
    return traced


@pytest.mark.parametrize(
    "bad", ["", "00-" + "0" * 32 + GIVEN[35:], GIVEN[:36] + "0" * 16 + "-01", "01" + GIVEN[2:], GIVEN + "-x"]
)
def test_only_a_valid_traceparent_is_followed(bad: str) -> None:
    assert parse(bad) is None
    context = parse(GIVEN)
    assert context is not None
    assert (context.sampled, context.traceparent) == (True, GIVEN)
    flags = parse(GIVEN[:-2] + "03")  # sampled, and a random trace id
    assert flags is not None
    assert flags.sampled
    assert parse(unsampled(GIVEN)) != context


def test_the_caller_decides_and_the_ratio_where_there_is_none() -> None:
    never, always = Kept(ratio=0.0), Kept(ratio=1.0)
    assert never.request(GIVEN).context.trace_id == int(GIVEN[3:35], 16)
    assert [span.name for span in never.spans] == ["POST /", "below"]
    assert never.spans[1].parent == never.spans[0].context
    never.request()
    always.request(unsampled(GIVEN))
    assert (len(never.spans), len(always.spans)) == (2, 0)
    always.request()
    assert len(always.spans) == 2


def test_a_failure_is_recorded_although_it_was_not_sampled_and_only_so_many() -> None:
    kept = Kept(errors=3)
    for _ in range(5):
        kept.request(error="500")
    assert [(span.name, span.error) for span in kept.spans] == [("POST /", "500"), ("below", "")] * 3


def test_a_caller_cannot_have_all_its_requests_traced() -> None:
    kept = Kept(events=4)
    contexts = [kept.request(GIVEN).context for _ in range(50)]
    assert sum([context.sampled for context in contexts]) < 10


def test_an_allowance_is_what_one_second_gives() -> None:
    now = 0.0
    allowance = Allowance(10, lambda: now)
    assert [allowance.take(8), allowance.take(8), allowance.take(1)] == [8, 2, 0]
    now = 0.5
    assert allowance.take(8) == 5
    now = 60.0
    assert allowance.take(100) == 10


def test_a_step_that_raises_has_the_code_of_its_error() -> None:
    kept = Kept(ratio=1.0)
    span = kept.tracer.begin("GET /", "server", None, {})
    with pytest.raises(Unavailable), Step(span), step("outer", "internal"), step("inner", "client"):
        raise Unavailable("TIMED_OUT", "a test")
    kept.tracer.finish(span)
    assert [(each.name, each.error) for each in kept.spans] == [
        ("GET /", "TIMED_OUT"),
        ("inner", "TIMED_OUT"),
        ("outer", "TIMED_OUT"),
    ]
    assert current() is None


def test_steps_without_a_span_and_of_a_root_that_has_ended_are_nothing() -> None:
    kept = Kept(ratio=1.0)
    with step("alone", "internal") as nothing, step("below", "internal") as below:
        assert (nothing, below) == (None, None)
    root = kept.tracer.begin("GET /", "server", None, {})
    late = Step(root.child("late", "client"))
    kept.tracer.finish(root)
    late.end()
    assert [span.name for span in kept.spans] == ["GET /"]


def test_a_log_line_within_a_span_names_it() -> None:
    kept = Kept()
    assert add_trace_ids(None, "", {}) == {}
    with Step(kept.tracer.begin("GET /", "server", parse(GIVEN), {})) as span:
        assert span is not None
        line = add_trace_ids(None, "", {})
    assert (line["trace_id"], line["trace_flags"]) == (GIVEN[3:35], "01")
    assert line["span_id"] == f"{span.context.span_id:016x}"


def test_a_batch_links_its_sampled_events_and_each_of_them_has_the_write_in_its_own_trace() -> None:
    kept = Kept()
    batch = [delivery(1), delivery(2, GIVEN), delivery(3, unsampled(OTHER)), delivery(4, OTHER)]
    traced = process(kept, batch, [Done()] * 4)
    whole, request, *events = kept.spans
    assert (whole, whole.attributes["messaging.batch.message_count"]) == (traced.span, 4)
    assert [link.traceparent for link in whole.links] == [GIVEN, OTHER]
    assert request.parent == whole.context
    assert [span.name for span in events] == ["process EVENTS_HTTP", "bulk"] * 2
    assert [span.parent.traceparent for span in events[::2] if span.parent] == [GIVEN, OTHER]
    assert [span.parent for span in events[1::2]] == [span.context for span in events[::2]]
    # What is published of an event is below its span, and of one that is not sampled what it was.
    assert [each.headers.get("traceparent", "") for each in batch] == [
        "", events[0].context.traceparent, unsampled(OTHER), events[2].context.traceparent,
    ]  # fmt: skip


def test_events_beyond_the_allowance_are_traced_nowhere_downstream() -> None:
    kept = Kept(events=1)
    batch = [delivery(1, GIVEN), delivery(2, OTHER)]
    process(kept, batch, [Done()] * 2)
    assert [span.name for span in kept.spans] == ["process EVENTS_HTTP", "bulk"] * 2
    assert batch[1].headers["traceparent"] == unsampled(OTHER)


def test_of_a_batch_that_failed_the_messages_at_fault_have_spans() -> None:
    kept = Kept()
    process(kept, [delivery(n) for n in range(40)], [Done()] * 40)
    assert kept.spans == []
    outcomes: list[Outcome] = [Done()] * 20 + [Drop("SINK_REFUSED", "a test")] + [Retry(1.0, "a test")] * 19
    process(kept, [delivery(n) for n in range(40)], outcomes)
    failed = [span for span in kept.spans if "messaging.message.id" in span.attributes]
    assert [span.error for span in failed] == ["SINK_REFUSED"] + ["RETRIED"] * 9
    assert {span.context.trace_id for span in kept.spans} == {kept.spans[0].context.trace_id}
    assert kept.spans[0].error == "SINK_REFUSED"


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Set at the end, for an exporter that hangs until then."""
    event = threading.Event()
    yield event
    event.set()


def test_spans_are_sent_when_it_stops_and_a_stop_does_not_wait_for_an_exporter_that_hangs(
    stuck: threading.Event,
) -> None:
    spans = [Kept().tracer.begin("GET /", "server", None, {}) for _ in range(20)]
    sent: list[Span] = []
    aborted = threading.Event()

    def send(batch: Sequence[Span]) -> bool:
        sent.extend(batch)
        return True

    def hang(_: Any) -> bool:
        return stuck.wait(60)

    sender = Sender(send, aborted.set)
    sender.add(spans)
    sender.stop(20.0)
    assert (sent, aborted.is_set()) == (spans, False)

    sender = Sender(hang, aborted.set, most_waiting=15)
    began = time.monotonic()
    for _ in range(100):
        sender.add(spans[:10])
    sender.stop(0.2)
    assert time.monotonic() - began < 5.0  # of the 60 s that the exporter takes
    assert aborted.wait(10)


@pytest.mark.parametrize(
    ("environment", "url", "headers", "timeout"),
    [
        ({}, "http://localhost:4318/v1/traces", {}, 2.0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces", {}, 2.0),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/in",
                "OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, d=e=f,nonsense",
                "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
            },
            "http://t/in",
            {"a": "b c", "d": "e=f"},
            5.0,
        ),
    ],
)
def test_where_spans_go(environment: dict[str, str], url: str, headers: dict[str, str], timeout: float) -> None:
    found = endpoint(environment)
    assert (found.url, found.headers, found.timeout) == (url, headers, timeout)


@pytest.mark.parametrize("name", ["ENDPOINT", "PROTOCOL", "COMPRESSION", "TIMEOUT"])
def test_a_variable_that_is_not_right_is_named(name: str) -> None:
    with pytest.raises(Refused, match=f"OTEL_EXPORTER_OTLP_{name}"):
        endpoint({f"OTEL_EXPORTER_OTLP_{name}": "grpc"})


@pytest.mark.parametrize(("text", "seconds"), [("1", 0.001), ("10000", 10.0), ("60000", 60.0)])
def test_the_timeout_is_in_milliseconds(text: str, seconds: float) -> None:
    assert endpoint({"OTEL_EXPORTER_OTLP_TIMEOUT": text}).timeout == seconds


@pytest.mark.parametrize("text", ["0", "60001", "2.5", "-1", "1s", "inf", "9" * 5000])
def test_a_timeout_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="not milliseconds between 1 and 60000"):
        endpoint({"OTEL_EXPORTER_OTLP_TIMEOUT": text})


def test_the_environment_counts_more_than_what_a_process_says_of_itself() -> None:
    own = {"service.name": "indexer", "service.namespace": "penstock"}
    environment = {"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=eu,a=b", "OTEL_SERVICE_NAME": "i1"}
    assert resource(environment, own) == {"service.name": "i1", "service.namespace": "eu", "a": "b"}


@pytest.mark.parametrize(
    ("path", "given", "status", "names"),
    [
        ("/v1/events", GIVEN, 401, []),
        ("/v1/events", GIVEN, 503, ["POST /v1/events", "below"]),
        ("/v1/events", "", 202, []),
        ("/v1/events", unsampled(GIVEN), 202, []),
        ("/v1/events", "", 503, ["POST /v1/events"]),  # of an event that was not sampled, the request alone
        ("/v1/events", GIVEN, 202, ["POST /v1/events", "below"]),
        ("/v1/search", "", 500, ["POST /v1/search", "below"]),
        ("/readyz", GIVEN, 503, []),
    ],
)
async def test_a_request_has_a_span_where_it_is_sampled_or_fails(
    path: str, given: str, status: int, names: list[str]
) -> None:
    kept = Kept()

    async def app(_: Any, __: Any, send: Any) -> None:
        if given and status == 202:
            scope[AUTHENTICATED] = True
        with step("below", "internal"):
            await send({"type": "http.response.start", "status": status, "headers": []})

    async def nothing(*_: Any) -> Any:
        return None

    headers = [(b"traceparent", given.encode())] if given else []
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "headers": headers,
        "request_id": "r-1",
    }
    await TracedApp(app, kept.tracer)(scope, nothing, nothing)
    assert [span.name for span in kept.spans] == names
    if names:
        assert kept.spans[0].attributes["http.response.status_code"] == status
        assert kept.spans[0].error == (str(status) if status >= 500 else "")
