"""Metrics that only the scorer has."""

from __future__ import annotations

from penstock.telemetry import counter, gauge, histogram

SCORED = counter("penstock_events_scored_total")
MODEL_SECONDS = histogram("penstock_model_inference_duration_seconds")
QUEUE_SECONDS = histogram("penstock_model_queue_duration_seconds")
MODEL_VERSION = gauge("penstock_model_version", "model")
MODEL_REFUSED = counter("penstock_models_refused_total", "model", "code")
