"""token source → the token that a connection uses, replaced at 80 % of its life → a new connection.

A server ends a connection when its token expires, and the client library would not come back by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from penstock.auth.token_sources import Token, TokenSource
from penstock.errors import PenstockError, Unavailable

_log = structlog.get_logger("penstock.token")

AGAIN_SECONDS = 1.0  # after a failure, or when there is no newer token yet


class Renewal:
    """The token of one connection. `changed` is awaited after each new one."""

    def __init__(self, source: TokenSource, changed: Callable[[], Awaitable[None]]) -> None:
        self._source = source
        self._changed = changed
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
                _log.warning("token_not_had", code=error.code, reason=error.detail)
                await asyncio.sleep(AGAIN_SECONDS)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            known = self._token
            await asyncio.sleep(max(known.renew_at - time.time(), 0.0) if known else 0.0)
            try:
                self._token = await self._source.token()
            except PenstockError as error:
                _log.warning("token_not_renewed", code=error.code, reason=error.detail)
            if self._token is None or (known is not None and self._token.value == known.value):
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                await self._changed()
