"""GET and POST requests → the workers that answer (ask.py) → their replies, unchanged."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Path, Query, Response

from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.rpc import messages as q
from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.from_request import FromCaller
from penstock.services.ingress.http.describe import RECORD, types_page
from penstock.services.ingress.queries.ask import WorkerClient
from penstock.services.ingress.queries.parameters import AnomaliesParameters, TimelineParameters

Q = TypeVar("Q", bound=q.Request)


def router(contracts: Contracts, workers: WorkerClient) -> APIRouter:
    """All paths that read but /v1/tail; the application's `state.verifier` authenticates the caller."""
    routes = APIRouter(prefix="/v1")

    _events(routes, contracts, workers)
    _index(routes, contracts, workers)

    @routes.get("/whoami", tags=["contract"])
    async def whoami(caller: FromCaller) -> Response:
        """Your identity, roles and permissions."""
        return _json({**asdict(caller), **{name: sorted(getattr(caller, name)) for name in _SETS}})

    @routes.get("/types", tags=["contract"])
    async def types(caller: FromCaller) -> Response:
        """The event types that you may send or read: meaning, bounds, indexed members, JSON Schema; and the attributes
        of an event."""
        return _json(types_page(contracts, caller.types if caller.sends else (), caller.datasets))

    return routes


def _events(routes: APIRouter, contracts: Contracts, workers: WorkerClient) -> None:
    @routes.get("/events/{key}", tags=["read"], responses={200: {"content": {"application/json": {"example": RECORD}}}})
    async def event(caller: FromCaller, key: Annotated[q.Key, Path()]) -> Response:
        """One stored record, by the key that its acceptance returned."""
        reply = await workers.ask(caller, "store", "get", q.GetRecords(keys=[key]))
        if not reply["records"]:
            raise Refused("NOT_FOUND", f"no event {key} is stored, or it is not for {caller.identity}")
        return _json(reply["records"][0])

    @routes.get("/timeline", tags=["read"], responses={200: {"model": q.TimelinePage}})
    async def timeline(caller: FromCaller, parameters: Annotated[TimelineParameters, Query()]) -> Response:
        """What one entity did, newest first."""
        return _json(await workers.ask(caller, "store", "timeline", _within(contracts, caller, parameters.query())))


def _index(routes: APIRouter, contracts: Contracts, workers: WorkerClient) -> None:
    @routes.post("/search", tags=["read"], responses={200: {"model": q.SearchPage}})
    async def search(caller: FromCaller, query: q.SearchQuery) -> Response:
        """Events by words, conditions, time and order, optionally with unusual ones moved up."""
        return _json(await workers.ask(caller, "search", "query", _within(contracts, caller, query)))

    @routes.post("/similar", tags=["read"], responses={200: {"model": q.SimilarPage}})
    async def similar(caller: FromCaller, query: q.SimilarQuery) -> Response:
        """Events nearest to an event (`key`) or to a text."""
        return _json(await workers.ask(caller, "search", "similar", _within(contracts, caller, query)))

    @routes.get("/anomalies", tags=["read"], responses={200: {"model": q.AnomaliesPage}})
    async def anomalies(caller: FromCaller, parameters: Annotated[AnomaliesParameters, Query()]) -> Response:
        """The most unusual events, most unusual first."""
        return _json(await workers.ask(caller, "search", "anomalies", _within(contracts, caller, parameters.query())))

    @routes.post("/count", tags=["read"], responses={200: {"model": q.Counts}})
    async def count(caller: FromCaller, query: q.CountQuery) -> Response:
        """How many events, in all and per value of a field or interval of time."""
        return _json(await workers.ask(caller, "search", "count", _within(contracts, caller, query)))


def _within(contracts: Contracts, caller: HttpCaller, query: Q) -> Q:
    """The request with the datasets spelled out that the caller may read. Raises Refused FORBIDDEN."""
    datasets = caller.readable(getattr(query, "datasets", None))
    for name in getattr(query, "types", None) or ():
        if name not in contracts.types or contracts.types[name].dataset not in datasets:
            raise Refused("FORBIDDEN", f"{caller.identity} may not read {name}", pointer="/types")
    return query.model_copy(update={"datasets": datasets})


def _json(reply: Any) -> Response:
    return Response(orjson.dumps(reply), media_type="application/json")


_SETS = ("types", "datasets", "roles", "asks")
