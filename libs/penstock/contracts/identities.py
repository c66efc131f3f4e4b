"""Types of contracts/identities.yaml: who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from penstock.contracts import subjects
from penstock.contracts.data import Data

# What an identity may do that names no stream, bucket or service.
Capability = Literal[
    "score",  # publish scores: score.>
    "dead_letter",  # publish dead letters of its own: dlq.<name>.>
    "audit",  # publish audit records of its own: audit.<name>.>
    "survey",  # send $SRV.PING, INFO and STATS to every service
    "check_servers",  # read each server's settings, to refuse one without `sync_interval: always`
    "list_connections",  # request each server's list of connections
    "inspect_streams",  # read all streams and the state of their consumers
    "drive_replays",  # create and delete the consumers of replays
    "feed_replay",  # publish messages that workers replay: replay.<worker>.>
    "feed_subscribers",  # publish messages for subscribers: replay.<subscriber>.>; take back what a run left there
    "log_replay",  # publish what became of replayed messages: replay_log.<name>.>
    "provision",  # create and update streams, consumers and buckets
    "authorize",  # answer the server's authorization requests, close connections of denied identities
]


class Identity(Data):
    """One entry of identities.yaml; the file says what each member allows, `Capability` what `may` does."""

    meaning: str
    account: Literal["APP", "CORE", "AUTH"]
    clients: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    door: Literal["http", "nats"] | None = None
    publishes: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    reads_streams: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    reads_buckets: tuple[str, ...] = ()
    writes_buckets: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    listens: tuple[str, ...] = ()
    notifies: tuple[str, ...] = ()
    may: tuple[Capability, ...] = ()

    @property
    def by_token(self) -> bool:
        """Whether it connects with an OIDC token where the server asks the authority, instead of with its nkey."""
        return bool(self.clients or self.subjects)


class Role(Data):
    """What a person or an HTTP key may do: with a token on `types` and `datasets`, with a key on what the key says.

    `may`: send events, tail events as they are stored.
    """

    meaning: str
    groups: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    may: tuple[Literal["send", "tail"], ...] = ()


def read_identities(body: Mapping[str, Any]) -> tuple[dict[str, Identity], dict[str, Role]]:
    """The identities and roles of identities.yaml.

    Raises pydantic.ValidationError, or ValueError for a reserved name or a client or subject that two identities claim.
    """
    identities = {name: Identity.model_validate(member) for name, member in body["identities"].items()}
    for name in identities:
        if name.startswith(subjects.PERSON):
            raise ValueError(
                f"identity {name!r}: names that begin with {subjects.PERSON} are for callers without an entry"
            )
    for kind in ("clients", "subjects"):
        named = [entry for identity in identities.values() for entry in getattr(identity, kind)]
        if twice := sorted({entry for entry in named if named.count(entry) > 1}):
            raise ValueError(f"{kind} {', '.join(twice)} claimed by two identities; each may belong to one")
    for name, identity in identities.items():
        if identity.by_token and identity.account != "APP":
            raise ValueError(
                f"identity {name!r}: `clients` and `subjects` work in account APP only, not in {identity.account}"
            )
    return identities, {name: Role.model_validate(member) for name, member in body["roles"].items()}
