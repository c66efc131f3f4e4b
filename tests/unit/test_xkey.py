"""Curve keys in the form of nkeys, and what is sealed with them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from nacl.public import PrivateKey

from penstock.auth import callout_keys
from penstock.errors import Refused
from penstock.services.authority.xkey import Envelope


def pair() -> tuple[Envelope, str]:
    private = PrivateKey.generate()
    return Envelope(private), callout_keys.encode_curve_key(bytes(private.public_key))


def test_the_recipient_opens_what_the_sender_sealed() -> None:
    (server, server_key), (authority, authority_key) = pair(), pair()
    sealed = server.seal(b"request", authority_key)
    assert sealed.startswith(b"xkv1")
    assert b"request" not in sealed
    assert authority.open(sealed, server_key) == b"request"


def test_another_key_cannot_open_a_sealed_message() -> None:
    (server, server_key), (_, authority_key), (other, _) = pair(), pair(), pair()
    with pytest.raises(ValueError, match="decrypted"):
        other.open(server.seal(b"request", authority_key), server_key)


def test_a_sealed_message_opens_only_as_from_its_sender() -> None:
    (server, _), (authority, authority_key), (_, other_key) = pair(), pair(), pair()
    with pytest.raises(ValueError, match="decrypted"):
        authority.open(server.seal(b"request", authority_key), other_key)


@pytest.mark.parametrize("damage", [b"", b"xkv1", b"eyJhbGciOi", b"xkv2" + bytes(60)], ids=repr)
def test_what_is_not_sealed_is_refused(damage: bytes) -> None:
    (_, server_key), (authority, _) = pair(), pair()
    with pytest.raises(ValueError, match=r"not encrypted|decrypted|short|length"):
        authority.open(damage, server_key)


@pytest.mark.parametrize("key", ["", "X", "UDNDMAZCAV5KMFGKBTUHDQF5CRN7BQZ44TMWA7O34LGUSJ6CKP5QWLWQ", "X" * 56, "ä"])
def test_a_key_that_is_not_a_curve_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"base 32|checksum|kind"):
        callout_keys.decode_curve_key(key)


def test_seeds_survive_the_way_there_and_back() -> None:
    seed = bytes(range(32))
    text = callout_keys.encode_curve_seed(seed)
    assert text.startswith(b"SX")
    assert callout_keys.decode_curve_seed(text) == seed


def test_the_keys_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    keys = callout_keys.ensure(folder)
    assert keys == callout_keys.ensure(folder)
    assert (keys.issuer[0], keys.xkey[0]) == ("A", "X")
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("name", [callout_keys.ISSUER_FILE, callout_keys.XKEY_FILE])
def test_a_seed_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    callout_keys.ensure(tmp_path)
    other = {callout_keys.ISSUER_FILE: callout_keys.XKEY_FILE, callout_keys.XKEY_FILE: callout_keys.ISSUER_FILE}[name]
    (tmp_path / name).write_bytes((tmp_path / other).read_bytes())
    with pytest.raises(Refused, match="CREDENTIALS_INVALID"):
        callout_keys.ensure(tmp_path)
