"""Settings of the ingress, on top of those of every process: how much of it one client may have."""

from __future__ import annotations

from pydantic import Field

from penstock.services.ingress.processors import processors
from penstock.settings import Settings

MIB = 1024 * 1024
# A second for each processor: two thirds of what it indexes, stores and scores, so that one identity leaves room for
# others, and two together use all there is.
EVENTS_EACH = 1000


class IngressSettings(Settings):
    """Shares and floors. A share is of one ingress process."""

    ingress_body_bytes: int = Field(
        24 * MIB, ge=16 * MIB, description="bytes of all request bodies held at one time, the reserve included"
    )
    ingress_body_identity_bytes: int = Field(
        12 * MIB, ge=8 * MIB, description="of them, those of one identity; the largest request has 8 MiB"
    )
    ingress_body_address_bytes: int = Field(
        18 * MIB, ge=8 * MIB, description="of them, those of one address (IPv6: of one /64)"
    )
    ingress_body_reserve_bytes: int = Field(
        4 * MIB, ge=0, description="of them, those that only an identity may take that holds at most 512 KiB"
    )
    ingress_body_floor: int = Field(
        16 * 1024, ge=1, description="bytes a second at which a body must arrive, once `ingress_body_grace` is over"
    )
    ingress_body_grace: float = Field(
        5.0, gt=0, le=30, description="seconds for a body however slow it is; a body takes at most 30 s"
    )

    ingress_tails: int = Field(64, ge=1, description="tails at one time")
    ingress_tails_identity: int = Field(16, ge=1, description="of them, those of one identity")
    ingress_queries: int = Field(256, ge=1, description="questions at work at one time")
    ingress_queries_identity: int = Field(24, ge=1, description="of them, those of one identity")

    ingress_queries_at_work: int = Field(
        4, ge=1, description="of them, those of one identity that the workers have at one time while others are there"
    )
    ingress_events_identity: int = Field(
        max(int(EVENTS_EACH * processors()), 1), ge=0,
        description="events a second of one identity while others are there, by default 1,000 for each processor that"
        " the process may use; 0: no bound",
    )  # fmt: skip

    ingress_connections: int = Field(
        1024, ge=1, description="connections; beyond it one that waits for its client makes room for each newcomer"
    )
    ingress_connections_reserve: int = Field(
        64, ge=1, description="further ones when all are at work on requests; only health checks are answered on them"
    )
    ingress_first_byte_seconds: float = Field(5.0, gt=0, description="that a new connection may send nothing")
    ingress_head_seconds: float = Field(10.0, gt=0, description="for the head of a request")
    ingress_reader_seconds: float = Field(60.0, gt=0, description="that a client may read nothing of a response")
