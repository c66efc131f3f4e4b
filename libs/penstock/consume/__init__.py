"""Off a stream: pulls, batches, outcomes, acknowledgements, dead letters."""

from penstock.consume.batch_handler import Handle
from penstock.consume.brake import Brake, Closing
from penstock.consume.crash_counter import CrashCounter
from penstock.consume.dead_letter_shares import Share
from penstock.consume.dead_letters import DeadLetters
from penstock.consume.delivery import ACK, Delivery, nak, settle_bytes
from penstock.consume.lane import Lane
from penstock.consume.live_tail import Copies, Follower
from penstock.consume.options import LaneOptions, Limits
from penstock.consume.outcome import Done, Drop, Outcome, Retry
from penstock.consume.pull import Puller
from penstock.consume.sink_retry import Again, SinkRetry

__all__ = [
    "ACK",
    "Again",
    "Brake",
    "Closing",
    "Copies",
    "CrashCounter",
    "DeadLetters",
    "Delivery",
    "Done",
    "Drop",
    "Follower",
    "Handle",
    "Lane",
    "LaneOptions",
    "Limits",
    "Outcome",
    "Puller",
    "Retry",
    "Share",
    "SinkRetry",
    "nak",
    "settle_bytes",
]
