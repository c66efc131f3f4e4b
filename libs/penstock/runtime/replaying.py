"""the sources of a worker → how each handles the messages of a replay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from penstock.broker import Broker
from penstock.consume import Done, Handle, LaneOptions, Limits, Outcome
from penstock.replay.run import Run
from penstock.replay.run_lanes import ReplaySource
from penstock.runtime.handling import handler
from penstock.runtime.parts import Source
from penstock.runtime.replies import reply

HandleValues = Callable[[list[Any]], Awaitable[list[Outcome]]]
# A lane that stands for many handles larger batches instead of more of them: each costs a record and a turn of the
# loop, and nobody waits for its messages. So many messages are also one group of a GroupCommitter.
LARGEST_BATCH = 1000
_FILTERED = Done(unwritten="filtered")


def replay_sources(broker: Broker, sources: Sequence[Source[Any]]) -> list[ReplaySource]:
    """One for each stream: a run has one consumer where live messages may have several, each with its part."""
    by_stream: dict[str, list[Source[Any]]] = {}
    for source in sources:
        by_stream.setdefault(source.stream, []).append(source)
    return [
        ReplaySource(stream, partial(_handle, broker, shards[0]), _together([shard.options for shard in shards]))
        for stream, shards in by_stream.items()
    ]


def _handle(broker: Broker, source: Source[Any], run: Run) -> Handle:
    decode, handle = source.decode, source.handle
    if source.replayed is not None:
        replayed = source.replayed(run.effect)
        decode, handle = replayed.decode, replayed.handle
    # Who waited for an answer then does not wait any more.
    return handler(decode, matching(handle, run.match), partial(reply, broker) if run.side_effects else None)


def matching(handle: HandleValues, match: Mapping[str, str]) -> HandleValues:
    """Leaves out the values of which a member named in `match` (`entity`, `key`, …) is another."""
    if not match:
        return handle

    async def handle_matching(values: list[Any]) -> list[Outcome]:
        chosen = [all(getattr(value, name) == wanted for name, wanted in match.items()) for value in values]
        wanted = [value for value, is_chosen in zip(values, chosen, strict=True) if is_chosen]
        outcomes = iter(await handle(wanted) if wanted else ())
        return [next(outcomes) if is_chosen else _FILTERED for is_chosen in chosen]

    return handle_matching


def _together(options: Sequence[LaneOptions]) -> LaneOptions:
    """Those of one lane that holds and works on as much as these together."""
    first, bounds = options[0], [each.bounds for each in options]
    if len(options) == 1:
        return first
    limits = Limits(
        messages=sum([each.messages for each in bounds]),
        bytes=sum([each.bytes for each in bounds]),
        batch_bytes=first.bounds.batch_bytes,
    )
    at_work = sum([each.batch * each.in_flight for each in options])
    batch = max(min(sum([each.batch for each in options]), LARGEST_BATCH), first.batch)
    return replace(first, batch=batch, in_flight=max(at_work // batch, 1), limits=limits)
