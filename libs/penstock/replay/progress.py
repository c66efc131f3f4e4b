"""A worker's report on a run → the leading operator → how fast it may go on. With every report, twice a second."""

from __future__ import annotations

from penstock.broker import Broker
from penstock.rpc.client import ask
from penstock.rpc.messages import ReplayAllowance, ReplayProgress

EVERY = 0.5  # seconds between reports
TIMEOUT = 1.0  # seconds


async def report(broker: Broker, progress: ReplayProgress) -> ReplayAllowance:
    """Reports, and learns the pace. Raises Unavailable while no operator leads (the next one does within 5 s), and
    Refused NOT_FOUND or FORBIDDEN when the run is not this worker's: then it must stop."""
    answer = await ask(broker, "replay", "progress", progress.to_json(), timeout=TIMEOUT)
    return ReplayAllowance.model_validate(answer)
