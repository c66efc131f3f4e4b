"""Metrics that only the scorer has."""

from __future__ import annotations

from penstock.telemetry import counter, gauge, histogram

SCORED = counter(
    "penstock_event_scored_total",
    "Events that went through the model",
    unit="events",
    remedy="below the rate of events while the lanes' pending grows: add scorers, each with lanes of its own",
)
MODEL_SECONDS = histogram(
    "penstock_model_answered_seconds",
    "Time for one turn of the model: features, network and records of up to 1024 events",
    unit="seconds",
    remedy="high: the core is shared, or events are unusually long",
)
QUEUE_SECONDS = histogram(
    "penstock_model_awaited_seconds",
    "Time that a batch of a lane waits for its turn of the model",
    unit="seconds",
    remedy="high: the process has more to do than its core can; add scorers, each with lanes of its own",
    buckets=(0.001, 0.0025, 0.005, 0.006, 0.007, 0.008, 0.009, 0.01, 0.0125, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0),
)
MODEL_VERSION = gauge(
    "penstock_model_loaded_version",
    "Version of the model that scores; 0 while there is none",
    unit="version",
    remedy="0: train and activate one; behind the registry: the log says why the newer one was not loaded",
    labels=("model",),
)
MODEL_REFUSED = counter(
    "penstock_model_refused_total",
    "Active versions that could not be loaded",
    unit="versions",
    remedy="any: the log has the code; activate the version before, or train with this release",
    labels=("model", "code"),
)
