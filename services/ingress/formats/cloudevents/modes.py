"""HTTP request → the bytes of its events, for the three modes of the CloudEvents HTTP binding.

    structured   Content-Type: application/cloudevents+json         the body is the event
    batched      Content-Type: application/cloudevents-batch+json   the body is an array of events
    binary       ce-specversion: 1.0, Content-Type: …json or none   the body is the data, the rest are ce- headers

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import unquote_to_bytes

import orjson

from penstock.errors import Refused
from penstock.events import ijson

Mode = Literal["structured", "batched", "binary"]
Headers = Iterable[tuple[bytes, bytes]]
_ESCAPED = re.compile(rb"\\(.)")


def mode_of(headers: dict[bytes, bytes]) -> Mode:
    """Which mode a request is in. Raises Refused CONTENT_TYPE_UNKNOWN or CONTENT_ENCODING_UNKNOWN."""
    content_type = headers.get(b"content-type", b"")
    codings = headers.get(b"content-encoding")
    if codings and any(each.strip() not in (b"", b"identity") for each in codings.lower().split(b",")):
        detail = f"the body is encoded as {codings.decode('latin-1')[:64]!r}; bodies are taken as they are"
        raise Refused("CONTENT_ENCODING_UNKNOWN", detail)
    match content_type.partition(b";")[0].strip().lower():
        case b"application/cloudevents+json":
            return "structured"
        case b"application/cloudevents-batch+json":
            return "batched"
        case media if b"ce-specversion" in headers and (media == b"application/json" or media.endswith(b"+json")):
            return "binary"
        case b"" if b"ce-specversion" in headers:
            return "binary"  # without a media type, data is JSON (JSON format, section 3.1)
        case b"":
            raise Refused("CONTENT_TYPE_UNKNOWN", "the request has no Content-Type")
        case media:
            sent = media.decode("latin-1")[:128]
            said = f"the Content-Type is {sent}" if sent else "there is no Content-Type"
            raise Refused("CONTENT_TYPE_UNKNOWN", f"{said}; send one event as application/cloudevents+json")


def from_binary(headers: Headers, body: bytes) -> bytes:
    """The event in structured mode, with the data as it was sent.

    Raises Refused JSON_INVALID (also for a body that is more than one value), ENVELOPE_INVALID or MEMBER_DUPLICATE.
    """
    members: dict[str, bytes] = {}
    for name, value in headers:
        if name == b"content-type":
            _add(members, "datacontenttype", value)
        elif name.startswith(b"ce-"):
            attribute = name[3:].decode("latin-1")
            if attribute in ("data", "datacontenttype"):
                raise Refused("ENVELOPE_INVALID", f"the header ce-{attribute} does not exist", pointer=f"/{attribute}")
            _add(members, attribute, value)
    if body:
        try:
            orjson.loads(body)  # alone, so that nothing in it can end the member and begin another
        except orjson.JSONDecodeError as error:
            raise Refused("JSON_INVALID", f"the data: {ijson.fault(error)}", pointer="/data") from None
        members["data"] = body
    return b"{" + b",".join(orjson.dumps(name) + b":" + value for name, value in members.items()) + b"}"


def _add(members: dict[str, bytes], attribute: str, value: bytes) -> None:
    """An attribute, given as percent-encoded UTF-8, perhaps in quotes (section 3.1.3.2)."""
    if attribute in members:
        raise Refused("MEMBER_DUPLICATE", f"the header of {attribute} is there twice", pointer=f"/{attribute}")
    if attribute != "datacontenttype" and len(value) > 1 and value[:1] == value[-1:] == b'"':
        value = _ESCAPED.sub(rb"\1", value[1:-1])
    try:
        members[attribute] = orjson.dumps(unquote_to_bytes(value.decode("ascii")).decode())
    except UnicodeDecodeError:
        raise Refused(
            "ENVELOPE_INVALID", f"the header of {attribute} is not percent-encoded UTF-8", pointer=f"/{attribute}"
        ) from None
