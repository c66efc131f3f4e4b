"""An OTLP/HTTP receiver within the test: what processes send to it; and a real Collector behind it, if any."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """A span; ids are hexadecimal, `error` is whether its status says so."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    error: bool
    start_ns: int
    end_ns: int

    @property
    def group(self) -> str:
        """The consumer that processed a message."""
        return str(self.attributes.get("messaging.consumer.group.name", ""))


class Receiver:
    """Listens on a free port; `forward`, where there is one, is the URL of a Collector that gets the same requests and
    whose answers the senders get."""

    def __init__(self, forward: str = "") -> None:
        self.spans: list[Received] = []
        self.refused: list[int] = []  # statuses with which the Collector refused
        self._forward = forward
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Listens no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of_trace(self, trace_id: str) -> list[Received]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def _take(self, body: bytes) -> int:
        self.spans += spans_of(ExportTraceServiceRequest.FromString(body))
        if not self._forward:
            return 200
        headers = {"content-type": "application/x-protobuf"}
        status = httpx.post(f"{self._forward}/v1/traces", content=body, headers=headers).status_code
        if status != 200:
            self.refused.append(status)
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take: Callable[[bytes], int] = self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status = take(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler


def spans_of(request: ExportTraceServiceRequest) -> list[Received]:
    """The spans of a request."""
    return [
        Received(
            service=_values(resource.resource.attributes)["service.name"],
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            kind=span.kind,
            attributes=_values(span.attributes),
            links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
            error=span.status.code == 2,
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
