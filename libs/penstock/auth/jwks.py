"""An issuer's public keys (RFC 7517): from a URL or a file → by key id, kept, and read again when they may be others.

A key that the issuer no longer lists is gone here after `refresh` seconds. While the issuer cannot be reached the last
keys stay. An unknown key id leads to a new read, but to one in ten seconds only: anyone can send unknown ids. A read
that fails is tried again after a second.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jose import jwk  # type: ignore[import-untyped]
from jose.exceptions import JOSEError  # type: ignore[import-untyped]

from penstock.auth.http_failure import reason_of
from penstock.auth.issuers import Issuer
from penstock.errors import PenstockError, Unavailable

_log = structlog.get_logger("penstock.auth.jwks")

UNKNOWN_ID_PAUSE = 10.0  # seconds between two reads that unknown key ids cause
FAILED_PAUSE = 1.0  # seconds after which a read that failed is tried again
FETCH_SECONDS = 3.0
MOST_BYTES = 256 * 1024
SHORTEST_RSA = 2048  # bits
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, made ready once for each algorithm it is for. Equal is what is the same key."""

    id: str
    public: str
    by_algorithm: dict[str, Any] = field(compare=False)  # jose's keys


class KeySet:
    """The keys of one issuer. `clock` gives seconds that never go back."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> SigningKey | None:
        """The key, or None if the issuer has none of that id. Raises Unavailable ISSUER_UNAVAILABLE, when there never
        was a set of keys."""
        found = self._keys.get(key_id)
        stale = self._clock() - self._read_at >= self._issuer.refresh
        if found is not None and not stale:
            return found
        may_try = self._clock() - self._tried_at >= UNKNOWN_ID_PAUSE
        if self._reading is None and may_try:
            self._tried_at = self._clock()
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done)
        if found is not None:
            return found  # the new set counts for the next token
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=2 * FETCH_SECONDS)
        if self._read_at == float("-inf"):
            raise Unavailable("ISSUER_UNAVAILABLE", f"no keys from issuer {self._issuer.issuer} yet", retry_after=2)
        return self._keys.get(key_id)

    async def all(self) -> list[SigningKey]:
        """Every key, read now. Raises Unavailable ISSUER_UNAVAILABLE."""
        try:
            await self._read()
        except (OSError, httpx.HTTPError) as error:
            raise Unavailable("ISSUER_UNAVAILABLE", f"no keys of {self._issuer.issuer}: {reason_of(error)}") from None
        return list(self._keys.values())

    async def _read(self) -> None:
        body = await self._fetch() if self._issuer.jwks_url else await self._open(self._issuer.jwks_file)
        keys = parse(body, self._issuer.algorithms)
        if not keys:
            raise Unavailable("ISSUER_UNAVAILABLE", "the set holds no key that can be used")
        self._keys = keys
        self._read_at = self._clock()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tried_at = self._clock() - UNKNOWN_ID_PAUSE + FAILED_PAUSE
            reason = error.detail if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}"
            _log.warning("keys_not_read", issuer=self._issuer.issuer, reason=reason)

    async def _fetch(self) -> bytes:
        headers = {"Accept": "application/json"}
        if self._issuer.jwks_token_file is not None:
            token = await asyncio.to_thread(self._issuer.jwks_token_file.read_text, encoding="ascii")
            headers["Authorization"] = f"Bearer {token.strip()}"
        ca_file = self._issuer.jwks_ca_file
        verify = True if ca_file is None else await asyncio.to_thread(ssl.create_default_context, cafile=str(ca_file))
        async with (
            httpx.AsyncClient(timeout=httpx.Timeout(FETCH_SECONDS), follow_redirects=False, verify=verify) as client,
            client.stream("GET", self._issuer.jwks_url, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise Unavailable("ISSUER_UNAVAILABLE", f"status {response.status_code} from {self._issuer.jwks_url}")
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise Unavailable("ISSUER_UNAVAILABLE", f"more than {MOST_BYTES} bytes of keys")
        return body

    async def _open(self, path: Path | None) -> bytes:
        assert path is not None  # noqa: S101 - an Issuer has a URL or a file
        return await asyncio.to_thread(path.read_bytes)


def parse(body: bytes, algorithms: tuple[str, ...]) -> dict[str, SigningKey]:
    """The signature keys of a set that fit one of the algorithms; whatever else is in the set is left out."""
    try:
        members = orjson.loads(body)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise Unavailable("ISSUER_UNAVAILABLE", "what came is no key set") from None
    found = {}
    for member in members if isinstance(members, list) else []:
        key_id = member.get("kid") if isinstance(member, dict) else None
        if isinstance(key_id, str) and member.get("use", "sig") == "sig":
            ready = {name: key for name in algorithms if (key := _construct(member, name)) is not None}
            if ready:
                public = orjson.dumps({name: member.get(name) for name in _PUBLIC})
                found[key_id] = SigningKey(key_id, public.decode(), ready)
    return found


def _construct(member: dict[str, Any], algorithm: str) -> Any:
    """A key of jose, or None where the member is not for that algorithm. Private members are not taken along."""
    kind, curves = {"R": ("RSA", {}), "E": ("EC", {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"})}[algorithm[0]]
    if member.get("kty") != kind or member.get("alg", algorithm) != algorithm:
        return None
    if kind == "EC" and member.get("crv") != curves[algorithm]:
        return None
    public = {name: member[name] for name in _PUBLIC if name in member}
    try:
        key = jwk.construct(public, algorithm)
    except (JOSEError, ValueError, KeyError, TypeError):
        return None
    prepared = getattr(key, "prepared_key", None)
    if isinstance(prepared, RSAPublicKey) and prepared.key_size < SHORTEST_RSA:
        return None
    return key
