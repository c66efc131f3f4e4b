"""Penstock: an event fleet over NATS JetStream.

    async with connect("billing") as publisher:
        await publisher.publish(publisher.event("log.line.v1", {"message": "paid"}, entity="shop-1"))

The names below are the library's public ones; they are loaded when first used, so that importing one module of the
package does not import all of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.client import Published, Publisher, connect
    from penstock.errors import PenstockError, Refused, Unavailable
    from penstock.events import Event

_WHERE = {
    "Event": "penstock.events.event",
    "PenstockError": "penstock.errors",
    "Published": "penstock.client",
    "Publisher": "penstock.client",
    "Refused": "penstock.errors",
    "Unavailable": "penstock.errors",
    "connect": "penstock.client",
}

__all__ = ["Event", "PenstockError", "Published", "Publisher", "Refused", "Unavailable", "connect"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
