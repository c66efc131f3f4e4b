"""JSON merge patch (RFC 7396) → payloads as they are sent again; the dead letters themselves stay as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from penstock.errors import Refused
from penstock.events import MAX_EVENT_BYTES, ijson

MOST_BYTES = 16 * 1024  # of a patch; it stands in the plan and on the audit trail
IDENTIFYING = ("id", "source", "type", "time")  # members that say which event it is


def canonical(patch: Mapping[str, Any]) -> str:
    """The text of a patch, the same for equal ones. Raises Refused QUERY_INVALID when it is empty or too large."""
    text = json.dumps(patch, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if not patch:
        raise Refused("QUERY_INVALID", "the patch is empty: it would change nothing", pointer="/patch")
    if len(text.encode()) > MOST_BYTES:
        raise Refused("QUERY_INVALID", f"the patch has more than {MOST_BYTES} bytes", pointer="/patch")
    return text


def digest(text: str) -> str:
    """What names a patch on the audit trail."""
    return sha256(text.encode()).hexdigest()


def apply(patch: Any, payload: bytes) -> bytes:
    """The payload with the patch applied. Raises Refused when one of the two is not I-JSON, or the result too large."""
    # Not orjson, which would turn integers beyond 64 bits into floating point.
    ijson.parse(payload)
    patched = json.dumps(_merged(json.loads(payload), patch), ensure_ascii=False, separators=(",", ":"))
    try:
        raw = patched.encode()
    except UnicodeEncodeError:
        raise Refused("JSON_INVALID", "the patched payload is not Unicode text") from None
    ijson.parse(raw)
    if len(raw) > MAX_EVENT_BYTES:
        raise Refused("EVENT_TOO_LARGE", f"patched it has {len(raw)} bytes; at most {MAX_EVENT_BYTES} are taken")
    return raw


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
