"""dead letters that match → what is sent again: dead letters themselves, and spans for ranges, no message twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from penstock.broker import Broker, StoredMessage, StreamInfo
from penstock.contracts import Contracts
from penstock.events import timestamps
from penstock.events.dead_letter import SEQUENCE, STORED_AT, STREAM
from penstock.services.operator.dead_letters import dead_letter, ranges
from penstock.services.operator.dead_letters.chosen import Chosen, Span, read

DAY = 10  # characters of an RFC 3339 date


@dataclass(frozen=True, slots=True)
class _Full:
    """A dead letter with a payload."""

    dead_letter: int
    stream: str
    sequence: int
    filter: str
    type: str
    publisher: str
    day: str
    bytes: int


@dataclass(slots=True)
class Choice:
    """What was chosen, and what a plan says of it. `left_out`: how many cannot be redriven, by the reason."""

    infos: dict[str, StreamInfo]
    full: dict[tuple[str, int], _Full] = field(default_factory=dict)  # the newest dead letter of each message
    spans: list[Span] = field(default_factory=list)
    dead_letters: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    redriven_before: int = 0
    bytes: int = 0
    expired: int = 0  # messages of ranges that their streams no longer hold, at least

    @property
    def sent(self) -> list[_Full]:
        """The dead letters that are sent themselves."""
        spans: dict[tuple[str, str], list[Span]] = {}
        for span in self.spans:
            spans.setdefault((span.stream, span.filter), []).append(span)
        return [
            each
            for each in self.full.values()
            if not any(span.first <= each.sequence <= span.last for span in spans.get((each.stream, each.filter), ()))
        ]

    def chosen(self) -> Chosen:
        """For the run."""
        return Chosen(self.dead_letters, sorted(each.dead_letter for each in self.sent), self.spans)


class Chooser:
    """Reads the dead letters of a selection."""

    def __init__(self, broker: Broker, contracts: Contracts) -> None:
        self._broker = broker
        self._contracts = contracts

    async def choose(self, worker: str, sequences: Sequence[int]) -> Choice:
        """Everything of the selection that the worker can be handed again; spans are not counted yet."""
        choice = Choice(await self._streams(worker))
        async for message in read(self._broker.jetstream, worker, sequences):
            if dead_letter.form_of(message) == "range":
                self._add_range(choice, message)
            else:
                self._add_full(choice, message)
        choice.spans = merged(choice.spans)
        choice.bytes += sum(each.bytes for each in choice.sent)
        if missing := len(sequences) - len(choice.dead_letters) - choice.left_out.total():
            choice.left_out["they expired"] += missing
        return choice

    async def _streams(self, worker: str) -> dict[str, StreamInfo]:
        """The streams whose messages the worker can be handed again."""
        consumes = self._contracts.identities[worker].consumes
        names = [each.partition("/")[0] for each in consumes if each.endswith(f"/replay_{worker}")]
        return {name: await self._broker.jetstream.stream_info(name) for name in names}

    def _add_full(self, choice: Choice, message: StoredMessage) -> None:
        stream, sequence = message.headers.get(STREAM, ""), dead_letter.number(message, SEQUENCE)
        if not self._fits(choice, stream, sequence, sequence):
            return
        worker, publisher, type = dead_letter.names_of(message.subject)
        choice.dead_letters.append(message.sequence)
        choice.redriven_before += dead_letter.redrives_of(message) > 0
        choice.full[stream, sequence] = _Full(
            dead_letter=message.sequence,
            stream=stream,
            sequence=sequence,
            filter=ranges.filter_of(message.subject.removeprefix(f"dlq.{worker}.")),
            type=type,
            publisher=publisher,
            day=timestamps.text(dead_letter.number(message, STORED_AT))[:DAY],
            bytes=len(message.data),
        )

    def _add_range(self, choice: Choice, message: StoredMessage) -> None:
        head = dead_letter.head_of(message, "open")
        if not self._fits(choice, head.origin_stream, head.origin_sequence, head.origin_last):
            return
        info = choice.infos[head.origin_stream]
        choice.dead_letters.append(message.sequence)
        choice.redriven_before += head.redrives > 0
        if head.origin_sequence < info.first_seq:
            choice.expired += min(info.first_seq - head.origin_sequence, head.messages)
        if head.origin_last < info.first_seq:
            return
        choice.spans.append(
            Span(
                stream=head.origin_stream,
                filter=ranges.filter_of(head.subject),
                first=max(head.origin_sequence, info.first_seq),
                last=head.origin_last,
                planned=0,
                previous=message.sequence,
                redrives=head.redrives,
            )
        )

    def _fits(self, choice: Choice, stream: str, first: int, last: int) -> bool:
        info = choice.infos.get(stream)
        why = ""
        if info is None:
            why = f"no replay reads {stream or 'their stream'}"
        elif first < int(info.config.get("first_seq") or 1) or not first <= last <= info.last_seq:
            why = f"they are of another {stream} than the present one"
        if why:
            choice.left_out[why] += 1
        return not why


def merged(spans: Sequence[Span]) -> list[Span]:
    """The same messages in as few spans as can be, none twice."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.stream, each.filter, each.first)):
        last = found[-1] if found else None
        if last is not None and last.holds(span.stream, span.filter, max(span.first - 1, last.first)):
            found[-1] = replace(
                last,
                last=max(last.last, span.last),
                previous=min(last.previous, span.previous),
                redrives=max(last.redrives, span.redrives),
            )
        else:
            found.append(span)
    return found
