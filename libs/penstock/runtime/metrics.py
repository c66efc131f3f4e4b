"""What a worker counts."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

REPLIES = counter(
    "penstock_reply_sent_total",
    "Replies to publishers who named a reply address, by result (sent, refused)",
    unit="replies",
    remedy="refused: a publisher names an address outside its own inbox",
    labels=("result",),
)
FINDINGS = gauge(
    "penstock_check_findings",
    "What the last check of something outside found wrong: missing, damaged, or not as it was left",
    unit="findings",
    remedy="above 0: `penstock status` and /readyz name it, and the command that corrects it",
    labels=("check",),
)
CHECKS_FAILED = counter(
    "penstock_check_failed_total",
    "Checks of something outside that got no answer",
    unit="checks",
    remedy="steady growth: the log has the reason; what is wrong meanwhile is not noticed",
    labels=("check",),
)
