"""All parts of the ingress, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from penstock.auth import issuers
from penstock.auth.api_keys import KeyFile
from penstock.auth.token_verifier import OidcVerifier
from penstock.contracts import Contracts
from penstock.errors import PenstockError
from penstock.services.ingress.access.api_keys import KeyCallers
from penstock.services.ingress.access.authenticate import Authenticator
from penstock.services.ingress.access.client_address import ClientAddresses
from penstock.services.ingress.access.company import Company
from penstock.services.ingress.access.places import Places
from penstock.services.ingress.access.tokens import TokenCallers
from penstock.services.ingress.broker.link import Link
from penstock.services.ingress.http import describe, documentation, health
from penstock.services.ingress.http.body import pace_of
from penstock.services.ingress.http.dispatch import HttpApp, as_problem
from penstock.services.ingress.http.refusals import as_refusal, methods
from penstock.services.ingress.http.traced_app import TracedApp
from penstock.services.ingress.queries import audit, routes
from penstock.services.ingress.queries.ask import WorkerClient
from penstock.services.ingress.queries.gate import Gate
from penstock.services.ingress.settings import IngressSettings
from penstock.services.ingress.submit.accept import Accept
from penstock.services.ingress.tail import routes as tail_routes
from penstock.services.ingress.tail.followers import Tail
from penstock.telemetry import traces


class Ingress:
    """The ASGI application (`http`) and what has to be stopped with it."""

    def __init__(self, settings: IngressSettings, contracts: Contracts) -> None:
        self.link = Link(settings)
        self.tail = Tail(contracts)
        keys = KeyFile(settings.keys)
        tokens = TokenCallers(OidcVerifier(issuers.read(settings.issuers)), contracts) if settings.oidc else None
        verifier = Authenticator(KeyCallers(keys, contracts), tokens, self.link.is_denied)
        app = FastAPI(
            title=describe.TITLE,
            summary=describe.SUMMARY,
            lifespan=self._lifespan,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        app.state.verifier = verifier
        queries, tails = _places(settings)
        self._company = Company()
        self._gate = Gate(settings.ingress_queries_at_work, Company())  # of readers: senders do not wait for them
        workers = WorkerClient(contracts, self.link, queries, self._gate, self._company)
        app.include_router(routes.router(contracts, workers))
        app.include_router(tail_routes.router(contracts, self.link, self.tail, tails))
        app.include_router(audit.router(workers))
        app.include_router(documentation.router())
        app.include_router(health.router(self.link, keys.unready_reasons, keys.notes))
        for kind in (PenstockError, RequestValidationError, HTTPException):
            app.add_exception_handler(kind, _answer_error)
        app.add_exception_handler(Exception, _answer_defect)  # it is raised on to HttpApp, which logs it
        app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
        clients = ClientAddresses(settings.secrets)
        accept = Accept(contracts, verifier, self.link, clients, settings, self._company)
        http = HttpApp(accept, app, pace_of(settings))
        tracer = traces.tracer()
        self.http: ASGIApp = http if tracer is None else TracedApp(http, tracer)

    def end(self) -> None:
        """Ends the tails, which would go on for ever, and lets all that waits for the sake of others go on at once."""
        self.tail.close()
        self._company.end()
        self._gate.end()

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await self.link.start()
        yield
        await self.link.stop()


def _places(settings: IngressSettings) -> tuple[Places, Places]:
    """Those of questions and of tails."""
    queries = Places(
        "query", "questions at work", "QUERY_SHARE_USED",
        of_all=settings.ingress_queries, of_identity=settings.ingress_queries_identity, retry_after=1,
    )  # fmt: skip
    tails = Places(
        "tail", "tails", "TAIL_SHARE_USED",
        of_all=settings.ingress_tails, of_identity=settings.ingress_tails_identity, retry_after=10,
    )  # fmt: skip
    return queries, tails


async def _answer_error(request: Request, error: Exception) -> Response:
    found = as_refusal(error, request)
    status, headers, body = as_problem(found, request.scope["request_id"])
    if found.code == "METHOD_UNKNOWN":
        allowed = methods(request.url.path, request.app.openapi()["paths"])
        headers.append((b"allow", ", ".join(allowed).encode()))
    response = Response(body, status)
    response.raw_headers = headers
    return response


async def _answer_defect(request: Request, _: Exception) -> Response:
    return await _answer_error(request, PenstockError("INTERNAL", "the request could not be worked on"))


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schema["paths"] = {"/v1/events": describe.events_path(), **schema["paths"]}
        schema.setdefault("components", {})["securitySchemes"] = describe.SECURITY
        schema["security"] = [{"bearer": []}]
        app.openapi_schema = schema
    return app.openapi_schema
