"""request and reply → audit.ingress.query: identity, operation, scope and size of the reply; never the search terms.

The record is stored before the reply is sent: a request that cannot be audited is not answered.
"""

from __future__ import annotations

from typing import Any

from penstock.audit import record
from penstock.audit.questions import Questions
from penstock.services.ingress.access.caller import HttpCaller


async def write(questions: Questions, caller: HttpCaller, operation: str, outcome: dict[str, Any]) -> None:
    """Returns when the record is on disk. Raises Unavailable."""
    if "fingerprint" not in outcome:
        outcome = {"fingerprint": record.fingerprint(outcome), **outcome}
    await questions.write(caller.identity, operation=operation, **outcome)
