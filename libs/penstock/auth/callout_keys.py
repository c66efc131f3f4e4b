"""The two keys between server and authority: one signs who a client is, one decrypts the server's requests.

Both seeds are files in the credentials folder, for the authority only; nats.conf has the public keys. Their format
is that of nkeys (https://docs.nats.io/reference/reference-protocols/nats-protocol): a prefix byte, 32 bytes, CRC-16, in
base 32. The library `nkeys` does not know curve keys (prefix X), so those are made here.
"""

from __future__ import annotations

import binascii
import os
from base64 import b32decode, b32encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]
from nacl.public import PrivateKey

from penstock import secret_file
from penstock.errors import Refused

ISSUER_FILE = "authority.issuer.nk"
XKEY_FILE = "authority.xkey.nk"
_SEED = 18 << 3  # S
_CURVE = 23 << 3  # X
_SERVER = 13 << 3  # N


@dataclass(frozen=True, slots=True)
class CalloutKeys:
    """The public keys: of the account that signs (A…), of the curve key that decrypts (X…)."""

    issuer: str
    xkey: str


def ensure(folder: Path) -> CalloutKeys:
    """Makes the seeds that are missing. Raises Refused CREDENTIALS_INVALID for a file that is no such seed."""
    secret_file.ensure(folder / ISSUER_FILE, lambda: nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_ACCOUNT))
    secret_file.ensure(folder / XKEY_FILE, lambda: encode_curve_seed(os.urandom(32)))
    return CalloutKeys(
        issuer=issuer(folder).public_key.decode(),
        xkey=encode_curve_key(bytes(curve(folder).public_key)),
    )


def issuer(folder: Path) -> Any:
    """The key pair (nkeys.KeyPair) that signs. Raises Refused CREDENTIALS_INVALID."""
    path = folder / ISSUER_FILE
    try:
        pair = nkeys.from_seed(bytearray(secret_file.read(path)))
        known = pair.public_key.startswith(b"A")
    except (nkeys.NkeysError, ValueError) as error:
        raise Refused("CREDENTIALS_INVALID", f"{path} holds no nkey seed") from error
    if not known:
        raise Refused("CREDENTIALS_INVALID", f"{path} holds the seed of something else than an account")
    return pair


def curve(folder: Path) -> PrivateKey:
    """The curve key that decrypts. Raises Refused CREDENTIALS_INVALID."""
    path = folder / XKEY_FILE
    try:
        return PrivateKey(decode_curve_seed(secret_file.read(path)))
    except ValueError as error:
        raise Refused("CREDENTIALS_INVALID", f"{path}: {error}") from None


def encode_curve_key(key: bytes) -> str:
    """32 bytes → X…"""
    return _encode(bytes([_CURVE]) + key)


def decode_curve_key(text: str) -> bytes:
    """X… → 32 bytes. Raises ValueError."""
    return _public(text, _CURVE)


def decode_server_key(text: str) -> bytes:
    """N… → 32 bytes, an ed25519 key. Raises ValueError."""
    return _public(text, _SERVER)


def encode_curve_seed(seed: bytes) -> bytes:
    """32 bytes → SX…"""
    return _encode(bytes([_SEED | _CURVE >> 5, (_CURVE & 31) << 3]) + seed).encode()


def decode_curve_seed(text: bytes) -> bytes:
    """SX… → 32 bytes. Raises ValueError."""
    raw = _decode(text.decode("ascii", "replace"))
    if len(raw) != 34 or raw[:2] != bytes([_SEED | _CURVE >> 5, (_CURVE & 31) << 3]):
        raise ValueError("not the seed of a curve key")
    return raw[2:]


def _public(text: str, prefix: int) -> bytes:
    raw = _decode(text)
    if len(raw) != 33 or raw[0] != prefix:
        raise ValueError("a key of another kind")
    return raw[1:]


def _encode(raw: bytes) -> str:
    checked = raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return b32encode(checked).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        raw = b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise ValueError("not base 32") from None
    if len(raw) < 3 or binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
        raise ValueError("the checksum is wrong")
    return raw[:-2]
