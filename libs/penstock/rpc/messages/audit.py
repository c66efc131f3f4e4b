"""svc.store.audit: records of the audit trail."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from penstock.rpc.messages.fields import Cursor, Reply, Request, TimeRange, Token

MAX_RECORDS = 1000
AuditName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class AuditQuery(Request):
    """Records of the trail, newest first. `time` is when they were stored; without it, the last 24 hours."""

    time: TimeRange | None = None
    identity: AuditName | None = Field(None, description="who did it, or who is concerned")
    action: Token | None = Field(None, description="connect, published, query, dead_letters, admin, sessions, …")
    limit: int = Field(100, ge=1, le=MAX_RECORDS)
    cursor: Cursor | None = None


class AuditEntry(Reply):
    """One record. `digest` is its part in the chain (penstock.audit.hash_chain), of the bytes that the store has."""

    sequence: int
    time: str
    subject: str
    action: str
    digest: str
    record: dict[str, Any] | None = Field(None, description="absent where it is not a JSON object")


class AuditPage(Reply):
    """One page; `cursor` is absent on the last."""

    records: list[AuditEntry]
    cursor: str | None = None
