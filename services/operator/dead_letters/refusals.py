"""messages that do not fit after the patch → recorded as filtered, and kept with the reasons for the report."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from penstock.broker import Broker, Keys, if_there
from penstock.contracts import subjects
from penstock.errors import Refused
from penstock.replay.outcomes import encode
from penstock.rpc.messages import RedriveRefusal
from penstock.services.operator.dead_letters.feed_message import FeedMessage

MOST_REFUSED = 1000  # refusals that are kept with their reasons
REASON_KEPT = 200  # characters


class Refusals:
    """Those of one run."""

    def __init__(self, broker: Broker, keys: Keys, run: str) -> None:
        self._broker = broker
        self._keys = keys
        self._run = run
        self._known: list[RedriveRefusal] = []

    async def load(self) -> None:
        """What the last leader has kept."""
        self._known = await of_run(self._keys, self._run)

    async def record(self, refused: Sequence[RedriveRefusal]) -> None:
        """Adds some; those of a page that comes again are added once."""
        by_stream: dict[str, list[int]] = {}
        for each in refused:
            by_stream.setdefault(each.stream, []).append(each.sequence)
        record = encode({stream: {"filtered": found} for stream, found in by_stream.items()})
        await self._broker.publish(subjects.replay_log(self._broker.identity, self._run), record)
        known = {(each.stream, each.sequence) for each in self._known}
        self._known += [each for each in refused if (each.stream, each.sequence) not in known]
        del self._known[MOST_REFUSED:]
        await self._keys.put(_key(self._run), orjson.dumps([each.to_json() for each in self._known]))


def refusal(message: FeedMessage, error: Refused) -> RedriveRefusal:
    """Why a message is not sent."""
    reason = f"{error.detail} (at {error.pointer})" if error.pointer else error.detail
    return RedriveRefusal(
        dead_letter=message.dead_letter,
        stream=message.original.stream,
        sequence=message.original.sequence,
        code=error.code,
        reason=reason[:REASON_KEPT],
    )


async def of_run(keys: Keys, run: str) -> list[RedriveRefusal]:
    """What did not fit, for the report."""
    entry = await if_there(keys.get(_key(run)))
    return [RedriveRefusal(**each) for each in orjson.loads(entry.value)] if entry is not None else []


def _key(run: str) -> str:
    return f"refused.{run}"
