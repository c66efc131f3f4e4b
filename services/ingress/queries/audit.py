"""GET /v1/audit → svc.store.audit → records of the audit trail, for callers with a role that may read it."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import Field

from penstock.rpc.messages import MAX_RECORDS, AuditName, AuditPage, AuditQuery, Cursor, Request, Time, Token
from penstock.services.ingress.access.from_request import FromCaller
from penstock.services.ingress.queries.ask import WorkerClient


class AuditParameters(Request):
    """Records of the audit trail."""

    from_: Time | None = Field(None, alias="from", description="when stored, inclusive; default: 24 hours before `to`")
    to: Time | None = Field(None, description="exclusive; default: now")
    identity: AuditName | None = Field(None, description="the identity that acted, or that is concerned")
    action: Token | None = Field(None, description="connect, published, query, dead_letters, admin, sessions, …")
    limit: int = Field(100, ge=1, le=MAX_RECORDS)
    cursor: Cursor | None = Field(None, description="`cursor` of the page before")

    def query(self) -> AuditQuery:
        """The request. Raises Refused QUERY_INVALID when its members do not fit each other."""
        time = {name: bound for name, bound in (("from", self.from_), ("to", self.to)) if bound is not None}
        members = {"time": time, "identity": self.identity, "action": self.action, "cursor": self.cursor}
        return AuditQuery.read({name: each for name, each in members.items() if each} | {"limit": self.limit})


def router(workers: WorkerClient) -> APIRouter:
    """The path; the application's `state.verifier` authenticates the caller."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/audit", tags=["operate"], responses={200: {"model": AuditPage}})
    async def audit(caller: FromCaller, parameters: Annotated[AuditParameters, Query()]) -> Response:
        """The audit trail, newest first: who connected, published, queried, changed or replayed what."""
        reply = await workers.ask(caller, "store", "audit", parameters.query())
        return Response(orjson.dumps(reply), media_type="application/json")

    return routes
