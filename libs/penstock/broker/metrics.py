"""What the connection counts."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

BROKER_CONNECTED = gauge(
    "penstock_broker_connected",
    "1 while there is a connection to the broker",
    unit="0 or 1",
    remedy="0 for more than a few seconds: is the server up, can this host reach it?",
    labels=("identity",),
)
BROKER_RECONNECTS = counter(
    "penstock_broker_reconnected_total",
    "Connections made anew after a loss",
    unit="connections",
    remedy="steady growth: read the server's log for slow consumers or restarts",
)
BROKER_ERRORS = counter(
    "penstock_broker_errors_total",
    "Errors reported by the server, and errors of callbacks",
    unit="errors",
    remedy="permissions: the identity's entry in contracts/identities.yaml does not allow what the code does",
    labels=("kind",),
)
