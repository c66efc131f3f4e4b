"""event keys → how many of them each store has, read from the stores directly, past the fleet.

For the demo and the fault tests: it reads Elasticsearch and Cassandra directly, so that no worker can vouch for itself.
A document stored twice counts twice.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from cassandra.cluster import Session

from penstock.contracts import period_of
from penstock.events import key_partition, key_time_ms
from penstock.services.writer import cassandra_roles
from penstock.stack.place import Place

_CHUNK = 1000  # keys in one request to Elasticsearch
_SHARD_SECONDS = 30.0
_ROWS = 100  # keys in one request to Cassandra
STAGES = ("indexed", "stored", "scored", "scores stored")


class Ledger:
    """What the stores of a place hold. Use `ledger(place)`."""

    def __init__(self, place: Place, http: httpx.Client, session: Session) -> None:
        self._length = place.cassandra_period
        self._http = http
        self._session = session
        tables = ("events", "scores")
        statement = "SELECT key FROM {}.{} WHERE period = ? AND pp = ? AND key IN ?"
        self._rows = {table: session.prepare(statement.format(place.cassandra_keyspace, table)) for table in tables}

    def counts(self, keys: Iterable[str]) -> dict[str, int]:
        """How many documents and rows there are for these keys, by stage (STAGES)."""
        wanted = sorted(set(keys))
        self._refresh("events-*,scored-*")
        return {
            "indexed": self._documents("events-*", wanted),
            "stored": sum(self._found("events", wanted).values()),
            "scored": self._documents("scored-*", wanted),
            "scores stored": sum(self._found("scores", wanted).values()),
        }

    def missing(self, stage: str, keys: Iterable[str]) -> list[str]:
        """Those of the keys that a stage (STAGES) does not have."""
        wanted = sorted(set(keys))
        if stage in ("indexed", "scored"):
            indices = "events-*" if stage == "indexed" else "scored-*"
            self._refresh(indices)
            found = self._ids(indices, wanted)
        else:
            found = self._found("events" if stage == "stored" else "scores", wanted)
        return [name for name in wanted if not found[name]]

    def totals(self) -> dict[str, int]:
        """All documents and rows there are, by stage."""
        self._refresh("events-*,scored-*")
        keyspace = self._session.keyspace
        return {
            "indexed": self._search("events-*", {"match_all": {}})["hits"]["total"]["value"],
            "stored": self._session.execute(f"SELECT count(*) FROM {keyspace}.events").one()[0],  # noqa: S608
            "scored": self._search("scored-*", {"match_all": {}})["hits"]["total"]["value"],
            "scores stored": self._session.execute(f"SELECT count(*) FROM {keyspace}.scores").one()[0],  # noqa: S608
        }

    def _documents(self, indices: str, keys: list[str]) -> int:
        return sum(
            self._search(indices, {"ids": {"values": chunk}})["hits"]["total"]["value"]
            for chunk in _chunks(keys, _CHUNK)
        )

    def _ids(self, indices: str, keys: list[str]) -> Counter[str]:
        found: Counter[str] = Counter()
        for chunk in _chunks(keys, _CHUNK):
            answer = self._search(indices, {"ids": {"values": chunk}}, size=10 * _CHUNK)
            found.update(hit["_id"] for hit in answer["hits"]["hits"])
        return found

    def _search(self, indices: str, query: dict[str, Any], size: int = 0) -> dict[str, Any]:
        body = {"query": query, "size": size, "track_total_hits": True, "_source": False}
        answer = self._post(f"/{indices}/_search?ignore_unavailable=true&allow_no_indices=true", json=body)
        result: dict[str, Any] = answer.json()
        return result

    def _refresh(self, indices: str) -> None:
        self._post(f"/{indices}/_refresh")

    def _post(self, path: str, **options: Any) -> httpx.Response:
        """A request, repeated for a while when an index was made this moment and its shard is not there yet."""
        end = time.monotonic() + _SHARD_SECONDS
        while (answer := self._http.post(path, **options)).status_code == 503 and time.monotonic() < end:
            time.sleep(0.1)
        return answer.raise_for_status()

    def _found(self, table: str, keys: list[str]) -> Counter[str]:
        partitions: dict[tuple[str, int], list[str]] = defaultdict(list)
        for name in keys:
            partitions[period_of(self._length, key_time_ms(name)), key_partition(name)].append(name)
        found: Counter[str] = Counter()
        for (period, pp), members in partitions.items():
            for chunk in _chunks(members, _ROWS):
                bound = (period, pp, [uuid.UUID(name) for name in chunk])
                found.update(str(row[0]) for row in self._session.execute(self._rows[table], bound))
        return found


@contextmanager
def ledger(place: Place) -> Iterator[Ledger]:
    """A ledger of the place's running Elasticsearch and Cassandra."""
    with (
        httpx.Client(base_url=place.elasticsearch, timeout=30) as http,
        cassandra_roles.admin(place) as session,
    ):
        session.set_keyspace(place.cassandra_keyspace)
        yield Ledger(place, http, session)


def _chunks(values: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
