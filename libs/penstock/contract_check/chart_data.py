"""identities.yaml and streams.yaml → helm/penstock/files/fleet.yaml, what the chart takes from the contracts"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from penstock.contracts import Contracts
from penstock.contracts.topology import REPLAY_STREAM

_NOTE = """# Made from contracts/ by `penstock contracts render`; do not edit.
# accounts: service accounts, of the names by which the authority knows the identities (their first client).
# nkeys: identities that connect with an nkey instead.
# account: the NATS account of the streams. consumers: those whose lag says how many processes an identity needs.
# shards: the most processes of an identity that have work, where its consumers are shards.
"""


def text(contracts: Contracts) -> str:
    """The text of the file."""
    identities = contracts.identities
    lags = {name: [*_consumers(contracts, name)] for name in identities}
    body = {
        "account": "CORE",
        "accounts": {name: each.clients[0] for name, each in identities.items() if each.clients},
        "nkeys": [name for name, each in identities.items() if not each.by_token],
        "consumers": {name: found for name, found in lags.items() if found},
        "shards": {name: count for name in identities if (count := _shards(contracts, name))},
    }
    return _NOTE + yaml.safe_dump(body, sort_keys=False, width=110)


def _families(contracts: Contracts, identity: str) -> Iterator[tuple[str, str]]:
    """(stream, consumer in streams.yaml) of what waits for processes of the identity whenever events come."""
    for entry in contracts.identities[identity].consumes:
        stream, _, consumer = entry.partition("/")
        if stream != REPLAY_STREAM and not contracts.streams[stream].consumers[consumer].replay:
            yield stream, consumer


def _consumers(contracts: Contracts, identity: str) -> Iterator[dict[str, Any]]:
    for stream, consumer in _families(contracts, identity):
        for member in contracts.streams[stream].members(consumer):
            yield {"stream": stream, "consumer": member}


def _shards(contracts: Contracts, identity: str) -> int:
    """The fewest shards of its consumers; 0 where they have none."""
    found = [contracts.streams[stream].consumers[name].shards for stream, name in _families(contracts, identity)]
    return min((shards for shards in found if shards), default=0)
