"""A collector that does not answer: no event waits for it, and no stop takes longer than the grace period."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Iterator

import pytest

from penstock.stack import process
from tests.support.broker_rig import Rig
from tests.support.ingress import Ingress, event
from tests.support.until import until

REQUESTS = 150
TIMEOUT = 3.0  # seconds of an export, longer than any disk takes
STOPPED = 5.0  # seconds; Kubernetes gives thirty, and the stack ten


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections, and never answers on them."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def gone() -> str:
    """Refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("collector", ["silent", "gone"])
async def test_a_collector_that_is_away_delays_neither_events_nor_the_stop(
    rig: Rig, collector: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", request.getfixturevalue(collector))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", f"{TIMEOUT * 1000:.0f}")
    update = {"traces": True, "traces_ratio": 1.0, "traces_events": 10_000}
    ingress = await Ingress(rig.place.model_copy(update=update)).start()
    try:
        seconds = []
        for number in range(REQUESTS):
            began = time.monotonic()
            response = await ingress.send(event(f"{collector}-{number}"))
            seconds.append(time.monotonic() - began)
            assert response.status_code == 202
        assert max(seconds) < TIMEOUT  # who waited for an export would have waited for all of it
        assert statistics.quantiles(seconds, n=10)[-1] < TIMEOUT / 3  # some may wait for the disk

        async def some_are_lost() -> bool:
            return await _lost(ingress) > 0

        await until(some_are_lost)
        await ingress.send(event(f"{collector}-last"))  # there is something to export at the stop
        record = process.alive(ingress.place, "ingress_0")
        assert record is not None
    finally:
        began = time.monotonic()
        await asyncio.to_thread(process.stop, ingress.place, "ingress_0")
        took = time.monotonic() - began
        await ingress.client.aclose()
    assert process.exit_code(record) == 0
    assert took < STOPPED


async def _lost(ingress: Ingress) -> float:
    text = (await ingress.client.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith('penstock_spans_total{result="export_failed"}')]
    return float(lines[0].split()[-1])
