"""Types of contracts/streams.yaml, services.yaml and identities.yaml: what the broker keeps, who may do what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from penstock.contracts import subjects

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _size(text: Any) -> Any:
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a size like 64KiB, 16MiB or 4GiB")
    return int(match[1]) * _UNITS[match[2]]


Size = Annotated[int, BeforeValidator(_size)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))


class Consumer(_Data):
    """A durable pull consumer, or a family of `shards` consumers that share the partitions."""

    meaning: str
    max_ack_pending: int = Field(gt=0)
    ack_wait: timedelta = timedelta(seconds=30)
    shards: int = Field(0, ge=0, le=subjects.PARTITIONS)
    headers_only: bool = False
    ack: Literal["explicit", "all"] = "explicit"


class Stream(_Data):
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
    consumers: Mapping[str, Consumer] = {}

    @model_validator(mode="after")
    def _shards_divide_partitions(self) -> Stream:
        for name, consumer in self.consumers.items():
            if consumer.shards and (self.door is None or subjects.PARTITIONS % consumer.shards):
                raise ValueError(f"consumer {name}: shards must divide {subjects.PARTITIONS}, on a stream with a door")
        return self

    def members(self, name: str) -> tuple[str, ...]:
        """The consumers on the server that the name stands for: itself, or scorer_0 … scorer_7."""
        shards = self.consumers[name].shards
        return tuple(f"{name}_{lane}" for lane in range(shards)) if shards else (name,)

    def filters(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """The subjects that each consumer on the server gets, by its name."""
        shards = self.consumers[name].shards
        if not shards or self.door is None:
            return {name: self.subjects}
        share = subjects.PARTITIONS // shards
        door = self.door
        return {
            f"{name}_{lane}": tuple(
                subjects.partition_filter(door, pp) for pp in range(lane * share, (lane + 1) * share)
            )
            for lane in range(shards)
        }


class Bucket(_Data):
    """A key-value bucket or an object store, each with one writer."""

    meaning: str
    kind: Literal["keys", "objects"]
    max_bytes: Size
    max_message: Size
    history: int = Field(1, ge=1, le=64)


class Operation(_Data):
    """One question: `request` and `reply` name models in penstock/rpc/messages/search.py."""

    meaning: str
    timeout: timedelta
    request: str
    reply: str


class Service(_Data):
    """Questions that one worker answers."""

    meaning: str
    operations: Mapping[str, Operation]


class Identity(_Data):
    """One line of identities.yaml; the file says what each member allows."""

    meaning: str
    account: Literal["APP", "CORE", "AUTH"]
    clients: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    door: Literal["http", "nats"] | None = None
    publishes: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    gets: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    nudges: tuple[str, ...] = ()
    scores: bool = False
    dead_letters: bool = False
    audits: bool = False
    tails: bool = False
    surveys: bool = False
    checks_servers: bool = False
    provisions: bool = False
    inspects: bool = False
    authorizes: bool = False
    sees_connections: bool = False

    @property
    def by_token(self) -> bool:
        """Whether it connects with an OIDC token where the server asks the authority, instead of with its nkey."""
        return bool(self.clients or self.subjects)


class Role(_Data):
    """What a person or an HTTP key may do: with a token on `types` and `datasets`, with a key on what the key says."""

    meaning: str
    groups: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    sends: bool = False
    asks: tuple[str, ...] = ()
    tails: bool = False


def read_streams(body: Mapping[str, Any]) -> tuple[dict[str, Stream], dict[str, Bucket]]:
    """The streams and buckets of streams.yaml. Raises pydantic.ValidationError."""
    return (
        {name: Stream.model_validate(member) for name, member in body["streams"].items()},
        {name: Bucket.model_validate(member) for name, member in body["buckets"].items()},
    )


def read_services(body: Mapping[str, Any]) -> dict[str, Service]:
    """The services of services.yaml. Raises pydantic.ValidationError."""
    return {name: Service.model_validate(member) for name, member in body.items()}


def read_identities(body: Mapping[str, Any]) -> tuple[dict[str, Identity], dict[str, Role]]:
    """The identities and roles of identities.yaml. Raises pydantic.ValidationError, or ValueError for a bad name or a
    client or subject that would be two identities."""
    identities = {name: Identity.model_validate(member) for name, member in body["identities"].items()}
    for name in identities:
        if name.startswith(subjects.PERSON):
            raise ValueError(f"identity {name!r}: {subjects.PERSON}… is for who has no line here")
    for kind in ("clients", "subjects"):
        named = [entry for identity in identities.values() for entry in getattr(identity, kind)]
        if twice := sorted({entry for entry in named if named.count(entry) > 1}):
            raise ValueError(f"{kind} {', '.join(twice)} given to two identities")
    for name, identity in identities.items():
        if identity.by_token and identity.account != "APP":
            raise ValueError(f"identity {name!r}: a token gives entry to APP only, not to {identity.account}")
    return identities, {name: Role.model_validate(member) for name, member in body["roles"].items()}
