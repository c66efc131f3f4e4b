"""The files of examples, and what must hold for them whatever they are examples of.

examples/<name>/<example>.json            each name of the contract's `examples`
examples/<name>/invalid/<example>.json    what must be refused
examples/<name>/invalid/expected.yaml     <example>: {code, pointer, why}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock import yaml_text
from penstock.contract_check.finding import Finding
from penstock.contracts import Contracts
from penstock.errors import Refused

Refusal = Callable[[bytes], Refused | None]  # how an example is refused, or None when it is accepted


@dataclass(frozen=True, slots=True)
class Invalid:
    """An example that must be refused, and how. `type`: the event type or record type."""

    type: str
    name: str
    raw: bytes
    code: str
    pointer: str


def valid_files(contracts: Contracts, type: str) -> Iterator[Path]:
    """The files of the valid examples of an event type or record type, whether they exist or not."""
    for name in _listed(contracts, type):
        yield contracts.root / "examples" / type / f"{name}.json"


def invalid(contracts: Contracts, type: str) -> Iterator[Invalid]:
    """The invalid examples. Raises FileNotFoundError or KeyError when one is incomplete."""
    folder = contracts.root / "examples" / type / "invalid"
    for name, expected in _expected(folder).items():
        raw = (folder / f"{name}.json").read_bytes()
        yield Invalid(type, name, raw, expected["code"], expected["pointer"])


def lint_folder(contracts: Contracts, where: str, type: str, refusal: Refusal) -> Iterator[Finding]:
    """Findings about the examples of one event type or record type, which is described in the file `where`."""
    if {"smallest", "typical", "largest"} - set(_listed(contracts, type)):
        yield Finding(where, "examples", "too few", "List smallest, typical and largest at least.")
    yield from _files(contracts, type)
    for path in valid_files(contracts, type):
        if path.exists() and (refused := refusal(path.read_bytes())):
            place = f"examples/{type}/{path.name}"
            yield Finding(place, "example-refused", str(refused), "Correct the example, or the schema.")
    yield from _invalid(contracts, type, refusal)


def _files(contracts: Contracts, type: str) -> Iterator[Finding]:
    folder = contracts.root / "examples" / type
    pairs = (
        (folder, set(_listed(contracts, type))),
        (folder / "invalid", set(_expected(folder / "invalid"))),
    )
    for place, listed in pairs:
        where = place.relative_to(contracts.root).as_posix()
        there = {path.stem for path in place.glob("*.json")}
        for name in sorted(listed - there):
            yield Finding(f"{where}/{name}.json", "examples", "listed, but not there", "Write it.")
        for name in sorted(there - listed):
            yield Finding(f"{where}/{name}.json", "examples", "there, but not listed", "List it, or remove it.")


def _invalid(contracts: Contracts, type: str, refusal: Refusal) -> Iterator[Finding]:
    where = f"examples/{type}/invalid"
    try:
        bad = list(invalid(contracts, type))
    except (OSError, KeyError) as error:
        yield Finding(where, "examples", f"incomplete: {error}", "Give each a file, and code and pointer.")
        return
    if not bad:
        yield Finding(where, "examples", "no invalid example", "Write one for each rule of the schema that matters.")
    for each in bad:
        refused = refusal(each.raw)
        said = (refused.code, refused.pointer) if refused else ("accepted", "")
        if each.code not in contracts.errors:
            yield Finding(
                f"{where}/{each.name}", "error-code", f"{each.code} is not in errors.yaml", "Use a code of it."
            )
        elif said != (each.code, each.pointer):
            yield Finding(
                f"{where}/{each.name}",
                "example-accepted" if refused is None else "example-refused",
                f"expected {each.code} at {each.pointer!r}, got {said[0]} at {said[1]!r}",
                "Correct the example, or what expected.yaml says of it.",
            )


def _listed(contracts: Contracts, type: str) -> tuple[str, ...]:
    return contracts.types[type].examples if type in contracts.types else contracts.records[type].examples


def _expected(folder: Path) -> Mapping[str, Any]:
    path = folder / "expected.yaml"
    if not path.exists():
        return {}
    return yaml_text.read(path) or {}
