"""How far a redrive is fed, in the bucket: written after each page, read by a leader that takes over."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

import orjson

from penstock.broker import Keys, if_there


@dataclass(slots=True)
class Position:
    """What was `sent` on REPLAY, and what was `refused` instead."""

    dead_letter: int = 0  # the last dead letter that is done
    span: int = 0  # the number of the span
    sequence: int = 0  # in it, the last message that is done
    sent: int = 0
    refused: int = 0
    done: bool = False

    @classmethod
    async def load(cls, keys: Keys, run: str) -> Self:
        """Where the last leader was."""
        entry = await if_there(keys.get(_key(run)))
        return cls(**orjson.loads(entry.value)) if entry is not None else cls()

    async def save(self, keys: Keys, run: str) -> None:
        """For the next leader."""
        await keys.put(_key(run), orjson.dumps(asdict(self)))


def _key(run: str) -> str:
    return f"feed.{run}"
