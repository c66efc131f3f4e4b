"""types of planned messages → what has happened to them in the contracts since the messages were stored"""

from __future__ import annotations

from collections.abc import Iterable

from penstock.contracts import Contracts


def of_types(contracts: Contracts, names: Iterable[str]) -> list[str]:
    """Sentences about types that are gone, and about those of which there is a later version."""
    found = [name for name in names if not name.startswith("(")]
    warnings = []
    if unknown := [name for name in found if name not in contracts.types]:
        warnings.append(f"no longer in the contracts, and to be dead-lettered: {', '.join(unknown)}")
    newest: dict[str, int] = {}
    for name in contracts.types:
        type, version = _split(name)
        newest[type] = max(newest.get(type, 0), version)
    later = [
        f"{name} (now v{newest[type]})"
        for name, (type, version) in ((name, _split(name)) for name in found)
        if newest.get(type, version) > version
    ]
    if later:
        warnings.append(f"of an earlier version, and handled as that: {', '.join(later)}")
    return warnings


def _split(name: str) -> tuple[str, int]:
    type, _, version = name.rpartition(".v")
    return type, int(version) if version.isdecimal() else 0
