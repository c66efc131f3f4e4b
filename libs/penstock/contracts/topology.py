"""Types of contracts/streams.yaml: streams, their consumers, and buckets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from penstock.contracts import subjects
from penstock.contracts.data import Data

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _size(text: Any) -> Any:
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a size like 64KiB, 16MiB or 4GiB")
    return int(match[1]) * _UNITS[match[2]]


Size = Annotated[int, BeforeValidator(_size)]


REPLAY_STREAM = "REPLAY"  # messages on their way to one target, each with the consumer of its name
# Consumers of replays. The slots take turns, so that a late acknowledgement of one run settles nothing of the next.
REPLAY_SLOTS = ("a", "b")
REPLAY_TAIL = "_tail"  # never pulled: what it has pending lies behind the run's last message
REPLAY_COUNTERS = tuple(f"replay_count_{number}" for number in range(4))


class Consumer(Data):
    """A durable pull consumer, or a family of `shards` consumers that share the partitions.

    With `replay` the names of those that the operator creates for the runs of one worker, in turn.
    """

    meaning: str
    max_ack_pending: int = Field(gt=0)
    ack_wait: timedelta = timedelta(seconds=30)
    shards: int = Field(0, ge=0, le=subjects.PARTITIONS)
    headers_only: bool = False
    ack: Literal["explicit", "all"] = "explicit"
    filter: str | None = None
    replay: bool = False


class Stream(Data):
    """A stream; sizes in bytes. `door` is set on streams of events."""

    meaning: str
    subjects: tuple[str, ...]
    max_bytes: Size
    max_age: timedelta
    max_message: Size
    door: Literal["http", "nats"] | None = None
    atomic: bool = False
    republish: str | None = None
    discard: Literal["new", "old"] = "new"
    retention: Literal["limits", "workqueue"] = "limits"
    consumers: Mapping[str, Consumer] = {}

    @model_validator(mode="after")
    def _shards_divide_partitions(self) -> Stream:
        for name, consumer in self.consumers.items():
            if consumer.shards and (self.door is None or subjects.PARTITIONS % consumer.shards):
                raise ValueError(f"consumer {name}: shards must divide {subjects.PARTITIONS}, on a stream with a door")
        return self

    def members(self, name: str) -> tuple[str, ...]:
        """The consumers on the server that the name stands for: itself, or scorer_0 … scorer_7, or replay_writer_a and
        replay_writer_b."""
        if self.consumers[name].replay:
            return tuple(f"{name}_{slot}" for slot in REPLAY_SLOTS)
        shards = self.consumers[name].shards
        return tuple(f"{name}_{shard}" for shard in range(shards)) if shards else (name,)

    def filters(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """The filter subjects of each consumer on the server, by its name."""
        consumer = self.consumers[name]
        if consumer.replay:
            return {}  # each run has its own
        shards = consumer.shards
        if not shards or self.door is None:
            return {name: (consumer.filter,) if consumer.filter else self.subjects}
        share = subjects.PARTITIONS // shards
        door = self.door
        return {
            f"{name}_{shard}": tuple(
                subjects.partition_filter(door, pp) for pp in range(shard * share, (shard + 1) * share)
            )
            for shard in range(shards)
        }

    def replay_consumers(self) -> tuple[str, ...]:
        """All that the operator creates and deletes here: a pair for each member, and the pairs that count."""
        members = [member for name, each in self.consumers.items() if each.replay for member in self.members(name)]
        pairs = [*members, *REPLAY_COUNTERS] if members else []
        return tuple(name for pair in pairs for name in (pair, pair + REPLAY_TAIL))


class Bucket(Data):
    """A key-value bucket or an object store, each with one writer."""

    meaning: str
    kind: Literal["keys", "objects"]
    max_bytes: Size
    max_message: Size
    max_age: timedelta = timedelta(0)
    history: int = Field(1, ge=1, le=64)


def read_streams(body: Mapping[str, Any]) -> tuple[dict[str, Stream], dict[str, Bucket]]:
    """The streams and buckets of streams.yaml. Raises pydantic.ValidationError."""
    return (
        {name: Stream.model_validate(member) for name, member in body["streams"].items()},
        {name: Bucket.model_validate(member) for name, member in body["buckets"].items()},
    )
