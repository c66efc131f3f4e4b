"""contracts/ as it was released: the files at the newest tag `v*` that HEAD descends from.

Without such a tag nothing is released yet and nothing is frozen. A shallow clone may hide the tags and is refused.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock import yaml_text
from penstock.contract_check.compatibility import Release
from penstock.errors import Refused


def last_release(contracts: Path, base: str | None = None) -> Release | None:
    """The last release, or `base` (any commit) if that is given; None when there is none, or no git repository.

    Raises Refused CONTRACT_INVALID when the base cannot be read or the tags of a shallow clone are missing.
    """
    if _git(contracts, "rev-parse", "--is-inside-work-tree") is None:
        return None
    name = base or _git(contracts, "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD")
    if name is None:
        if (_git(contracts, "rev-parse", "--is-shallow-repository") or "").strip() == "true":
            raise Refused("CONTRACT_INVALID", "a shallow clone without tags hides what was released; fetch the tags")
        return None
    name = name.strip()
    listed = _git(contracts, "ls-tree", "--name-only", name, "events/")
    if listed is None:
        raise Refused("CONTRACT_INVALID", f"{name} is not a commit of this repository")
    records = _git(contracts, "ls-tree", "--name-only", name, "records/") or ""
    return Release(
        name,
        types={body["type"]: body for body in _files(contracts, name, listed)},
        records={body["record"]: body for body in _files(contracts, name, records)},
        datasets=_file(contracts, name, "datasets.yaml"),
        errors=_file(contracts, name, "errors.yaml"),
        envelope=_file(contracts, name, "envelope.yaml"),
    )


def working_tree(contracts: Path) -> Release:
    """The files as they are now."""
    return Release(
        "the working tree",
        types={body["type"]: body for body in _folder(contracts / "events")},
        records={body["record"]: body for body in _folder(contracts / "records")},
        datasets=_load((contracts / "datasets.yaml").read_text(encoding="utf-8")),
        errors=_load((contracts / "errors.yaml").read_text(encoding="utf-8")),
        envelope=_load((contracts / "envelope.yaml").read_text(encoding="utf-8")),
    )


def _folder(folder: Path) -> Iterator[dict[str, Any]]:
    return (_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml")))


def _files(contracts: Path, commit: str, listed: str) -> Iterator[dict[str, Any]]:
    return (_file(contracts, commit, path) for path in listed.splitlines() if path.endswith(".yaml"))


def _file(contracts: Path, commit: str, path: str) -> dict[str, Any]:
    text = _git(contracts, "show", f"{commit}:./{path}")
    return _load(text) if text is not None else {}


def _load(text: str) -> dict[str, Any]:
    body = yaml_text.parse(text)
    return body if isinstance(body, dict) else {}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None when it fails or is not there."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
