"""svc.dead_letters.{groups,list,show,stats,export}: what there is, read from the index and the stream."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections import deque
from collections.abc import Sequence

from penstock.broker import Broker, StoredMessage, if_there
from penstock.contracts import load
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.events.dead_letter import MOST_REDRIVES
from penstock.rpc.messages import (
    DeadLetter,
    DeadLetterCounts,
    DeadLetterGroup,
    DeadLetterGroups,
    DeadLetterHead,
    DeadLetterMatch,
    DeadLetterMessage,
    DeadLetterPage,
    DeadLetterState,
    DeadLetterStats,
    ExportDeadLetters,
    ExportedDeadLetter,
    ExportPage,
    LimitedPublisher,
    ListDeadLetters,
    OpenDeadLetters,
)
from penstock.services.operator.dead_letters import dead_letter, ranges
from penstock.services.operator.dead_letters.fullness import HOUR, fullness, max_age_hours
from penstock.services.operator.dead_letters.index import STATES, STREAM, Group, Index
from penstock.services.operator.dead_letters.select import select

PAGE_BYTES = 500_000  # of payloads in an answer, which holds them as base64
OPENED = 100  # messages of a range that a list shows
AT_ONCE = 32  # dead letters fetched side by side


class Reading:
    """Reads dead letters for one request after another."""

    def __init__(self, broker: Broker, index: Index) -> None:
        self._jetstream = broker.jetstream
        self._index = index

    async def groups(self, match: DeadLetterMatch) -> DeadLetterGroups:
        """Dead letters by what they have in common, those with the most messages first."""
        found: dict[Group, list[int]] = {}
        async for each in select(self._index, match):
            tally = found.setdefault(each.group, [0, 0, each.sequence, each.sequence, each.second, each.second])
            tally[0] += 1
            tally[1] += self._index.messages(each.sequence)
            tally[3], tally[5] = each.sequence, each.second
        groups = [_group(group, tally) for group, tally in found.items()]
        return DeadLetterGroups(
            groups=sorted(groups, key=lambda group: (-group.messages, group.first_sequence)),
            dead_letters=sum(group.dead_letters for group in groups),
            messages=sum(group.messages for group in groups),
            complete=self._index.complete,
        )

    async def page(self, wanted: ListDeadLetters) -> DeadLetterPage:
        """Single dead letters, newest first."""
        newest: deque[tuple[int, DeadLetterState]] = deque(maxlen=wanted.limit + 1)
        async for each in select(self._index, wanted.match):
            if wanted.before is None or each.sequence < wanted.before:
                newest.append((each.sequence, each.state))
        more = len(newest) > wanted.limit
        chosen = list(reversed(newest))[: wanted.limit]
        messages = await self._fetch([sequence for sequence, _ in chosen])
        states = dict(chosen)
        dead_letters = [dead_letter.head_of(message, states[message.sequence]) for message in messages]
        if wanted.open_ranges:
            dead_letters = [await self._opened(each) for each in dead_letters]
        return DeadLetterPage(
            dead_letters=dead_letters, next=chosen[-1][0] if more and chosen else None, complete=self._index.complete
        )

    async def show(self, sequence: int) -> DeadLetter:
        """One dead letter, whole. Raises Refused NOT_FOUND."""
        message = await self._get(sequence)
        head = await self._opened(dead_letter.head_of(message, self._index.state(sequence)))
        history: list[DeadLetterHead] = []
        previous = head.previous
        while previous is not None and previous < sequence and len(history) <= MOST_REDRIVES:
            try:
                before = dead_letter.head_of(await self._get(previous), self._index.state(previous))
            except Refused:
                break  # it expired
            history.append(before)
            sequence, previous = previous, before.previous
        return DeadLetter(
            head=head,
            headers=message.headers,
            payload=b64encode(message.data).decode(),
            pointer=dead_letter.pointer_of(head.reason),
            history=history,
        )

    def stats(self) -> DeadLetterStats:
        """Counts by state and how full the stream is. Raises Unavailable while nothing is known of it."""
        info = self._index.known_info
        states = {state: DeadLetterCounts() for state in STATES}
        open: dict[tuple[str, str], list[int]] = {}
        for (group, state), (dead_letters, messages) in self._index.totals().items():
            before = states[state]
            states[state] = DeadLetterCounts(
                dead_letters=before.dead_letters + dead_letters, messages=before.messages + messages
            )
            if state == "open":
                tally = open.setdefault((group.worker, group.code), [0, 0])
                tally[0] += dead_letters
                tally[1] += messages
        full = fullness(self._index, info)
        return DeadLetterStats(
            states=states,
            open=[
                OpenDeadLetters(worker=worker, code=code, dead_letters=dead_letters, messages=messages)
                for (worker, code), (dead_letters, messages) in sorted(open.items(), key=lambda each: -each[1][1])
            ],
            over_share=[
                LimitedPublisher(worker=worker, publisher=publisher, dead_letters=dead_letters, messages=messages)
                for (worker, publisher), (dead_letters, messages) in sorted(
                    self._index.ranges_since(int(time.time()) - HOUR).items(), key=lambda each: -each[1][1]
                )
            ],
            bytes=full.bytes,
            max_bytes=full.max_bytes,
            share=round(full.share, 4),
            per_hour=full.per_hour,
            full_in_hours=full.full_in_hours,
            oldest_at=info.first_time if info.messages else "",
            kept_for_hours=max_age_hours(info),
            complete=self._index.complete,
        )

    async def export(self, wanted: ExportDeadLetters) -> ExportPage:
        """Whole dead letters from behind `after` on, as many as fit into an answer."""
        matched = 0
        chosen: list[tuple[int, DeadLetterState]] = []
        async for each in select(self._index, wanted.match):
            matched += 1
            if each.sequence > wanted.after and len(chosen) < AT_ONCE * 8:
                chosen.append((each.sequence, each.state))
        dead_letters: list[ExportedDeadLetter] = []
        size = expired = 0
        for begin in range(0, len(chosen), AT_ONCE):
            part = chosen[begin : begin + AT_ONCE]
            messages = {message.sequence: message for message in await self._fetch([each for each, _ in part])}
            for sequence, state in part:
                if (message := messages.get(sequence)) is None:
                    expired += 1
                    continue
                size += len(message.data) + 2048
                if dead_letters and size > PAGE_BYTES:
                    return ExportPage(
                        dead_letters=dead_letters, next=dead_letters[-1].sequence, matched=matched, expired=expired
                    )
                dead_letters.append(_exported(message, state))
        more = bool(chosen) and len(chosen) == AT_ONCE * 8
        return ExportPage(
            dead_letters=dead_letters, next=chosen[-1][0] if more else None, matched=matched, expired=expired
        )

    async def _opened(self, head: DeadLetterHead) -> DeadLetterHead:
        """A range with the first of its messages, as its stream still has them."""
        stream = load().streams.get(head.origin_stream)
        if head.form != "range" or stream is None:
            return head
        found = await ranges.messages(self._jetstream, head, most=OPENED)
        opened = [
            DeadLetterMessage(
                sequence=each.sequence, subject=each.subject, stored_at=timestamps.text(each.stored_at_ns)
            )
            for each in found
        ]
        return head.model_copy(update={"opened": opened, "more": max(head.messages - len(opened), 0)})

    async def _get(self, sequence: int) -> StoredMessage:
        found = await if_there(self._jetstream.get(STREAM, sequence=sequence))
        if found is None:
            raise Refused("NOT_FOUND", f"there is no dead letter {sequence} (any more)")
        return found

    async def _fetch(self, sequences: Sequence[int]) -> list[StoredMessage]:
        """The dead letters that are still there."""
        found: list[StoredMessage] = []
        for begin in range(0, len(sequences), AT_ONCE):
            results = await asyncio.gather(
                *(self._get(each) for each in sequences[begin : begin + AT_ONCE]), return_exceptions=True
            )
            for result in results:
                if isinstance(result, StoredMessage):
                    found.append(result)
                elif not (isinstance(result, Refused) and result.code == "NOT_FOUND"):
                    raise result
        return found


def _group(group: Group, tally: list[int]) -> DeadLetterGroup:
    dead_letters, messages, first, last, first_at, last_at = tally
    return DeadLetterGroup(
        worker=group.worker,
        code=group.code,
        type=group.type,
        publisher=group.publisher,
        form=group.form,
        redrives=group.redrives,
        dead_letters=dead_letters,
        messages=messages,
        first_sequence=first,
        last_sequence=last,
        first_at=timestamps.text(first_at * 1_000_000_000),
        last_at=timestamps.text(last_at * 1_000_000_000),
    )


def _exported(message: StoredMessage, state: DeadLetterState) -> ExportedDeadLetter:
    return ExportedDeadLetter(
        sequence=message.sequence,
        stored_at=timestamps.text(message.stored_at_ns),
        state=state,
        subject=message.subject,
        headers=message.headers,
        payload=b64encode(message.data).decode(),
    )
