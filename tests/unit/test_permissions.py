"""Rights as derived from the contracts, and the text of nats.conf; no server."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.auth import nkey_files
from penstock.auth.permissions import all_permissions, answers_to, permissions_of
from penstock.cli import permissions as cli_permissions
from penstock.contracts import Contracts, consumers, identities, load, operations
from penstock.errors import Refused
from penstock.provisioning import nats_conf
from penstock.settings import Settings

CONTRACTS = load()
KEY = "UDNDMAZCAV5KMFGKBTUHDQF5CRN7BQZ44TMWA7O34LGUSJ6CKP5QWLWQ"


def with_identity(name: str, **members: object) -> Contracts:
    """The contracts with one more identity, or another line for one that is there."""
    identity = identities.Identity.model_validate({"meaning": "for a test", "account": "APP", **members})
    return replace(CONTRACTS, identities={**CONTRACTS.identities, name: identity})


def test_a_publisher_may_only_publish_its_types_under_its_name_and_read_its_inbox() -> None:
    found = permissions_of(with_identity("shop", door="nats", publishes=["log.line.v1"]), "shop")
    assert found.publish == ("evt.*.nats.shop.log.line.v1",)
    assert found.subscribe == ("_INBOX.shop.>",)


def test_an_identity_with_an_empty_line_may_publish_nothing() -> None:
    contracts = with_identity("idle")
    assert permissions_of(contracts, "idle").publish == ()
    conf = nats_conf.render(contracts, {"idle": KEY}, Settings())
    publish = conf[conf.index("publish:") : conf.index("subscribe:")]
    assert "deny" in publish
    assert "allow" not in publish  # an empty allow list would mean everything


def test_a_sharded_consumer_becomes_its_shards() -> None:
    assert consumers(CONTRACTS, ["EVENTS_NATS/scorer"]) == tuple(("EVENTS_NATS", f"scorer_{lane}") for lane in range(8))


def test_shards_cover_all_partitions_without_overlap() -> None:
    filters = CONTRACTS.streams["EVENTS_HTTP"].filters("scorer")
    shared = [subject for lane in filters.values() for subject in lane]
    assert sorted(shared) == [f"evt.{pp:02x}.http.>" for pp in range(64)]
    assert {len(lane) for lane in filters.values()} == {8}


def test_a_wildcard_in_requests_is_every_operation_of_that_service_only() -> None:
    assert operations(CONTRACTS, ["store.*"]) == tuple(
        ("store", operation) for operation in CONTRACTS.services["store"].operations
    )


def test_a_service_may_reply_only_to_its_callers_and_publishers() -> None:
    contracts = with_identity("shop", door="nats", publishes=["log.line.v1"])
    assert "shop" in answers_to(contracts, "writer")  # its events may name a reply address
    assert "shop" not in answers_to(contracts, "operator")
    assert "trainer" in answers_to(contracts, "operator")
    assert "trainer" not in answers_to(contracts, "writer")


@pytest.mark.parametrize("name", CONTRACTS.identities)
def test_no_list_is_wider_than_one_name_space(name: str) -> None:
    found = all_permissions(CONTRACTS)[name]
    for subject in (*found.publish, *found.subscribe):
        first, *rest = subject.split(".")
        assert first not in (">", "*")
        assert subject not in ("_INBOX.>", "svc.>", "$JS.>", "$JS.API.>", "$SYS.>", "evt.>", "dlq.>", "audit.>")
        if first == "_INBOX":
            assert rest[0] in CONTRACTS.identities


def test_only_provision_shares_an_account_with_the_streams() -> None:
    assert [name for name, each in CONTRACTS.identities.items() if each.account == "CORE"] == ["provision"]


def test_a_stream_with_atomic_batches_has_one_publisher() -> None:
    atomic = {name for name, stream in CONTRACTS.streams.items() if stream.atomic}
    assert atomic == {"EVENTS_HTTP", "SCORES"}
    assert [name for name, each in CONTRACTS.identities.items() if each.door == "http"] == ["ingress"]
    assert [name for name, each in CONTRACTS.identities.items() if "score" in each.may] == ["scorer"]


def test_each_service_has_one_identity_that_serves_it() -> None:
    for service in CONTRACTS.services:
        assert sum(service in each.serves for each in CONTRACTS.identities.values()) == 1


def test_the_configuration_never_grants_responses() -> None:
    keys = dict.fromkeys(CONTRACTS.identities, KEY)
    assert "allow_responses" not in nats_conf.render(CONTRACTS, keys, Settings())


def test_only_identities_with_a_credential_may_connect() -> None:
    assert "nkey" not in nats_conf.render(CONTRACTS, {}, Settings())


def test_credentials_are_made_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    first = nkey_files.ensure(CONTRACTS, tmp_path / "credentials")
    assert set(first) == set(CONTRACTS.identities)
    assert len(set(first.values())) == len(first)
    assert nkey_files.ensure(CONTRACTS, tmp_path / "credentials") == first
    assert nkey_files.public_keys(CONTRACTS, tmp_path / "credentials") == first
    for path in (tmp_path / "credentials").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 or path.suffix == ".pub"
    assert nkey_files.names(tmp_path / "credentials") == {key: name for name, key in first.items()}


def test_a_seed_that_others_can_read_is_refused(tmp_path: Path) -> None:
    nkey_files.ensure(CONTRACTS, tmp_path)
    (tmp_path / "ingress.nk").chmod(0o644)
    with pytest.raises(Refused, match="CREDENTIALS_INVALID"):
        nkey_files.ensure(CONTRACTS, tmp_path)


def test_a_file_that_is_no_seed_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ingress.nk").touch(mode=0o600)
    (tmp_path / "ingress.nk").write_text("SUNOTASEED")
    with pytest.raises(Refused, match="CREDENTIALS_INVALID"):
        nkey_files.ensure(CONTRACTS, tmp_path)
    assert (tmp_path / "ingress.nk").read_text() == "SUNOTASEED"


def test_the_command_shows_the_lists_that_the_server_gets() -> None:
    shown = CliRunner().invoke(cli_permissions.app, ["--json"])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        name: {"publish": list(each.publish), "subscribe": list(each.subscribe)}
        for name, each in all_permissions(CONTRACTS).items()
    }


def test_the_command_names_the_identities_when_asked_for_an_unknown_one() -> None:
    shown = CliRunner().invoke(cli_permissions.app, ["nobody"])
    assert isinstance(shown.exception, Refused)
    assert "billing" in str(shown.exception)
