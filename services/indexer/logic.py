"""EVENTS_HTTP, EVENTS_NATS → record → one `_bulk` line → events-<dataset>-<period>
SCORES                   → score  → one `_bulk` line → scored-<model>_v<version>-<dataset>-<period>
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from penstock.consume import Delivery, Done, Outcome
from penstock.elasticsearch import names
from penstock.events import Event, record
from penstock.runtime import Replayed
from penstock.scoring.score import Score
from penstock.services.indexer.bulk import Bulker, Line
from penstock.services.indexer.rebuilds import MirroredBulker
from penstock.services.indexer.verdicts import of_replayed_item

REBUILD = "rebuild"  # the effect of a run that fills another index
_EPOCH_SHIFT = 48  # a sequence stays below 2^48; Elasticsearch takes versions up to 2^63


def event_line(event: Event, epoch: int) -> Line:
    """What puts the event into its index: the same bytes whenever and however often it is delivered."""
    alias = names.events_alias(event.type.dataset, event.time_ms)
    return Line(alias, b"%b%b\n" % (_action(alias, event.key, epoch, event.sequence), record(event)))


def score_line(score: Score, epoch: int) -> Line:
    """What puts the score into its model version's index; its version is that of the event that was scored."""
    alias = names.scored_alias(score.model, score.version, score.dataset, score.time_ms)
    return Line(alias, b"%b%b\n" % (_action(alias, score.key, epoch, score.sequence), score.raw))


def _action(alias: str, key: str, epoch: int, sequence: int) -> bytes:
    version = epoch << _EPOCH_SHIFT | sequence
    return (
        f'{{"index":{{"_index":"{alias}","_id":"{key}","version":{version},"version_type":"external"}}}}\n'
    ).encode()


class Indexer:
    """Handles batches. `epochs` are those of the streams of events, by stream name."""

    def __init__(self, bulker: Bulker | MirroredBulker, epochs: Mapping[str, int]) -> None:
        self._bulker = bulker
        self._epochs = epochs

    async def events(self, batch: Sequence[Event]) -> list[Outcome]:
        """One outcome per event; whoever waits for it gets the key and the stage `indexed`."""
        outcomes = await self._bulker.send(self._event_lines(batch))
        return [
            Done({"stage": "indexed", "key": event.key}) if event.reply_to and isinstance(outcome, Done) else outcome
            for event, outcome in zip(batch, outcomes, strict=True)
        ]

    async def scores(self, batch: Sequence[Score]) -> list[Outcome]:
        """One outcome per score."""
        return await self._bulker.send(self._score_lines(batch))

    def replayed(self, decode: Callable[[Delivery], Event], effect: str) -> Replayed[Event]:
        """Events of a replay: as of the epoch of the stream that they came from, which may be no more."""

        def decode_replayed(delivery: Delivery) -> Event:
            event = decode(delivery)
            event.epoch = delivery.epoch
            return event

        return Replayed(decode_replayed, self.rebuilt_events if effect == REBUILD else self.replayed_events)

    async def replayed_events(self, batch: Sequence[Event]) -> list[Outcome]:
        """One outcome per event of a replay; it says where newer data was found. Nobody waits for an answer."""
        return await self._bulker.send(self._event_lines(batch), of_replayed_item)

    async def rebuilt_events(self, batch: Sequence[Event]) -> list[Outcome]:
        """One outcome per event that goes to an index beside the live one."""
        return await self._fill(self._event_lines(batch))

    def replayed_as_scores(self, decode: Callable[[Delivery], Score], effect: str) -> Replayed[Score]:
        """Scores of a replay; those from the store are as of the epoch of their event's stream."""

        def decode_replayed(delivery: Delivery) -> Score:
            score = decode(delivery)
            if delivery.stream == score.stream:  # from the store; on SCORES the epoch is that of SCORES
                score.epoch = delivery.epoch
            return score

        return Replayed(decode_replayed, self.rebuilt_scores if effect == REBUILD else self.replayed_scores)

    async def replayed_scores(self, batch: Sequence[Score]) -> list[Outcome]:
        """One outcome per score of a replay; it says where newer data was found."""
        return await self._bulker.send(self._score_lines(batch), of_replayed_item)

    async def rebuilt_scores(self, batch: Sequence[Score]) -> list[Outcome]:
        """One outcome per score that goes to an index beside the live one."""
        return await self._fill(self._score_lines(batch))

    async def _fill(self, lines: list[Line]) -> list[Outcome]:
        if not isinstance(self._bulker, MirroredBulker):
            raise TypeError("this indexer follows no rebuilds")
        return await self._bulker.fill(lines, of_replayed_item)

    def _event_lines(self, batch: Sequence[Event]) -> list[Line]:
        return [event_line(event, event.epoch or self._epochs[event.stream]) for event in batch]

    def _score_lines(self, batch: Sequence[Score]) -> list[Line]:
        return [score_line(score, score.epoch or self._epochs[score.stream]) for score in batch]
