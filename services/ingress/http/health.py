"""/livez /readyz /metrics: for load balancers and monitoring; no key is asked for and nothing of a caller is shown."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from penstock.services.ingress.broker.link import Link
from penstock.telemetry.health_answers import LIVE, readiness


def router(link: Link, others: Callable[[], list[str]], notes: Callable[[], list[str]]) -> APIRouter:
    """The three paths; `others` gives further reasons not to be ready, `notes` what an operator should know."""
    routes = APIRouter(tags=["health"])

    @routes.get("/livez")
    async def livez() -> dict[str, bool]:
        """200 as long as the process answers."""
        return LIVE

    @routes.get("/readyz", responses={503: {"description": "Not ready; `reasons` says why."}})
    async def readyz() -> JSONResponse:
        """200 while events can be taken. `durable` says whether accepted means on disk."""
        reasons = link.problems() + others()
        durability = link.connected.durability.reason if link.connected else "not known yet"
        return readiness(reasons, notes(), durable=link.durable, durability=durability)

    @routes.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    return routes
