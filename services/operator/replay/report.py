"""The proof of a run: planned = confirmed + skipped + parked + filtered, for each stream, from the workers' records.

verify: sequences that are confirmed, spread over the run ─▶ the stream's own bytes ─▶ the same key at the store?
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from penstock.broker import Broker
from penstock.contracts import Contracts
from penstock.events import timestamps
from penstock.replay.run import Run
from penstock.rpc.messages import RedriveRefusal, ReplayProof, ReplayReport, ReplayRun
from penstock.services.operator.replay.log import Log
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.sample import Sampler

Refusals = Callable[[str], Awaitable[list[RedriveRefusal]]]


class Reporter:
    """Makes reports; any replica can, as all that counts is on REPLAY_LOG."""

    def __init__(self, broker: Broker, contracts: Contracts, runs: Runs, refusals: Refusals) -> None:
        """`refusals`: what of a run was not fed, with the reasons."""
        self._broker = broker
        self._runs = runs
        self._refusals = refusals
        self._sampler = Sampler(broker, contracts)

    async def report(self, run: Run, verify: int) -> ReplayReport:
        """What became of the messages of a run; with samples of `verify` of them. Raises Unavailable."""
        log = Log(self._broker, run)
        await log.read()
        streams = []
        for part in run.ranges:
            outcomes = log.ledger.outcomes(part.stream)
            missing = part.planned - outcomes.total
            streams.append(
                ReplayProof(stream=part.stream, planned=part.planned, outcomes=outcomes, missing=max(missing, 0))
            )
        sample = await self._sampler.sample(run, log.ledger, verify) if verify else None
        seconds = _seconds(run)
        return ReplayReport(
            run=ReplayRun.model_validate(run.to_json()),
            streams=streams,
            holds=all(proof.planned == proof.outcomes.total for proof in streams)
            and log.ledger.foreign == 0
            and (sample is None or not (sample.differ or sample.absent)),
            seconds=seconds,
            rate=round(log.ledger.total / seconds, 1) if seconds else None,
            sample=sample,
            refused=await self._refusals(run.id),
        )


def _seconds(run: Run) -> float | None:
    """From the first start to the end; pauses count."""
    started = next((change.at for change in run.changes if change.state == "running"), None)
    ended = run.changes[-1].at if run.ended else None
    if started is None or ended is None:
        return None
    return round((timestamps.parse(ended) - timestamps.parse(started)) / 1e9, 3)
