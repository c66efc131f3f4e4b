"""contracts/ → one JSON Schema per event type, of the whole event as it is sent: envelope and data together."""

from __future__ import annotations

from typing import Any

from penstock import yaml_text
from penstock.contracts import Contracts, EventType

Json = dict[str, Any]


def event_schemas(contracts: Contracts) -> dict[str, Json]:
    """Standalone schemas by type."""
    envelope = yaml_text.read(contracts.root / "envelope.yaml")
    return {name: _event(envelope, event_type) for name, event_type in contracts.types.items()}


def _event(envelope: Json, event_type: EventType) -> Json:
    data = {name: value for name, value in event_type.data.items() if name not in ("$schema", "$defs")}
    schema = {
        "$schema": envelope["$schema"],
        "$id": f"urn:penstock:event:{event_type.type}",
        "title": event_type.type,
        "description": event_type.meaning,
        **{name: value for name, value in envelope.items() if name != "$schema"},
        "required": [*envelope["required"], *(["subject"] if event_type.entity.required else [])],
        "properties": {
            **envelope["properties"],
            "type": {"const": event_type.type},
            "subject": {**envelope["properties"]["subject"], "description": event_type.entity.meaning},
            "data": data,
        },
    }
    # References of the data point at the root of the document, which is the event here.
    definitions = event_type.data.get("$defs")
    return {**schema, "$defs": definitions} if definitions else schema
