"""the head of the chain, signed: how far the trail is sealed, from where on, and by which key

A seal is a record of the trail itself, under audit.<auditor>.seal. It repeats the head of the seal before, so that a
trail whose beginning has expired can be checked from its first seal on, and holds a mark of each record between.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from penstock import secret_file
from penstock.audit.hash_chain import MARK_BYTES, STREAM, Head
from penstock.errors import Refused

KEY_FILE = "auditor.seal.pem"
KEYS_FILE = "auditor.seal.pub"


@dataclass(frozen=True, slots=True)
class Seal:
    """`before`: the seal before it, or where the chain begins. `time`: RFC 3339. `key`: the public key, in hex."""

    before: Head
    head: Head
    time: str
    marks: bytes
    key: str
    signature: bytes = b""

    def signed_text(self) -> bytes:
        """What the signature is over."""
        lines = (
            "penstock audit seal 1",
            STREAM,
            f"{self.before.sequence} {self.before.hash.hex()}",
            f"{self.head.sequence} {self.head.hash.hex()}",
            self.time,
            base64.b64encode(self.marks).decode(),
        )
        return "\n".join(lines).encode()

    def mark(self, number: int) -> bytes:
        """The mark of the `number`-th record after `before`; empty where there is none."""
        return self.marks[number * MARK_BYTES : (number + 1) * MARK_BYTES]

    def to_json(self, through: str) -> bytes:
        """The record."""
        return orjson.dumps(
            {
                "time": self.time,
                "actor": through,
                "through": through,
                "before": {"sequence": self.before.sequence, "hash": self.before.hash.hex()},
                "head": {"sequence": self.head.sequence, "hash": self.head.hash.hex()},
                "marks": base64.b64encode(self.marks).decode(),
                "key": self.key,
                "signature": base64.b64encode(self.signature).decode(),
            }
        )


def read_seal(payload: bytes) -> Seal:
    """The seal in a record. Raises Refused TRAIL_BROKEN when it is none."""
    try:
        body = orjson.loads(payload)
        return Seal(
            _head(body["before"]),
            _head(body["head"]),
            str(body["time"]),
            base64.b64decode(body["marks"], validate=True),
            str(body["key"]),
            base64.b64decode(body["signature"], validate=True),
        )
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise Refused("TRAIL_BROKEN", "a seal cannot be read: a member is missing or not valid") from None


def _head(body: Any) -> Head:
    return Head(int(body["sequence"]), bytes.fromhex(body["hash"]))


class Signer:
    """The private key, made where there is none; its public half is added to the file beside it."""

    def __init__(self, folder: Path) -> None:
        pem = secret_file.ensure(folder / KEY_FILE, _generate)
        try:
            key = load_pem_private_key(pem, None)
        except ValueError as error:
            raise Refused("CREDENTIALS_INVALID", f"{folder / KEY_FILE} holds no private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Refused("CREDENTIALS_INVALID", f"{folder / KEY_FILE} holds a key that is not Ed25519")
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        path = folder / KEYS_FILE
        if not path.exists() or self.public not in path.read_text(encoding="ascii").split():
            with path.open("a", encoding="ascii") as file:
                file.write(self.public + "\n")

    def sign(self, before: Head, head: Head, time: str, marks: bytes) -> Seal:
        """The seal of a stretch of the chain."""
        unsigned = Seal(before, head, time, marks, self.public)
        return Seal(before, head, time, marks, self.public, self._key.sign(unsigned.signed_text()))


def seal_keys(path: Path) -> frozenset[str]:
    """The public keys in a file, one a line. Raises Refused SEAL_KEY_UNKNOWN when there are none."""
    try:
        found = frozenset(line for line in path.read_text(encoding="ascii").split("\n") if line.strip())
    except (OSError, UnicodeDecodeError):
        found = frozenset()
    if not found:
        raise Refused("SEAL_KEY_UNKNOWN", f"{path} has no public keys")
    return found


def is_genuine(seal: Seal, known: frozenset[str]) -> bool:
    """Whether one of the known keys has signed it."""
    if seal.key not in known:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.key)).verify(seal.signature, seal.signed_text())
    except (InvalidSignature, ValueError):
        return False
    return True


def _generate() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
