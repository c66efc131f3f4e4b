"""Messages of every released wire version mean today what they meant then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.wire import FOLDER, all_files, outcome, saved

FILES = list(all_files())
KINDS = ("event_http", "event_nats", "score", "dead_letter.full", "dead_letter.range", "audit", "replay")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_message_of_a_released_version_has_the_same_outcome(path: Path) -> None:
    message, kept = saved(path)
    assert outcome(message) == kept


@pytest.mark.parametrize("version", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_version_has_messages_of_every_kind(version: Path) -> None:
    names = [path.stem for path in version.iterdir()]
    assert [kind for kind in KINDS if not any(name.startswith(kind) for name in names)] == []
