"""What a worker is made of: sources of messages, requests that it serves, background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from penstock.broker import Broker
from penstock.consume import Delivery, LaneOptions, Outcome, SinkRetry
from penstock.rpc.server import Operation
from penstock.runtime.watch import Watch
from penstock.settings import Settings

T = TypeVar("T")
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Replayed(Generic[T]):
    """How the messages of a source are handled in a replay, where that differs from live ones."""

    decode: Callable[[Delivery], T]
    handle: Callable[[list[T]], Awaitable[list[Outcome]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[T]):
    """One consumer and what to do with its messages.

    `decode` raises Refused for what can never be handled; it is dead-lettered. `handle` returns one outcome for each
    message of a batch. Replays go the same way, unless there is `replayed`: called once for each run, with its
    effect, so that what its handler remembers is the run's own.
    """

    stream: str
    consumer: str
    decode: Callable[[Delivery], T]
    handle: Callable[[list[T]], Awaitable[list[Outcome]]]
    options: LaneOptions = field(default_factory=LaneOptions)
    replayed: Callable[[str], Replayed[T]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a worker is made of.

    `operations` are the requests of `service` that it serves, `concurrency` at a time. `unready_reason` says why its
    sink is not ready (empty: it is), `note` what an operator should know of a worker that is ready; `watches` add to
    both. A worker is not ready either while messages wait in one of its `sinks`, or a lane's batches are not taken.
    Nothing is pulled before `may_consume` is set. `background` tasks run until the event is set. `on_stop` is called
    when the worker is about to stop, before its lanes finish; `close` when they have. `push_backs` counts how often the
    sink asked for less: a replay slows down when it grows.
    """

    sources: Sequence[Source[Any]] = ()
    service: str = ""
    operations: Mapping[str, Operation] = field(default_factory=dict)
    concurrency: int = 32
    unready_reason: Callable[[], str] = lambda: ""
    sinks: Sequence[SinkRetry] = ()
    note: Callable[[], str] = lambda: ""
    watches: Sequence[Watch] = ()
    may_consume: asyncio.Event | None = None
    background: Sequence[Callable[[asyncio.Event], Awaitable[None]]] = ()
    on_stop: Sequence[Callable[[], None]] = ()
    close: Callable[[], Awaitable[None]] | None = None
    push_backs: Callable[[], int] = lambda: 0


Build = Callable[[Broker, S], Awaitable[Parts]]
