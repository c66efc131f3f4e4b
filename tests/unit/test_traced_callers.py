"""Only requests of callers who have shown who they are use what may be traced in a second."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from penstock.auth import api_keys
from penstock.contracts import load
from penstock.services.ingress.app import Ingress
from penstock.services.ingress.http.traced_app import TracedApp
from penstock.services.ingress.settings import IngressSettings
from penstock.telemetry.traces import Span, Tracer

SAMPLED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
MOST = 4
UNKNOWN = SAMPLED | {"authorization": "Bearer pk_nobody"}


async def test_strangers_cannot_use_up_what_callers_may_have_traced(tmp_path: Path) -> None:
    settings, contracts = IngressSettings(state=tmp_path), load()
    key, _ = api_keys.create(
        settings.keys, contracts, identity="shop", now_ns=time.time_ns(), datasets=["*"], types=["*"], roles=["reader"]
    )
    spans: list[Span] = []
    tracer = Tracer(spans.extend, ratio=0.0, events=MOST, errors=0)
    app = TracedApp(Ingress(settings, contracts).http, tracer)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingress") as client:
        for headers in (SAMPLED, UNKNOWN) * MOST:
            assert (await client.get("/v1/whoami", headers=headers)).status_code == 401
            assert (await client.post("/v1/events", headers=headers)).status_code == 401
        assert spans == []
        answer = await client.get("/v1/whoami", headers=SAMPLED | {"authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert [span.name for span in spans] == ["GET /v1/whoami"]
