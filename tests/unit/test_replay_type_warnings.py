"""A plan says what has become of the types of its messages."""

from __future__ import annotations

from dataclasses import replace

from penstock.contracts import load
from penstock.services.operator.replay.type_warnings import of_types


def test_types_that_are_gone_or_have_a_later_version_are_named() -> None:
    contracts = load()
    assert of_types(contracts, ["log.line.v1", "(others)"]) == []
    later = {**contracts.types, "log.line.v10": contracts.types["log.line.v1"]}
    gone, earlier = of_types(replace(contracts, types=later), ["log.line.v1", "door.opened.v1", "log.line.v10"])
    assert gone.endswith(": door.opened.v1")
    assert earlier.endswith(": log.line.v1 (now v10)")
