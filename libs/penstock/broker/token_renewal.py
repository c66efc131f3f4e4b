"""token source → the token that a connection uses, replaced at 80 % of its life → a new connection.

A server ends a connection when its token expires, and the client library would not come back by itself.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from penstock.errors import PenstockError, Unavailable

_log = structlog.get_logger("penstock.broker.token_renewal")

AGAIN_SECONDS = 1.0  # after a failure, or when there is no newer token yet
FRESH_SHARE = 0.8  # of a token's life, after which a new one is fetched


@dataclass(frozen=True, slots=True)
class Token:
    """A token with the Unix seconds at which it was fetched and at which it expires."""

    value: str = field(repr=False)
    since: float
    expires_at: float

    @property
    def renew_at(self) -> float:
        """When it should be replaced."""
        return self.since + FRESH_SHARE * (self.expires_at - self.since)


class TokenSource(ABC):
    """Gives tokens; many may ask at once, one fetches. `now` gives Unix seconds."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._token: Token | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> Token:
        """A token of which less than 80 % of its life is over, or the last one where none can be fetched now.

        Raises Unavailable ISSUER_UNAVAILABLE or Refused CREDENTIALS_INVALID when there is no valid token at all.
        """
        async with self._lock:
            now, known = self._now(), self._token
            if known is not None and now < known.renew_at:
                return known
            try:
                self._token = await self._fetch()
            except PenstockError as error:
                if known is None or known.expires_at <= now:
                    raise
                _log.warning("token_renewal_failed", code=error.code, reason=error.detail)
                return known
            return self._token

    @abstractmethod
    async def _fetch(self) -> Token: ...


class Renewal:
    """The token of one connection. `changed` is awaited after each new one; `show_expiry` gets its Unix seconds."""

    def __init__(
        self, source: TokenSource, changed: Callable[[], Awaitable[None]], show_expiry: Callable[[float], None]
    ) -> None:
        self._source = source
        self._changed = changed
        self._show_expiry = show_expiry
        self._token: Token | None = None

    def value(self) -> str:
        """The token to connect with; never waits."""
        return self._token.value if self._token is not None else ""

    async def first(self) -> None:
        """Gets the first token, as often as it takes. Raises Refused CREDENTIALS_INVALID."""
        while self._token is None:
            try:
                self._token = await self._source.token()
            except Unavailable as error:
                _log.warning("token_fetch_failed", code=error.code, reason=error.detail)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._show_expiry(self._token.expires_at)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            known = self._token
            await asyncio.sleep(max(known.renew_at - time.time(), 0.0) if known else 0.0)
            try:
                self._token = await self._source.token()
            except PenstockError as error:
                _log.warning("token_renewal_failed", code=error.code, reason=error.detail)
            if self._token is None or (known is not None and self._token.value == known.value):
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._show_expiry(self._token.expires_at)
                await self._changed()
