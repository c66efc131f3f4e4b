"""records of AUDIT in the order of the stream → digests → one chain of hashes, so that none can go or change unseen

    digest(n) = SHA-256( sequence, stored at, length of subject, subject, payload )
    hash(n)   = SHA-256( hash(n-1), digest(n) )

Sequence and time (Unix nanoseconds) are 8 bytes, the length 4, most significant byte first. Headers are not part of a
record: nothing reads them. Before the first record ever sealed the hash is 32 zero bytes. docs/audit.md says it for
those who check with tools of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from struct import Struct

from penstock.broker import StoredMessage

STREAM = "AUDIT"
NOTHING = bytes(32)
MARK_BYTES = 8  # of a digest, kept in a seal to name a record that changed; the chain is what proves it
_HEAD = Struct(">QQI").pack


@dataclass(frozen=True, slots=True)
class Head:
    """The hash up to a record."""

    sequence: int
    hash: bytes


def digest(sequence: int, stored_at_ns: int, subject: str, payload: bytes) -> bytes:
    """Of one record."""
    name = subject.encode()
    return sha256(_HEAD(sequence, stored_at_ns, len(name)) + name + payload).digest()


def digest_of(message: StoredMessage) -> bytes:
    """Of a record as the stream keeps it."""
    return digest(message.sequence, message.stored_at_ns, message.subject, message.data)


def after(head: Head, sequence: int, digest: bytes) -> Head:
    """The chain with one record more."""
    return Head(sequence, sha256(head.hash + digest).digest())
