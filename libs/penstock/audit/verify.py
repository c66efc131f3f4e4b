"""AUDIT and its seals, read message by message → the chain, computed again → the first record that is not as sealed

A trail whose oldest records have expired is proven from its first seal on: a seal repeats the head of the one before,
so the records between the two are part of what it proves, as long as all of them are there.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from penstock.audit import hash_chain
from penstock.audit.hash_chain import MARK_BYTES, STREAM, Head
from penstock.audit.seal import Seal, is_genuine, read_seal
from penstock.broker import JetStream, StoredMessage
from penstock.contracts import subjects
from penstock.errors import Refused
from penstock.events import timestamps

SEALS = subjects.audit("auditor", "seal")
PAGE = 500
SETTLE_NS = 60 * 1_000_000_000  # after which a record must be in the store

# The digests that the store has of records, by sequence, for a stretch of time
InStore = Callable[[Sequence[StoredMessage]], Awaitable[dict[int, str]]]


@dataclass(slots=True)
class Report:
    """`proven_from` to `proven_to` are as they were sealed; `kept_from` is the oldest record there is.

    `bad`: the first sequence that was removed or changed, and `what` says which; `unsealed` records came after the last
    seal. `chain_from`: where the chain begins, if it begins within what is kept."""

    kept_from: int = 0
    kept_since: str = ""
    proven_from: int = 0
    proven_to: int = 0
    records: int = 0
    seals: int = 0
    unsealed: int = 0
    chain_from: int = 0
    in_store: int = 0
    bad: int = 0
    what: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was removed or changed."""
        return not self.what

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


class _Broken(Exception):
    def __init__(self, sequence: int, what: str) -> None:
        self.sequence = sequence
        self.what = what


async def verify(jetstream: JetStream, keys: frozenset[str], in_store: InStore | None = None) -> Report:
    """Checks all that is kept. Raises Refused TRAIL_UNSEALED when there is nothing to check by, Unavailable."""
    return await Verifier(jetstream, keys, in_store).run()


class Verifier:
    """One run over one stream."""

    def __init__(
        self, jetstream: JetStream, keys: frozenset[str], in_store: InStore | None, stream: str = STREAM
    ) -> None:
        self._jetstream = jetstream
        self._keys = keys
        self._in_store = in_store
        self._stream = stream
        self._report = Report()

    async def run(self) -> Report:
        """As `verify`."""
        try:
            await self._check()
        except _Broken as broken:
            self._report.bad, self._report.what = broken.sequence, broken.what
        return self._report

    async def _check(self) -> None:
        report = self._report
        state = await self._jetstream.stream_info(self._stream)
        report.kept_from = state.first_seq
        for oldest in await self._get(state.first_seq, 1):
            report.kept_since = timestamps.text(oldest.stored_at_ns)
        sealed = self._seals()
        seal = await anext(sealed, None)
        if seal is None:
            raise Refused("TRAIL_UNSEALED", f"{state.messages} records and no seal")
        head = seal.before
        if head.sequence + 1 < state.first_seq:  # the records that this seal is about are not all kept
            head, seal = seal.head, await anext(sealed, None)
        if head.hash == hash_chain.NOTHING:
            report.chain_from = head.sequence + 1
        report.proven_from, report.proven_to = head.sequence + 1, head.sequence
        digests: list[bytes] = []
        last = head.sequence
        # What is written from now on is not looked at: the store's answers to us are on the trail themselves.
        async for message in self._records(head.sequence + 1, state.last_seq):
            if message.sequence != last + 1:
                raise _Broken(last + 1, f"removed, with all up to {message.sequence - 1}")
            last = message.sequence
            report.records += 1
            if seal is None:
                report.unsealed += 1
                continue
            digests.append(hash_chain.digest_of(message))
            if message.sequence == seal.head.sequence:
                head = self._sealed(head, digests, seal)
                digests = []
                seal = await self._next(sealed, head)
        if last < state.last_seq:
            raise _Broken(last + 1, f"removed, with all up to {state.last_seq}, the last")
        report.unsealed += len(digests)  # sealed meanwhile, and with others

    async def _next(self, sealed: AsyncIterator[Seal], head: Head) -> Seal | None:
        seal = await anext(sealed, None)
        if seal is not None and seal.before != head:
            raise _Broken(head.sequence + 1, "the next seal does not follow the one before it")
        return seal

    def _sealed(self, before: Head, digests: list[bytes], seal: Seal) -> Head:
        """The head after a stretch, which must be the one that was signed."""
        head = before
        for number, digest in enumerate(digests):
            head = hash_chain.after(head, before.sequence + 1 + number, digest)
        if head != seal.head:
            for number, digest in enumerate(digests):
                if digest[:MARK_BYTES] != seal.mark(number):
                    raise _Broken(before.sequence + 1 + number, "changed after it was sealed")
            raise _Broken(before.sequence + 1, f"one up to {seal.head.sequence} changed after it was sealed")
        self._report.proven_to = head.sequence
        return head

    async def _seals(self) -> AsyncIterator[Seal]:
        sequence = 1
        while page := await self._jetstream.get_many(self._stream, sequence=sequence, subject=SEALS, most=PAGE):
            for message in page:
                try:
                    seal = read_seal(message.data)
                except Refused as error:
                    raise _Broken(message.sequence, error.detail) from None
                if not is_genuine(seal, self._keys):
                    raise _Broken(message.sequence, "a seal that none of the known keys has signed")
                self._report.seals += 1
                yield seal
            sequence = page[-1].sequence + 1

    async def _records(self, sequence: int, last: int) -> AsyncIterator[StoredMessage]:
        while sequence <= last and (page := await self._get(sequence, min(PAGE, last - sequence + 1))):
            if self._in_store is not None:
                self._compare(page, await self._in_store(page))
            for message in page:
                yield message
            sequence = page[-1].sequence + 1

    async def _get(self, sequence: int, most: int) -> list[StoredMessage]:
        return await self._jetstream.get_many(self._stream, sequence=sequence, most=most)

    def _compare(self, page: Sequence[StoredMessage], kept: dict[int, str]) -> None:
        """Holds a page against the store's copy; what came lately may be on its way there."""
        now = time.time_ns()
        for message in page:
            found = kept.pop(message.sequence, None)
            if found == hash_chain.digest_of(message).hex():
                self._report.in_store += 1
            elif found is not None:
                raise _Broken(message.sequence, "the store's copy is another")
            elif now - message.stored_at_ns > SETTLE_NS:
                raise _Broken(message.sequence, "the store has no copy")
        for sequence in sorted(kept):
            if page[0].sequence < sequence < page[-1].sequence:
                raise _Broken(sequence, "removed from the stream; the store has a copy")
