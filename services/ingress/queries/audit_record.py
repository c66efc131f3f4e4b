"""question and its answer → audit.ingress.question: who asked what kind of thing, how much came back; never the words.

The record is stored before the answer is given: a question that cannot be written down is not answered.
"""

from __future__ import annotations

from typing import Any

from penstock.audit.record import audit_record, fingerprint
from penstock.broker import Broker
from penstock.services.ingress.access.authenticate import Caller


async def write(broker: Broker, caller: Caller, operation: str, said: dict[str, Any]) -> None:
    """Returns when the record is on disk. Raises Unavailable."""
    if "fingerprint" not in said:
        said = {"fingerprint": fingerprint(said), **said}
    record = audit_record(caller.identity, broker.identity, operation=operation, **said)
    await broker.publish(f"audit.{broker.identity}.question", record)
