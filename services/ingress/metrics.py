"""Metrics of the ingress."""

from __future__ import annotations

from penstock.telemetry import metrics

EVENTS = metrics.counter(
    "penstock_event_received_total",
    "Events that came over HTTP, by what became of them (accepted, duplicate, refused, unavailable)",
    unit="events",
    remedy="refused grows: a sender breaks its contract, the log names both; unavailable: look at the broker",
    labels=("status",),
)
REQUESTS = metrics.counter(
    "penstock_request_answered_total",
    "Requests answered, by path and status",
    unit="requests",
    remedy="5xx grows: the log has the request ids",
    labels=("path", "status"),
)
REQUEST_SECONDS = metrics.histogram(
    "penstock_request_answered_seconds",
    "Time from a request's head to its answer",
    unit="seconds",
    remedy="high on /v1/events: look at the time of group commits; on others: at the worker that answers",
    labels=("path",),
)
SHARES_USED_UP = metrics.counter(
    "penstock_share_used_up_total",
    "Requests refused because a share or bound was used up (body_identity, body_address, body_all, tail_identity, …)",
    unit="requests",
    remedy="of an identity or address: the log names it; let it send less at one time, or raise its setting; body_all:"
    " add an ingress",
    labels=("share",),
)
CONNECTIONS = metrics.gauge(
    "penstock_connection_open",
    "Connections of HTTP clients",
    unit="connections",
    remedy="at PENSTOCK_INGRESS_CONNECTIONS: penstock_connection_closed_total says who makes room for whom",
)
CONNECTIONS_CLOSED = metrics.counter(
    "penstock_connection_closed_total",
    "Connections that were broken off: the client sent nothing (first_byte), no whole head (head) or did not read"
    " (reader), it waited while another needed its place (made_room), or all were at work (no_room)",
    unit="connections",
    remedy="first_byte, head and made_room in masses: somebody keeps connections open, bound them per address in front"
    " of the ingress; no_room: add an ingress",
    labels=("why",),
)
BODY_BYTES = metrics.gauge(
    "penstock_body_held_bytes",
    "Bytes of request bodies in memory",
    unit="bytes",
    remedy="at its bound: requests come faster than the stream takes them; add an ingress",
)
TAILS = metrics.gauge(
    "penstock_tail_open",
    "Clients that follow events",
    unit="clients",
    remedy="at its bound: new clients get 503",
)
TAIL_GAPS = metrics.counter(
    "penstock_tail_dropped_total",
    "Events that a client was too slow for, and was told so",
    unit="events",
    remedy="growth: the client should filter more, or read faster",
)
