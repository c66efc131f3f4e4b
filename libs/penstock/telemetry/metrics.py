"""Logs and metrics. Every metric stands in METRICS with its meaning, unit and remedy; /metrics and docs come from
there.

Logs are JSON lines: identifiers, counts and codes, never payloads or secrets.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Literal

import structlog
from prometheus_client import Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it counts, in which unit, and what to do when it looks wrong."""

    name: str
    kind: Kind
    meaning: str
    unit: str
    remedy: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: list[Metric] = []

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


def counter(name: str, meaning: str, *, unit: str, remedy: str, labels: tuple[str, ...] = ()) -> Counter:
    """Registers a counter; its name ends in _total."""
    METRICS.append(Metric(name, "counter", meaning, unit, remedy, labels))
    return Counter(name, meaning, labels)


def gauge(name: str, meaning: str, *, unit: str, remedy: str, labels: tuple[str, ...] = ()) -> Gauge:
    """Registers a gauge."""
    METRICS.append(Metric(name, "gauge", meaning, unit, remedy, labels))
    return Gauge(name, meaning, labels)


def histogram(
    name: str,
    meaning: str,
    *,
    unit: str,
    remedy: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = _SECONDS,
) -> Histogram:
    """Registers a histogram; its name ends in its unit."""
    METRICS.append(Metric(name, "histogram", meaning, unit, remedy, labels, buckets))
    return Histogram(name, meaning, labels, buckets=buckets)


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
    remedy="permissions: the identity's line in contracts/identities.yaml does not allow what the code does",
    labels=("kind",),
)
COMMIT_SECONDS = histogram(
    "penstock_group_committed_seconds",
    "Time from sending a group to the stream's answer",
    unit="seconds",
    remedy="high: the disk under the broker is slow to sync, or the stream's leader is overloaded",
)
COMMIT_MESSAGES = histogram(
    "penstock_group_committed_messages",
    "Messages in a committed group",
    unit="messages",
    remedy="always at the top bucket: the door is saturated, add an ingress or a stream",
    buckets=_COUNTS,
)
COMMIT_FALLBACKS = counter(
    "penstock_group_split_total",
    "Groups that were published message by message because the batch failed",
    unit="groups",
    remedy="growth: the reason says what the server answered; other batches may be left open on the stream",
    labels=("reason",),
)
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
LANE_BRAKED = gauge(
    "penstock_lane_braked",
    "1 while the brake holds the lane because too many messages of several publishers were refused",
    unit="0 or 1",
    remedy="1: the sink refuses nearly everything, usually after a deploy; read the dead letters' reasons",
    labels=("stream", "consumer"),
)
PULLS_RENEWED = counter(
    "penstock_pull_renewed_total",
    "Pulls given up because neither message nor heartbeat came",
    unit="pulls",
    remedy="growth: the consumer's leader moves, or the broker is overloaded",
    labels=("stream", "consumer"),
)
DEAD_LETTERS = counter(
    "penstock_letter_stored_total",
    "Dead letters stored, full ones and ranges",
    unit="letters",
    remedy="growth: group them by code (`penstock dlq`)",
    labels=("code", "form"),
)
DEAD_LETTERS_FAILED = counter(
    "penstock_letter_failed_total",
    "Dead letters that could not be stored; their messages are kept and come again",
    unit="letters",
    remedy="any: the DLQ stream is full or away",
)
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
REPLIES = counter(
    "penstock_reply_sent_total",
    "Answers to publishers who named a reply address, by result (sent, refused)",
    unit="replies",
    remedy="refused: a publisher names an address outside its own inbox",
    labels=("result",),
)


def configure_logging(level: str, process: str) -> None:
    """JSON lines on standard output, for structlog and for libraries that use logging alike."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for noisy in ("elastic_transport", "httpx", "httpcore", "nats", "cassandra", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)
