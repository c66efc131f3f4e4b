"""What answering requests counts."""

from __future__ import annotations

from penstock.telemetry import counter, histogram

ANSWERS = counter(
    "penstock_question_answered_total",
    "Questions answered, by result (ok or the error's code)",
    unit="questions",
    remedy="errors: the code says what to do",
    labels=("service", "operation", "result"),
)
ANSWER_SECONDS = histogram(
    "penstock_question_answered_seconds",
    "Time from a question's arrival to its answer",
    unit="seconds",
    remedy="high: look at the store behind the service, and at its concurrency",
    labels=("service", "operation"),
)
