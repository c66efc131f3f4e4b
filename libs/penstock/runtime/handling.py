"""delivery ─▶ decode ─▶ handle ─▶ outcome ─┬▶ settled by the lane
└▶ the reply, to a publisher who named a reply address of its own
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import structlog

from penstock.broker import Broker
from penstock.consume import Brake, CrashCounter, DeadLetters, Delivery, Done, Drop, Handle, Lane, Outcome
from penstock.errors import Refused
from penstock.runtime.parts import Source
from penstock.runtime.replies import reply

_log = structlog.get_logger("penstock.runtime.handling")

T = TypeVar("T")
_UNDECIDED = Done()


@runtime_checkable
class HasKey(Protocol):
    """A decoded message that knows its event's key; a dead letter of it then carries the key."""

    key: str


def make_lane(
    broker: Broker,
    source: Source[T],
    dead_letters: DeadLetters,
    crash_counter: CrashCounter | None = None,
    brake: Brake | None = None,
) -> Lane:
    """The lane of a source."""
    return Lane(
        broker,
        source.stream,
        source.consumer,
        handler(source.decode, source.handle, partial(reply, broker)),
        source.options,
        dead_letters=dead_letters,
        crash_counter=crash_counter,
        brake=brake,
    )


def handler(
    decode: Callable[[Delivery], T],
    handle_values: Callable[[list[T]], Awaitable[list[Outcome]]],
    answer: Callable[[T, dict[str, Any]], None] | None,
) -> Handle:
    """What the lane calls: decode, handle what could be decoded, `answer` to who waits for it."""

    async def handle(deliveries: list[Delivery]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        values: list[T] = []
        places: list[int] = []
        for place, delivery in enumerate(deliveries):
            try:
                values.append(decode(delivery))
                places.append(place)
                outcomes.append(_UNDECIDED)
            except Refused as error:
                reason = f"{error.detail} (at {error.pointer})" if error.pointer else error.detail
                outcomes.append(Drop(error.code, reason))
            except Exception as error:  # noqa: BLE001 - decoding depends on the message alone: trying again cannot help
                _log.error("delivery_decode_failed", stream=delivery.stream, sequence=delivery.sequence, exc_info=error)
                outcomes.append(Drop("INTERNAL", f"decoding failed: {type(error).__name__}"))
        if not values:
            return outcomes
        for place, value, outcome in zip(places, values, await handle_values(values), strict=True):
            if type(outcome) is Done:
                if answer is not None and outcome.answer is not None:
                    answer(value, outcome.answer)
            elif isinstance(outcome, Drop) and not outcome.key and isinstance(value, HasKey):
                outcome = replace(outcome, key=value.key)
            outcomes[place] = outcome
        return outcomes

    return handle
