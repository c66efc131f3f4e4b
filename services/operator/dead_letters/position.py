"""How far a redrive is fed, in the bucket: written after each page, read by a leader that takes over."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

import orjson

from penstock.broker import Keys
from penstock.errors import Refused


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
        try:
            return cls(**orjson.loads((await keys.get(_key(run))).value))
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
            return cls()

    async def save(self, keys: Keys, run: str) -> None:
        """For the next leader."""
        await keys.put(_key(run), orjson.dumps(asdict(self)))


def _key(run: str) -> str:
    return f"feed.{run}"
