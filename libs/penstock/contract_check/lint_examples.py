"""Every event type has examples: the valid ones pass the check, the invalid ones fail with the code they promise.

An example is one event as it is sent. They are checked as if they arrived at NOW, from a publisher called `example`,
over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from penstock.contract_check.drift_report import drift_of
from penstock.contract_check.example_files import lint_folder
from penstock.contract_check.finding import Finding
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.events import Checker, timestamps

NOW = timestamps.parse("2026-11-01T12:00:00Z")


def refusal(checker: Checker, raw: bytes) -> Refused | None:
    """How the check refuses the bytes, or None when it accepts them."""
    try:
        checker.at_ingress(raw, publisher="example", door="http", now_ns=NOW)
    except Refused as error:
        return error
    return None


def lint_examples(contracts: Contracts) -> Iterator[Finding]:
    """Findings about the examples of all event types, and about folders that belong to nothing."""
    checker = Checker(contracts)
    for type in contracts.types:
        yield from lint_folder(contracts, f"events/{type}.yaml", type, partial(refusal, checker))
        yield from _drifted(contracts, type)
    for folder in sorted((contracts.root / "examples").glob("*/")):
        if folder.name not in contracts.types and folder.name not in contracts.records:
            yield Finding(
                f"examples/{folder.name}", "unused", "no such event type or record type", "Remove the folder."
            )


def _drifted(contracts: Contracts, type: str) -> Iterator[Finding]:
    """Good examples are as described, also where more would be kept."""
    for name in contracts.types[type].examples:
        path = contracts.root / "examples" / type / f"{name}.json"
        if contracts.types[type].drift == "kept" and path.is_file():
            for each in drift_of(contracts, [path.read_bytes()]):
                what = f"{each.pointer}: {each.detail}"
                where = f"examples/{type}/{name}.json"
                yield Finding(where, "example-refused", what, "Correct the example, or the type's description.")
