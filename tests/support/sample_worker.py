"""A worker to try the runner with, as the indexer: `python -m tests.support.sample_worker <folder>`.

It writes what it handled to <folder>/handled; while <folder>/slow exists a batch takes a second, and while
<folder>/broken exists everything is refused, and nothing handled.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.broker import Broker
from penstock.consume import Delivery, Done, Drop, Outcome
from penstock.errors import Refused
from penstock.rpc.caller import RequestCaller
from penstock.runtime import Parts, Source, main
from penstock.settings import Settings, load_settings

FOLDER = Path(sys.argv[1])


@dataclass
class Text:
    """A decoded message."""

    key: str
    text: str
    publisher: str
    door: str
    reply_to: str | None
    stream: str
    sequence: int


def decode(delivery: Delivery) -> Text:
    """Refuses what begins with "unreadable"; fails on what begins with "defect"."""
    text = delivery.data.decode()
    if text.startswith("unreadable"):
        raise Refused("SCHEMA_VIOLATION", "not readable", pointer="/data")
    if text.startswith("defect"):
        raise ZeroDivisionError
    publisher = delivery.subject.split(".")[3]
    reply_to = delivery.headers.get("x-reply-to")
    return Text(f"key of {text}", text, publisher, "http", reply_to, delivery.stream, delivery.sequence)


async def handle(batch: list[Text]) -> list[Outcome]:
    """Drops what begins with "refused"."""
    if (FOLDER / "slow").exists():
        (FOLDER / "in_hand").touch()
        await asyncio.sleep(1)
    if (FOLDER / "broken").exists():
        return [Drop("SINK_REFUSED", "broken mapping")] * len(batch)
    with (FOLDER / "handled").open("a") as file:
        file.writelines(f"{each.text}\n" for each in batch)
    return [
        Drop("SINK_REFUSED", "no") if each.text.startswith("refused") else Done({"stored": each.text}) for each in batch
    ]


async def query(request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
    """Says who asked."""
    return {"asked_by": caller.identity}


async def build(broker: Broker, settings: Settings) -> Parts:
    """One lane and one operation; the sink is away while <folder>/away exists."""
    return Parts(
        sources=[Source(stream="EVENTS_HTTP", consumer="indexer", decode=decode, handle=handle)],
        service="search",
        operations={"query": query},
        unready_reason=lambda: "the sink is away" if (FOLDER / "away").exists() else "",
    )


if __name__ == "__main__":
    main("indexer", build, load_settings())
