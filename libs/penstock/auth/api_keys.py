"""Bearer keys of the HTTP API: 256 random bits each, kept as SHA-256 hashes in a file.

A hash of 256 random bits needs neither salt nor stretching: there is nothing to guess. The key itself is shown once,
when it is made. The file is replaced as a whole, so that a reader never sees half of it.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from penstock import atomic_file
from penstock.contracts import Contracts, subjects
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.file_lock import locked

ALL = "*"
_LOOK_AGAIN_SECONDS = 0.5

_log = structlog.get_logger("penstock.auth.api_keys")


class Key(BaseModel):
    """What a key stands for. `identity` is the publisher of the events sent with it; `*` grants all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$", repr=False)
    identity: str = Field(pattern="^" + subjects.TOKEN.pattern.replace(r"\Z", "$"))
    datasets: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None

    @field_validator("expires_at", "revoked_at")
    @classmethod
    def _is_a_time(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                timestamps.parse(text)
            except Refused as error:
                raise ValueError(error.detail) from None
        return text

    def valid_at(self, now_ns: int) -> bool:
        """Whether the key is accepted at this moment (Unix nanoseconds)."""
        return self.revoked_at is None and (self.expires_at is None or now_ns < timestamps.parse(self.expires_at))


class _File(BaseModel):
    """Entries as they stand there; each is checked by itself, so that a bad one stops no other."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(1, ge=1, le=1)
    keys: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Entries:
    """What a file holds: keys, and a sentence for each entry that is none."""

    keys: list[Key]
    faults: list[str]


def create(
    path: Path,
    contracts: Contracts,
    *,
    identity: str,
    datasets: Iterable[str] = (),
    types: Iterable[str] = (),
    roles: Iterable[str] = (),
    expires_at: str | None = None,
    now_ns: int,
    before_write: Callable[[Key], None] = lambda _: None,
) -> tuple[str, Key]:
    """Makes a key and adds it to the file; returns the key, which nobody can show again, and its entry.

    `before_write` is called first; if it raises, the file stays as it is.

    Raises Refused KEY_INVALID: a name that the contracts do not have, or an identity of the fleet (its events would get
    keys that another publisher's get).
    """
    if not subjects.is_token(identity) or identity in contracts.identities:
        raise Refused(
            "KEY_INVALID",
            f"{identity!r} is not a name for a caller: lower-case letters, digits and _, with a letter first, and "
            "not one of the fleet",
        )
    for kind, names, known in (
        ("dataset", datasets := frozenset(datasets), contracts.datasets),
        ("type", types := frozenset(types), contracts.types),
        ("role", roles := frozenset(roles), contracts.roles),
    ):
        unknown = sorted(name for name in names if name not in known and not (name == ALL and kind != "role"))
        if unknown:
            raise Refused("KEY_INVALID", f"{unknown[0]!r} is not a {kind}; there are {', '.join(sorted(known))}")
    if expires_at is not None:
        timestamps.parse(expires_at)
    with _edit(path) as file:
        id = secrets.token_hex(4)
        text = f"pk_{id}_{secrets.token_urlsafe(32)}"
        key = Key(
            id=id,
            sha256=sha256(text.encode()).hexdigest(),
            identity=identity,
            datasets=datasets,
            types=types,
            roles=roles,
            created_at=timestamps.text(now_ns),
            expires_at=expires_at,
        )
        before_write(key)
        file.keys.append(_plain(key))
    return text, key


def revoke(path: Path, id: str, *, now_ns: int, before_write: Callable[[Key], None] = lambda _: None) -> Key:
    """Revokes a key in all of its entries, which stay: a file that was merged by hand may have two. `before_write` is
    called first. Raises Refused NOT_FOUND."""
    with _edit(path) as file:
        found = [
            (number, _checked(path, number, each)) for number, each in enumerate(file.keys) if each.get("id") == id
        ]
        keys = [(number, key) for number, key in found if isinstance(key, Key)]
        if not keys:
            raise Refused("NOT_FOUND", f"there is no key {id!r} in {path}")
        before_write(keys[0][1])
        revoked = [
            (number, key.model_copy(update={"revoked_at": key.revoked_at or timestamps.text(now_ns)}))
            for number, key in keys
        ]
        for number, key in revoked:
            file.keys[number] = _plain(key)
        return revoked[0][1]


def read(path: Path) -> Entries:
    """All entries; none where there is no file. Raises Refused KEY_INVALID when the file cannot be understood."""
    found = [_checked(path, number, entry) for number, entry in enumerate(_read(path).keys)]
    return Entries([key for key in found if isinstance(key, Key)], [text for text in found if isinstance(text, str)])


def _read(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _File()
    except OSError as error:
        raise Refused("KEY_INVALID", f"{path} cannot be read: {error.strerror}") from None
    except ValidationError:
        raise Refused("KEY_INVALID", f"{path} is not a whole file of keys") from None


def _checked(path: Path, number: int, entry: dict[str, Any]) -> Key | str:
    """The key, or what is wrong with the entry. Nothing of its value is shown: it may be a secret put there by hand."""
    try:
        return Key.model_validate(entry)
    except ValidationError as error:
        member = ".".join(str(part) for part in error.errors()[0]["loc"][:1])
        id = entry.get("id")
        named = f"entry {number + 1}" + (f" ({id})" if isinstance(id, str) and re.fullmatch("[0-9a-f]{8}", id) else "")
        return f"{named} of {path} is left out: its member {member!r} is missing or not valid"


class KeyFile:
    """The keys in a file, read again soon after it changed. A file that breaks leaves the keys as they were."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.fault = ""
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._left_out: list[str] = []
        self._was_read = False
        self._seen: tuple[int, int, int] | None = None
        self._look_at = -1.0

    def find(self, text: str, now_ns: int) -> Key | None:
        """The entry of a key that is accepted now."""
        digest = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        # A key that is not known may just have been made; one that is may just have been revoked.
        if self._clock() >= self._look_at or (digest not in self._keys and not self.fault):
            self._look()
        key = self._keys.get(digest)
        return key if key is not None and key.valid_at(now_ns) else None

    def unready_reasons(self) -> list[str]:
        """That no keys are known, as the file was never readable. Looks by itself: no request may come meanwhile."""
        self._look_if_due()
        return [f"keys: {self.fault}"] if self.fault and not self._was_read else []

    def notes(self) -> list[str]:
        """What is wrong with the file, while the keys that were read before are in use."""
        self._look_if_due()
        fault = [f"keys: {self.fault}; those read before stay valid"] if self.fault and self._was_read else []
        return fault + [f"keys: {text}" for text in self._left_out[:3]]

    def _look_if_due(self) -> None:
        if self._clock() >= self._look_at:
            self._look()

    def _look(self) -> None:
        self._look_at = self._clock() + _LOOK_AGAIN_SECONDS
        try:
            status = self.path.stat()
            seen: tuple[int, int, int] | None = (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            seen = None
        if seen == self._seen and not self.fault:
            return
        try:
            found = read(self.path)
        except Refused as error:
            if not self.fault:
                _log.error("keys_unreadable", code=error.code, reason=error.detail)
            self.fault = error.detail
            return
        # Of two entries of one key the revoked one counts.
        self._keys = {key.sha256: key for key in sorted(found.keys, key=lambda key: key.revoked_at is not None)}
        if found.faults and found.faults != self._left_out:
            _log.error("keys_left_out", reasons=found.faults)
        self._left_out = found.faults
        self._was_read = True
        self.fault = ""
        self._seen = seen
        _log.info("keys_read", keys=len(self._keys))


@contextmanager
def _edit(path: Path) -> Iterator[_File]:
    """The file's content, to be changed; replaced on disk at the end, by one process at a time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        file = _read(path)
        yield file
        atomic_file.replace(path, json.dumps(file.model_dump(), indent=1))


def _plain(key: Key) -> dict[str, object]:
    body = key.model_dump(exclude_none=True)
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in body.items()}
