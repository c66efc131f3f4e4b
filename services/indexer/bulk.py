"""lines → requests of a few MB, several in flight → one outcome per line

What passes by itself (the store is away, overloaded, or an index does not exist yet) is waited for here, so that a
message is not handed back and forth meanwhile. Only a line that the store says it can never take is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from penstock.consume import Again, Done, Drop, Outcome, Retry, SinkRetry
from penstock.consume.sink_retry import PATIENCE
from penstock.elasticsearch import names
from penstock.errors import PenstockError, Unavailable
from penstock.services.indexer.adaptive_concurrency import Limit
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.metrics import BULK_BYTES, BULK_FAILED, BULK_SECONDS, BULK_WIDTH
from penstock.services.indexer.verdicts import Create, Verdict, by_operator, of_item, of_request
from penstock.telemetry.traces import store_step

_log = structlog.get_logger(__name__)
LARGEST_REQUEST = 1024 * 1024 - 512  # bytes; aiohttp hands a body to the socket in one go, and warns beyond this
MOST_LINES = 5000
CREATED_AT_ONCE = 8  # indices, by one attempt; what needs others is handed back, so that all else passes
CREATED_LATER = 1.0  # seconds before it comes again
_UNEVEN = 512  # bytes that a part may be larger than its share
DONE = Done()
VerdictOf = Callable[[Mapping[str, Any]], Verdict]


@dataclass(slots=True)
class Line:
    """One action line and its document, both with their line break, and the alias that they go to.

    Nothing is made for a `fixed` alias that does not exist: then an `optional` line is done, and another one waits.
    """

    alias: str
    body: bytes
    fixed: bool = False
    optional: bool = False


class Bulker:
    """Sends lines. `patience`: seconds that a line waits here for a store that is away, before it is handed back."""

    def __init__(
        self, client: AsyncElasticsearch, indices: Indices, *, patience: float = PATIENCE, timeout: float = 60.0
    ) -> None:
        self._client = client.options(request_timeout=timeout)
        self._indices = indices
        self.retry = SinkRetry(patience)
        self.limit = Limit()
        self.failure = ""  # why the last request failed as a whole; empty after one that did not

    def stop(self) -> None:
        """Lines that wait are handed back at once."""
        self.retry.stop()

    async def send(self, lines: Sequence[Line], verdict_of: VerdictOf = of_item) -> list[Outcome]:
        """One outcome per line, in order; `verdict_of` reads the store's answer to one. Never raises for what the store
        says."""
        outcomes: list[Outcome] = [DONE] * len(lines)
        parts = list(_parts(lines, range(len(lines))))
        if len(parts) == 1:
            await self._settle(lines, parts[0], outcomes, verdict_of)
        else:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self._settle(lines, part, outcomes, verdict_of))
        return outcomes

    async def _settle(
        self, lines: Sequence[Line], part: Sequence[int], outcomes: list[Outcome], verdict_of: VerdictOf
    ) -> None:
        """Tries until each line of the part has its outcome."""
        attempt = partial(self._attempt, lines, verdict_of)
        await self.retry.settle(part, await attempt(part), attempt, outcomes)

    async def _attempt(
        self, lines: Sequence[Line], verdict_of: VerdictOf, part: Sequence[int]
    ) -> Sequence[Outcome | Again]:
        """One try, and another one for lines whose index had to be made first."""
        verdicts = await self._try(lines, part, verdict_of)
        if not any(type(verdict) is Create for verdict in verdicts):
            return cast("list[Outcome | Again]", verdicts)
        found = dict(zip(part, verdicts, strict=True))
        await self._create(lines, found)
        made = [position for position, verdict in found.items() if isinstance(verdict, Create)]
        if made:
            found.update(zip(made, await self._try(lines, made, verdict_of), strict=True))
        return [Again(_why(verdict)) if isinstance(verdict, Create) else verdict for verdict in found.values()]

    async def _create(self, lines: Sequence[Line], verdicts: dict[int, Verdict]) -> None:
        """Makes the indices that are missing, CREATED_AT_ONCE of them, those of the newest periods first: the other
        lines of a batch do not wait for all of them. Where nothing is made, the verdict says why."""
        missing: dict[str, dict[str, list[int]]] = {}
        for position, verdict in verdicts.items():
            if not isinstance(verdict, Create):
                continue
            line = lines[position]
            if line.fixed:
                verdicts[position] = DONE if line.optional else by_operator(f"{line.alias} is gone: cancel the run")
            else:
                made = missing.setdefault(self._indices.made_with(line.alias), {})
                made.setdefault(line.alias, []).append(position)
        newest_first = [
            (list(each), [position for positions in each.values() for position in positions])
            for _, each in sorted(missing.items(), key=lambda each: _period(each[0]), reverse=True)
        ]
        for aliases, positions in newest_first[:CREATED_AT_ONCE]:
            try:
                await self._indices.create(aliases)
            except Unavailable as error:
                verdicts.update(dict.fromkeys(positions, Again(error.detail)))
            except PenstockError as error:
                verdicts.update(dict.fromkeys(positions, by_operator(f"{error.code}: {error.detail}")))
        for _, positions in newest_first[CREATED_AT_ONCE:]:
            verdicts.update(dict.fromkeys(positions, Retry(CREATED_LATER, "indices of newer periods are made first")))

    async def _try(self, lines: Sequence[Line], part: Sequence[int], verdict_of: VerdictOf) -> list[Verdict]:
        """One request, or two if the store finds it too large."""
        body = b"".join([lines[position].body for position in part])
        loop = asyncio.get_running_loop()
        try:
            async with self.limit:
                began = loop.time()
                try:
                    BULK_BYTES.inc(len(body))
                    with store_step("elasticsearch", "bulk", size=len(part)):
                        response = await self._client.bulk(
                            operations=[body],  # type: ignore[list-item]  # bytes pass as they are
                            require_alias=True,
                            include_source_on_error=False,
                            filter_path="errors,items.*.status,items.*.error.type,items.*.error.reason",
                        )
                except (ApiError, TransportError):
                    self.limit.pushed_back()
                    raise
                seconds = loop.time() - began
                self.limit.answered(seconds)
                BULK_SECONDS.observe(seconds)
                BULK_WIDTH.set(self.limit.width)
        except (ApiError, TransportError) as error:
            verdict = of_request(error)
            if verdict is None and len(part) > 1:
                half = len(part) // 2
                return [
                    *await self._try(lines, part[:half], verdict_of),
                    *await self._try(lines, part[half:], verdict_of),
                ]
            verdict = verdict or Drop("SINK_REFUSED", "the store takes no request as large as this record")
            self._failed(verdict)
            return [verdict] * len(part)
        self.failure = ""
        answer: dict[str, Any] = response.body
        if not answer["errors"]:
            return [DONE] * len(part)
        verdicts = [verdict_of(item["index"]) for item in answer["items"]]
        if any(isinstance(verdict, Again) for verdict in verdicts):
            self.limit.pushed_back()
        return verdicts

    def _failed(self, verdict: Verdict) -> None:
        BULK_FAILED.inc()
        BULK_WIDTH.set(self.limit.width)
        why = _why(verdict)
        if not self.failure:
            _log.warning("bulk_failed", reason=why, in_flight=self.limit.width)
        self.failure = why


def _period(alias: str) -> str:
    return names.dataset_and_period(alias)[1]


def _why(verdict: Verdict) -> str:
    match verdict:
        case Again(why) | Retry(_, why):
            return why
        case Drop(_, reason):
            return reason
        case _:
            return "the index is missing"


def _parts(lines: Sequence[Line], positions: range) -> list[range]:
    """Runs of positions, each within the size and number of one request."""
    total = sum([len(lines[position].body) for position in positions])
    if 0 < len(positions) <= MOST_LINES and total <= LARGEST_REQUEST:
        return [positions]
    share = total / max(1, -(-total // LARGEST_REQUEST))  # equal parts: a small rest costs as much as a full request
    parts, begin, size = [], 0, 0
    for position in positions:
        length = len(lines[position].body)
        if position > begin and (size + length > share + _UNEVEN or position - begin >= MOST_LINES):
            parts.append(range(begin, position))
            begin, size = position, 0
        size += length
    if len(positions) > begin:
        parts.append(range(begin, len(positions)))
    return parts
