"""Types of contracts/objectives.yaml: what the fleet promises of its service, and how that is measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from penstock.contracts.data import Data

_METRIC = re.compile(r"\bpenstock_[a-z_]+\b")


class Objective(Data):
    """One objective. `target`: share of the time in which it is met; `broken`: PromQL, 1 while it is not, else 0;
    `runbook`: a page of docs/runbooks."""

    title: str
    meaning: str
    target: float = Field(ge=0.9, lt=1.0)
    broken: str
    runbook: str

    @property
    def metrics(self) -> set[str]:
        """Names of the metrics by which it is measured."""
        return set(_METRIC.findall(self.broken))


def read_objectives(body: Mapping[str, Any]) -> dict[str, Objective]:
    """The objectives of objectives.yaml. Raises pydantic.ValidationError."""
    return {name: Objective.model_validate(member) for name, member in body.items()}
