"""What was released may be extended, never broken: compares contracts/ with its last release.

A released event type is frozen except for its words (meaning, owner, descriptions), its examples, what is scored, and
extensions that are proven harmless. Whatever else changes needs a new version beside the old one. The findings name
who must deploy first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.contract_check.finding import Finding
from penstock.contract_check.record_change import record_changes
from penstock.contract_check.schema_change import Change, Verdict, schema_changes
from penstock.contracts import duration

Yaml = Mapping[str, Any]

# Who must deploy first, by verdict.
FIRST = {
    "wider": "Deploy the ingress, the workers and other readers first, then the senders.",
    "narrower": "Senders must stop sending it first, and what was sent before stays in streams and stores",
    "looser": "All readers must handle it first, and that cannot be proven",
    "unclear": "Whether senders or readers must deploy first cannot be told",
}
_NEW_VERSION = (
    "{why}: leave this version as it was released and add a new one beside it (v{next}), with both in use for a while."
)
_FREE = {"meaning", "owner", "examples", "score"}


@dataclass(frozen=True, slots=True)
class Release:
    """The parsed files of contracts/ as released: event and record types by name, the others as in their files."""

    name: str
    types: Mapping[str, Yaml]
    datasets: Yaml
    errors: Yaml
    envelope: Yaml = field(default_factory=dict)
    records: Mapping[str, Yaml] = field(default_factory=dict)


def compare(before: Release, after: Release) -> tuple[list[Finding], list[str]]:
    """(what breaks, notes on harmless extensions)."""
    findings: list[Finding] = []
    notes: list[str] = []
    for where, name, change in _changes(before, after):
        place = f"{where} {change.where}".rstrip()
        if change.verdict == "wider":
            notes.append(f"{place}: {change.what}. {FIRST['wider']}")
        else:
            findings.append(_broken(place, name, change, before.name))
    if before.envelope:
        for change in schema_changes(before.envelope, after.envelope):
            place = f"envelope.yaml {change.where}".rstrip()
            if change.verdict == "wider":
                notes.append(f"{place}: {change.what}. {FIRST['wider']}")
            else:
                what = f"{change.what} (released with {before.name})"
                findings.append(
                    Finding(place, f"breaking-{change.verdict}", what, f"{FIRST[change.verdict]}: keep it.")
                )
    findings += _datasets(before, after)
    findings += _errors(before, after)
    return findings, notes


def _changes(before: Release, after: Release) -> Iterator[tuple[str, str, Change]]:
    """(file, name, change) of every released event type and record type."""
    for name, old in before.types.items():
        if old.get("status", "released") == "released":
            yield from ((f"events/{name}.yaml", name, each) for each in _type_changes(old, after.types.get(name)))
    for name, old in before.records.items():
        if old.get("status", "released") == "released":
            yield from ((f"records/{name}.yaml", name, each) for each in record_changes(old, after.records.get(name)))


def _broken(place: str, type: str, change: Change, release: str) -> Finding:
    number = int(type.rpartition(".v")[2]) + 1
    next_step = _NEW_VERSION.format(why=FIRST[change.verdict], next=number)
    return Finding(place, f"breaking-{change.verdict}", f"{change.what} (released with {release})", next_step)


def _type_changes(old: Yaml, new: Yaml | None) -> Iterator[Change]:
    if new is None:
        yield Change("", "narrower", "the type is gone")
        return
    yield from schema_changes(old["data"], new["data"])
    yield from _durations(old, new)
    yield from _indexed(old["indexed"], new["indexed"])
    before, after = bool(old["entity"].get("required")), bool(new["entity"].get("required"))
    if before != after:
        yield Change("entity", "narrower" if after else "looser", f"required is {after}, was {before}")
    if new.get("status", "released") != "released":
        yield Change("status", "unclear", "a released type is a draft again")
    for path in sorted(set(old.get("pii", ())) - set(new.get("pii", ()))):
        yield Change("pii", "looser", f"{path} is no longer marked as personal")
    judged = {"data", "time", "retention", "indexed", "entity", "status", "pii", *_FREE}
    for member in sorted((old.keys() | new.keys()) - judged):
        if old.get(member) != new.get(member):
            yield Change(member, "unclear", f"{new.get(member)!r}, was {old.get(member)!r}")


def _durations(old: Yaml, new: Yaml) -> Iterator[Change]:
    pairs = [(f"time.{side}", old["time"][side], new["time"][side]) for side in ("past", "future")]
    pairs.append(("retention", old["retention"], new["retention"]))
    for place, before, after in pairs:
        if duration(after) != duration(before):
            shorter: Verdict = "looser" if place == "retention" else "narrower"
            verdict = "wider" if duration(after) > duration(before) else shorter
            yield Change(place, verdict, f"{after}, was {before}")


def _indexed(old: Yaml, new: Yaml) -> Iterator[Change]:
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        place = f"indexed.{path}"
        if before is None:
            yield Change(place, "wider", "indexed now; events from before are not found by it")
        elif after is None:
            yield Change(place, "looser", "no longer indexed")
        elif before["as"] != after["as"]:
            yield Change(place, "looser", f"indexed as {after['as']}, was {before['as']}")
        elif before.get("search", False) != after.get("search", False):
            verdict: Verdict = "wider" if after.get("search") else "looser"
            yield Change(place, verdict, f"search is {after.get('search', False)}")


def _datasets(before: Release, after: Release) -> Iterator[Finding]:
    for name, old in before.datasets.items():
        new = after.datasets.get(name)
        if new is None or new["period"] != old["period"]:
            what = "the dataset is gone" if new is None else f"period is {new['period']}, was {old['period']}"
            yield Finding(
                f"datasets.yaml {name}",
                "breaking-narrower",
                f"{what} (released with {before.name})",
                "Stored events would no longer be found under their keys: keep it, and add another dataset.",
            )


def _errors(before: Release, after: Release) -> Iterator[Finding]:
    for code, old in before.errors.items():
        new = after.errors.get(code)
        if new is None or new["status"] != old["status"]:
            what = "the code is gone" if new is None else f"status is {new['status']}, was {old['status']}"
            yield Finding(
                f"errors.yaml {code}",
                "breaking-looser",
                f"{what} (released with {before.name})",
                "Clients decide by it, so they would have to deploy first: keep both, and add another code.",
            )
