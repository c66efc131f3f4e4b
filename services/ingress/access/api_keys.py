"""Authorization: Bearer pk_… → the entry of the key file → HttpCaller."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import Scope

from penstock.auth.api_keys import Key, KeyFile
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.services.ingress.access.caller import HttpCaller, http_caller
from penstock.services.ingress.access.credentials import KEY_PREFIX, bearer
from penstock.services.ingress.access.edge_identity import must_agree


class KeyCallers:
    """Bearer keys in a file (penstock.auth.api_keys). Without the file nobody is authenticated by a key."""

    def __init__(self, keys: KeyFile, contracts: Contracts, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.keys = keys
        self._contracts = contracts
        self._now_ns = now_ns
        self._callers: dict[str, tuple[Key, HttpCaller]] = {}

    async def verify(self, scope: Scope) -> HttpCaller:
        """The caller whose key stands in `Authorization: Bearer`."""
        sent = bearer(scope)
        key = self.keys.find(sent, self._now_ns())
        if key is None or key.identity in self._contracts.identities:
            if not sent.startswith(KEY_PREFIX):
                raise Refused("UNAUTHENTICATED", "the credentials are not an API key, which begins with pk_")
            raise Refused("UNAUTHENTICATED", "the API key is unknown, revoked or expired")
        must_agree(scope)
        known = self._callers.get(key.id)
        if known is None or known[0] is not key:
            known = self._callers[key.id] = (key, self._caller(key))
        return known[1]

    def _caller(self, key: Key) -> HttpCaller:
        return http_caller(self._contracts, key.identity, types=key.types, datasets=key.datasets, roles=key.roles)
