"""The number of records in the stores at the end, by the stores themselves: as many as the consumers settled."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from bench.peers.site import KEYSPACE, Site
from penstock.services.writer import cassandra_roles


async def verify(site: Site) -> dict[str, Any]:
    """Documents by index and rows by table."""
    async with httpx.AsyncClient(base_url=site.place.elasticsearch, timeout=60) as http:
        (await http.post("/_all/_refresh")).raise_for_status()
        indices = (await http.get("/_cat/indices?format=json")).raise_for_status().json()
    documents = {row["index"]: int(row["docs.count"]) for row in indices}
    return {"documents": documents, "rows": await asyncio.to_thread(_rows, site)}


def _rows(site: Site) -> dict[str, int]:
    found = {}
    with cassandra_roles.admin(site.place) as session:
        for keyspace in (site.place.cassandra_keyspace, KEYSPACE):
            for table in ("events", "timeline"):
                pages = session.execute(f"SELECT pp FROM {keyspace}.{table}", timeout=120)
                found[f"{keyspace}.{table}"] = sum(1 for _ in pages)
    return found
