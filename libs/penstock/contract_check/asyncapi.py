"""contracts/ → AsyncAPI 3: every subject with its messages, and every request with its reply.

Seen from the outside: `send` and `receive` are what a client of Penstock does. Limits of the streams are in
`x-jetstream`, as the NATS binding of AsyncAPI has no place for them.
"""

from __future__ import annotations

from typing import Any

from penstock.contract_check.json_schemas import event_schemas
from penstock.contracts import Contracts
from penstock.contracts.records import RecordType
from penstock.contracts.services import Operation
from penstock.contracts.topology import Stream
from penstock.rpc import messages

Json = dict[str, Any]

PARTITION = {"description": "partition of the event's entity: crc32 of it modulo 64, two hexadecimal digits"}
PUBLISHER = {"description": "name of the publishing identity; the server admits no other"}
CALLER = {"description": "name of the requesting identity; the server admits no other"}


def document(contracts: Contracts) -> Json:
    """The whole document."""
    channels: Json = {}
    operations: Json = {}
    messages: Json = {}
    schemas: Json = {name: _inlined(schema, name) for name, schema in event_schemas(contracts).items()}
    for door, stream_name, stream in _doors(contracts):
        for name, event_type in contracts.types.items():
            channel = f"{door}.{name}"
            channels[channel] = _event_channel(door, name, stream_name, stream)
            messages[name] = {
                "name": name,
                "summary": event_type.meaning,
                "contentType": "application/cloudevents+json",
                "payload": {"$ref": f"#/components/schemas/{name}"},
            }
            operations[f"publish.{channel}"] = {"action": "send", "channel": {"$ref": f"#/channels/{_ref(channel)}"}}
    for name, record in contracts.records.items():
        channels[name] = _record_channel(contracts, record)
        messages[name] = _record_message(record, schemas)
        operations[f"receive.{name}"] = {"action": "receive", "channel": {"$ref": f"#/channels/{_ref(name)}"}}
    for service, body in contracts.services.items():
        for name, operation in body.operations.items():
            _request(f"{service}.{name}", operation, channels, operations, messages, schemas)
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": "1",
            "description": "Events, records and requests over NATS. Rendered by `penstock contracts render`.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _doors(contracts: Contracts) -> list[tuple[str, str, Stream]]:
    return [(stream.door, name, stream) for name, stream in contracts.streams.items() if stream.door]


def _event_channel(door: str, name: str, stream_name: str, stream: Stream) -> Json:
    return {
        "address": f"evt.{{pp}}.{door}.{{publisher}}.{name}",
        "parameters": {"pp": PARTITION, "publisher": PUBLISHER},
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "x-jetstream": _limits(stream_name, stream),
    }


def _record_channel(contracts: Contracts, record: RecordType) -> Json:
    channel: Json = {
        "address": record.subject,
        "parameters": {name: {"description": each.meaning} for name, each in record.parameters.items()},
        "messages": {record.record: {"$ref": f"#/components/messages/{record.record}"}},
    }
    if record.stream is not None:
        channel["x-jetstream"] = _limits(record.stream, contracts.streams[record.stream])
    return channel


def _record_message(record: RecordType, schemas: Json) -> Json:
    """The message; its schemas become components. Without a payload of its own it has that of the original."""
    message: Json = {"name": record.record, "summary": record.meaning}
    for part, schema in (("headers", record.headers), ("payload", record.payload)):
        if schema is not None:
            name = f"{record.record}.{part}"
            schemas[name] = _inlined(dict(schema), name)
            message[part] = {"$ref": f"#/components/schemas/{name}"}
    return message


def _limits(name: str, stream: Stream) -> Json:
    return {
        "stream": name,
        "maxAgeSeconds": int(stream.max_age.total_seconds()),
        "maxBytes": stream.max_bytes,
        "maxMessageBytes": stream.max_message,
        "consumers": sorted(stream.consumers),
    }


def _request(name: str, operation: Operation, channels: Json, operations: Json, messages: Json, schemas: Json) -> None:
    for model in (operation.request, operation.reply):
        schemas[model] = _model_schema(model, schemas)
        messages[model] = {"name": model, "payload": {"$ref": f"#/components/schemas/{model}"}}
    channels[f"svc.{name}"] = {
        "address": f"svc.{name}.{{caller}}",
        "parameters": {"caller": CALLER},
        "messages": {operation.request: {"$ref": f"#/components/messages/{operation.request}"}},
    }
    channels[f"svc.{name}.reply"] = {
        "address": None,
        "messages": {operation.reply: {"$ref": f"#/components/messages/{operation.reply}"}},
    }
    operations[f"request.{name}"] = {
        "action": "send",
        "summary": operation.meaning,
        "channel": {"$ref": f"#/channels/svc.{name}"},
        "reply": {
            "address": {
                "description": "the reply subject of the NATS message, under _INBOX.<caller>.",
                "location": "$message.header#/reply",
            },
            "channel": {"$ref": f"#/channels/svc.{name}.reply"},
        },
        "x-timeout-seconds": operation.timeout.total_seconds(),
    }


def _model_schema(model: str, schemas: Json) -> Json:
    """The schema of a model; the models within it become components of their own."""
    schema: Json = getattr(messages, model).model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    return schema


def _inlined(schema: Json, name: str) -> Json:
    """A schema as a component: references to its definitions name their place in this document."""
    body = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    return dict(_moved(body, f"#/components/schemas/{name}/"))


def _moved(value: Any, below: str) -> Any:
    if isinstance(value, dict):
        return {key: below + each[2:] if key == "$ref" else _moved(each, below) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(each, below) for each in value]
    return value


def _ref(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
