"""bucket `indices` → which indices there must be, and which of them are known to be incomplete

Elasticsearch alone cannot say that an index was deleted. Each index that becomes the live one of a period is noted here
with its UUID; one that is made where there was another is noted as incomplete, until a rebuild takes its place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from pydantic import BaseModel, ValidationError

from penstock.broker import Broker, Entry, Keys, if_there
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.events import timestamps
from penstock.services.indexer.metrics import INDICES_LOST

_log = structlog.get_logger(__name__)
BUCKET = "indices"
RENEW_NS = 7 * 86_400 * 1_000_000_000  # an entry expires 30 days after its index was seen last


class Known(BaseModel):
    """The live index of an alias, as it was seen last. `incomplete`: by UUID, when it was made in place of another."""

    index: str
    uuid: str
    seen_at: str
    incomplete: dict[str, str] = {}

    @property
    def incomplete_since(self) -> str:
        """When the live index was made in place of one that is gone; empty for one that is whole."""
        return self.incomplete.get(self.uuid, "")


class Ledger:
    """The entries, by write alias."""

    def __init__(self, broker: Broker) -> None:
        self._keys = Keys(broker, BUCKET)

    async def all(self) -> dict[str, tuple[Known, int]]:
        """Every entry and its revision. Raises Unavailable."""
        return {alias: (_read(entry), entry.revision) for alias, entry in (await self._keys.latest(">")).items()}

    async def made(self, alias: str, index: str, uuid: str) -> None:
        """Notes an index that was made because the alias had none. Where the alias has had one before, that one is
        lost. Never raises: what cannot be noted now is seen at the next check."""
        try:
            entry = await if_there(self._keys.get(alias))
            if entry is None:
                await self.seen(alias, index, uuid, None, 0)
                return
            await self.seen(alias, index, uuid, _read(entry), entry.revision, replaced=True)
        except PenstockError as error:
            _log.warning("index_not_noted", alias=alias, reason=str(error))

    async def seen(
        self, alias: str, index: str, uuid: str, known: Known | None, revision: int, *, replaced: bool = False
    ) -> Known:
        """Notes which index is live, where that is not known yet; the entry as it is then. One with the name of the
        known index and another UUID was made in its place, as was any that is said to be `replaced`."""
        now = time.time_ns()
        incomplete = dict(known.incomplete) if known is not None else {}
        if known is not None:
            if known.uuid == uuid and now - timestamps.parse(known.seen_at) < RENEW_NS:
                return known
            if known.uuid != uuid and (replaced or known.index == index):
                incomplete[uuid] = timestamps.text(now)
                INDICES_LOST.inc()
                _log.error("index_lost", alias=alias, index=known.index, uuid=known.uuid, made_anew=uuid)
        found = Known(index=index, uuid=uuid, seen_at=timestamps.text(now), incomplete=incomplete)
        try:
            await self._keys.put(alias, found.model_dump_json().encode(), expected=revision)
        except Refused as error:
            if error.code != "CONFLICT":  # another indexer was faster; the next check reads what it noted
                raise
        return found


def gone(known: Mapping[str, tuple[Known, int]], live: Mapping[str, object]) -> dict[str, Known]:
    """The entries of aliases that have no index any more."""
    return {alias: entry for alias, (entry, _) in known.items() if alias not in live}


def _read(entry: Entry) -> Known:
    try:
        return Known.model_validate_json(entry.value)
    except ValidationError as error:
        raise Unavailable("BROKER_UNAVAILABLE", f"an entry of the bucket {BUCKET} is not readable") from error
