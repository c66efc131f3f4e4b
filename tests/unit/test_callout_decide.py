"""What a verified token becomes: an identity of the contracts, somebody with roles, or nobody. No server."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

import nkeys  # type: ignore[import-untyped]
import orjson
import pytest

from penstock.auth.permissions import Permissions, permissions_of
from penstock.auth.principal import person, who
from penstock.auth.token_verifier import Claims
from penstock.contracts import Contracts, load
from penstock.contracts.identities import Identity, read_identities
from penstock.errors import Refused
from penstock.services.authority import user_jwt
from penstock.services.authority.decide import LONGEST, Admission, Decider
from penstock.services.authority.user_jwt import Signer

CONTRACTS = load()
NOW = 1_800_000_000.0


def claims(**changes: Any) -> Claims:
    return Claims(
        **{
            "issuer": "https://id.test",
            "subject": "alice",
            "client": "",
            "groups": (),
            "expires_at": int(NOW) + 300,
            "token_id": "1",
            "gives": frozenset({"clients", "subjects", "groups"}),
            **changes,
        }
    )


def decide(of: Claims, contracts: Contracts = CONTRACTS, denied: frozenset[str] = frozenset()) -> Admission:
    return Decider(contracts, denied.__contains__).decide(of, NOW)


def with_entry(name: str, **members: Any) -> Contracts:
    line = Identity.model_validate({"meaning": "for a test", "account": "APP", **members})
    return replace(CONTRACTS, identities={**CONTRACTS.identities, name: line})


@pytest.mark.parametrize("name", [name for name, line in CONTRACTS.identities.items() if line.by_token])
def test_a_client_of_an_identity_gets_its_permissions(name: str) -> None:
    found = decide(claims(client=CONTRACTS.identities[name].clients[0]))
    assert found.who.identity == name
    assert found.who.listed
    assert found.permissions == permissions_of(CONTRACTS, name)


def test_a_subject_of_an_identity_gets_its_permissions() -> None:
    contracts = with_entry("shop", subjects=["system:serviceaccount:shop:web"], door="nats", publishes=["log.line.v1"])
    found = decide(claims(subject="system:serviceaccount:shop:web"), contracts)
    assert found.permissions == Permissions(("evt.*.nats.shop.log.line.v1",), ("_INBOX.shop.>",))


@pytest.mark.parametrize("gives", [{"groups"}, {"subjects", "groups"}])
def test_an_issuer_that_may_not_give_clients_gives_none(gives: set[Any]) -> None:
    with pytest.raises(Refused, match="FORBIDDEN"):
        decide(claims(client="penstock-ingress", gives=frozenset(gives)))


def test_a_token_that_matches_two_identities_is_refused() -> None:
    contracts = with_entry("shop", subjects=["alice"], door="nats", publishes=["log.line.v1"])
    with pytest.raises(Refused, match="two identities"):
        decide(claims(client="penstock-billing"), contracts)


def test_a_person_gets_a_derived_name_and_the_permissions_of_the_roles() -> None:
    found = decide(claims(groups=("penstock-senders", "others")))
    name = person("https://id.test", "alice")
    assert found.who.identity == name
    assert name.startswith("u_")
    assert len(name) == 34
    assert found.permissions == Permissions((f"evt.*.nats.{name}.>",), (f"_INBOX.{name}.>",))


def test_the_same_subject_of_another_issuer_is_somebody_else() -> None:
    assert person("https://a.test", "alice") != person("https://b.test", "alice")
    assert person("https://a.test", "lice") != person("https://a.testa", "lice")


def test_roles_add_up_their_types_and_datasets() -> None:
    found = who(claims(groups=("penstock-senders", "penstock-log-readers")), CONTRACTS)
    assert found.roles == ("sender", "log_reader")
    assert (found.types, found.datasets) == (frozenset({"*"}), frozenset({"logs"}))


@pytest.mark.parametrize("groups", [(), ("strangers",), ("penstock-readers",)], ids=["none", "unknown", "only reads"])
def test_a_caller_without_permissions_is_not_admitted(groups: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="FORBIDDEN"):
        decide(claims(groups=groups))


def test_a_denied_caller_is_not_admitted() -> None:
    with pytest.raises(Refused, match="IDENTITY_REVOKED"):
        decide(claims(client="penstock-billing"), denied=frozenset({"billing"}))
    assert decide(claims(client="penstock-billing"), denied=frozenset({"indexer"}))


@pytest.mark.parametrize("account", ["CORE", "AUTH"])
def test_no_token_leads_to_another_account(account: str) -> None:
    contracts = with_entry("back_door", clients=["c"], account=account, may=["audit"])
    with pytest.raises(Refused, match="FORBIDDEN"):
        decide(claims(client="c"), contracts)


@pytest.mark.parametrize("name", ["http", "all", "sys", "Upper", "with-hyphen", "a.b", ">"])
def test_a_reserved_or_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="FORBIDDEN"):
        decide(claims(client="c"), with_entry(name, clients=["c"], may=["audit"]))


@pytest.mark.parametrize(
    ("identities", "reason"),
    [
        ({"u_1": {"account": "APP"}}, "u_"),
        ({"a": {"account": "APP", "clients": ["c"]}, "b": {"account": "APP", "clients": ["c"]}}, "two identities"),
        ({"a": {"account": "CORE", "clients": ["c"]}}, "APP only"),
        ({"a": {"account": "AUTH", "subjects": ["s"]}}, "APP only"),
    ],
)
def test_contracts_that_would_give_tokens_too_many_permissions_are_refused(identities: Any, reason: str) -> None:
    body = {name: {"meaning": "x", **line} for name, line in identities.items()}
    with pytest.raises(ValueError, match=reason):
        read_identities({"identities": body, "roles": {}})


def test_a_user_jwt_expires_with_the_token_and_within_a_day() -> None:
    assert decide(claims(client="penstock-billing")).expires_at == int(NOW) + 300
    assert decide(claims(client="penstock-billing", expires_at=2**40)).expires_at == int(NOW) + LONGEST


def test_an_expired_token_within_the_leeway_is_not_admitted() -> None:
    with pytest.raises(Refused, match="TOKEN_EXPIRED"):
        decide(claims(client="penstock-billing", expires_at=int(NOW) - 1))


# -- the user JWT

SIGNER = Signer(nkeys.from_seed(bytearray(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_ACCOUNT))))


def body(jwt: str) -> Any:
    part = jwt.split(".")[1]
    return orjson.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize(
    "allowed", [Permissions((), ()), Permissions(("a",), ()), Permissions((), ("b",)), Permissions(("a",), ("b",))]
)
def test_a_user_jwt_always_restricts_publish_and_subscribe(allowed: Permissions) -> None:
    jwt = user_jwt.user(
        SIGNER, key="UA", identity="shop", account="APP", allowed=allowed, expires_at=int(NOW) + 9, now=NOW
    )
    said = body(jwt)
    assert (said["name"], said["aud"], said["exp"]) == ("shop", "APP", int(NOW) + 9)
    assert "resp" not in said["nats"]
    for direction, subjects in (("pub", allowed.publish), ("sub", allowed.subscribe)):
        expected = {"allow": list(subjects)} if subjects else {"deny": [">"]}
        assert said["nats"][direction] == expected


def test_an_answer_has_either_a_jwt_or_an_error() -> None:
    assert set(body(user_jwt.response(SIGNER, key="U", server="N", now=NOW, jwt="x"))["nats"]) == {
        "type",
        "version",
        "jwt",
    }
    assert body(user_jwt.response(SIGNER, key="U", server="N", now=NOW, error="no"))["nats"]["error"] == "no"


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c", user_jwt.response(SIGNER, key="U", server="N", now=time.time(), error="no")],
    ids=["empty", "two parts", "no JSON", "signed by an account"],
)
def test_a_request_that_no_server_has_signed_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        user_jwt.from_server(token)
