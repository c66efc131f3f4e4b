"""Types of contracts/services.yaml: the operations that workers serve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from penstock.contracts.data import Data


class Operation(Data):
    """One operation: `request` and `reply` name models of penstock.rpc.messages. `idempotent`: may be sent again."""

    meaning: str
    timeout: timedelta
    idempotent: bool = False
    request: str
    reply: str


class Service(Data):
    """The operations that one worker serves."""

    meaning: str
    operations: Mapping[str, Operation]


def read_services(body: Mapping[str, Any]) -> dict[str, Service]:
    """The services of services.yaml. Raises pydantic.ValidationError."""
    return {name: Service.model_validate(member) for name, member in body.items()}
