"""What a worker counts."""

from __future__ import annotations

from penstock.telemetry import counter

REPLIES = counter(
    "penstock_reply_sent_total",
    "Replies to publishers who named a reply address, by result (sent, refused)",
    unit="replies",
    remedy="refused: a publisher names an address outside its own inbox",
    labels=("result",),
)
