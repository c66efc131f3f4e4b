"""What the authority counts."""

from __future__ import annotations

from penstock.telemetry import counter, histogram

REQUESTS = counter(
    "penstock_connect_decided_total",
    "Servers' requests about a new connection, by result (admitted, refused, unreadable, error, left)",
    unit="requests",
    remedy="refused: the log and the trail say why; error or left: AUDIT or the issuer is away, or too many connect",
    labels=("result",),
)
REQUEST_SECONDS = histogram(
    "penstock_connect_decided_seconds",
    "Time from a server's request to the answer, audit included",
    unit="seconds",
    remedy="near the server's time-out of 5 s clients cannot connect: look at the disk under AUDIT and at the issuer",
)
DISCONNECTED = counter(
    "penstock_connection_disconnected_total",
    "Connections closed because their identity was denied",
    unit="connections",
    remedy="steady growth: a denied client keeps coming in; is a replica unable to read the list?",
)
