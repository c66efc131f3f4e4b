"""the body of a request → the collector, tried again for a moment where it could not take it."""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections.abc import Callable, Sequence

import httpx

from penstock.telemetry.traces.endpoint import Endpoint
from penstock.telemetry.traces.span import Span

AGAIN_SECONDS = 0.5  # before the second try; then twice as long each time
RETRYABLE = frozenset({429, 502, 503, 504})  # as OTLP says


class Exporter:
    """Sends spans to an endpoint; blocks meanwhile, for at most the endpoint's timeout."""

    def __init__(self, endpoint: Endpoint, encode: Callable[[Sequence[Span]], bytes]) -> None:
        self._endpoint = endpoint
        self._encode = encode
        self._stopped = threading.Event()
        verify = endpoint.tls if endpoint.tls is not None else True
        self._client = httpx.Client(verify=verify, follow_redirects=False, trust_env=False)
        self._headers = {**endpoint.headers, "content-type": "application/x-protobuf"}
        if endpoint.gzip:
            self._headers["content-encoding"] = "gzip"

    def __call__(self, spans: Sequence[Span]) -> bool:
        """Whether the collector has them."""
        body = self._encode(spans)
        if self._endpoint.gzip:
            body = gzip.compress(body, 1)
        deadline, pause = time.monotonic() + self._endpoint.timeout, AGAIN_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            status = self._post(body, left)
            if status not in RETRYABLE and status:
                return 200 <= status < 300
            pause *= random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            if time.monotonic() + pause > deadline or self._stopped.wait(pause):
                return False
            pause *= 2
        return False

    def abort(self) -> None:
        """No more tries."""
        self._stopped.set()

    def _post(self, body: bytes, seconds: float) -> int:
        """The status of the answer; 0 where there was none."""
        try:
            return self._client.post(
                self._endpoint.url, content=body, headers=self._headers, timeout=seconds
            ).status_code
        except httpx.TransportError:
            return 0
