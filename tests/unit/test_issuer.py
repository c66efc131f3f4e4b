"""The local issuer's own files: which of its keys signs, and clients and secrets that change while it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock import secret_file
from penstock.contracts import load
from penstock.errors import Refused
from penstock.services.issuer import signing_keys
from penstock.services.issuer.clients import Clients, add


def key(id: str, since: float) -> signing_keys.Key:
    return signing_keys.Key(id, None, {}, since)


@pytest.mark.parametrize(
    ("now", "signs"),
    [(1000.0, "first"), (1149.0, "first"), (1150.0, "second"), (1299.0, "second"), (9999.0, "third")],
)
def test_a_new_key_is_published_for_a_while_before_it_signs(now: float, signs: str) -> None:
    made = [key("first", 0.0), key("second", 1000.0), key("third", 1200.0)]
    assert signing_keys.signing(made, now, 150.0).id == signs


def test_the_first_key_signs_at_once() -> None:
    assert signing_keys.signing([key("first", 1000.0)], 1000.0, 150.0).id == "first"


def test_a_key_just_published_does_not_sign_yet(tmp_path: Path) -> None:
    signing_keys.ensure(tmp_path)
    os.utime(tmp_path / "first.pem", (1.0, 1.0))
    made = signing_keys.rotate(tmp_path)
    found = signing_keys.ensure(tmp_path)
    assert [each.id for each in found] == ["first", made]
    assert signing_keys.signing(found, found[1].since, 1.0).id == "first"
    assert signing_keys.signing(found, found[1].since + 1.0, 1.0).id == made


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(load(), tmp_path / "clients.yaml", tmp_path / "oidc")


def secret(tmp_path: Path, client: str) -> str:
    return (tmp_path / "oidc" / client).read_text()


def test_a_changed_client_secret_is_valid_at_once(clients: Clients, tmp_path: Path) -> None:
    old = secret(tmp_path, "penstock-indexer")
    assert clients.check("penstock-indexer", old)
    (tmp_path / "oidc" / "penstock-indexer").write_text("another")
    assert clients.check("penstock-indexer", old) is None
    assert clients.check("penstock-indexer", "another")


def test_a_client_that_is_added_gets_a_secret_and_its_groups(clients: Clients, tmp_path: Path) -> None:
    assert clients.check("sensor", "") is None
    file, secrets = tmp_path / "clients.yaml", tmp_path / "oidc"
    assert add(file, secrets, "probe", ()) == secrets / "probe"
    add(file, secrets, "sensor", ("penstock-senders",))
    found = clients.check("sensor", secret(tmp_path, "sensor"))
    assert found
    assert found.groups == ("penstock-senders",)
    assert clients.check("probe", secret(tmp_path, "probe"))
    (tmp_path / "clients.yaml").unlink()
    assert clients.check("sensor", secret(tmp_path, "sensor")) is None


def test_a_file_that_breaks_leaves_the_clients_as_they_were(clients: Clients, tmp_path: Path) -> None:
    (tmp_path / "clients.yaml").write_text("clients: {sensor: {groups: [penstock-senders]}}")
    clients.check("sensor", "")
    (tmp_path / "clients.yaml").write_text("clients: {sensor: {may: everything}}")
    assert clients.check("sensor", secret(tmp_path, "sensor"))


def test_no_client_of_the_contracts_gets_groups(clients: Clients, tmp_path: Path) -> None:
    (tmp_path / "clients.yaml").write_text("clients: {penstock-billing: {groups: [penstock-senders]}}")
    found = clients.check("penstock-billing", secret(tmp_path, "penstock-billing"))
    assert found
    assert found.groups == ()


def test_a_file_that_is_broken_at_the_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clients.yaml").write_text("clients: [sensor]")
    with pytest.raises(Refused, match="ISSUERS_INVALID"):
        Clients(load(), tmp_path / "clients.yaml", tmp_path / "oidc")


def test_a_followed_file_gives_what_is_in_it_and_keeps_the_last_when_it_breaks(tmp_path: Path) -> None:
    file = tmp_path / "key"
    secret_file.ensure(file, lambda: b"one\n")
    followed = secret_file.Followed(file)
    assert followed.value() == "one"
    file.write_text("three")
    assert followed.value() == "three"
    file.write_text("")
    assert followed.value() == "three"
    file.unlink()
    assert followed.value() == "three"
    secret_file.ensure(file, lambda: b"seven")
    assert followed.value() == "seven"
