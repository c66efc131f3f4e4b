"""outcome → the address that the publisher named, so that it learns what became of its event."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import orjson
import structlog

from penstock.broker import Broker
from penstock.errors import PenstockError
from penstock.runtime import metrics

_log = structlog.get_logger("penstock.runtime.replies")


@runtime_checkable
class Repliable(Protocol):
    """A decoded message whose publisher may have named a reply address. `door` and `publisher` are proven by its
    subject."""

    reply_to: str | None
    door: str
    publisher: str
    stream: str
    sequence: int


def reply(broker: Broker, value: object, body: dict[str, Any]) -> None:
    """Sends the reply, if the address is one of the publisher's own (or of the ingress, for what came over HTTP)."""
    if not isinstance(value, Repliable) or not value.reply_to:
        return
    owner = "ingress" if value.door == "http" else value.publisher
    if not value.reply_to.startswith(f"_INBOX.{owner}."):
        metrics.REPLIES.labels("refused").inc()
        _log.error("reply_refused", publisher=value.publisher, stream=value.stream, sequence=value.sequence)
        return
    try:
        broker.send(value.reply_to, orjson.dumps(body))
        metrics.REPLIES.labels("sent").inc()
    except PenstockError as error:
        metrics.REPLIES.labels("refused").inc()
        _log.warning("reply_send_failed", reason=error.detail)
