"""A real OpenTelemetry Collector, where tests/deploy/build_collector.sh has built it: OTLP in, a file out."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.otlp_receiver import Received, spans_of
from tests.support.until import until

_SOURCE = Path(__file__).resolve().parents[1] / "deploy/collector"


def binary() -> Path:
    """Where the Collector of this checkout's source is, once it is built."""
    source = b"".join([(_SOURCE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")])
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return cache / "penstock" / f"otelcol-{hashlib.sha256(source).hexdigest()[:16]}" / "otelcol"


class Collector:
    """Runs in `folder`; writes what it gets to a file there."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._file = folder / "spans.json"
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {"file": {"path": str(self._file), "flush_interval": "100ms"}},
            "service": {
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        (folder / "collector.yaml").write_text(json.dumps(config))  # JSON is YAML
        self.log = folder / "collector.log"
        with self.log.open("wb") as log:
            command = [str(binary()), f"--config={folder / 'collector.yaml'}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    async def ready(self) -> None:
        """Waits until it takes spans."""
        await until(self._answers, what=lambda: f"the Collector to start: {self.log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()[-2000:]
        headers = {"content-type": "application/x-protobuf"}
        try:
            return httpx.post(f"{self.url}/v1/traces", content=b"", headers=headers).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(30)

    def spans(self) -> list[Received]:
        """What it has written so far."""
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        return [span for line in lines if line.endswith("}") for span in _read(json.loads(line))]


def _read(batch: dict[str, Any]) -> list[Received]:
    """OTLP in JSON has ids in hexadecimal, where protobuf's own JSON has Base64."""
    request = ExportTraceServiceRequest()
    for resource in batch["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for holder in (span, *span.get("links", ())):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in holder:
                            holder[name] = _base64(holder[name])
    json_format.ParseDict(batch, request, ignore_unknown_fields=True)
    return spans_of(request)


def _base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()
