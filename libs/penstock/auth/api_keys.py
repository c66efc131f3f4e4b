"""Bearer keys of the HTTP API: 256 random bits each, kept as SHA-256 hashes in a file.

A hash of 256 random bits needs neither salt nor stretching: there is nothing to guess. The key itself is shown once,
when it is made. The file is replaced as a whole, so that a reader never sees half of it.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock import atomic_file
from penstock.contracts import Contracts, subjects
from penstock.errors import Refused
from penstock.events import timestamps

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

    def valid_at(self, now_ns: int) -> bool:
        """Whether the key is accepted at this moment (Unix nanoseconds)."""
        return self.revoked_at is None and (self.expires_at is None or now_ns < timestamps.parse(self.expires_at))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(1, ge=1, le=1)
    keys: list[Key] = []


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
            f"{identity!r} is not a name for a caller: it must match [a-z][a-z0-9_]* and not be one of the fleet's",
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
        file.keys.append(key)
    return text, key


def revoke(path: Path, id: str, *, now_ns: int, before_write: Callable[[Key], None] = lambda _: None) -> Key:
    """Revokes a key; its entry stays. `before_write` is called first. Raises Refused NOT_FOUND."""
    with _edit(path) as file:
        for number, key in enumerate(file.keys):
            if key.id == id:
                before_write(key)
                file.keys[number] = key.model_copy(update={"revoked_at": key.revoked_at or timestamps.text(now_ns)})
                return file.keys[number]
        raise Refused("NOT_FOUND", f"there is no key {id!r} in {path}")


def read(path: Path) -> list[Key]:
    """All entries; none where there is no file. Raises Refused KEY_INVALID when the file cannot be understood."""
    try:
        return _File.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        raise Refused("KEY_INVALID", f"{path} cannot be read as a file of keys: {type(error).__name__}") from None


class KeyFile:
    """The keys in a file, read again soon after it changed. A file that breaks leaves the keys as they were."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.fault: str | None = None
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._seen: tuple[int, int, int] | None = None
        self._look_at = -1.0

    def find(self, text: str, now_ns: int) -> Key | None:
        """The entry of a key that is accepted now."""
        digest = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        # A key that is not known may just have been made; one that is may just have been revoked.
        if self._clock() >= self._look_at or (digest not in self._keys and self.fault is None):
            self._look()
        key = self._keys.get(digest)
        return key if key is not None and key.valid_at(now_ns) else None

    def _look(self) -> None:
        self._look_at = self._clock() + _LOOK_AGAIN_SECONDS
        try:
            status = self.path.stat()
            seen: tuple[int, int, int] | None = (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            seen = None
        if seen == self._seen and self.fault is None:
            return
        try:
            self._keys = {key.sha256: key for key in read(self.path)}
        except Refused as error:
            if self.fault is None:
                _log.error("keys_unreadable", code=error.code, reason=error.detail)
            self.fault = error.detail
            return
        self.fault = None
        self._seen = seen
        _log.info("keys_read", keys=len(self._keys))


@contextmanager
def _edit(path: Path) -> Iterator[_File]:
    """The file's content, to be changed; replaced on disk at the end, by one process at a time."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = _File(keys=read(path))
        yield file
        body = {"version": 1, "keys": [_plain(key) for key in file.keys]}
        atomic_file.replace(path, json.dumps(body, indent=1))


def _plain(key: Key) -> dict[str, object]:
    body = key.model_dump(exclude_none=True)
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in body.items()}
