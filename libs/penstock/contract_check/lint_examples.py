"""Every event type has examples: the good ones pass the one check, the bad ones fail with the code that they promise.

    examples/<type>/<name>.json              each name of the type's `examples`; one event as it is sent
    examples/<type>/invalid/<name>.json      the bytes of one event that must be refused
    examples/<type>/invalid/expected.yaml    <name>: {code, pointer, why}

They are checked as if they arrived at NOW, from a publisher called `example` at the door.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.contract_check.finding import Finding
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.events import Checker, timestamps

NOW = timestamps.parse("2026-11-01T12:00:00Z")


@dataclass(frozen=True, slots=True)
class Invalid:
    """An event that must be refused, and how."""

    type: str
    name: str
    raw: bytes
    code: str
    pointer: str


def valid_files(contracts: Contracts, type: str) -> Iterator[Path]:
    """The files of a type's good examples, whether they are there or not."""
    for name in contracts.types[type].examples:
        yield contracts.root / "examples" / type / f"{name}.json"


def invalid(contracts: Contracts, type: str) -> Iterator[Invalid]:
    """The bad examples of a type. Raises FileNotFoundError or KeyError when one is not whole."""
    folder = contracts.root / "examples" / type / "invalid"
    for name, expected in _expected(folder).items():
        raw = (folder / f"{name}.json").read_bytes()
        yield Invalid(type, name, raw, expected["code"], expected["pointer"])


def refusal(checker: Checker, raw: bytes) -> Refused | None:
    """How the check refuses the bytes, or None when it takes them."""
    try:
        checker.at_door(raw, publisher="example", door="http", now_ns=NOW)
    except Refused as error:
        return error
    return None


def lint_examples(contracts: Contracts) -> Iterator[Finding]:
    """Findings about the examples of all types."""
    checker = Checker(contracts)
    for type, event_type in contracts.types.items():
        if {"smallest", "typical", "largest"} - set(event_type.examples):
            yield Finding(f"events/{type}.yaml", "examples", "too few", "List smallest, typical and largest at least.")
        yield from _files(contracts, type)
        for path in valid_files(contracts, type):
            if path.exists() and (refused := refusal(checker, path.read_bytes())):
                yield Finding(
                    f"examples/{type}/{path.name}", "example-refused", str(refused), "Mend the example, or the schema."
                )
        yield from _invalid(contracts, checker, type)
    for folder in sorted((contracts.root / "examples").glob("*/")):
        if folder.name not in contracts.types:
            yield Finding(f"examples/{folder.name}", "unused", "no such event type", "Remove the folder.")


def _files(contracts: Contracts, type: str) -> Iterator[Finding]:
    folder = contracts.root / "examples" / type
    pairs = (
        (folder, set(contracts.types[type].examples)),
        (folder / "invalid", set(_expected(folder / "invalid"))),
    )
    for place, listed in pairs:
        where = place.relative_to(contracts.root).as_posix()
        there = {path.stem for path in place.glob("*.json")}
        for name in sorted(listed - there):
            yield Finding(f"{where}/{name}.json", "examples", "listed, but not there", "Write it.")
        for name in sorted(there - listed):
            yield Finding(f"{where}/{name}.json", "examples", "there, but not listed", "List it, or remove it.")


def _invalid(contracts: Contracts, checker: Checker, type: str) -> Iterator[Finding]:
    where = f"examples/{type}/invalid"
    try:
        bad = list(invalid(contracts, type))
    except (OSError, KeyError) as error:
        yield Finding(where, "examples", f"not whole: {error}", "Give each a file, and code and pointer.")
        return
    if not bad:
        yield Finding(where, "examples", "no invalid example", "Write one for each rule of the schema that matters.")
    for each in bad:
        refused = refusal(checker, each.raw)
        said = (refused.code, refused.pointer) if refused else ("accepted", "")
        if each.code not in contracts.errors:
            yield Finding(f"{where}/{each.name}", "error-code", f"{each.code} is not in errors.yaml", "Mend the code.")
        elif said != (each.code, each.pointer):
            yield Finding(
                f"{where}/{each.name}",
                "example-accepted" if refused is None else "example-refused",
                f"expected {each.code} at {each.pointer!r}, got {said[0]} at {said[1]!r}",
                "Mend the example, or what expected.yaml says of it.",
            )


def _expected(folder: Path) -> Mapping[str, Any]:
    path = folder / "expected.yaml"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        return yaml.safe_load(file) or {}
