"""Bearer keys: shown once, kept as hashes, gone when revoked."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from penstock import file_lock
from penstock.auth import api_keys
from penstock.contracts import load
from penstock.errors import Refused, Unavailable

NOW = 1_795_219_200_000_000_000


def create(path: Path, identity: str = "web_shop", **options: Any) -> tuple[str, api_keys.Key]:
    return api_keys.create(path, load(), identity=identity, now_ns=NOW, **options)


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_key_file_holds_hashes_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "keys.json"
    text, key = create(path, datasets=["logs"], types=["*"], roles=["reader"])
    assert text not in path.read_text()
    assert text.split("_", 2)[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert api_keys.KeyFile(path).find(text, NOW) == key
    assert api_keys.KeyFile(path).find(key.sha256, NOW) is None


def test_no_two_keys_are_alike_and_both_work(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: create(path, f"caller_{n}"), range(8)))
    assert len({text for text, _ in made}) == 8
    file = api_keys.KeyFile(path)
    assert all(file.find(text, NOW) == key for text, key in made)


def test_a_new_key_works_at_once_and_a_revoked_one_soon_no_more(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    clock = Clock()
    file = api_keys.KeyFile(path, clock)
    assert file.find("pk_00000000_none", NOW) is None
    text, key = create(path)
    assert file.find(text, NOW) == key
    api_keys.revoke(path, key.id, now_ns=NOW)
    clock.now += 1
    assert file.find(text, NOW) is None
    assert api_keys.read(path).keys[0].revoked_at is not None


@pytest.mark.parametrize("first", [True, False])
def test_a_key_that_a_file_has_twice_is_revoked_in_both_places(tmp_path: Path, first: bool) -> None:
    path = tmp_path / "keys.json"
    text, key = create(path)
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "keys": body["keys"] * 2}))
    api_keys.revoke(path, key.id, now_ns=NOW)
    assert [each.revoked_at is not None for each in api_keys.read(path).keys] == [True, True]
    assert api_keys.KeyFile(path).find(text, NOW) is None
    merged = json.loads(path.read_text())["keys"]
    merged[0 if first else 1].pop("revoked_at")
    path.write_text(json.dumps({**body, "keys": merged}))
    assert api_keys.KeyFile(path).find(text, NOW) is None


def test_a_key_expires(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    text, _ = create(path, expires_at="2026-11-21T00:00:01Z")
    file = api_keys.KeyFile(path)
    assert file.find(text, NOW) is not None
    assert file.find(text, NOW + 1_000_000_000) is None


@pytest.mark.parametrize("left", [0, 1, -10])
def test_a_broken_file_leaves_the_keys_as_they_were_and_is_reported(tmp_path: Path, left: int) -> None:
    path = tmp_path / "keys.json"
    clock = Clock()
    file = api_keys.KeyFile(path, clock)
    text, _ = create(path)
    assert file.find(text, NOW)
    sound = path.read_bytes()
    path.write_bytes(sound[:left])
    clock.now += 1
    assert file.unready_reasons() == []
    assert file.notes() == [f"keys: {path} is not a whole file of keys; those read before stay valid"]
    assert file.find(text, NOW)
    path.write_bytes(sound)
    clock.now += 1
    assert (file.unready_reasons(), file.notes()) == ([], [])
    assert file.find(text, NOW)
    path.unlink()
    clock.now += 1
    assert file.find(text, NOW) is None


def test_a_file_that_was_never_readable_makes_unready_until_it_is_whole_without_any_request(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    clock = Clock()
    path.write_bytes(b"")
    file = api_keys.KeyFile(path, clock)
    assert file.unready_reasons() == [f"keys: {path} is not a whole file of keys"]
    assert file.notes() == []
    path.unlink()
    create(path)
    clock.now += 1
    assert (file.unready_reasons(), file.notes()) == ([], [])


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("expires_at", "2026-11-21T00:00:00"),
        ("expires_at", "tomorrow"),
        ("revoked_at", 5),
        ("sha256", "pk_secret"),
        ("roles", "reader"),
        ("unknown", 1),
        ("identity", "x.http.web_shop"),
    ],
)
def test_a_bad_entry_is_named_and_stops_no_other(tmp_path: Path, member: str, value: object) -> None:
    path = tmp_path / "keys.json"
    bad_text, bad = create(path, "bad")
    good_text, good = create(path, "good")
    body = json.loads(path.read_text())
    body["keys"][0][member] = value
    path.write_text(json.dumps(body))
    clock = Clock()
    file = api_keys.KeyFile(path, clock)
    assert file.find(good_text, NOW) == good
    assert file.find(bad_text, NOW) is None
    [note] = file.notes()
    assert note.startswith(f"keys: entry 1 ({bad.id}) of {path} is left out: its member '{member}'")
    assert "secret" not in note
    assert api_keys.revoke(path, good.id, now_ns=NOW).revoked_at
    clock.now += 1
    assert file.find(good_text, NOW) is None
    assert json.loads(path.read_text())["keys"][0][member] == value


def test_a_change_waits_for_another_process_for_a_bounded_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    monkeypatch.setattr(file_lock, "SECONDS", 0.1)
    with file_lock.locked(tmp_path / ".keys.json.lock"), pytest.raises(Unavailable) as caught:
        create(path)
    assert caught.value.code == "FILE_LOCKED"
    create(path)
    assert stat.S_IMODE((tmp_path / ".keys.json.lock").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "options",
    [
        {"identity": "indexer"},
        {"identity": "billing"},
        {"identity": "Web-Shop"},
        {"identity": "a.b"},
        {"identity": "http"},
        {"datasets": ["nothing"]},
        {"types": ["log.line"]},
        {"roles": ["*"]},
        {"expires_at": "tomorrow"},
    ],
)
def test_a_key_for_what_does_not_exist_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        create(tmp_path / "keys.json", **options)
    assert api_keys.read(tmp_path / "keys.json").keys == []


def test_revoking_a_key_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        api_keys.revoke(tmp_path / "keys.json", "00000000", now_ns=NOW)
    assert refused.value.code == "NOT_FOUND"
