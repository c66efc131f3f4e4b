"""contracts/ → index templates of Elasticsearch.

Indices are named `events-<dataset>-<period>-g<N>` and `scored-<model>_v<version>-<dataset>-<period>-g<N>`; each is made
from one index template, which is put together from component templates. Everything that is not mapped here is
stored and returned but never looked into (`dynamic: false`), and no value can make Elasticsearch refuse a record
(`ignore_above`, `ignore_malformed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.contracts import Contracts, EventType, Indexed
from penstock.elasticsearch import names
from penstock.elasticsearch.mapping_version import versioned
from penstock.scoring.vectors import DIMS

Json = dict[str, Any]

# Lucene takes terms of at most 32,766 bytes. `ignore_above` counts UTF-16 units, of at most 3 bytes each.
IGNORE_ABOVE = 8191
KEYWORD: Json = {"type": "keyword", "ignore_above": IGNORE_ABOVE}
# What results of equal milliseconds are sorted by is in no index of its own: it is read where they meet.
NANOSECONDS: Json = {"type": "date_nanos", "index": False, "ignore_malformed": True}
SEQUENCE: Json = {"type": "long", "index": False, "ignore_malformed": True}
DATE: Json = {"type": "date", "format": "strict_date_optional_time", "ignore_malformed": True}
LONG: Json = {"type": "long", "ignore_malformed": True}
DOUBLE: Json = {"type": "double", "ignore_malformed": True}
# Splits names at everything that is not a letter, so that `DataNode` finds `dfs.DataNode$PacketResponder`.
WORDS: Json = {"words": {"type": "text", "analyzer": "simple"}}

SETTINGS: Json = {
    "index": {
        "number_of_shards": 1,
        "number_of_replicas": 0,
        # No refresh_interval: an index that is searched is refreshed each second, one that nobody searches is spared
        # the work, and the first request to it waits for a refresh.
        # An answer must mean "on disk". What is not flushed is indexed again after a crash, a few thousand operations a
        # second: 64 MB are back in less than a minute; the usual 512 MB took longer than `penstock up` waited.
        "translog": {"durability": "request", "flush_threshold_size": "64mb"},
        # Vectors are read back by `_source_exclude_vectors=false`, or as `fields`; kept once, not twice.
        "mapping": {"exclude_source_vectors": True},
    }
}


def templates(contracts: Contracts) -> dict[str, dict[str, Json]]:
    """The bodies of all templates: {"component": {name: body}, "index": {name: body}}."""
    component: dict[str, Json] = {"penstock-settings": {"template": {"settings": SETTINGS}}}
    index: dict[str, Json] = {}
    for position, dataset in enumerate(contracts.datasets):
        types = [event_type for event_type in contracts.types.values() if event_type.dataset == dataset]
        component[f"penstock-events-{dataset}"] = {"template": {"mappings": versioned(event_mapping(types))}}
        component[f"penstock-scored-{dataset}"] = {"template": {"mappings": versioned(score_mapping(types))}}
        for kind, pattern in (("events", f"events-{dataset}-*"), ("scored", f"scored-*-{dataset}-*")):
            index[f"penstock-{kind}-{dataset}"] = {
                "index_patterns": [pattern],
                "composed_of": ["penstock-settings", f"penstock-{kind}-{dataset}"],
                # Elasticsearch cannot know that no name matches two of the patterns, and wants an order.
                "priority": 500 + position,
            }
    return {"component": component, "index": index}


def component_name(alias: str) -> str:
    """The component template that has the mapping of the indices behind a write alias."""
    return f"penstock-{alias.partition('-')[0]}-{names.dataset_and_period(alias)[0]}"


def event_mapping(types: Iterable[EventType]) -> Json:
    """The mapping of the stored record (penstock.events.event.record) of a dataset's events."""
    data = _mapping(_indexed(types))
    event = json_object({"id": KEYWORD, "source": KEYWORD, "type": KEYWORD, "subject": KEYWORD, "data": data})
    time = {**DATE, "fields": {"ns": NANOSECONDS}}
    return _root({**_provenance(), "time": time, "sequence": SEQUENCE, "door": KEYWORD, "event": event})


def score_mapping(types: Iterable[EventType]) -> Json:
    """The mapping of a dataset's scores; `fields` holds the indexed members of the event that was scored."""
    # Flat, not a graph: on indices of one period an exact scan is quick, and building graphs is what costs.
    vector = {
        "type": "dense_vector",
        "dims": DIMS,
        "index": True,
        "similarity": "cosine",
        "index_options": {"type": "int8_flat"},
    }
    return _root(
        {
            **_provenance(),
            "type": KEYWORD,
            "score": DOUBLE,
            "pattern_id": KEYWORD,
            "vector": vector,
            "fields": _mapping(_indexed(types)),
        }
    )


def field(indexed: Indexed) -> Json:
    """The mapping of one indexed member."""
    match indexed.kind:
        case "text":
            return {"type": "text", "fields": WORDS} if indexed.search else {"type": "text"}
        case "keyword":
            return {**KEYWORD, "fields": WORDS} if indexed.search else KEYWORD
        case "boolean" | "long" | "double" | "ip" | "geo_point":
            return {"type": indexed.kind, "ignore_malformed": True}
        case "date":
            return DATE


def _provenance() -> Json:
    # What requests can name (rpc.messages.OUTER_FIELDS), no more: each indexed member is work at every write.
    return {"key": KEYWORD, "entity": KEYWORD, "publisher": KEYWORD, "time": DATE, "stored_at": DATE}


def _indexed(types: Iterable[EventType]) -> dict[str, Indexed]:
    return {path: indexed for event_type in types for path, indexed in event_type.indexed.items()}


def _mapping(indexed: Mapping[str, Indexed]) -> Json:
    """Nested object mappings from dotted paths."""
    tree: Json = {}
    for path, leaf in sorted(indexed.items()):
        *parents, name = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {"properties": {}})["properties"]
        node[name] = field(leaf)
    return {"properties": tree}


def json_object(properties: Json) -> Json:
    return {"properties": properties}


def _root(properties: Json) -> Json:
    return {"dynamic": False, "date_detection": False, "numeric_detection": False, "properties": properties}
