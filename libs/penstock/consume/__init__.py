"""Off a stream: pulls, batches, outcomes, acknowledgements, dead letters."""

from penstock.consume.brake import Brake
from penstock.consume.crash_counter import CrashCounter
from penstock.consume.dead_letters import DeadLetters
from penstock.consume.delivery import ACK, Delivery, settle_bytes
from penstock.consume.lane import Handle, Lane, Limits
from penstock.consume.live_tail import PREFIX, Copies, Follower
from penstock.consume.outcome import Done, Drop, Outcome, Retry
from penstock.consume.pull import Puller

__all__ = [
    "ACK",
    "PREFIX",
    "Brake",
    "Copies",
    "CrashCounter",
    "DeadLetters",
    "Delivery",
    "Done",
    "Drop",
    "Follower",
    "Handle",
    "Lane",
    "Limits",
    "Outcome",
    "Puller",
    "Retry",
    "settle_bytes",
]
