"""GET /v1/audit → svc.store.audit → records of the audit trail, for who has a role that may read it."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import Field

from penstock.rpc.messages import MAX_RECORDS, AuditName, AuditPage, AuditQuery, Cursor, Request, Time, Token
from penstock.services.ingress.queries.ask import Asking
from penstock.services.ingress.queries.reads import FromCaller


class AuditParameters(Request):
    """Records of the audit trail."""

    from_: Time | None = Field(None, alias="from", description="when stored, inclusive; default: 24 hours before `to`")
    to: Time | None = Field(None, description="exclusive; default: now")
    identity: AuditName | None = Field(None, description="who did it, or who is concerned")
    action: Token | None = Field(None, description="connect, published, question, dead_letters, admin, sessions, …")
    limit: int = Field(100, ge=1, le=MAX_RECORDS)
    cursor: Cursor | None = Field(None, description="`cursor` of the page before")

    def question(self) -> AuditQuery:
        """The question. Raises Refused QUERY_INVALID when its members do not fit each other."""
        time = {name: bound for name, bound in (("from", self.from_), ("to", self.to)) if bound is not None}
        members = {"time": time, "identity": self.identity, "action": self.action, "cursor": self.cursor}
        return AuditQuery.read({name: each for name, each in members.items() if each} | {"limit": self.limit})


def router(asking: Asking) -> APIRouter:
    """The path; the application's `state.verifier` says who asks."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/audit", tags=["operate"], responses={200: {"model": AuditPage}})
    async def audit(caller: FromCaller, parameters: Annotated[AuditParameters, Query()]) -> Response:
        """The audit trail, newest first: who connected, published, asked, changed or replayed what."""
        reply = await asking.ask(caller, "store", "audit", parameters.question())
        return Response(orjson.dumps(reply), media_type="application/json")

    return routes
