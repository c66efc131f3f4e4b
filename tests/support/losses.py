"""What a replay has to bring back: everything of one kind, gone from a store as by a mistake."""

from __future__ import annotations

import httpx

from penstock.services.writer import cassandra_roles
from penstock.stack.place import Place


def lose_indices(place: Place, pattern: str) -> None:
    """Deletes the indices, like `events-*`."""
    with httpx.Client(base_url=place.elasticsearch, timeout=60) as http:
        for row in http.get(f"/_cat/indices/{pattern}?format=json").raise_for_status().json():
            http.delete(f"/{row['index']}").raise_for_status()


def lose_rows(place: Place, *tables: str) -> None:
    """Empties the tables."""
    with cassandra_roles.admin(place) as session:
        for table in tables:
            session.execute(f"TRUNCATE {place.cassandra_keyspace}.{table}", timeout=60)
