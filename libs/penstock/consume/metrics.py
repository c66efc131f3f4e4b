"""What lanes count."""

from __future__ import annotations

from penstock.telemetry import counter, gauge, histogram

DELIVERIES = counter(
    "penstock_delivery_settled_total",
    "Deliveries settled, by outcome (done, retried, dropped)",
    unit="messages",
    remedy="retried grows: the sink is down or slow; dropped grows: read the dead letters",
    labels=("stream", "consumer", "outcome"),
)
DELIVERIES_REFUSED = counter(
    "penstock_delivery_refused_total",
    "Messages in a lane's inbox that the lane's consumer did not send",
    unit="messages",
    remedy="any: somebody sends to this worker's inbox; find the identity in the server's log",
    labels=("stream", "consumer"),
)
HANDLE_SECONDS = histogram(
    "penstock_batch_handled_seconds",
    "Time the worker took for one batch, sink included",
    unit="seconds",
    remedy="high: look at the sink's latency",
    labels=("stream", "consumer"),
)
HANDLE_FAILURES = counter(
    "penstock_batch_failed_total",
    "Batches whose handler raised instead of answering; their messages come again",
    unit="batches",
    remedy="any: a defect in the worker; the log has the traceback",
    labels=("stream", "consumer"),
)
LANE_PENDING = gauge(
    "penstock_lane_pending_messages",
    "Messages of the stream not delivered to this consumer yet",
    unit="messages",
    remedy="growth: add replicas, or look at the sink",
    labels=("stream", "consumer"),
)
LANE_BEHIND_SECONDS = gauge(
    "penstock_lane_behind_seconds",
    "Age of the message that was delivered last",
    unit="seconds",
    remedy="above half of the stream's max_age events are about to be lost to this consumer: act now",
    labels=("stream", "consumer"),
)
LANE_HELD = gauge(
    "penstock_lane_held_messages",
    "Messages delivered and not settled, in this process",
    unit="messages",
    remedy="at its bound all the time: the sink is the bottleneck",
    labels=("stream", "consumer"),
)
BRAKED = gauge(
    "penstock_worker_braked",
    "1 while the brake holds the lanes of live traffic or of a replay: most messages of several publishers are refused",
    unit="0 or 1",
    remedy="1: usually a deploy; /readyz or `penstock worker status` has the publishers, then `penstock worker resume`",
    labels=("worker", "traffic", "code"),
)
PULLS_RENEWED = counter(
    "penstock_pull_renewed_total",
    "Pulls given up because neither message nor heartbeat came",
    unit="pulls",
    remedy="growth: the consumer's leader moves, or the broker is overloaded",
    labels=("stream", "consumer"),
)
DEAD_LETTERS = counter(
    "penstock_dead_letter_stored_total",
    "Dead letters stored, full ones and ranges",
    unit="dead letters",
    remedy="growth: group them by code (`penstock dlq`)",
    labels=("code", "form"),
)
DEAD_LETTERS_FAILED = counter(
    "penstock_dead_letter_failed_total",
    "Dead letters that could not be stored; their messages are kept and come again",
    unit="dead letters",
    remedy="any: the DLQ stream is full or away",
)
